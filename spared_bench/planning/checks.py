"""What is wrong with the methods of a selection, told before any data are read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from spared_bench.annotations import fits
from spared_bench.bench import Bench
from spared_bench.errors import (
    AmbiguousNameError,
    PluginError,
    ProtocolError,
    UnknownNameError,
    UsageError,
    did_you_mean,
)
from spared_bench.models.augmentation.names import made as augmentations
from spared_bench.models.augmentation.names import of_method as augment_of
from spared_bench.models.encoder_table import is_colour
from spared_bench.parameters import Signature, by_weights
from spared_bench.protocol import PUBLISHED
from spared_bench.registry import Registered
from spared_bench.specs import PredictorSpec


def check_methods(bench: Bench, completers: Sequence[str], predictors: Sequence[str]) -> None:
    """Check the parameters that protocol and user set, of all selected methods at once.

    Raises
    ------
    ProtocolError
        If the protocol has settings of a method or a dataset that is not registered, or a grid of
        what no method searches.
    UsageError
        For names of parameters, types of values and configurations that no method has.
    PluginError
        If a method's ``configurations`` cannot be.
    """
    _check_overridden(bench)
    _check_grids(bench)
    _check_datasets(bench)
    used = used_methods(bench, completers, predictors)
    problems = [told for kind, name in used for told in problems_of(bench, kind, name)]
    if problems:
        raise UsageError("\n".join(dict.fromkeys(problems)))


def problems_of(bench: Bench, kind: str, name: str) -> list[str]:
    """Say what is wrong with the parameters of one method, as set and as its spec has them.

    Of a method that this process is only told of, what the process found that imported it. One that
    cannot be imported has no parameters, and this is what is wrong.

    Raises
    ------
    PluginError
        If its ``configurations`` cannot be.
    """
    if why := _not_imported(bench.registry.get(kind, name)):
        return [why]
    try:
        parameters = bench.chosen(kind, name).values
        problems = _augmentation(bench, kind, name, parameters)
        problems += _unused_weights(bench, kind, name)
        problems += _empty_options(bench, kind, name, parameters)
    except UsageError as error:
        problems = [str(error)]
    if kind == "completer":
        return problems
    return problems + misfits(bench.predictor(name), name, partial(bench.signature, "predictor"))


def _not_imported(entry: Registered) -> str:
    """Say why a method's code cannot be had in this process, which imports it."""
    try:
        if entry.told is None:
            entry.load()
            entry.code  # noqa: B018 - read, as keys name it
    except PluginError as error:
        return str(error)
    return ""


def own_faults(bench: Bench, kind: str, name: str) -> str:
    """Say what is wrong with a method of which nobody has set anything; empty where nothing is.

    Where something was set, the mistake may be there, and ``check_methods`` tells it.
    """
    selected = ([name], []) if kind == "completer" else ([], [name])
    told = []
    for of, used in used_methods(bench, *selected):
        names = _set_by(bench, bench.registry.get(of, used))
        if names & (bench.settings.parameters.keys() | bench.protocol.overrides.keys()):
            continue
        try:
            told += problems_of(bench, of, used)
        except PluginError as error:
            told.append(str(error))
    return "\n".join(dict.fromkeys(told))


def used_methods(
    bench: Bench, completers: Iterable[str], predictors: Iterable[str]
) -> list[tuple[str, str]]:
    """Return kind and name of what a selection uses, networks that others build on included."""
    found = [("completer", name) for name in completers]
    for name in predictors:
        stages = bench.predictor(name).stages.values()
        found += [("predictor", name), *(("predictor", stage.predictor) for stage in stages)]
    return list(dict.fromkeys(found))


