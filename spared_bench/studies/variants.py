"""Every combination of levels as a protocol, parameters of methods, and a selection."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from spared_bench.bench import Bench
from spared_bench.errors import StudyError, UnknownNameError, did_you_mean
from spared_bench.keys.hashing import digest
from spared_bench.protocol import Protocol
from spared_bench.strict import in_one_line
from spared_bench.studies.model import Study
from spared_bench.studies.sameness import require_different
from spared_bench.studies.settings import SELECTED, is_setting, set_parameter, set_protocol
from spared_bench.words import counted

_FEWER = "Take levels, methods, datasets or seeds away, take `design: single`, or raise"
#: What tells a cell of a variant from another: dataset, completer, method, seed.
Place = tuple[str, str, str, int]


@dataclass(frozen=True)
class Variant:
    """One combination of levels.

    Parameters
    ----------
    levels : dict of factor to label
    protocol : Protocol
        The base with what these levels set; its name is the base's, so that seeds are the same and
        what the base has trained is found again.
    parameters : dict of method to dict
    methods, datasets, completers : tuple of str
    seeds : tuple of int
    """

    levels: dict[str, str]
    protocol: Protocol
    parameters: dict[str, dict[str, Any]]
    methods: tuple[str, ...]
    datasets: tuple[str, ...]
    completers: tuple[str, ...]
    seeds: tuple[int, ...]

    @property
    def label(self) -> str:
        """For messages: ``augmentation = flips``; of a study without factors, what it is of."""
        levels = ", ".join(f"{factor} = {label}" for factor, label in self.levels.items())
        return levels or self.protocol.id

    @property
    def group(self) -> str:
        """The same for variants that differ in nothing but what they select."""
        protocol = self.protocol.model_dump(mode="json", exclude={"seeds"})
        return digest({"protocol": protocol, "parameters": self.parameters})

    @property
    def places(self) -> list[Place]:
        """The cells."""
        product = itertools.product(self.datasets, self.completers, self.methods, self.seeds)
        return [(d, c, m, s) for d, c, m, s in product]

    def bench(self, base: Bench) -> Bench:
        """Return the bench of this variant: the base's, with its protocol and parameters."""
        protocol = self.protocol.model_dump(mode="json")
        settings = replace(base.settings, protocol=protocol, parameters=self.parameters)
        return Bench(settings, base.registry)


def variants_of(study: Study, base: Bench) -> list[Variant]:
    """Return all variants of a study, the base first.

    Raises
    ------
    StudyError
        For a factor that sets what is no setting, a level of another type, a dataset that the base
        protocol does not list, or more cells than ``max_cells``.
    UnknownNameError
        For a method, completer, dataset or metric that is not registered.
    """
    _require_countable(study)
    _require_names(study)
    combinations = list(_combinations(study))
    every = [_variant(study, base, levels, settings) for levels, settings in combinations]
    seeds = tuple(dict.fromkeys(seed for each in every for seed in each.seeds))
    every = [
        replace(each, protocol=each.protocol.model_copy(update={"seeds": seeds})) for each in every
    ]
    require_different(study, base, every)
    _require_room(study, every)
    return every


def _combinations(study: Study) -> Iterator[tuple[dict[str, str], list[tuple[str, str, Any]]]]:
    """Yield the levels of each combination and what they set, with the source of each setting."""
    names = list(study.factors)
    orders = {
        name: [
            factor.base_level,
            *(each for each in factor.levels if each != factor.base_level),
        ]
        for name, factor in study.factors.items()
    }
    if study.design == "full":
        chosen = [
            dict(zip(names, labels, strict=True)) for labels in itertools.product(*orders.values())
        ]
    else:
        base = {name: order[0] for name, order in orders.items()}
        chosen = [base, *({**base, name: label} for name in names for label in orders[name][1:])]
    for levels in chosen:
        yield levels, _settings(study, levels.items())


def _settings(study: Study, levels: Iterable[tuple[str, str]]) -> list[tuple[str, str, Any]]:
    """Return what the study and levels of its factors set, each with its source."""
    settings = [(f"study {study.name!r}, `set`", path, v) for path, v in study.set.items()]
    for name, label in levels:
        source = f"study {study.name!r}, factor {name!r}, level {label!r}"
        assigned = study.factors[name].assigned(label)
        settings += [(source, path, value) for path, value in assigned.items()]
    return settings


def _require_names(study: Study) -> None:
    """Refuse a level, of any combination, that selects what is no name, or no seed."""
    every = ((name, label) for name, factor in study.factors.items() for label in factor.levels)
    for source, path, value in _settings(study, every):
        if path not in SELECTED:
            continue
        wanted = int if path == "seed" else str
        if not isinstance(value, wanted) or isinstance(value, bool):
            kind = "a whole number" if path == "seed" else "a name"
            raise StudyError(f"{source}: {path} is {in_one_line(value)}; expected {kind}.")
        if isinstance(value, int) and value < 0:
            raise StudyError(f"{source}: seed is {value}; expected a whole number from 0 on.")


