"""Which plugins there are: found through entry points, guarded, looked up by name."""

from __future__ import annotations

from spared_bench.registry.discovery import (
    GROUP,
    discover,
    strangers_installed,
    tried_apart,
)
from spared_bench.registry.lookup import Registry
from spared_bench.registry.modules import module_name
from spared_bench.registry.observers import notify, observes
from spared_bench.registry.registered import OURS, Plugin, Registered
from spared_bench.registry.trying import try_first

__all__ = [
    "GROUP",
    "OURS",
    "Plugin",
    "Registered",
    "Registry",
    "discover",
    "module_name",
    "notify",
    "observes",
    "strangers_installed",
    "tried_apart",
    "try_first",
]