def notes_on_methods(
    bench: Bench, completers: Iterable[str], predictors: Iterable[str]
) -> list[str]:
    """Say what of the settings has no effect on a selection, a sentence each."""
    used = used_methods(bench, completers, predictors)
    names = {name for each in used for name in _set_by(bench, bench.registry.get(*each))}
    notes = [
        f"`--set` fixes parameters of {name!r}, which is not among the selected methods."
        for name in bench.settings.parameters
        if name not in names
    ]
    weights = bench.settings.weights
    if weights and not any(
        by_weights(bench.signature(*each), weights) and not _encoder_without_weights(bench, *each)
        for each in used
    ):
        notes.append(
            f"`--weights {weights}` has no effect: no selected method starts from weights, unless"
            " `--set METHOD.weights=...` names them."
        )
    wanted = bench.protocol.configuration
    offered = [bench.signature(kind, name).configurations for kind, name in used]
    own = bench.protocol.name not in bench.registry.names("protocol")  # may be misspelt
    if own and wanted != PUBLISHED and any(offered) and not any(wanted in each for each in offered):
        known = sorted({name for each in offered for name in each})
        notes.append(
            f"No selected method offers the configuration {wanted!r} of protocol"
            f" {bench.protocol.id}, so all run with their defaults. They offer: {', '.join(known)}."
        )
    return [*notes, *_note_on_gains(bench, [name for kind, name in used if kind == "predictor"])]


def _set_by(bench: Bench, entry: Registered) -> set[str]:
    """Return the names by which the parameters of a method are set."""
    names = {entry.spec.name, getattr(entry.spec, "variant_of", "") or entry.spec.name}
    alone = set() if bench.registry.is_shadowed(entry) else names
    return alone | {f"{entry.plugin.distribution}:{name}" for name in names}


def _note_on_gains(bench: Bench, predictors: Iterable[str]) -> list[str]:
    """Say when what gains are measured against is not among the methods."""
    known = bench.protocol.known
    if known is None or known.image_only in predictors:
        return []
    return [
        f"Gains over images alone are measured against {known.image_only!r}, which is not among the"
        f" selected methods. Add it (`-p {known.image_only}`), unless its results are in the store."
    ]


def _check_overridden(bench: Bench) -> None:
    known = {
        entry.spec.name for kind in ("completer", "predictor") for entry in bench.registry.all(kind)
    }
    for name in bench.protocol.overrides:
        if name not in known:
            raise ProtocolError(
                f"Protocol {bench.protocol.id} overrides parameters of {name!r}, and no completer"
                f" or predictor is named so. {did_you_mean(name, known)} Known:"
                f" {', '.join(sorted(known))}."
            )


def _check_grids(bench: Bench) -> None:
    predictors = map(bench.predictor, bench.registry.names("predictor"))
    known = {name for predictor in predictors for name in predictor.search}
    for name in bench.protocol.search.grids:
        if name not in known:
            raise ProtocolError(
                f"Protocol {bench.protocol.id} has a grid of {name!r} (`search.grids`), which no"
                f" predictor searches. {did_you_mean(name, known)} They search:"
                f" {', '.join(sorted(known)) or 'nothing'}.".replace("  ", " ")
            )


def _check_datasets(bench: Bench) -> None:
    source = f"Protocol {bench.protocol.id}, `processing.per_dataset`"
    for name in bench.protocol.processing.per_dataset:
        if bench.registry.expand(name) != [name]:
            continue  # a scheme of folds
        try:
            called = bench.registry.get("dataset", name).spec.name
        except AmbiguousNameError:
            continue  # which of the two is meant, a run of either says
        except UnknownNameError as error:
            raise ProtocolError(f"{source}: {error}") from error
        if called != name:
            raise ProtocolError(
                f"{source}: dataset {name!r} is registered as {called!r}. Write that; settings of"
                " another name would have no effect."
            )


