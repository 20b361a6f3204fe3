"""``store verify``, ``gc``, ``export`` and ``import``."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from spared_bench.cli.common import JSON, WORKSPACE, require_ending, show_result
from spared_bench.cli.terminal import echo
from spared_bench.errors import UsageError
from spared_bench.removal import remove_folder
from spared_bench.whereabouts import no_file
from spared_bench.words import counted

if TYPE_CHECKING:
    from spared_bench.workspace import Workspace

_LINE_EVERY_S = 10.0

store_app = typer.Typer(help="Look after the store of results and products.")


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.add_typer(store_app, name="store")


@store_app.callback()
def _store() -> None:
    return None


@store_app.command("verify")
def verify(
    repair: bool = typer.Option(
        False, "--repair", help="Take damaged entries away; the next run makes them again."
    ),
    sample: float = typer.Option(
        1.0, help="Look at this share of the entries only, drawn anew each time: 0.05."
    ),
    workspace: Path | None = WORKSPACE,
    as_json: bool = JSON,
) -> None:
    """Hash every file of the store again; exit status 1 if something is damaged."""
    from spared_bench.store import maintenance

    store = _existing(workspace).store
    with _progress("checking") as told:
        verdict = maintenance.verify(store, repair=repair, sample=sample, told=told)
    lines = [f"{folder}: {'; '.join(problems)}" for folder, problems in verdict.damaged.items()]
    part = f" (a sample of {sample:.3g})" if sample < 1 else ""
    lines += [f"{counted(verdict.checked, 'entry')} checked{part}, {len(verdict.damaged)} damaged."]
    unread = verdict.unread
    if len(verdict.damaged) > len(unread):
        taken = "They were taken away" if repair else "`--repair` takes them away"
        lines += [f"{taken}; the next run makes them again."]
    if unread:
        lines += [
            f"{counted(len(unread), 'entry')} cannot be read and may be sound: they stay, also with"
            " `--repair`. Ask for the right to read them, check the disk, or remove them yourself."
        ]
    values = {
        "checked": verdict.checked,
        "damaged": verdict.damaged,
        "unread": unread,
        "repaired": repair,
    }
    show_result(values, as_json, "\n".join(lines))
    raise typer.Exit(1 if unread or (verdict.damaged and not repair) else 0)


def _existing(workspace: Path | None) -> Workspace:
    """Return a workspace that has a store: of a misspelt one, all would be well.

    Raises
    ------
    UsageError
    """
    from spared_bench.workspace import Workspace

    space = Workspace.at(workspace)
    if not space.store.root.is_dir():
        raise UsageError(
            f"There is no store of results in {space.root}. Name the workspace of your runs with"
            " `--workspace DIR`; the first run makes its store."
        )
    return space


@contextmanager
def _progress(what: str) -> Iterator[Callable[[int, int], None]]:
    """Show how far something is on standard error: a bar on a terminal, a line now and then."""
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn

    console = Console(stderr=True)
    if console.is_terminal:
        columns = (*Progress.get_default_columns()[:2], MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=console, transient=True) as bar:
            task = bar.add_task(what, total=None)
            yield lambda done, total: bar.update(task, completed=done, total=total)
        return
    last = time.monotonic()

    def told(done: int, total: int) -> None:
        nonlocal last
        if time.monotonic() - last > _LINE_EVERY_S:
            last = time.monotonic()
            echo(f"{what}: {done} of {total} entries", err=True)

    yield told


@store_app.command("gc")
def collect(
    days: float = typer.Option(7.0, min=0, help="Keep what is younger than so many days."),
    yes: bool = typer.Option(False, "--yes", help="Remove; without it, only say what."),
    workspace: Path | None = WORKSPACE,
    as_json: bool = JSON,
) -> None:
    """Remove what no cell of the board needs: earlier code's results, unused products."""
    from spared_bench.store import maintenance
    from spared_bench.store.index import forget_index
    from spared_bench.store.unfinished import abandoned, old_logs

    space = _existing(workspace)
    store = space.store
    found = maintenance.unneeded(store, days)
    unfinished, logs = abandoned(space.training, days), old_logs(space.logs, days)
    if yes:
        for kind, key, _ in found:
            store.remove(kind, key)
        forget_index(store)
        for folder, _ in unfinished:
            remove_folder(folder)
        for log, _ in logs:
            log.unlink(missing_ok=True)
        store.sweep()
    found += [("unfinished", folder.name, each) for folder, each in unfinished]
    found += [("log", log.stem, each) for log, each in logs]
    size = sum(each for _, _, each in found)
    entries = [{"kind": kind, "key": key, "bytes": each} for kind, key, each in found]
    done = "removed" if yes else "not needed; `--yes` removes them"
    lines = [f"{kind:<10} {key[:12]}  {each / 1e6:10.2f} MB" for kind, key, each in found]
    lines += [f"{counted(len(found), 'entry')}, {size / 1e6:.2f} MB, {done}."]
    values = {"entries": entries, "bytes": size, "removed": yes}
    show_result(values, as_json, "\n".join(lines))


@store_app.command("export")
def export(
    archive: Path = typer.Argument(..., help="The .tar to write."),
    products: bool = typer.Option(
        False, "--products", help="Prepared datasets, patches, layers and features too."
    ),
    workspace: Path | None = WORKSPACE,
    as_json: bool = JSON,
) -> None:
    """Write all results of trials into one file, for another workspace."""
    from spared_bench.store import archives

    if ".tar" not in archive.suffixes:  # it may be called .tar.gz, as before
        require_ending(archive, ".tar", "an archive of results")
    if not archive.resolve().parent.is_dir():
        raise UsageError(f"There is no folder {archive.resolve().parent} to write {archive} into.")
    space = _existing(workspace)
    left_out: list[str] = []
    number = archives.export(space.store, archive, products=products, left_out=left_out)
    if left_out:
        echo(
            f"Not in it, as damaged or not to be read: {counted(len(left_out), 'entry')}."
            " `spared-bench store verify` says why.",
            err=True,
        )
    if (space.root / "completion").is_dir():
        echo("Results of `complete` are not in it: that command computes them.", err=True)
    show_result(
        {"archive": archive, "entries": number, "left_out": left_out},
        as_json,
        f"{archive}: {counted(number, 'entry')}.",
    )


@store_app.command("import")
def import_(
    archive: Path = typer.Argument(..., help="What `store export` wrote."),
    workspace: Path | None = WORKSPACE,
    as_json: bool = JSON,
) -> None:
    """Take the results of another workspace over, each hashed again."""
    from spared_bench.store import archives
    from spared_bench.workspace import Workspace

    if not archive.is_file():
        raise UsageError(f"There is no archive {archive}. {no_file(archive)}")
    space = Workspace.at(workspace)
    space.make_writable()
    new, known = archives.import_archive(space.store, archive)
    text = (
        f"{counted(new, 'entry')} taken over, {known} were there before. What is new is marked as"
        " imported; the board shows it as that."
    )
    show_result({"new": new, "known": known}, as_json, text)
