"""``plan export``: scripts that do the shards of a plan."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from spared_bench.cli.commands.run import RunCommand, bench_of, run
from spared_bench.cli.common import write_named
from spared_bench.cli.plan import warn_unavailable
from spared_bench.cli.terminal import echo
from spared_bench.errors import UsageError
from spared_bench.store.disk import way_out
from spared_bench.words import counted

if TYPE_CHECKING:
    from spared_bench.planning.plan import Plan

plan_app = typer.Typer(help="Turn a plan into scripts for other schedulers.")


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.add_typer(plan_app, name="plan")


@plan_app.callback()
def _plan() -> None:
    return None


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
    options = _understood(selection)
    plan = _planned(options)
    workspace = ["-w", str(options["workspace"])] if options["workspace"] else []
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
    _warn_of_idle(plan, tasks)
    if out is None:
        typer.echo(text, nl=False)  # noqa: TID251  # a script, which is to stay as it is
        return
    try:
        write_named(out, text)
    except OSError as error:
        way = way_out(error, "Name another file with `-o`.")
        raise UsageError(f"Cannot write {out}: {error.strerror}. {way}") from error
    echo(f"{out}: {counted(tasks, 'task')}. `{shlex.join(['sbatch', str(out)])}` submits them.")


def _understood(selection: list[str]) -> dict[str, Any]:
    """Return what `run` makes of its options, so that a mistake is told now and not by each task.

    Raises
    ------
    UsageError
        For what `run` would not take.
    """
    from typer.main import get_command

    alone = typer.Typer(add_completion=False)
    alone.command("run", cls=RunCommand)(run)
    try:
        context = get_command(alone).make_context("spared-bench run", list(selection))
    except Exception as error:
        format_message = getattr(error, "format_message", None)
        reason = format_message() if format_message else str(error)
        raise UsageError(f"`spared-bench run` does not take these options: {reason}") from error
    found: dict[str, Any] = context.params
    return found


def _planned(options: dict[str, Any]) -> Plan:
    """Return the plan of a selection; what this machine lacks (a GPU, data) the tasks may have.

    Raises
    ------
    UsageError
        For what `run` would refuse: a name that is not known, a parameter that no method has.
    """
    bench = bench_of(options, strict=False)
    from spared_bench.api import select

    plan = select(bench, options["dataset"], options["completer"], options["predictor"])
    warn_unavailable(plan)
    return plan


def _warn_of_idle(plan: Plan, tasks: int) -> None:
    """Say so where there are more tasks than parts of the plan, on data that are here."""
    parts = len({(cell.dataset, cell.predictor) for cell in plan.cells})
    if parts < tasks and not plan.unavailable:
        echo(
            f"Only {parts} of {counted(tasks, 'task')} will have something to do: a predictor's"
            f" cells of one dataset stay together. `--tasks {parts}` is enough.",
            err=True,
        )
