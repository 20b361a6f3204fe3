"""``run``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperCommand

from spared_bench.cli.common import (
    ASK_SIZES,
    COMPLETERS,
    DATA_DIR,
    JSON,
    PLUGIN,
    PROTOCOL,
    SETTINGS,
    WORKSPACE,
    check_ask_sizes,
    err_console,
    own_command,
    tell_protocol,
    warn_of_quarantine,
)
from spared_bench.cli.plan import show_plan, warn_of_hours, warn_unavailable
from spared_bench.cli.run_report import show_report
from spared_bench.cli.terminal import echo
from spared_bench.errors import UsageError

if TYPE_CHECKING:
    from spared_bench.api import Report
    from spared_bench.bench import Bench
    from spared_bench.planning.plan import Plan


_NOTHING = (
    "Nothing is selected. `spared-bench run --all --suite demo` runs the whole demo; `-d`, `-c` and"
    " `-p` select datasets, completers and predictors."
)


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command("run", cls=RunCommand)(run)


class RunCommand(TyperCommand):
    """``--isolate`` may stand alone."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Write its value out where there is none."""
        written = []
        for at, word in enumerate(args):
            written.append(word)
            if word == "--isolate" and args[at + 1 : at + 2] not in (["strict"], ["jobs"]):
                written.append("jobs")
        return super().parse_args(ctx, written)


def run(
    context: typer.Context,
    everything: bool = typer.Option(
        False, "--all", help="Every dataset, completer and predictor of the suite."
    ),
    protocol: str = PROTOCOL,
    dataset: list[str] = typer.Option(
        [], "--dataset", "-d", help="A dataset; may be given more than once."
    ),
    completer: list[str] = COMPLETERS,
    predictor: list[str] = typer.Option(
        [], "--predictor", "-p", help="A predictor; may be given more than once."
    ),
    executor: str = typer.Option("local", help="Who runs the trials: inline, local or dask."),
    cluster: str = typer.Option(
        "", help="For dask: a scheduler's address, or a YAML file [default: this machine]."
    ),
    workers: int | None = typer.Option(
        None, min=1, help="Worker processes [default: one per core]."
    ),
    threads: int = typer.Option(1, min=1, help="CPU threads of a trial: part of its key."),
    device: str = typer.Option(
        "auto", help="auto, cpu, cuda, cuda:1, or cuda:0,cuda:1 for several workers."
    ),
    weights: str = typer.Option(
        "", help="For every predictor that has weights: pretrained, random, or a file."
    ),
    settings: list[str] = SETTINGS,
    offline: bool = typer.Option(False, "--offline", help="Download no weights."),
    shard: str = typer.Option("", help="Only part i of n of the plan: i/n, counted from 1."),
    timeout: float = typer.Option(0.0, min=0, help="End a trial after so many seconds."),
    memory_mb: int = typer.Option(0, min=0, help="End a job that holds so many MiB."),
    isolate: str = typer.Option(
        "",
        "--isolate",
        metavar="[strict]",
        help="A child process for every job; strict: one in which methods of others can read"
        " neither the store nor raw data (Linux).",
    ),
    dry_run: bool = typer.Option(False, "--dry-run", help="Print the plan and stop."),
    ask_sizes: bool = ASK_SIZES,
    retry_failed: bool = typer.Option(False, "--retry-failed", help="Try failed trials again."),
    retry_quarantined: bool = typer.Option(
        False, "--retry-quarantined", help="Those that killed their processes, too."
    ),
    fail_fast: bool = typer.Option(False, "--fail-fast", help="Stop at the first failure."),
    breaker: int = typer.Option(
        5, min=0, help="Hold a predictor back after so many failures in a row; 0: never."
    ),
    track: bool = typer.Option(True, help="Log to MLflow and build the page at the end."),
    figures: bool = typer.Option(True, help="Draw the figures of the trials that count."),
    log_json: bool = typer.Option(False, "--log-json", help="JSON lines on standard error."),
    workspace: Path | None = WORKSPACE,
    data_dir: Path | None = DATA_DIR,
    plugin: list[Path] = PLUGIN,
    as_json: bool = JSON,
) -> None:
    """Run a selection of the benchmark; what is finished already is not done again."""
    check_ask_sizes(ask_sizes, dry_run, offline)
    bench = bench_of(context.params, strict=isolate == "strict")
    from spared_bench.api import RunOptions, check_executor, check_machine, select
    from spared_bench.bench import Limits

    _, gpus = parse_devices(device)
    limits = Limits(timeout, memory_mb, bool(isolate), gpus, isolate == "strict")
    chosen = RunOptions(executor, limits=limits, cluster=cluster)
    check_executor(bench, chosen)
    plan = select(bench, dataset, completer, predictor)
    if not log_json:
        tell_protocol(protocol, bench.protocol)
    if shard:
        plan = plan.shard(*parse_shard(shard))
    if dry_run:
        # As a run does: what cannot be done is no plan.
        check_machine(plan, chosen)
        show_plan(plan, as_json, ask_sizes)
        raise typer.Exit(1 if plan.unavailable else 0)
    warn_unavailable(plan)
    warn_of_hours(plan)
    report = _watched(
        plan,
        log_json,
        executor=executor,
        cluster=cluster,
        workers=workers,
        limits=limits,
        retry_failed=retry_failed,
        retry_quarantined=retry_quarantined,
        fail_fast=fail_fast,
        breaker=breaker,
        track=track,
        figures=figures,
    )
    show_report(report, as_json)
    raise typer.Exit(_exit_status(report))


