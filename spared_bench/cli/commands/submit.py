"""``submit build``, ``check``, ``review``, ``add`` and ``withdraw``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from spared_bench.cli.common import (
    DATA_DIR,
    JSON,
    PLUGIN,
    WORKSPACE,
    require_ending,
    show_result,
    warn_of_quarantine,
    write_named,
)
from spared_bench.cli.terminal import echo
from spared_bench.errors import SubmissionError, UsageError, WorkspaceError
from spared_bench.ordinary import json_of
from spared_bench.store.disk import way_out
from spared_bench.strict import text_of
from spared_bench.whereabouts import whereabouts
from spared_bench.words import counted

if TYPE_CHECKING:
    from spared_bench.bench import Bench
    from spared_bench.submissions.check import BenchOf
    from spared_bench.submissions.report import Report

submit_app = typer.Typer(
    help="Hand in results, check those of others, and add them to the leaderboard.",
    no_args_is_help=True,
)

_ENTRIES = Path("leaderboards")
LEADERBOARDS = typer.Option(_ENTRIES, "--leaderboards", help="Folder of accepted entries.")
#: Where nothing is added, so that a folder which is named has to be there.
TO_COMPARE = typer.Option(
    None, "--leaderboards", help=f"Folder of accepted entries [default: {_ENTRIES}]."
)
BUNDLE = typer.Argument(..., metavar="BUNDLE", help="The zip that `submit build` made.")
SENDER = typer.Option(
    "", "--from", help="The account that hands it in, where repositories lie: [HOST/]ACCOUNT."
)
WITHOUT_DATA = typer.Option(
    False, "--without-data", help="Re-score nothing; the entry can be no more than reported."
)
PROTOCOL_FILE = typer.Option(
    "",
    "--protocol",
    "--suite",
    help="A YAML file, where the protocol is not an installed one.",
)


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.add_typer(submit_app, name="submit")


@submit_app.command("build")
def build(
    predictor: str = typer.Argument(..., help="Whose finished runs to hand in."),
    protocol: str = typer.Option(
        "demo", "--protocol", "--suite", help="Protocol: a name or a YAML file."
    ),
    out: Path | None = typer.Option(
        None, help="File or folder [default: METHOD-VERSION.PROTOCOL.zip, here]."
    ),
    method: str = typer.Option("", help="Name on the board [default: that of the predictor]."),
    version: str = typer.Option(
        "", help="[default: that of the predictor's spec, and of its runs]."
    ),
    title: str = typer.Option("", help="One line [default: the predictor's summary]."),
    author: list[str] = typer.Option([], "--author", help="May be given more than once."),
    code: str = typer.Option("", help="https address of the code."),
    citation: str = typer.Option("", help="[default: that of the predictor's spec]."),
    pretrained_on: list[str] = typer.Option(
        [], "--pretrained-on", help="A dataset that the weights have seen before; more than once."
    ),
    absent: list[str] = typer.Option(
        [], "--absent", help="Why a dataset has no runs: DATASET=REASON; more than once."
    ),
    key: Path | None = typer.Option(
        None, help="Sign with the key of this file, made where it is missing: the name is yours."
    ),
    conformance: Path | None = typer.Option(
        None, help="Report of `spared-bench plugins check PREDICTOR --json`, to be included."
    ),
    workspace: Path | None = WORKSPACE,
    data_dir: Path | None = DATA_DIR,
    plugin: list[Path] = PLUGIN,
    as_json: bool = JSON,
) -> None:
    """Make a bundle of all finished runs of a predictor: predictions, scores and hashes."""
    from spared_bench.api import make_bench

    if out is not None and not out.is_dir():
        require_ending(out, ".zip", "a bundle", "Or name a folder that is there.")
    bench = make_bench(
        protocol, workspace=workspace, data_dir=data_dir, plugin_files=plugin, device="cpu"
    )
    # HDF5, after it is known whether files lock.
    from spared_bench.submissions.build import build as build_bundle
    from spared_bench.submissions.build import known_name
    from spared_bench.submissions.names import load_key

    warn_of_quarantine(bench.registry.quarantined)
    told = {"title": title, "authors": author, "code": code, "citation": citation}
    details = {name: value for name, value in told.items() if value}
    if pretrained_on:
        details["pretrained_on"] = [bench.dataset(name).name for name in pretrained_on]
    with _telling_of_files():
        built = build_bundle(
            bench,
            known_name(bench, predictor),
            out,
            method=method,
            version=version,
            details=details,
            reasons=_reasons(absent),
            conformance=_conformance(conformance),
            key=None if key is None else load_key(key),
        )
    size = built.archive.stat().st_size
    label = f"{built.description.method}@{built.description.version}"
    facts = {"results": built.n_results, "missing": built.missing, "bytes": size}
    lines = [f"{built.archive}: {built.n_results} results, {size / 1e6:.1f} MB."]
    if built.missing:
        lines += [f"Declared absent, as there are no runs: {', '.join(built.missing)}."]
    if built.n_codes > 1:
        facts["versions_of_code"] = built.n_codes
        lines += [
            f"Its results were made by {built.n_codes} versions of the code of {label} and its"
            " completers: run the whole suite again for one."
        ]
    if built.n_imported:
        facts["imported"] = built.n_imported
        lines += [
            f"{counted(built.n_imported, 'result')} of these came with `store import`, or were made"
            " of what did, and nobody trained them here: hand them in only if they are yours."
        ]
    lines += [f"`spared-bench submit check {built.archive}` says what a maintainer will see."]
    show_result({"bundle": built.archive, "label": label, **facts}, as_json, "\n".join(lines))


def _reasons(texts: list[str]) -> dict[str, str]:
    found = {}
    for text in texts:
        dataset, equals, reason = text.partition("=")
        if not (dataset and equals and reason):
            raise UsageError(f"--absent must read DATASET=REASON, found {text!r}.")
        found[dataset] = reason
    return found


def _conformance(path: Path | None) -> dict[str, Any] | None:
    if path is None:
        return None
    text = text_of(path, "conformance report", UsageError)
    try:
        values = json_of(text)
    except ValueError as error:
        raise UsageError(
            f"{path} is no conformance report ({error}). `spared-bench plugins check NAME --json >"
            " FILE` makes one."
        ) from error
    if not isinstance(values, dict) or "checks" not in values:
        raise UsageError(f"{path} is no report of `spared-bench plugins check NAME --json`.")
    return values


@submit_app.command("check")
def check(
    bundle: Path = BUNDLE,
    leaderboards: Path | None = TO_COMPARE,
    without_data: bool = WITHOUT_DATA,
    sender: str = SENDER,
    comment: Path | None = typer.Option(
        None, help="Write the Markdown that a pull request would get."
    ),
    protocol: str = PROTOCOL_FILE,
    workspace: Path | None = WORKSPACE,
    data_dir: Path | None = DATA_DIR,
    plugin: list[Path] = PLUGIN,
    as_json: bool = JSON,
) -> None:
    """Check a bundle, and score its predictions again; nothing of it is ever run.

    Exit status 0: accepted; 1: refused, or not checked for want of data.
    """
    bench_of = _bench_of(protocol, workspace, data_dir, plugin)
    entries = _entries(leaderboards)
    report = _checked(bundle, bench_of, entries, not without_data, sender)
    if comment is not None:
        text = _comment(report, bench_of, entries)
        with _telling_of_files():
            comment.parent.mkdir(parents=True, exist_ok=True)
            write_named(comment, text)
    show_result(report.as_dict(), as_json, lambda: _print(report))
    if not report.ok:
        raise typer.Exit(1)


@submit_app.command("review")
def review(
    base: str = typer.Argument(..., help="Commit that the request goes to: 40 hex digits."),
    head: str = typer.Argument(..., help="Last commit of the request: 40 hex digits."),
    out: Path = typer.Option(Path("checked"), help="Folder for comment.md and the bundles."),
    sender: str = SENDER,
    leaderboards: Path | None = TO_COMPARE,
    protocol: str = PROTOCOL_FILE,
    workspace: Path | None = WORKSPACE,
    data_dir: Path | None = DATA_DIR,
    plugin: list[Path] = PLUGIN,
) -> None:
    """Check the bundles of a pull request, in a checkout of the branch that it goes to.

    Both commits must have been fetched; nothing of the request is checked out or run. A request
    that changes anything else is refused. Exit status 0: all is accepted; 1: refused, or
    not checked for want of data.
    """
    from spared_bench.submissions.request import review as review_request

    bench_of = _bench_of(protocol, workspace, data_dir, plugin)
    entries = _entries(leaderboards)

    def check_one(path: Path) -> tuple[Report, str]:
        report = _checked(path, bench_of, entries, True, sender)
        return report, _comment(report, bench_of, entries)

    with _telling_of_files():
        out.mkdir(parents=True, exist_ok=True)
        found = review_request(Path(), base, head, out / "bundles", check_one)
        write_named(out / "comment.md", found.comment)
    echo(found.comment)
    if not found.ok:
        raise typer.Exit(1)


@submit_app.command("add")
def add(
    bundle: Path = BUNDLE,
    leaderboards: Path = LEADERBOARDS,
    without_data: bool = WITHOUT_DATA,
    sender: str = SENDER,
    reproduced: bool = typer.Option(
        False, "--reproduced", help="Trained here too: the workspace's own runs must agree."
    ),
    protocol: str = PROTOCOL_FILE,
    workspace: Path | None = WORKSPACE,
    data_dir: Path | None = DATA_DIR,
    plugin: list[Path] = PLUGIN,
    as_json: bool = JSON,
) -> None:
    """Check a bundle and add it to the accepted entries; an entry is never replaced."""
    from spared_bench.submissions.add import add as add_entry
    from spared_bench.submissions.add import flag_open_runs, unreproduced
    from spared_bench.workspace import Workspace

    if reproduced and without_data:
        raise UsageError("--reproduced needs the data; leave out --without-data.")
    bench_of = _bench_of(protocol, workspace, data_dir, plugin)
    report = _checked(bundle, bench_of, leaderboards, not without_data, sender)
    if reproduced and report.ok:
        wrong = unreproduced(report, Workspace.at(workspace, data_dir).store)
        if wrong:
            raise SubmissionError(
                f"{report.label} is not reproduced by the runs of this workspace: {wrong[0]}"
                f" ({len(wrong)} differences in all.)"
            )
        flag_open_runs(report, Workspace.at(workspace, data_dir).store)
    with _telling_of_files():
        path = add_entry(
            report,
            leaderboards,
            "reproduced" if reproduced else "re-scored" if report.rescored else "reported",
        )
    show_result(
        report.as_dict() | {"entry": path}, as_json, lambda: _print(report, f"Added: {path}")
    )


@submit_app.command("withdraw")
def withdraw(
    entry: str = typer.Argument(..., metavar="METHOD@VERSION"),
    reason: str = typer.Option(..., help="What readers are told."),
    protocol: str = typer.Option("demo@1", "--protocol", "--suite", help="Its id, e.g. spared@1."),
    leaderboards: Path = LEADERBOARDS,
    as_json: bool = JSON,
) -> None:
    """Withdraw an entry: it stays visible with the reason, and has no rank."""
    from spared_bench.submissions.add import withdraw as withdraw_entry

    with _telling_of_files():
        path = withdraw_entry(leaderboards, protocol, entry, reason)
    show_result({"withdrawn": entry, "entry": path}, as_json, f"Withdrawn: {path}")


def _bench_of(
    protocol: str, workspace: Path | None, data_dir: Path | None, plugin: list[Path]
) -> BenchOf:
    """Return how to make the bench of a protocol that a bundle names."""
    from spared_bench.workspace import Workspace

    Workspace.at(workspace, data_dir)  # before HDF5 is imported, as it finds whether files lock
    if plugin:  # before anything is said of the bundle
        from spared_bench.registry import discover

        discover(plugin, specs_only=True).require_files(plugin)

    def make(named: str) -> Bench:
        from spared_bench.api import make_bench

        bench = make_bench(
            protocol or named,
            workspace=workspace,
            data_dir=data_dir,
            plugin_files=plugin,
            device="cpu",
            offline=True,
        )
        warn_of_quarantine(bench.registry.quarantined)
        bench.workspace.make_writable()
        return bench

    return make


def _entries(named: Path | None) -> Path:
    """Return the folder of accepted entries, without which no copy is noticed and no taken name."""
    if named is not None and not named.is_dir():
        told = whereabouts(named) or "It is a file."
        raise UsageError(f"There is no folder {named} (`--leaderboards`). {told}")
    folder = named or _ENTRIES
    if not folder.is_dir():
        echo(
            f"There is no folder {folder} here, so it is not asked whether the name is taken, and"
            " whether an accepted entry is copied: name it with `--leaderboards`.",
            err=True,
        )
    return folder


def _checked(
    path: Path, bench_of: BenchOf, leaderboards: Path, with_data: bool, sender: str
) -> Report:
    from spared_bench.submissions.check import check as check_bundle

    if not path.exists():
        raise UsageError(
            f"There is no bundle {path}. {whereabouts(path)} `spared-bench submit build PREDICTOR`"
            " makes one."
        )
    with _telling_of_files():
        return check_bundle(path, bench_of, leaderboards, with_data=with_data, sender=sender)


@contextmanager
def _telling_of_files() -> Iterator[None]:
    """Tell which of the files that a user names cannot be read or written, without a traceback."""
    try:
        yield
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        way = way_out(error, "Name files and folders that can be read or written.")
        raise WorkspaceError(f"{where}{error.strerror or error}. {way}") from error


def _comment(report: Report, bench_of: BenchOf, leaderboards: Path) -> str:
    from spared_bench.leaderboard.entries import read_entries
    from spared_bench.submissions.comment import comment

    if report.description is None or not report.ok:
        return comment(report, [], [], [])
    bench = bench_of(report.description.protocol)
    names = dict.fromkeys(result.dataset for result in report.results)
    ranked = [name for name in names if not bench.dataset(name).synthetic]
    told = dict.fromkeys([bench.protocol.ranking.metric, *bench.protocol.metrics])
    metrics = [bench.metric(name) for name in told]
    known = {name: bench.metric(name) for name in bench.scored_metrics}
    entries = read_entries(leaderboards, bench.protocol.id, known)[0]
    return comment(report, entries, ranked, metrics)


def _print(report: Report, *added: str) -> None:
    from spared_bench.leaderboard.text import visible

    for problem in report.problems:
        echo(f"problem: {visible(problem, 2_000)}")  # it may quote the stranger
    for flag in report.flags:
        where = f" ({flag.dataset})" if flag.dataset else ""
        echo(f"flag {flag.kind}{where}: {flag.reason}")
    if report.ok and report.who_goes_on:
        echo(visible(report.who_goes_on, 2_000))
    how = "re-scored from its predictions" if report.rescored else "not re-scored"
    verdict = f"accepted, {how}" if report.ok else report.verdict
    for line in (f"{report.label}: {verdict}; {len(report.results)} results.", *added):
        echo(line)
