"""Calls the observer hooks of the plugins."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from types import ModuleType
from typing import Any

from spared_bench import hookspecs
from spared_bench.errors import in_words
from spared_bench.guard import guarded
from spared_bench.registry.lookup import Registry


def notify(registry: Registry, hook: str, log: Callable[[str], None], **arguments: Any) -> None:
    """Call an observer hook of every plugin; an error is logged and changes nothing.

    Each gets copies: what an observer changes of a result or a plan, nobody else sees.
    """
    for module in registry.observers():
        function = getattr(module, hook, None)
        if function is None or not hasattr(function, f"{hookspecs.PROJECT}_impl"):
            continue
        try:
            names = function.__code__.co_varnames[: function.__code__.co_argcount]
            given = {name: value for name, value in arguments.items() if name in names}
            with guarded():
                function(**_copies(given))
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # what asyncio and test tools raise is no Exception
            log(f"Observer {module.__name__}.{hook} failed: {in_words(error)[0]}")


def _copies(arguments: dict[str, Any]) -> dict[str, Any]:
    """Copy what an observer is given; the bench, from which a plan is read, stays one."""
    bench = getattr(arguments.get("plan"), "bench", None)
    return deepcopy(arguments, {id(bench): bench})


def observes(module: ModuleType) -> bool:
    """Return whether a plugin's module has hooks that are called while a run goes on."""
    hooks = ("run_started", "trial_finished", "run_finished")
    found = (getattr(module, f"{hookspecs.PROJECT}_{hook}", None) for hook in hooks)
    return any(hasattr(each, f"{hookspecs.PROJECT}_impl") for each in found)
