"""``doctor``: whether this machine has what runs need, and what to do where it does not."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import typer

from spared_bench.cli.common import JSON, WORKSPACE, show_result
from spared_bench.cli.terminal import echo


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command("doctor")(doctor)


def doctor(
    offline: bool = typer.Option(False, "--offline", help="Ask no server of weights or MLflow."),
    workspace: Path | None = WORKSPACE,
    as_json: bool = JSON,
) -> None:
    """Check versions, device, weights, disk, MLflow and browser, and say what to do.

    Nothing is changed and nothing downloaded. Exit status 1 if runs cannot work as things are.
    """
    from spared_bench.cli.doctor_checks import PROBLEM, examine
    from spared_bench.workspace import Workspace

    found = examine(Workspace.at(workspace), ask=not offline)
    healthy = all(each.status != PROBLEM for each in found)
    values = {"ok": healthy, "checks": [asdict(each) for each in found]}

    def people() -> None:
        width = max(len(each.name) for each in found)
        for each in found:
            echo(f"{each.status:<8}{each.name:<{width}}  {each.found}")
            if each.advice:
                echo(f"{'':<{width + 10}}→ {each.advice}")
        echo("\nRuns work here." if healthy else "\nRuns do not work here yet.")

    show_result(values, as_json, people)
    raise typer.Exit(0 if healthy else 1)
