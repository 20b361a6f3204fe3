"""Plugins of others as one process tells another of them: all that keys need, and no code.

A process in which no stranger's code may run (it scores, or it holds the truth) so knows what there
is, and under which keys it is kept. It can do nothing with it: ``Registered.load`` refuses.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from spared_bench.data.views import checked_views
from spared_bench.errors import PluginError, SparedBenchError
from spared_bench.registry import Plugin, Registered, Registry, discover
from spared_bench.specs.plain import as_json, spec_as_json, spec_of

METHODS = ("completer", "predictor")
#: Attributes of a method's class that say from which weights it starts.
_DEFAULTS = ("weights", "backbone", "encoder")


def described(entry: Registered, chosen: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is to be told of one plugin, as JSON-ready values.

    Parameters
    ----------
    entry : Registered
        Whose code is imported in this process.
    chosen : mapping
        ``configuration`` and ``values`` of a method in this run, or the ``problem`` with them.
    """
    plugin, spec = entry.plugin, entry.spec
    return {
        "plugin": {
            name: getattr(plugin, name) for name in ("distribution", "version", "name", "target")
        },
        "kind": spec.kind,
        "spec": spec_as_json(spec),
        **_code(entry),
        "defaults": _defaults(entry),
        **_made_with(entry),
        **_settings(entry),
        **chosen,
    }


def _code(entry: Registered) -> dict[str, Any]:
    """Return the hashes of its code and of what it brings; of code that cannot be read, why."""
    try:
        return {"code": entry.code, "named_files": entry.named_files}
    except PluginError as error:
        return {"code": "", "named_files": {}, "problem": str(error)}


def _defaults(entry: Registered) -> dict[str, str]:
    """Return the texts that a method's class has for what it starts from."""
    if entry.spec.kind not in METHODS:
        return {}
    try:
        factory = entry.load()
    except SparedBenchError:
        return {}
    asked = getattr(entry.spec, "encoder", "")
    found = {name: getattr(factory, name, None) for name in (*_DEFAULTS, asked) if name}
    return {name: str(value) for name, value in found.items() if isinstance(value, str)}


def _made_with(entry: Registered) -> dict[str, Any]:
    """Return the views that a method's class declares, and how it augments, as keys hold them."""
    found: dict[str, Any] = {"views": {}, "augment": {}}
    if entry.spec.kind not in METHODS:
        return found
    try:
        factory = entry.load()
    except SparedBenchError:
        return found
    if hasattr(factory, "augmenter"):
        with suppress(TypeError, ValueError, RecursionError):  # a problem of this method
            augment = json.loads(json.dumps(as_json(getattr(factory, "augment", True))))
            found["augment"] = {"augmenter": True, "augment": augment}
    views = getattr(factory, "views", None)
    if views_by_property(entry):
        found["unknown_views"] = (
            f"{entry.spec.kind} {entry.spec.name!r} declares its views by a property, which follows"
            " from its parameters, and has these values of them only where a search goes on. Its"
            " code is not asked in this process: let its class declare them as a mapping, or search"
            " on a grid."
        )
    elif isinstance(views, Mapping):
        try:
            declared = checked_views(views, f"{entry.spec.kind.capitalize()} {entry.spec.name!r}")
        except PluginError as error:  # of one plugin; the others are listed all the same
            return {**found, "unknown_views": str(error)}
        found["views"] = {at: asdict(view) for at, view in declared.items()}
    return found


def _settings(entry: Registered) -> dict[str, str]:
    """Return the settings of a protocol; of one that cannot be made, why."""
    if entry.spec.kind != "protocol":
        return {}
    try:
        return {"text": entry.text()}
    except PluginError as error:
        return {"no_text": str(error)}


def views_by_property(entry: Registered) -> bool:
    """Return whether the views of a method follow from its parameters."""
    try:
        factory = entry.load()
    except SparedBenchError:
        return False
    views = getattr(factory, "views", None)
    if "views" in getattr(factory, "__dataclass_fields__", {}):
        return True
    return views is not None and not isinstance(views, Mapping)


def of_parameters(parameters: Mapping[str, Any]) -> str:
    """Return the name under which what follows from parameters is told."""
    return json.dumps(as_json(parameters), sort_keys=True, default=str)


def told_plugins(told: Iterable[Mapping[str, Any]]) -> list[Plugin]:
    """Return the plugins that ``described`` told of."""
    plugins: dict[tuple[str, ...], Plugin] = {}
    for each in told:
        facts = each["plugin"]
        key = tuple(facts.values())
        plugin = plugins.get(key) or Plugin(**facts, told={})
        spec = spec_of(each["kind"], each["spec"])
        known = {**(plugin.told or {}), f"{spec.kind} {spec.name}": each}
        plugins[key] = replace(plugin, specs=(*plugin.specs, spec), told=known)
    return list(plugins.values())


def with_told(registry: Registry, told: Sequence[Mapping[str, Any]]) -> Registry:
    """Return a registry that also knows what it is told of and has not imported itself."""
    have = {
        (plugin.distribution, spec.kind, spec.name)
        for plugin in registry.plugins
        for spec in plugin.specs
    }
    # Variants of a predictor are told of as what they are variants of, once each.
    new = {
        named: each
        for each in told
        if (named := (each["plugin"]["distribution"], each["kind"], each["spec"]["name"]))
        not in have
    }
    if not new:
        return registry
    return replace(registry, plugins=[*registry.plugins, *told_plugins(new.values())])


def with_imported(registry: Registry, files: Iterable[str], names: Sequence[str]) -> Registry:
    """Return a registry in which the plugins of some distributions are imported, not only told.

    They are not tried in a child: the process that told of them has imported them.
    """
    if not names:
        return registry
    wanted = [Path(file) for file in files if Path(file).name in names]
    new = discover(wanted, only=names, ours=False, left_out=()).plugins
    kept = [each for each in registry.plugins if each.distribution not in names or each.is_ours]
    return replace(registry, plugins=[*kept, *new])