#: Executors that run code of others in other processes than this one.
_APART = ("local", "dask")


def bench_of(options: Mapping[str, Any], *, strict: bool) -> Bench:
    """Return the bench of a selection, as the options of ``run`` describe it.

    Parameters
    ----------
    options : mapping
        By the names of the parameters of ``run``.
    strict : bool
        Whether code of others is shut in already where it is listed.

    Raises
    ------
    UsageError
        If nothing is selected, or an option cannot be read.
    """
    selected = any(options[name] for name in ("everything", "dataset", "completer", "predictor"))
    if not selected and not options["protocol"]:
        raise UsageError(_NOTHING)
    isolate = options["isolate"]
    if isolate not in ("", "jobs", "strict"):
        raise UsageError(f"--isolate {isolate!r}: it stands alone, or reads `--isolate strict`.")
    place, _ = parse_devices(options["device"])
    from spared_bench.api import is_shipped, make_bench

    bench = make_bench(
        options["protocol"],
        datasets=options["dataset"],
        workspace=options["workspace"],
        data_dir=options["data_dir"],
        plugin_files=options["plugin"],
        device=place,
        weights=options["weights"],
        parameters=parse_settings(options["settings"]),
        offline=options["offline"],
        threads=options["threads"],
        strict=strict,
        apart=options["executor"] in _APART,
    )
    warn_of_quarantine(bench.registry.quarantined)
    if not selected and not is_shipped(bench):  # a whole suite takes days, and is asked for
        raise UsageError(_NOTHING)
    return bench


_INTERRUPTED = "Interrupted. Finished trials are kept: the same command goes on from here."


def _watched(plan: Plan, log_json: bool, **options: Any) -> Report:
    """Run a plan and show how it goes on."""
    from spared_bench.api import execute
    from spared_bench.cli.run_progress import watcher_for

    with watcher_for(err_console(), plan, log_json=log_json) as watcher:
        try:
            return execute(plan, watcher=watcher, command=own_command(), log=watcher.log, **options)
        except KeyboardInterrupt:
            watcher.log(_INTERRUPTED)
            raise typer.Exit(130) from None


def _exit_status(report: Report) -> int:
    if report.interrupted:
        echo(_INTERRUPTED, err=True)
        return 130
    failed = [result for result in report.failed if result.status != "skipped"]
    # That a method does not serve a dataset is a finding, unless nothing else was asked for.
    nothing = bool(report.results) and len(report.failed) == len(report.results)
    left = failed or nothing or report.held_back or report.undone or report.plan.unavailable
    return 1 if left else 0


def parse_devices(text: str) -> tuple[str, tuple[str, ...]]:
    """Read ``--device``: one device, or several GPUs that workers take in turn.

    Returns
    -------
    device : str
        As a trial names it.
    gpus : tuple of str
        What ``CUDA_VISIBLE_DEVICES`` says, one worker after the other; empty for one device.
    """
    devices = text.split(",")
    if len(devices) == 1:
        return text, ()
    indices = [device.strip().removeprefix("cuda:") for device in devices]
    if not all(index.isdecimal() for index in indices) or len(set(indices)) < len(indices):
        raise UsageError(
            f"--device {text!r}: several devices must be different GPUs, such as cuda:0,cuda:1."
        )
    return "cuda", tuple(indices)


def parse_shard(text: str) -> tuple[int, int]:
    """Read ``i/n``."""
    number, slash, of = text.partition("/")
    if not (slash and number.isdecimal() and of.isdecimal()):
        raise UsageError(f"--shard {text!r} must read i/n, for example --shard 1/4.")
    return int(number), int(of)


def parse_settings(settings: list[str]) -> dict[str, dict[str, Any]]:
    """Read ``method.parameter=value``, the value as YAML."""
    from spared_bench.strict import load_value

    chosen: dict[str, dict[str, Any]] = {}
    for setting in settings:
        address, equals, text = setting.partition("=")
        predictor, dot, parameter = address.rpartition(".")
        if not (equals and dot and predictor and parameter):
            raise UsageError(
                f"--set {setting!r} must read predictor.parameter=value,"
                " for example --set shufflenet.lr=0.001."
            )
        value = load_value(text, f"--set {setting!r}")
        if chosen.setdefault(predictor, {}).setdefault(parameter, value) != value:
            raise UsageError(f"--set gives {address} two values. Keep one of them.")
    return chosen
