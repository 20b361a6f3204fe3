"""``run`` and ``status``."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from spared_bench.cli.output import (
    DATA_DIR,
    JSON,
    PLUGIN,
    PROTOCOL,
    WORKSPACE,
    err_console,
    print_json,
    print_table,
    warn_of_quarantine,
)
from spared_bench.errors import UsageError

if TYPE_CHECKING:
    from spared_bench.api import Report
    from spared_bench.plan import Plan

DATASETS = typer.Option([], "--dataset", "-d", help="A dataset; may be given more than once.")
COMPLETERS = typer.Option([], "--completer", "-c", help="A completer; likewise.")
PREDICTORS = typer.Option([], "--predictor", "-p", help="A predictor; likewise.")


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command("run")(run)
    app.command("status")(status)


def run(
    everything: bool = typer.Option(
        False, "--all", help="Every dataset, completer and predictor of the suite."
    ),
    protocol: str = PROTOCOL,
    dataset: list[str] = DATASETS,
    completer: list[str] = COMPLETERS,
    predictor: list[str] = PREDICTORS,
    executor: str = typer.Option("local", help="Who runs the trials."),
    workers: int = typer.Option(0, min=0, help="Worker processes [default: one per core]."),
    device: str = typer.Option("auto", help="auto, cpu, cuda, cuda:1, ..."),
    weights: str = typer.Option(
        "", help="For every predictor that has weights: pretrained, random, or a file."
    ),
    settings: list[str] = typer.Option(
        [], "--set", help="Fix a parameter: predictor.parameter=value; more than once."
    ),
    dry_run: bool = typer.Option(False, "--dry-run", help="Print the plan and stop."),
    retry_failed: bool = typer.Option(False, "--retry-failed", help="Try failed trials again."),
    workspace: Path | None = WORKSPACE,
    data_dir: Path | None = DATA_DIR,
    plugin: list[Path] = PLUGIN,
    as_json: bool = JSON,
) -> None:
    """Run a selection of the benchmark; what is finished already is not done again."""
    if not everything and not (dataset or completer or predictor):
        raise UsageError(
            "Nothing is selected. `spared-bench run --all --suite demo` runs the whole demo;"
            " `-d`, `-c` and `-p` select datasets, completers and predictors."
        )
    from spared_bench.api import execute, make_bench, select

    bench = make_bench(
        protocol,
        workspace=workspace,
        data_dir=data_dir,
        plugin_files=plugin,
        device=device,
        weights=weights,
        parameters=parse_settings(settings),
    )
    warn_of_quarantine(bench.registry.quarantined)
    plan = select(bench, dataset, completer, predictor)
    if dry_run:
        _show_plan(plan, as_json)
        raise typer.Exit(1 if plan.unavailable else 0)
    _warn_unavailable(plan)
    console = err_console()
    from spared_bench.display import watcher_for

    try:
        with watcher_for(console) as watcher:
            report = execute(
                plan,
                executor=executor,
                workers=workers or None,
                retry_failed=retry_failed,
                watcher=watcher,
                command=shlex.join(["spared-bench", *sys.argv[1:]]),
                log=lambda line: console.print(line, highlight=False, markup=False, soft_wrap=True),
            )
    except KeyboardInterrupt:
        typer.echo(
            "Interrupted. Finished trials are kept: the same command goes on from here.", err=True
        )
        raise typer.Exit(130) from None
    _show_report(report, as_json)
    raise typer.Exit(1 if report.failed or plan.unavailable else 0)


def parse_settings(settings: list[str]) -> dict[str, dict[str, Any]]:
    """Read ``predictor.parameter=value``, the value as YAML."""
    import yaml

    chosen: dict[str, dict[str, Any]] = {}
    for setting in settings:
        address, equals, text = setting.partition("=")
        predictor, dot, parameter = address.rpartition(".")
        if not (equals and dot and predictor and parameter):
            raise UsageError(
                f"--set {setting!r} must read predictor.parameter=value,"
                " for example --set shufflenet.lr=0.001."
            )
        try:
            chosen.setdefault(predictor, {})[parameter] = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise UsageError(f"--set {setting!r}: the value cannot be read: {error}") from error
    return chosen


def _warn_unavailable(plan: Plan) -> None:
    for name, reason in plan.unavailable.items():
        typer.echo(f"Dataset {name!r} is left out: {reason}", err=True)
    for warning in plan.warnings:
        typer.echo(warning, err=True)


def _show_plan(plan: Plan, as_json: bool) -> None:
    from spared_bench.api import stored_results
    from spared_bench.orchestrator import open_trials

    results = stored_results(plan)
    rows = []
    for cell in plan.cells:
        job = cell.chosen(results)
        left = sum(trial.key not in results for trial in cell.search)
        if job is not None and job.key in results:
            state = "done" if results[job.key].ok else f"failed ({results[job.key].status})"
        elif left:
            state = f"after a search of {len(cell.search)}"
        else:
            state = "to run"
        rows.append([cell.dataset, cell.completer, cell.predictor, str(cell.seed), state])
    columns = ["dataset", "completer", "predictor", "seed", "state"]
    if as_json:
        print_json(
            {
                "protocol": plan.bench.protocol.id,
                "cells": [dict(zip(columns, row, strict=True)) for row in rows],
                "unavailable": plan.unavailable,
                "warnings": plan.warnings,
            }
        )
        return
    print_table(columns, rows)
    _warn_unavailable(plan)
    done = sum(row[-1] == "done" for row in rows)
    known = len(open_trials(plan.cells, results))
    typer.echo(
        f"{len(rows)} cells under protocol {plan.bench.protocol.id}: {done} done;"
        f" {known} trials known to be open."
    )


def _show_report(report: Report, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "protocol": report.plan.bench.protocol.id,
                "new_trials": report.new,
                "cached_trials": report.cached,
                "failed": [result.as_dict() for result in report.failed],
                "unavailable": report.plan.unavailable,
                "seconds": report.seconds,
                "leaderboard": report.page,
                "results": [result.as_dict() for result in report.results],
            }
        )
        return
    from spared_bench.leaderboard import terminal_table

    columns, rows = terminal_table(report.results)
    if rows:
        print_table(columns, rows)
    typer.echo(
        f"\n{report.new} trials run, {report.cached} found in the store,"
        f" {len(report.failed)} failed, in {report.seconds['wall']:.0f} s."
    )
    for result in report.failed:
        told = f"{result.dataset} · {result.completer} · {result.predictor}"
        typer.echo(f"  {told}: {result.status}: {result.message}")
    if report.page:
        typer.echo(f"Leaderboard: {report.page}")


def status(
    protocol: str = PROTOCOL,
    why: str = typer.Option("", help="Show one trial by the start of its key."),
    workspace: Path | None = WORKSPACE,
    as_json: bool = JSON,
) -> None:
    """Show what the workspace holds of a protocol, and why trials failed."""
    from spared_bench.cells import finished_cells
    from spared_bench.workspace import Workspace

    name = protocol.partition("@")[0]
    cells = [
        cell.final
        for cell in finished_cells(Workspace.at(workspace).store)
        if cell.final.protocol.partition("@")[0] == name
    ]
    if why:
        _show_one([result for result in cells if result.key.startswith(why)], why)
        return
    if as_json:
        print_json([result.as_dict() for result in cells])
        return
    print_table(
        ["key", "dataset", "completer", "predictor", "seed", "state"],
        [
            [
                result.key[:10],
                result.dataset,
                result.completer,
                result.predictor,
                str(result.seed),
                "ok" if result.ok else f"{result.status}: {result.message}",
            ]
            for result in cells
        ],
    )


def _show_one(found: list[Any], why: str) -> None:
    if not found:
        raise UsageError(f"No trial of this workspace has a key that begins with {why!r}.")
    for result in found:
        typer.echo(f"{result.key}\n{result.status}: {result.message}\n{result.traceback}")
