"""``list``, ``info`` and ``plugins``: what is there, without importing any of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from spared_bench.cli.common import (
    DATA_DIR,
    JSON,
    PLUGIN,
    WORKSPACE,
    print_json,
    print_table,
    warn_of_quarantine,
)
from spared_bench.cli.dataset_listing import Disk, print_dataset, print_datasets
from spared_bench.errors import PluginError, UnknownNameError
from spared_bench.registry import Registered, Registry, discover
from spared_bench.specs import KINDS, DatasetSpec, Spec, spec_as_dict
from spared_bench.workspace import Workspace

plugins_app = typer.Typer(help="Show the plugins of this environment.", invoke_without_command=True)


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command("list")(list_plugins)
    app.command("info")(info)
    app.add_typer(plugins_app, name="plugins")


def list_plugins(
    kind: str = typer.Argument(..., help="datasets, completers, predictors, protocols, ..."),
    workspace: Path | None = WORKSPACE,
    data_dir: Path | None = DATA_DIR,
    plugin: list[Path] = PLUGIN,
    as_json: bool = JSON,
) -> None:
    """List what is registered of one kind."""
    singular = kind.removesuffix("s")
    if singular not in KINDS:
        raise UnknownNameError("kind", kind, [f"{known}s" for known in KINDS])
    registry = discover(plugin, data_dir=Workspace.at(workspace, data_dir).data_dir)
    warn_of_quarantine(registry.quarantined)
    entries = registry.all(singular)
    disk = Disk(workspace, data_dir)
    if as_json:
        print_json([_as_dict(entry, disk) for entry in entries])
        return
    if singular == "dataset":
        print_datasets([entry.spec for entry in entries], disk)
        return
    extra = _EXTRA.get(singular, {})
    print_table(
        ["name", *extra, "summary", "from"],
        [
            [
                entry.spec.name,
                *(show(entry.spec) for show in extra.values()),
                entry.spec.summary,
                entry.plugin.distribution,
            ]
            for entry in entries
        ],
    )


_EXTRA: dict[str, dict[str, Any]] = {
    "predictor": {
        "scope": lambda spec: spec.scope,
        "searched": lambda spec: ", ".join(spec.search),
    },
    "metric": {"per": lambda spec: spec.per, "better": lambda spec: spec.better},
}


def _as_dict(entry: Registered, disk: Disk) -> dict[str, Any]:
    described = {"kind": entry.spec.kind, **spec_as_dict(entry.spec)}
    if isinstance(entry.spec, DatasetSpec):
        described["tier"] = entry.spec.tier
        described["shared_donors"] = entry.spec.shared_donors
        described["on_disk"], described["bytes_on_disk"] = disk.state(entry.spec)
    return described | {
        "distribution": entry.plugin.distribution,
        "distribution_version": entry.plugin.version,
    }


def info(
    name: str = typer.Argument(..., help="Name of anything registered."),
    workspace: Path | None = WORKSPACE,
    data_dir: Path | None = DATA_DIR,
    plugin: list[Path] = PLUGIN,
    as_json: bool = JSON,
) -> None:
    """Show all that is known of a dataset, completer, predictor, metric or protocol."""
    registry = discover(plugin, data_dir=Workspace.at(workspace, data_dir).data_dir)
    warn_of_quarantine(registry.quarantined)
    entries = _find_everywhere(registry, name)
    disk = Disk(workspace, data_dir)
    if as_json:
        print_json([_as_dict(entry, disk) | _made_with(entry) for entry in entries])
        return
    for entry in entries:
        if isinstance(entry.spec, DatasetSpec):
            print_dataset(entry, disk)
            continue
        described = _as_dict(entry, disk)
        typer.echo(f"{described.pop('kind')} {described.pop('name')}")
        for key, value in described.items():
            if value not in ("", (), [], {}, None):
                typer.echo(f"  {key:<22}{_plain(value)}")
        _print_parameters(_made_with(entry))
        if entry.spec.kind == "protocol":
            typer.echo("\n" + entry.load()())


def _made_with(entry: Registered) -> dict[str, Any]:
    """Return parameters and configurations of a method, or why it cannot be asked for them."""
    if entry.spec.kind not in ("completer", "predictor"):
        return {}
    from spared_bench.parameters import signature_of

    try:
        found = signature_of(f"{entry.spec.kind} {entry.spec.name!r}", entry.load())
    except PluginError as error:
        return {"parameters": [], "configurations": {}, "not_loaded": str(error)}
    return {
        "parameters": [
            {"name": one.name, "type": one.type}
            | ({} if one.required else {"default": one.default})
            for one in found.parameters.values()
        ],
        "configurations": found.configurations,
    }


def _print_parameters(made_with: dict[str, Any]) -> None:
    if parameters := made_with.get("parameters"):
        typer.echo("  parameters, and their defaults:")
        for each in parameters:
            default = f" = {each['default']!r}" if "default" in each else ", must be given"
            typer.echo(f"    {each['name']}: {each['type']}{default}")
    for name, values in made_with.get("configurations", {}).items():
        told = ", ".join(f"{key}={value!r}" for key, value in values.items())
        typer.echo(f"  configuration {name}: {told}")
    if reason := made_with.get("not_loaded"):
        typer.echo(f"  parameters cannot be shown: {reason}")


def _find_everywhere(registry: Registry, name: str) -> list[Registered]:
    found, known = [], set()
    for kind in KINDS:
        wanted = name.partition("@")[0] if kind == "protocol" else name
        try:
            found.append(registry.get(kind, wanted))
        except UnknownNameError:
            known.update(registry.names(kind))
    if not found:
        raise UnknownNameError("plugin", name, known, "`spared-bench list KIND` describes them.")
    return found


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return "; ".join(f"{key}: {_plain(item)}" for key, item in value.items() if item != "")
    if isinstance(value, list | tuple):
        return ", ".join(_plain(item) for item in value)
    return str(value)


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
    registry = discover(plugin, data_dir=space.data_dir)
    if as_json:
        print_json([_plugin_as_dict(each) for each in registry.plugins])
        return
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
        f"{number} {kind}{'s' if number > 1 else ''}" for kind, number in counts.items() if number
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
    registry = discover([*before, *plugin], data_dir=space.data_dir)
    found = [each for each in registry.plugins if name in (each.name, each.distribution)]
    if not found:
        raise UnknownNameError("plugin", name, [each.name for each in registry.plugins])
    if not any(each.quarantined for each in found):
        typer.echo(f"Plugin {name!r} is in order: it registers {_registers(found[0].specs)}.")
        return
    for each in found:
        if each.quarantined:
            typer.echo(f"{each.distribution} {each.version}: {each.reason}\n\n{each.traceback}")
