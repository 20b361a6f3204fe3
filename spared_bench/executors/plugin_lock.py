"""Exactly the plugins of the plan: what a worker must have, and what it lacks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from typing import Any

from spared_bench.bench import Bench
from spared_bench.errors import PluginError, SparedBenchError
from spared_bench.planning.checks import problems_of
from spared_bench.planning.own_checks import unfit
from spared_bench.planning.plan import Plan
from spared_bench.planning.views import methods_of, misdeclared
from spared_bench.registry import Registry
from spared_bench.specs.plain import as_json
from spared_bench.told import METHODS, described, of_parameters, views_by_property

#: By kind and qualified name of a method: its views by its parameters, or what is wrong with them.
ViewsMade = dict[tuple[str, str], dict[str, Any]]


def plugins_of(plan: Plan) -> dict[str, str]:
    """Return what a plan uses: ``"kind name"`` to distribution, version and hash of the code."""
    return describe(plan.bench, (f"{kind} {name}" for kind, name in _used(plan)))


def strangers_of(plan: Plan) -> dict[str, str]:
    """Return which plugins of a plan are not our own: ``"kind name"`` to distribution."""
    return _strangers(plan.bench, _used(plan))


def strangers_among(bench: Bench, names: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Return which of some plugins, by kind and name, of their stages and encoders are not ours."""
    every = set(names)
    for kind, name in names:
        if kind == "predictor":
            stages = bench.predictor(name).stages.values()
            every |= {("predictor", stage.predictor) for stage in stages}
    return _strangers(bench, sorted(every | _encoders_of(bench, every)))


def _strangers(bench: Bench, names: Iterable[tuple[str, str]]) -> dict[str, str]:
    found = {}
    for kind, name in names:
        with suppress(SparedBenchError):  # what is missing stops the run by ``plugins_of``
            plugin = bench.registry.get(kind, name).plugin
            if not plugin.is_ours:
                found[f"{kind} {name}"] = plugin.distribution
    return found


def told_of(source: Bench | Registry, names: Iterable[str]) -> tuple[dict[str, Any], ...]:
    """Return what processes are told of plugins that they do not import (``spared_bench.told``).

    Parameters
    ----------
    source : Bench or Registry
        Of a process that has imported them, or was told itself. A registry knows no protocol, so
        that nothing is told of parameters.
    names : iterable of str
        ``"kind name"``.
    """
    wanted = [name.split(" ", 1) for name in names]
    if isinstance(source, Registry):
        return tuple(described(source.get(kind, name), {}) for kind, name in wanted)
    made = _views_made(source, wanted)
    return tuple(_told_of(source, kind, name, made) for kind, name in wanted)


def _told_of(bench: Bench, kind: str, name: str, made: ViewsMade) -> dict[str, Any]:
    entry = bench.registry.get(kind, name)
    if entry.told is not None:
        return dict(entry.told)
    if kind not in METHODS:
        return described(entry, {})
    if problem := _problem_of(bench, kind, name):
        return described(entry, {"problem": problem})
    chosen = bench.chosen(kind, name)
    values = {"configuration": chosen.configuration, "values": as_json(chosen.values)}
    return described(entry, values | made.get((kind, entry.qualified_name), {}))


def _problem_of(bench: Bench, kind: str, name: str) -> str:
    """Say why a method cannot run with its parameters; its code is asked here, and nowhere else."""
    selected: dict[str, Sequence[str]] = {f"{kind}s": [name]}
    try:
        return "\n".join(problems_of(bench, kind, name)) or unfit(bench, **selected)
    except SparedBenchError as error:
        return str(error)


def _views_made(bench: Bench, names: Iterable[Sequence[str]]) -> ViewsMade:
    """Return the views of methods that declare them by a property, for all parameters of a plan.

    Searched freely, a parameter has values that are not known before.
    """
    found: ViewsMade = {}
    for kind, name in names:
        if kind not in METHODS:
            continue
        selected: tuple[list[str], list[str]] = (
            ([name], []) if kind == "completer" else ([], [name])
        )
        with suppress(SparedBenchError):  # what is wrong with its parameters is told otherwise
            for of, method, parameters in methods_of(bench, *selected):
                entry = bench.registry.get(of, method)
                if entry.told is not None or not views_by_property(entry):
                    continue
                told = found.setdefault((of, entry.qualified_name), {"views_made": {}})
                try:
                    views = bench.views_of(of, method, parameters)
                except PluginError as error:
                    told["unknown_views"] = str(error)
                    continue
                shown = {at: asdict(view) for at, view in views.items()}
                told["views_made"][of_parameters(parameters)] = shown
        if wrong := misdeclared(bench, *selected):
            of_method = found.get((kind, bench.registry.get(kind, name).qualified_name))
            if of_method is not None:
                of_method |= {"unknown_views": wrong, "views_made": {}}
    return found


def _used(plan: Plan) -> list[tuple[str, str]]:
    bench = plan.bench
    names = {("metric", name) for name in bench.scored_metrics}
    names.add(("completer", bench.protocol.search.completer))
    for cell in plan.cells:
        names |= {("dataset", cell.dataset), ("completer", cell.completer)}
        names.add(("predictor", cell.predictor))
        stages = bench.predictor(cell.predictor).stages.values()
        names |= {("predictor", stage.predictor) for stage in stages}
    return sorted(names | _encoders_of(bench, names))


def _encoders_of(bench: Bench, methods: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
    """Return the registered encoders that methods ask for, by their qualified names."""
    found = set()
    for kind, name in methods:
        if kind not in METHODS:
            continue
        with suppress(SparedBenchError):  # what is wrong with a method is told otherwise
            known = bench.known_encoder_of(kind, name)
            if known is not None:
                found.add(("encoder", known.qualified_name))
    return found


def describe(bench: Bench, names: Iterable[str]) -> dict[str, str]:
    """Return distribution, version and code of some plugins as this process has them."""
    found = {}
    for name in names:
        kind, _, plain = name.partition(" ")
        try:
            entry = bench.registry.get(kind, plain)
            plugin = entry.plugin
            found[name] = f"{plugin.distribution} {plugin.version} code {entry.code[:12]}"
        except SparedBenchError:
            found[name] = "missing"
    return found


def differences(bench: Bench, wanted: Mapping[str, str]) -> str:
    """Say in what a worker's plugins differ from the plan's; empty if in nothing."""
    found = describe(bench, wanted)
    odd = [
        f"{name}: planned {wanted[name]}, found {found[name]}"
        for name in wanted
        if found[name] != wanted[name]
    ]
    if not odd:
        return ""
    more = f"; and {len(odd) - 5} more" if len(odd) > 5 else ""
    return (
        f"A worker has other plugins than the plan: {'; '.join(odd[:5])}{more}. If that code"
        " was edited since the run was begun, run again; else install the same versions where the"
        " workers run."
    )
