"""A registry whose specs say something else: speeds, numbers of spots."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from spared_bench.registry import Registry


def with_changed(registry: Registry, changes: Mapping[str, Mapping[str, Any]]) -> Registry:
    """Return a registry with other fields in the specs of some names."""
    return Registry(
        [
            replace(
                plugin,
                specs=tuple(replace(spec, **changes.get(spec.name, {})) for spec in plugin.specs),
            )
            for plugin in registry.plugins
        ]
    )
