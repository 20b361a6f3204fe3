"""``list``, ``info`` and ``plugins``: what is there, without importing any of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from textwrap import indent
from typing import Any

import typer

from spared_bench.cli.common import (
    DATA_DIR,
    JSON,
    PLUGIN,
    WORKSPACE,
    print_table,
    show_result,
    warn_of_quarantine,
)
from spared_bench.cli.dataset_listing import Disk, print_dataset, print_datasets
from spared_bench.cli.terminal import echo
from spared_bench.errors import PluginError, UnknownNameError
from spared_bench.models.encoder_facts import may_have_seen
from spared_bench.models.hub import ways_in
from spared_bench.registry import Registered, Registry, discover
from spared_bench.specs import KINDS, PLURALS, DatasetSpec, EncoderSpec, spec_as_dict
from spared_bench.told import with_imported
from spared_bench.workspace import Workspace

#: Kinds whose content is a file that people copy.
_FILES = ("protocol", "study")
#: Kinds of which `info` shows more than the spec.
_LOADED = ("completer", "predictor", *_FILES)


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command("list")(list_plugins)
    app.command("info")(info)


def _specs_of_all(plugin: list[Path], workspace: Path | None, data_dir: Path | None) -> Registry:
    space = Workspace.at(workspace, data_dir)
    registry = discover(plugin, data_dir=space.data_dir, specs_only=True)
    warn_of_quarantine(registry.quarantined)
    return registry


def list_plugins(
    kind: str = typer.Argument(
        ..., help="datasets, completers, predictors, protocols, studies, ..."
    ),
    workspace: Path | None = WORKSPACE,
    data_dir: Path | None = DATA_DIR,
    plugin: list[Path] = PLUGIN,
    as_json: bool = JSON,
) -> None:
    """List what is registered of one kind."""
    singular = {plural: known for known, plural in PLURALS.items()}.get(kind, kind)
    if singular not in KINDS:
        raise UnknownNameError("kind", kind, PLURALS.values())
    registry = _specs_of_all(plugin, workspace, data_dir)
    entries = registry.all(singular)
    disk = Disk(workspace, data_dir)
    values = [_as_dict(entry, disk) for entry in entries]
    show_result(values, as_json, lambda: _print_entries(singular, entries, disk))
    registry.require_files(plugin)


def _print_entries(kind: str, entries: Sequence[Registered], disk: Disk) -> None:
    if kind == "dataset":
        print_datasets([entry.spec for entry in entries], disk)
        return
    extra = _EXTRA.get(kind, {})
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
    "encoder": {
        "loader": lambda spec: spec.loader,
        "width": lambda spec: str(spec.width),
        "gated": lambda spec: "yes" if spec.gated else "",
        "licence": lambda spec: spec.licence,
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
    """Show all that is known of a dataset, completer, predictor, encoder, metric or protocol."""
    registry = _specs_of_all(plugin, workspace, data_dir)
    try:
        told = [each for each in _find_everywhere(registry, name) if each.told is not None]
    except UnknownNameError:
        registry.require_files(plugin)  # the name may be that file's
        raise
    loaded = {each.plugin.distribution for each in told if each.spec.kind in _LOADED}
    registry = with_imported(registry, map(str, plugin), sorted(loaded))
    entries = _find_everywhere(registry, name)
    disk = Disk(workspace, data_dir)
    made_with = [_made_with(entry) for entry in entries]
    values = [_as_dict(entry, disk) | made for entry, made in zip(entries, made_with, strict=True)]
    show_result(values, as_json, lambda: _print_details(entries, made_with, disk))
    registry.require_files(plugin)


def _print_details(
    entries: Sequence[Registered], made_with: Sequence[dict[str, Any]], disk: Disk
) -> None:
    """Print what is known; around the YAML of a protocol as comments, so that it can be kept."""
    files = any(entry.spec.kind in _FILES for entry in entries)
    for entry, made in zip(entries, made_with, strict=True):
        if isinstance(entry.spec, DatasetSpec):
            print_dataset(entry, disk)
            continue
        told = "\n".join([*_described(entry, disk), *_parameters(made)])
        echo(indent(told, "# ") if files else told)
        if entry.spec.kind in _FILES:
            echo("\n" + entry.text())


def _described(entry: Registered, disk: Disk) -> Iterator[str]:
    described = _as_dict(entry, disk)
    yield f"{described.pop('kind')} {described.pop('name')}"
    for key, value in described.items():
        if value not in ("", (), [], {}, None):
            yield f"  {key:<22}{_plain(value)}"
    if isinstance(entry.spec, EncoderSpec):
        yield f"  {'may have seen':<22}{may_have_seen(entry.spec, ())}"
    if isinstance(entry.spec, EncoderSpec) and entry.spec.loader not in ("colour", "factory"):
        yield f"  {'how to get it':<22}{ways_in(entry.spec)}"


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


def _parameters(made_with: dict[str, Any]) -> Iterator[str]:
    if parameters := made_with.get("parameters"):
        yield "  parameters, and their defaults:"
        for each in parameters:
            default = f" = {each['default']!r}" if "default" in each else ", must be given"
            yield f"    {each['name']}: {each['type']}{default}"
    for name, values in made_with.get("configurations", {}).items():
        told = ", ".join(f"{key}={value!r}" for key, value in values.items())
        yield f"  configuration {name}: {told}"
    if reason := made_with.get("not_loaded"):
        yield f"  parameters cannot be shown: {reason}"


def _find_everywhere(registry: Registry, name: str) -> list[Registered]:
    found, known = [], set()
    for kind in KINDS:
        wanted = name.partition("@")[0] if kind == "protocol" else name
        try:
            found.append(registry.get(kind, wanted))
        except UnknownNameError:
            known.update(registry.names(kind))
    if not found:
        hint = f"{registry.where_added()} `spared-bench list KIND` describes them.".lstrip()
        raise UnknownNameError("plugin", name, known, hint)
    return found


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return "; ".join(f"{key}: {_plain(item)}" for key, item in value.items() if item != "")
    if isinstance(value, list | tuple):
        return ", ".join(_plain(item) for item in value)
    return str(value)
