"""``plugins check`` and ``plugins new``: for people who write plugins."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from spared_bench.cli.common import DATA_DIR, JSON, PLUGIN, WORKSPACE, print_json, show_result

if TYPE_CHECKING:
    from spared_bench.testing import Outcome

_STATES = ("passed", "failed", "skipped")


def register(app: typer.Typer) -> None:
    """Add the commands of this module to those of ``plugins``."""
    app.command("check")(check)
    app.command("new")(new)


def check(
    context: typer.Context,
    names: list[str] = typer.Argument(
        ..., metavar="NAME...", help="Predictors, completers, datasets, plugins or packages."
    ),
    plugin: list[Path] = PLUGIN,
    workspace: Path | None = WORKSPACE,
    data_dir: Path | None = DATA_DIR,
    as_json: bool = JSON,
) -> None:
    """Run the conformance kit on plugins: whether they keep what their kinds promise.

    Exit status 0: every check passed or does not apply; 1: one failed.
    """
    from spared_bench.registry import discover
    from spared_bench.testing import conformance
    from spared_bench.workspace import Workspace

    before, space = context.obj
    if workspace or data_dir:
        space = Workspace.at(workspace, data_dir)
    registry = discover([*before, *plugin], data_dir=space.data_dir)
    subjects = dict.fromkeys(each for name in names for each in conformance.named(registry, name))
    outcomes = conformance.examine(registry, subjects, space.data_dir)
    if as_json:
        with redirect_stdout(sys.stderr):  # what a plugin prints is no part of the report
            found = list(outcomes)
        print_json(conformance.report(found))
    else:
        found = _shown(outcomes)
    if any(each.status == "failed" for each in found):
        raise typer.Exit(1)


def _shown(outcomes: Iterable[Outcome]) -> list[Outcome]:
    """Print what becomes of the checks, each when it is done, and return it."""
    found: list[Outcome] = []
    for outcome in outcomes:
        if not found or outcome.plugin != found[-1].plugin:
            typer.echo(outcome.plugin)
        found.append(outcome)
        reason = f": {outcome.message}" if outcome.message else ""
        typer.echo(f"  {outcome.status:<8}{outcome.name}{reason}")
        if outcome.traceback:
            typer.echo(
                "".join(f"    {line}\n" for line in outcome.traceback.splitlines()), nl=False
            )
    counts = {state: sum(each.status == state for each in found) for state in _STATES}
    typer.echo(", ".join(f"{number} {state}" for state, number in counts.items()) + ".")
    return found


def new(
    context: typer.Context,
    kind: str = typer.Argument(..., help="predictor, completer or dataset."),
    name: str = typer.Argument(..., help="Its name: what users will type."),
    out: Path = typer.Option(Path(), help="Where to make its folder."),
    as_json: bool = JSON,
) -> None:
    """Make a package that installs, passes its tests and appears in a run."""
    from spared_bench.registry import discover
    from spared_bench.scaffold.packages import new_package

    before, space = context.obj
    written = new_package(kind, name, out, discover(before, data_dir=space.data_dir))
    following = f"Next: `pip install -e '{out / name}[test]'`, then `pytest {out / name}`."
    show_result({"files": written}, as_json, "\n".join([*map(str, written), following]))
