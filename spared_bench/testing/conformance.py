"""Which checks of the kit apply to a plugin that a user names, and their report."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from spared_bench.errors import PluginError, SparedBenchError, UnknownNameError, UsageError
from spared_bench.registry import Registry
from spared_bench.specs import KINDS
from spared_bench.testing import (
    Check,
    Outcome,
    completer_checks,
    dataset_checks,
    outcomes,
    predictor_checks,
)

CHECKED = ("predictor", "completer", "dataset")


def named(registry: Registry, name: str) -> list[tuple[str, str]]:
    """Return (kind, name) of everything that a user means: a name, a plugin or a distribution.

    Raises
    ------
    PluginError
        If the plugin could not be loaded.
    UsageError, UnknownNameError
        If there is nothing of that name that can be checked, or nothing at all.
    """
    found = [(kind, name) for kind in CHECKED if _has(registry, kind, name)]
    if found:
        return found
    for plugin in registry.plugins:
        if name not in (plugin.name, plugin.distribution):
            continue
        if plugin.quarantined:
            raise PluginError(
                f"Plugin {plugin.name!r} could not be loaded: {plugin.reason}"
                f" `spared-bench plugins why {plugin.name}` shows the traceback."
            )
        found += [(spec.kind, spec.name) for spec in plugin.specs if spec.kind in CHECKED]
    if not found and (others := _others(registry, name)):
        encoder = f"; `spared-bench encoders check {name}` does" if "encoder" in others else ""
        raise UsageError(
            f"{name!r} is there as {' and '.join(others)}, and the kit checks predictors,"
            f" completers and datasets{encoder}."
        )
    if not found:
        known = {plugin.name for plugin in registry.plugins}
        known |= {each for kind in CHECKED for each in registry.names(kind)}
        hint = "Predictors, completers and datasets can be checked."
        raise UnknownNameError("plugin", name, known, hint)
    return found


def _others(registry: Registry, name: str) -> list[str]:
    """Return as what there is something of a name that the kit does not check."""
    kinds = [kind for kind in KINDS if kind not in CHECKED and _has(registry, kind, name)]
    is_plugin = any(name in (plugin.name, plugin.distribution) for plugin in registry.plugins)
    return [*kinds, *(["plugin"] if is_plugin else [])]


def all_named(registry: Registry, names: Iterable[str]) -> list[tuple[str, str]]:
    """Return what several names mean, each once.

    Raises
    ------
    PluginError, UsageError
        Of one name that is wrong, as ``named`` raises it; of several, all are told, a line each.
    """
    found: dict[tuple[str, str], None] = {}
    wrong: dict[str, SparedBenchError] = {}
    for name in dict.fromkeys(names):
        try:
            found |= dict.fromkeys(named(registry, name))
        except (PluginError, UsageError) as error:
            wrong[name] = error
    if not wrong:
        return list(found)
    errors = list(wrong.values())
    if len(errors) == 1:
        raise errors[0]
    unknown = [each for each in errors if isinstance(each, UnknownNameError)]
    # What is known is told once, below the last of the unknown names.
    lines = [each.short if each in unknown[:-1] else str(each) for each in errors]
    kind = UsageError if any(isinstance(each, UsageError) for each in errors) else PluginError
    raise kind("\n".join([f"{len(errors)} names cannot be checked, so none was.", *lines]))


def _has(registry: Registry, kind: str, name: str) -> bool:
    try:
        registry.get(kind, name)
    except UnknownNameError:
        return False
    return True


def examine(
    registry: Registry, subjects: Iterable[tuple[str, str]], data_dir: Path | None = None
) -> Iterator[Outcome]:
    """Run the checks of each subject, and yield what became of them one by one."""
    for kind, name in subjects:
        yield from outcomes(f"{kind} {name}", _checks(registry, kind, name, data_dir))


def _checks(registry: Registry, kind: str, name: str, data_dir: Path | None) -> list[Check]:
    if kind == "predictor":
        return predictor_checks(name, registry)
    if kind == "completer":
        return completer_checks(name, registry)
    return dataset_checks(name, registry, data_dir)


def report(found: Iterable[Outcome]) -> dict[str, Any]:
    """Return the report as JSON-ready values, as it goes into a submission."""
    from spared_bench import __version__

    checks = [
        {"plugin": each.plugin, "check": each.name, "status": each.status, "message": each.message}
        for each in found
    ]
    failed = sum(each["status"] == "failed" for each in checks)
    return {"spared_bench": __version__, "failed": failed, "checks": checks}
