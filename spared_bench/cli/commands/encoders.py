"""``encoders check``: whether encoders load and give what their specs say."""

from __future__ import annotations

from pathlib import Path

import typer

from spared_bench.cli.common import JSON, PLUGIN, show_result
from spared_bench.errors import UnknownNameError, UsageError
from spared_bench.registry import discover

encoders_app = typer.Typer(help="Check frozen encoders.")


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.add_typer(encoders_app, name="encoders")


@encoders_app.callback()
def _encoders() -> None:
    return None


@encoders_app.command("check")
def check(
    names: list[str] = typer.Argument(..., metavar="NAME...", help="Names of encoders."),
    weights: str = typer.Option("pretrained", help="pretrained, random, or a file or folder."),
    device: str = typer.Option("cpu", help="auto, cpu, cuda, cuda:1, mps."),
    plugin: list[Path] = PLUGIN,
    as_json: bool = JSON,
) -> None:
    """Load encoders, and check width, known output, other batches, and that patches differ."""
    from spared_bench.api.benches import resolve_device
    from spared_bench.models.encoder_table import known_encoder
    from spared_bench.running.requirements import missing_device
    from spared_bench.testing.encoders import check_encoder

    device = resolve_device(device)
    if problem := missing_device(device):
        raise UsageError(problem)
    registry = discover(plugin).require_files(plugin)
    found = {}
    for name in names:
        known = known_encoder(name)
        if known is None:
            raise UnknownNameError(
                "encoder",
                name,
                registry.names("encoder"),
                "`spared-bench list encoders` shows them.",
            )
        found[known.spec.name] = check_encoder(known, weights, device)
    lines = []
    for name, checks in found.items():
        lines.append(f"encoder {name}")
        lines += [f"  {each['state']:<8}{each['check']}: {each['told']}" for each in checks]
    show_result(found, as_json, "\n".join(lines))
    failed = any(each["state"] == "failed" for checks in found.values() for each in checks)
    raise typer.Exit(1 if failed else 0)
