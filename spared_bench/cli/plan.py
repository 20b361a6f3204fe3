"""``run --dry-run`` and ``plan export``: what will be done, and scripts that do it."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from spared_bench.cli.common import print_json, print_table
from spared_bench.errors import UsageError

if TYPE_CHECKING:
    from spared_bench.planning.forecast import Forecast
    from spared_bench.planning.plan import Plan

plan_app = typer.Typer(help="Turn a plan into scripts for other schedulers.")


@plan_app.callback()
def _plan() -> None:
    return None


def warn_unavailable(plan: Plan) -> None:
    """Say which datasets are left out, and which do not belong together."""
    told: dict[tuple[str, str], list[str]] = {}
    for name, reason in plan.unavailable.items():
        told.setdefault((plan.bench.dataset(name).fold_of or name, reason), []).append(name)
    for (source, reason), names in told.items():
        label = repr(names[0]) if len(names) == 1 else f"{source!r} ({len(names)} folds)"
        typer.echo(f"Dataset {label} is left out: {reason}", err=True)
    for warning in plan.warnings:
        typer.echo(warning, err=True)


def show_plan(plan: Plan, as_json: bool) -> None:
    """Print a plan and what it will take."""
    from spared_bench.planning.forecast import forecast

    ahead = forecast(plan)
    if as_json:
        print_json(
            {
                "protocol": plan.bench.protocol.id,
                **ahead.as_dict(),
                "configurations": plan.configurations,
                "unavailable": plan.unavailable,
                "warnings": plan.warnings,
            }
        )
        return
    rows = [list(cell.values()) for cell in ahead.as_dict()["cells"]]
    print_table(["dataset", "completer", "predictor", "seed", "state"], rows)
    warn_unavailable(plan)
    done = sum(state == "done" for _, state in ahead.states)
    typer.echo(
        f"{len(rows)} cells under protocol {plan.bench.protocol.id}: {done} done;"
        f" {ahead.cached} trials in the store, {ahead.open_trials} to run."
    )
    for line in [*_configurations(plan), *_told(ahead)]:
        typer.echo(line)


def _configurations(plan: Plan) -> list[str]:
    """Say in which configuration the methods run, where the protocol asks for one."""
    from spared_bench.protocol import PUBLISHED

    methods: dict[str, list[str]] = {}
    for method, configuration in plan.configurations.items():
        methods.setdefault(configuration, []).append(method)
    if plan.bench.protocol.configuration == PUBLISHED and set(methods) == {PUBLISHED}:
        return []
    return [
        f"Configuration {name!r}{' (the defaults)' if name == PUBLISHED else ''}:"
        f" {', '.join(each)}."
        for name, each in sorted(methods.items())
    ]


def _told(ahead: Forecast) -> list[str]:
    lines = [
        f"  {'there' if made else 'to make'}: {kind} {label}" for kind, label, made in ahead.shared
    ]
    if lines:
        lines.insert(0, "Shared products, in this order:")
    for name, size in ahead.downloads.items():
        known = f"{size / 1e6:,.0f} MB" if size is not None else "of unknown size"
        lines.append(f"To fetch first, if it is to be used: {name}, {known}")
    for device, hours in sorted(ahead.hours.items()):
        lines.append(f"About {hours:.2f} hours of one worker on {device}, from past trials.")
    if ahead.without_past:
        lines.append(f"{ahead.without_past} trials are of predictors without a past trial here.")
    if ahead.disk_bytes is not None and ahead.open_trials:
        lines.append(f"About {ahead.disk_bytes / 1e6:,.1f} MB of disk for the open trials.")
    return lines


@plan_app.command("export", context_settings={"ignore_unknown_options": True})
def export(
    selection: list[str] = typer.Argument(
        ..., help="What `run` would be given: --all --suite demo -w /shared/workspace ..."
    ),
    tasks: int = typer.Option(..., min=1, help="Tasks of the array; each runs one shard."),
    out: Path | None = typer.Option(None, "--out", "-o", help="File to write [default: print]."),
    time: str = typer.Option("24:00:00", help="Wall time of a task."),
    cpus: int = typer.Option(1, min=1, help="CPUs of a task."),
    memory: str = typer.Option("16G", help="Memory of a task."),
    partition: str = typer.Option("", help="Partition [default: the site's]."),
    gpus: int = typer.Option(0, min=0, help="GPUs of a task."),
) -> None:
    """Write a Slurm array script whose tasks run the shards of a plan.

    Options of `run` come after two dashes:

    spared-bench plan export --tasks 20 -- --all --suite demo -w /shared/workspace
    """
    for name in ("--shard", "--dry-run"):
        if any(word.partition("=")[0] == name for word in selection):
            raise UsageError(f"`plan export` sets {name} itself; leave it out.")
    for name, value in (("--time", time), ("--memory", memory), ("--partition", partition)):
        if any(sign.isspace() for sign in value):
            raise UsageError(f"{name} {value!r} must be one word.")
    workspace = _workspace(_understood(selection))
    lines = [
        "#!/bin/bash",
        "#SBATCH --job-name=spared-bench",
        f"#SBATCH --array=1-{tasks}",
        f"#SBATCH --time={time}",
        f"#SBATCH --cpus-per-task={cpus}",
        f"#SBATCH --mem={memory}",
        *([f"#SBATCH --partition={partition}"] if partition else []),
        *([f"#SBATCH --gres=gpu:{gpus}"] if gpus else []),
        "#SBATCH --output=spared-bench-%A_%a.log",
        "",
        "# Afterwards, once: " + shlex.join(["spared-bench", "track", "sync", *workspace]),
        f"#              and: {shlex.join(['spared-bench', 'leaderboard', 'build', *workspace])}",
        "set -eu",
        f"{shlex.join(['spared-bench', 'run', *selection])} \\",
        f'    --no-track --shard "${{SLURM_ARRAY_TASK_ID}}/{tasks}"',
    ]
    text = "\n".join(lines) + "\n"
    if out is None:
        typer.echo(text, nl=False)
        return
    try:
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"Cannot write {out}: {error.strerror}.") from error
    typer.echo(f"{out}: {tasks} tasks. `{shlex.join(['sbatch', str(out)])}` submits them.")


def _understood(selection: list[str]) -> dict[str, Any]:
    """Return what `run` makes of its options, so that a mistake is told now and not by each task.

    Raises
    ------
    UsageError
        For what `run` would not take.
    """
    from typer.main import get_command

    from spared_bench.cli import app

    command = get_command(app).commands["run"]  # type: ignore[attr-defined]
    try:
        found: dict[str, Any] = command.make_context("spared-bench run", list(selection)).params
    except Exception as error:
        format_message = getattr(error, "format_message", None)
        told = format_message() if format_message else str(error)
        raise UsageError(f"`spared-bench run` does not take these options: {told}") from error
    if not (found["everything"] or found["dataset"] or found["completer"] or found["predictor"]):
        raise UsageError("Nothing is selected: `-- --all --suite demo`, or `-d`, `-c` and `-p`.")
    return found


def _workspace(options: dict[str, Any]) -> list[str]:
    return ["-w", str(options["workspace"])] if options["workspace"] else []
