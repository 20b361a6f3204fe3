"""``study plan``, ``run`` and ``report``: one question as variants of one protocol."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from spared_bench.cli.common import (
    ASK_SIZES,
    DATA_DIR,
    JSON,
    PLUGIN,
    WORKSPACE,
    check_ask_sizes,
    err_console,
    own_command,
    print_table,
    show_result,
    warn_of_quarantine,
)
from spared_bench.cli.plan import downloads_told, hours_told, with_sizes
from spared_bench.cli.terminal import echo
from spared_bench.words import counted

if TYPE_CHECKING:
    from spared_bench.api import Report
    from spared_bench.bench import Limits
    from spared_bench.planning.plan import Plan
    from spared_bench.studies.loading import Opened
    from spared_bench.studies.planning import StudyForecast, StudyPlan

NAME = typer.Argument(..., help="A study: a name (see `list studies`) or a YAML file.")
DEVICE = typer.Option("auto", help="auto, cpu, cuda or cuda:1.")
THREADS = typer.Option(1, min=1, help="CPU threads of a trial: part of its key.")
TIMEOUT = typer.Option(
    0.0,
    min=0,
    help="End a trial after so many seconds, and a method of others that is asked for shifts.",
)
OFFLINE = typer.Option(False, "--offline", help="Never download.")

#: From so many factors on, a table with a column for each is hard to read.
_MANY = 3

study_app = typer.Typer(help="Compare settings: variants of one protocol, trained and compared.")


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.add_typer(study_app, name="study")


@study_app.callback()
def _study() -> None:
    return None


@study_app.command("plan")
def plan(
    name: str = NAME,
    device: str = DEVICE,
    threads: int = THREADS,
    workspace: Path | None = WORKSPACE,
    data_dir: Path | None = DATA_DIR,
    plugin: list[Path] = PLUGIN,
    ask_sizes: bool = ASK_SIZES,
    as_json: bool = JSON,
) -> None:
    """Say what a study runs, what it would fetch and what it will take; nothing is made."""
    opened = _open(name, workspace, data_dir, plugin, device, threads, True)
    _show_plan(opened, as_json, ask_sizes)


@study_app.command("run")
def run(
    name: str = NAME,
    dry_run: bool = typer.Option(False, "--dry-run", help="The same as `study plan`."),
    ask_sizes: bool = ASK_SIZES,
    executor: str = typer.Option("local", help="Who runs the trials: inline, local or dask."),
    cluster: str = typer.Option("", help="For dask: a scheduler's address, or a YAML file."),
    workers: int | None = typer.Option(
        None, min=1, help="Worker processes [default: one per core]."
    ),
    threads: int = THREADS,
    device: str = DEVICE,
    timeout: float = TIMEOUT,
    retry_failed: bool = typer.Option(False, help="Try trials again that failed before."),
    report: bool = typer.Option(True, help="Write the report when all is done."),
    track: bool = typer.Option(True, help="Log the study to MLflow."),
    offline: bool = OFFLINE,
    workspace: Path | None = WORKSPACE,
    data_dir: Path | None = DATA_DIR,
    plugin: list[Path] = PLUGIN,
    as_json: bool = JSON,
) -> None:
    """Run every cell of a study that the store does not have; write its report.

    Interrupted, the same command goes on from there.
    """
    check_ask_sizes(ask_sizes, dry_run, offline)
    from spared_bench.api import RunOptions, check_executor
    from spared_bench.bench import Limits

    limits = Limits(timeout)
    opened = _open(name, workspace, data_dir, plugin, device, threads, offline, limits)
    check_executor(opened.base, RunOptions(executor, limits=limits, cluster=cluster))
    if dry_run:
        _show_plan(opened, as_json, ask_sizes)
        return
    from spared_bench.studies.kinds import run_and_report

    options: dict[str, Any] = {
        "executor": executor,
        "cluster": cluster,
        "workers": workers,
        "limits": limits,
        "retry_failed": retry_failed,
    }
    done = run_and_report(
        opened,
        log=lambda line: echo(line, err=True),
        watch=_watched,
        report=report,
        track=track,
        command=own_command(),
        **options,
    )
    show_result(done.as_dict(), as_json, done.told)
    raise typer.Exit(done.exit_status)


@study_app.command("report")
def report(
    name: str = NAME,
    threads: int = THREADS,
    device: str = DEVICE,
    timeout: float = TIMEOUT,
    track: bool = typer.Option(False, help="Log the study to MLflow, too."),
    workspace: Path | None = WORKSPACE,
    data_dir: Path | None = DATA_DIR,
    plugin: list[Path] = PLUGIN,
    as_json: bool = JSON,
) -> None:
    """Write the report of what the store has of a study: one page, and tables beside it."""
    from spared_bench.bench import Limits
    from spared_bench.studies.kinds import report_only

    opened = _open(name, workspace, data_dir, plugin, device, threads, True, Limits(timeout))

    done = report_only(
        opened,
        log=lambda line: echo(line, err=True),
        track=track,
        command=own_command(),
    )
    show_result(done.as_dict(), as_json, done.told)


def _open(
    name: str,
    workspace: Path | None,
    data_dir: Path | None,
    plugin: list[Path],
    device: str,
    threads: int,
    offline: bool,
    limits: Limits | None = None,
) -> Opened:
    from spared_bench.studies.loading import open_study

    opened = open_study(
        name,
        workspace=workspace,
        data_dir=data_dir,
        plugin_files=plugin,
        device=device,
        threads=threads,
        offline=offline,
        limits=limits,
    )
    warn_of_quarantine(opened.base.registry.quarantined)
    return opened


def _watched(plan: Plan, options: dict[str, Any]) -> Report:
    """Run one plan of a study and show how it goes on."""
    from spared_bench.api import execute
    from spared_bench.cli.run_progress import watcher_for

    with watcher_for(err_console(), plan, log_json=False) as watcher:
        try:
            return execute(plan, watcher=watcher, command=own_command(), log=watcher.log, **options)
        except KeyboardInterrupt:
            watcher.log("Interrupted. Finished trials are kept: the same command goes on.")
            raise typer.Exit(130) from None


def _show_plan(opened: Opened, as_json: bool, ask: bool) -> None:
    from spared_bench.studies.kinds import plan_of
    from spared_bench.studies.planning import forecast_study

    planned = plan_of(opened)
    ahead = forecast_study(planned)
    if ask:
        ahead = with_sizes(planned.base, ahead)
    show_result(ahead.as_dict(planned), as_json, lambda: _print_plan(planned, ahead))


def _print_plan(planned: StudyPlan, ahead: StudyForecast) -> None:
    values = ahead.as_dict(planned)
    if planned.study.factors:
        _print_variants(list(planned.study.factors), values["variants"])
    methods = sorted({m for variant in planned.variants for m in variant.methods})
    head = f"Study {planned.study.id}, on protocol {planned.base.protocol.id}:"
    if not planned.variants:
        echo(f"{head} it trains nothing, and reads what there is.")
    else:
        echo(
            f"{head} {counted(planned.n_cells, 'cell')} of"
            f" {counted(len(planned.variants), 'variant')}, {ahead.done} done;"
            f" {counted(ahead.open_trials, 'training')} to run.\n"
            f"Methods: {', '.join(methods)}. Datasets: {_datasets(planned)}."
        )
    for line in _told(planned, ahead):
        echo(line)


def _print_variants(factors: list[str], variants: list[dict[str, Any]]) -> None:
    """Print what is run of every variant; of many factors, in what it differs from the base."""
    base = variants[0]["levels"]
    changed = [[name for name in factors if v["levels"][name] != base[name]] for v in variants]
    if len(factors) < _MANY or max(map(len, changed)) > 1:
        columns, labels = factors, [[v["levels"][name] for name in factors] for v in variants]
    else:
        echo(f"The base: {'; '.join(f'{name}: {base[name]}' for name in factors)}.")
        columns = ["variant"]
        labels = [
            [f"{name[0]}: {v['levels'][name[0]]}" if name else "the base"]
            for name, v in zip(changed, variants, strict=True)
        ]
    numbers = [[str(v["cells"]), str(v["done"])] for v in variants]
    rows = [[*label, *both] for label, both in zip(labels, numbers, strict=True)]
    print_table([*columns, "cells", "done"], rows)


def _datasets(planned: StudyPlan) -> str:
    """Return the datasets of a study, the folds of one counted."""
    names = sorted({name for variant in planned.variants for name in variant.datasets})
    folds = Counter(planned.base.dataset(name).fold_of for name in names)
    return ", ".join(
        [name for name in names if not planned.base.dataset(name).fold_of]
        + [f"{name} ({counted(number, 'fold')})" for name, number in folds.items() if name]
    )


def _budget(planned: StudyPlan) -> str:
    """Say how much a training may learn from, and of what a step is."""
    budgets = [variant.protocol.training for variant in planned.variants]
    batches = sorted({each.batch_size for each in budgets})
    batch = " to ".join(f"{size:,}" for size in dict.fromkeys([batches[0], batches[-1]]))
    base = planned.base
    scopes = {base.predictor(m).scope for variant in planned.variants for m in variant.methods}
    slide = ", or of one slide where a method sees whole slides" if "slide" in scopes else ""
    steps = counted(max(each.iterations for each in budgets), "step")
    return f"Each training takes at most {steps}, each of {batch} spots{slide}."


def _told(planned: StudyPlan, ahead: StudyForecast) -> list[str]:
    lines = [_budget(planned)] if ahead.open_trials else []
    lines += downloads_told(planned.base, ahead, planned.unavailable)
    if ahead.weights:
        lines.append(f"Pretrained weights to fetch first: {', '.join(ahead.weights)}.")
    lines += hours_told(ahead)
    if ahead.disk_bytes is not None and ahead.open_trials:
        lines.append(f"About {ahead.disk_bytes / 1e6:,.1f} MB of disk for the open trials.")
    return lines