def misfits(spec: PredictorSpec, name: str, signature: Callable[[str], Signature]) -> list[str]:
    """Say which parameters a predictor's spec speaks of that it, or what it builds on, cannot have.

    Parameters
    ----------
    spec : PredictorSpec
    name : str
        By which it is found: with its distribution where another registers the same.
    signature : callable
        Returns what the predictor of a name can be made with.
    """
    own, label = signature(name), f"the spec of predictor {spec.name!r}"
    told = [_lacking(own, name, f"{label} searches") for name in spec.search]
    told += [_mistyped(own, name, values, label) for name, values in spec.search.items()]
    for stage in spec.stages.values():
        other = signature(stage.predictor)
        builds = f"{label} builds on {stage.predictor!r} and sets"
        told += [_lacking(other, name, builds) for name in (*stage.parameters, *stage.taken)]
        told += [_lacking(own, name, f"{label} hands on") for name in stage.taken.values()]
    return [problem for problem in told if problem]


def _augmentation(bench: Bench, kind: str, name: str, parameters: Mapping[str, Any]) -> list[str]:
    """Say what is wrong with the augmentations that a method's parameters name."""
    entry = bench.registry.get(kind, name)
    if entry.told is not None:
        return []  # who imports it says it
    try:
        augmentations(augment_of(entry.load(), parameters))
    except UsageError as error:
        return [f"{kind} {name!r}: {error}"]
    return []


def _encoder_without_weights(bench: Bench, kind: str, name: str) -> str:
    """Return the encoder of a method that has no weights; empty of any other method."""
    asked = getattr(bench.registry.get(kind, name).spec, "encoder", "")
    known = bench.signature(kind, name).parameters
    if not asked or "backbone" in known:
        return ""
    default = known[asked].default if asked in known else ""
    encoder = bench.chosen(kind, name).values.get(asked, default)
    return encoder if isinstance(encoder, str) and is_colour(encoder) else ""


def _unused_weights(bench: Bench, kind: str, name: str) -> list[str]:
    """Say of weights that were set of a method whose encoder has none that they have no effect."""
    entry = bench.registry.get(kind, name)
    spec = entry.spec
    asked, own = getattr(spec, "encoder", ""), getattr(spec, "variant_of", "") or spec.name
    given = {**bench.set_of(entry, own), **bench.set_of(entry, spec.name)}.get("weights")
    if not asked or given in (None, "", "pretrained", "random") or not entry.plugin.is_ours:
        return []  # of others, they may be of a network of their own
    encoder = _encoder_without_weights(bench, kind, name)
    if not encoder:
        return []
    return [
        f"The weights {given!r} of {kind} {name!r} have no effect: its {asked} is {encoder!r},"
        f" which has none. Name the network that they are of, too: `--set {own}.{asked}=NAME`."
    ]


def _empty_options(bench: Bench, kind: str, name: str, parameters: Mapping[str, Any]) -> list[str]:
    """Say of options of a network that are empty that they have none: timm passes over them."""
    options = parameters.get("options")
    if not bench.registry.get(kind, name).plugin.is_ours or not isinstance(options, Mapping):
        return []
    return [
        f"Option {each!r} of {kind} {name!r} has no value, and so no effect. A mapping is written"
        f" `--set '{name}.options={{NAME: VALUE}}'`."
        for each, value in options.items()
        if value is None
    ]


def _lacking(signature: Signature, name: str, doing: str) -> str:
    if signature.takes_all or name in signature.parameters:
        return ""
    return (
        f"{doing[0].upper()}{doing[1:]} {name!r}, which is no parameter there. Known:"
        f" {', '.join(signature.parameters) or 'none'}. Correct the plugin's spec."
    )


def _mistyped(signature: Signature, name: str, values: Sequence[Any], label: str) -> str:
    """Say which value a search would try that the parameter cannot have."""
    if name not in signature.parameters:
        return ""
    wanted = signature.parameters[name]
    for value in values:
        if not fits(value, wanted.annotation):
            return (
                f"{label[0].upper()}{label[1:]} searches {name!r} at {value!r}, of type"
                f" {type(value).__name__}; expected {wanted.type}. Correct the plugin's spec."
            )
    return ""
