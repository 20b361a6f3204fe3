"""``plugins``: which there are, why one was left out, and what people need who write them."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from contextlib import redirect_stdout
from pathlib import Path
from textwrap import indent
from typing import TYPE_CHECKING, Any

import typer

from spared_bench.cli.common import (
    DATA_DIR,
    JSON,
    PLUGIN,
    WORKSPACE,
    in_terminal,
    print_table,
    show_result,
    warn_of_quarantine,
)
from spared_bench.cli.terminal import echo
from spared_bench.errors import UnknownNameError
from spared_bench.registry import Registry, discover
from spared_bench.specs import KINDS, PLURALS, Spec
from spared_bench.workspace import Workspace

if TYPE_CHECKING:
    from spared_bench.testing import Outcome

_STATES = ("passed", "failed", "skipped")


plugins_app = typer.Typer(help="Show the plugins of this environment.", invoke_without_command=True)


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.add_typer(plugins_app, name="plugins")


@plugins_app.callback()
def show_plugins(
    context: typer.Context,
    plugin: list[Path] = PLUGIN,
    workspace: Path | None = WORKSPACE,
    data_dir: Path | None = DATA_DIR,
    as_json: bool = JSON,
) -> None:
    """Show every plugin of this environment and what it registers."""
    space = Workspace.at(workspace, data_dir)
    context.obj = (plugin, space)
    if context.invoked_subcommand is not None:
        return
    registry = discover(plugin, data_dir=space.data_dir, specs_only=True)
    values = [_plugin_as_dict(each) for each in registry.plugins]
    show_result(values, as_json, lambda: _print_plugins(registry))
    registry.require_files(plugin)


def _usable(plugin: list[Path], space: Workspace) -> Registry:
    registry = discover(plugin, data_dir=space.data_dir).require_files(plugin)
    warn_of_quarantine(registry.quarantined)
    return registry


def _print_plugins(registry: Registry) -> None:
    print_table(
        ["distribution", "version", "plugin", "registers", "state"],
        [
            [
                each.distribution,
                each.version,
                each.name,
                _registers(each.specs),
                f"left out: {each.reason}" if each.quarantined else "ok",
            ]
            for each in registry.plugins
        ],
    )


def _registers(specs: tuple[Spec, ...]) -> str:
    counts = {kind: sum(spec.kind == kind for spec in specs) for kind in KINDS}
    told = [
        f"{number} {PLURALS[kind] if number > 1 else kind}"
        for kind, number in counts.items()
        if number
    ]
    return ", ".join(told)


def _plugin_as_dict(plugin: Any) -> dict[str, Any]:
    return {
        "distribution": plugin.distribution,
        "version": plugin.version,
        "name": plugin.name,
        "target": plugin.target,
        "quarantined": plugin.quarantined,
        "reason": plugin.reason,
        "registers": [{"kind": spec.kind, "name": spec.name} for spec in plugin.specs],
    }


@plugins_app.command("why")
def why(
    context: typer.Context,
    name: str = typer.Argument(..., help="Name of a plugin, as `spared-bench plugins` shows it."),
    plugin: list[Path] = PLUGIN,
    workspace: Path | None = WORKSPACE,
    data_dir: Path | None = DATA_DIR,
) -> None:
    """Show why a plugin was left out, with the whole traceback."""
    before, space = context.obj
    if workspace or data_dir:
        space = Workspace.at(workspace, data_dir)
    registry = discover([*before, *plugin], data_dir=space.data_dir, specs_only=True)
    found = [each for each in registry.plugins if name in (each.name, each.distribution)]
    if not found:
        raise UnknownNameError("plugin", name, [each.name for each in registry.plugins])
    if not any(each.quarantined for each in found):
        from spared_bench.api.benches import failing_plugins_of

        targets = {each.target for each in found}
        failing = failing_plugins_of([*before, *plugin], space, targets)
        found = [each for each in failing if each.target in targets] or found
    if not any(each.quarantined for each in found):
        echo(f"Plugin {name!r} is in order: it registers {_registers(found[0].specs)}.")
        return
    for each in found:
        if each.quarantined:
            echo(f"{each.distribution} {each.version}: {in_terminal(each.reason)}")
            echo(f"\n{each.traceback}")


@plugins_app.command("check")
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
    from spared_bench.testing import conformance

    before, space = context.obj
    if workspace or data_dir:
        space = Workspace.at(workspace, data_dir)
    registry = _usable([*before, *plugin], space)
    subjects = conformance.all_named(registry, names)
    outcomes = conformance.examine(registry, subjects, space.data_dir)
    # Beside JSON, what is told as it goes, and what a plugin prints, is no part of the report.
    with redirect_stdout(sys.stderr if as_json else sys.stdout):
        found = _shown(outcomes)
    show_result(conformance.report(found), as_json, lambda: None)
    if any(each.status == "failed" for each in found):
        raise typer.Exit(1)


def _shown(outcomes: Iterable[Outcome]) -> list[Outcome]:
    """Print what becomes of the checks, each when it is done, and return it.

    What many checks meet alike, such as a class that cannot be made, is told once.
    """
    found: list[Outcome] = []
    told: dict[tuple[str, str], str] = {}
    for outcome in outcomes:
        if not found or outcome.plugin != found[-1].plugin:
            echo(outcome.plugin)
        found.append(outcome)
        reason = f": {in_terminal(outcome.message)}" if outcome.message else ""
        first = told.setdefault((outcome.plugin, outcome.message), outcome.name)
        again = outcome.status == "failed" and first != outcome.name
        if again:
            reason = f": the same error as in {first!r}"
        echo(f"  {outcome.status:<8}{outcome.name}{reason}")
        if outcome.traceback and not again:
            echo(indent(outcome.traceback, "    "))
    counts = {state: sum(each.status == state for each in found) for state in _STATES}
    echo(", ".join(f"{number} {state}" for state, number in counts.items()) + ".")
    return found


@plugins_app.command("new")
def new(
    context: typer.Context,
    kind: str = typer.Argument(..., help="predictor, completer or dataset."),
    name: str = typer.Argument(..., help="Its name: what users will type."),
    form: str = typer.Option(
        "", "--kind", help="What a predictor sees: patch (by default), slide, features or known."
    ),
    out: Path = typer.Option(Path(), help="Where to make its folder."),
    as_json: bool = JSON,
) -> None:
    """Make a package that installs, passes its tests and appears in a run."""
    from spared_bench.scaffold.packages import new_package

    before, space = context.obj
    written = new_package(kind, name, out, _usable(before, space), form)
    following = f"Next: `pip install -e '{out / name}[test]'`, then `pytest {out / name}`."
    show_result({"files": written}, as_json, "\n".join([*map(str, written), following]))
