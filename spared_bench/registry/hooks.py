"""What the hooks of a plugin's module answer, once names and signatures are right."""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import Any

import pluggy

from spared_bench import hookspecs
from spared_bench.errors import PluginError, did_you_mean
from spared_bench.specs import KINDS, PLURALS, Spec

_PREFIX = "spared_bench_"
_HOOK_OF = {kind: f"{_PREFIX}{plural}" for kind, plural in PLURALS.items()}
_HOOKS = [name for name in vars(hookspecs) if name.startswith(_PREFIX)]


def collect(module: ModuleType) -> list[Spec]:
    """Return the specs of a plugin module after checking its hooks."""
    wanted = getattr(module, "requires_api", hookspecs.API_VERSION)
    if wanted != hookspecs.API_VERSION:
        raise PluginError(
            f"it asks for plugin API {wanted!r}; this spared-bench has API"
            f" {hookspecs.API_VERSION}. Install a matching version of either."
        )
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    _check_hook_names(module)
    try:
        manager.register(module)
    except pluggy.PluginValidationError as error:
        raise PluginError(f"a hook has a wrong signature: {error}") from error
    specs: list[Spec] = []
    for kind, hook in _HOOK_OF.items():
        caller = getattr(manager.hook, hook)
        answers = caller()
        if len(answers) < len(caller.get_hookimpls()):  # pluggy passes over None
            raise PluginError(
                f"{hook} returned nothing. It must return a list of {KINDS[kind].__name__}: is its"
                " `return` missing?"
            )
        for answer in answers:
            specs += _checked(answer, hook, KINDS[kind])
    names = [f"{spec.kind} {spec.name!r}" for spec in specs]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise PluginError(f"it registers {', '.join(twice)} more than once.")
    return specs


def _check_hook_names(module: ModuleType) -> None:
    """Refuse hooks that no one will call: misspelt, or without the decorator."""
    marked = 0
    for name, value in vars(module).items():
        is_marked = hasattr(value, f"{hookspecs.PROJECT}_impl")
        marked += is_marked
        if is_marked and name not in _HOOKS:
            raise PluginError(
                f"there is no hook {name!r}. {did_you_mean(name, _HOOKS)} The hooks are:"
                f" {', '.join(_HOOKS)}."
            )
        if not is_marked and name in _HOOKS and getattr(value, "__module__", "") == module.__name__:
            raise PluginError(f"{name} lacks the decorator @spared_bench.hookimpl.")
    if not marked:
        raise PluginError(
            "it has no hook: no function carries @spared_bench.hookimpl. Point the entry point at"
            f" the module with the hooks ({', '.join(_HOOKS[:3])}, ...)."
        )


def _checked(answer: Any, hook: str, wanted: type[Spec]) -> Sequence[Spec]:
    if not isinstance(answer, list | tuple):
        raise PluginError(
            f"{hook} must return a list of {wanted.__name__}, found {type(answer).__name__}."
        )
    for item in answer:
        if type(item) is not wanted:
            raise PluginError(
                f"{hook} must return {wanted.__name__} objects, found {type(item).__name__}."
            )
    return answer
