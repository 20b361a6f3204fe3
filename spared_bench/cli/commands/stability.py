"""``stability``: would other genes, or other slides, rank the methods of a dataset alike."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import typer

from spared_bench.cli.common import JSON, WORKSPACE, show_result
from spared_bench.errors import UsageError


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command("stability")(stability)


def stability(
    dataset: str = typer.Option(..., "--dataset", "-d", help="Whose methods are ranked."),
    metric: str = typer.Option("pcc-gene", help="One that has a value per gene, or any per slide."),
    per: str = typer.Option("gene", help="What is dealt into halves: gene or slide."),
    completer: str = typer.Option("none", "--completer", "-c"),
    protocol: str = typer.Option(
        "", "--protocol", "--suite", help="Its id, demo@1, where there are several."
    ),
    workspace: Path | None = WORKSPACE,
    as_json: bool = JSON,
) -> None:
    """Deal genes or slides into halves, and compare how both rank the methods."""
    from spared_bench.api.frames import stability as split_halves

    found = split_halves(
        dataset,
        metric,
        per,
        completer=completer,
        workspace=workspace,
        protocol=protocol,
    )
    if found is None:
        raise UsageError(
            f"Too little of {dataset!r} to deal: at least three methods (controls aside) and four"
            f" {per}s are needed, with a value of {metric!r} each."
        )
    lines = [
        f"{found.n_methods} methods by {metric} over {found.n_units} {per}s of {dataset}:",
        f"two halves rank them with a Spearman correlation of {found.correlation:.2f} (95 % of the"
        f" deals: {found.low:.2f} to {found.high:.2f});",
        f"reliability of the whole ranking (Spearman and Brown): {found.reliability:.2f};",
        f"both halves have the same best method in {found.same_best:.0%} of the deals.",
    ]
    show_result(asdict(found), as_json, "\n".join(lines))