def _variant(
    study: Study, base: Bench, levels: dict[str, str], settings: list[tuple[str, str, Any]]
) -> Variant:
    protocol = base.protocol
    if study.metric not in protocol.metrics:
        base.metric(study.metric)
        metrics = (*protocol.metrics, study.metric)
        protocol = protocol.model_copy(update={"metrics": metrics})
    selected = _selection(study, base, settings)
    protocol = set_protocol(protocol, [each for each in settings if is_setting(each[1])])
    parameters: dict[str, dict[str, Any]] = {
        name: dict(values) for name, values in base.settings.parameters.items()
    }
    for source, path, value in settings:
        if path in SELECTED or is_setting(path):
            continue
        # One bench knows the signatures of all methods, whatever the protocol.
        made = set_parameter(
            base, _runnable(study, selected), selected["completer"], path, value, source
        )
        for method, values in made.items():
            parameters.setdefault(method, {}).update(values)
    return Variant(
        levels,
        protocol,
        parameters,
        tuple(selected["method"]),
        tuple(selected["dataset"]),
        tuple(selected["completer"]),
        tuple(selected["seed"]),
    )


def _runnable(study: Study, selected: Mapping[str, list[Any]]) -> list[str]:
    """Return the methods whose parameters may be set: of `set`, those of other levels, too."""
    others = [
        factor.assigned(label)["method"]
        for factor in study.factors.values()
        for label in factor.levels
        if "method" in factor.assigned(label)
    ]
    return list(dict.fromkeys([*selected["method"], *others]))


def _selection(
    study: Study, base: Bench, settings: list[tuple[str, str, Any]]
) -> dict[str, list[Any]]:
    """Return what is run: the study's lists, or what levels say in their place."""
    protocol, registry = base.protocol, base.registry
    found: dict[str, list[Any]] = {
        "method": list(study.methods),
        "dataset": list(study.datasets or protocol.datasets),
        "completer": list(study.completers or protocol.completers),
        "seed": list(dict.fromkeys(study.seeds or protocol.seeds)),
    }
    sources = dict.fromkeys(found, f"study {study.name!r}")
    for source, path, value in settings:
        if path in SELECTED:
            found[path], sources[path] = [value], source
    for what, kind in (("method", "predictor"), ("completer", "completer")):
        found[what] = [
            _canonical(base, kind, name, sources[what]) for name in dict.fromkeys(found[what])
        ]
    if not found["dataset"]:
        raise StudyError(
            f"study {study.name!r} names no `datasets`, and neither does protocol"
            f" {protocol.id}, its base. Name them in the study."
        )
    for name in found["dataset"]:
        _require_listed(base, name, sources["dataset"])
    expanded = [fold for name in found["dataset"] for fold in registry.expand(name)]
    found["dataset"] = list(
        dict.fromkeys(_canonical(base, "dataset", name, sources["dataset"]) for name in expanded)
    )
    return found


def _canonical(base: Bench, kind: str, name: str, source: str) -> str:
    try:
        return base.registry.canonical(kind, name)
    except UnknownNameError as error:
        raise StudyError(f"{source}: {error}") from error


def _require_listed(base: Bench, name: str, source: str) -> None:
    """Refuse a dataset that the base protocol does not list, itself or by a scheme of folds."""
    listed = base.protocol.datasets
    known = {fold.casefold() for each in listed for fold in (each, *base.registry.expand(each))}
    if listed and name.casefold() not in known:
        hint = did_you_mean(name, known)
        raise StudyError(
            f"{source}: protocol {base.protocol.id}, its base, does not list the dataset {name!r}."
            f" {hint} It lists: {', '.join(listed)}. Name one of these, or take another base."
        )


def _require_countable(study: Study) -> None:
    """Refuse more combinations than there may be cells before making them: each has one at least.

    Four factors of 64 levels have 17 million combinations, which would take all memory.
    """
    sizes = [len(factor.levels) for factor in study.factors.values()]
    number = math.prod(sizes) if study.design == "full" else 1 + sum(n - 1 for n in sizes)
    if number > study.max_cells:
        raise StudyError(
            f"Study {study.name!r} has {counted(number, 'combination')} of levels"
            f" ({' × '.join(map(str, sizes))}), and its `max_cells` is {study.max_cells}."
            f" {_FEWER} `max_cells`."
        )


def _require_room(study: Study, variants: list[Variant]) -> None:
    cells = sum(len(each.places) for each in variants)
    if cells > study.max_cells:
        sizes = _sizes(study, variants)
        raise StudyError(
            f"Study {study.name!r} has {counted(cells, 'cell')} ({sizes}), and its `max_cells` is"
            f" {study.max_cells}. {_FEWER} `max_cells` to {cells}."
        )


def _sizes(study: Study, variants: list[Variant]) -> str:
    first = variants[0]
    levels = f"{counted(len(variants), 'combination')} of levels"
    counts: Mapping[str, int] = {
        "method": len(first.methods),
        "dataset": len(first.datasets),
        "completer": len(first.completers),
        "seed": len(first.seeds),
    }
    return " × ".join([levels, *(counted(number, what) for what, number in counts.items())])
