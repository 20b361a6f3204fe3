"""What plugins say to the leaderboard: of datasets, metrics, predictors and protocols."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

from spared_bench.errors import SparedBenchError
from spared_bench.leaderboard import Known
from spared_bench.leaderboard.entries import MethodEntry
from spared_bench.leaderboard.merging import (
    Facts,
    entry_trials,
    origin_of,
    with_listing,
    without_foreign_facts,
)
from spared_bench.protocol import Protocol, Validation
from spared_bench.registry import Registry
from spared_bench.registry.encoders import on_encoder
from spared_bench.results import TrialResult
from spared_bench.specs import DatasetSpec, MetricSpec, PredictorSpec, spec_as_dict


def known_to(registry: Registry, protocols: Sequence[Protocol] = ()) -> Known:
    """Return what plugins say of datasets and metrics, and by what protocols rank.

    Parameters
    ----------
    registry : Registry
    protocols : sequence of Protocol
        Beside the registered ones, and before them.
    """
    metrics = {
        name: entry.spec
        for name, entry in registry.named("metric").items()
        if isinstance(entry.spec, MetricSpec)
    }
    known = (*_registered(registry), *protocols)
    return Known(
        dataset_facts(registry),
        metrics,
        rankings={each.id: each.ranking for each in known},
        settings={each.id: each.hash_of_a_seed for each in known},
        seeds={each.id: each.seeds for each in known},
        remarks={each.id: each.remarks for each in known if each.remarks},
        image_only={each.id: each.known.image_only for each in known if each.known is not None},
    )


def dataset_facts(registry: Registry) -> Facts:
    """Return what the datasets say of themselves, divided by no protocol."""
    own = trial_facts(registry, None)
    return {
        name: {**spec_as_dict(spec), **own[name]} for name, spec in _divided(registry, None).items()
    }


def trial_facts(registry: Registry, protocol: Protocol | None) -> Facts:
    """Return what a trial of each dataset says of it, divided as a protocol does."""
    names = (
        *("tier", "evaluation_split", "shared_donors"),
        *("synthetic", "conflicts_with", "fold_of"),
    )
    return {
        name: {fact: getattr(spec, fact) for fact in names}
        for name, spec in _divided(registry, protocol).items()
    }


def _divided(registry: Registry, protocol: Protocol | None) -> dict[str, DatasetSpec]:
    divide = Validation().divide if protocol is None else protocol.divide
    named = registry.named("dataset").items()
    specs = {name: e.spec for name, e in named if isinstance(e.spec, DatasetSpec)}
    folds = {
        fold.name: fold
        for name, spec in specs.items()
        if name == spec.name  # and not another's of that name, which is called otherwise here
        for scheme in spec.folds
        for fold in spec.fold_specs(scheme)
    }
    return {name: divide(spec) for name, spec in (folds | specs).items()}


def _registered(registry: Registry) -> Iterator[Protocol]:
    """Yield the registered protocols, of one id the first, and ours before those of others.

    One that cannot be read stops no board of others.
    """
    from spared_bench.protocol import parse_protocol

    found: dict[str, Protocol] = {}
    for entry in sorted(registry.all("protocol"), key=lambda each: not each.plugin.is_ours):
        with suppress(SparedBenchError):
            read = parse_protocol(entry.text(), f"protocol {entry.spec.name!r}")
            found.setdefault(read.id, read)
    yield from found.values()


def _predictor_facts(registry: Registry) -> Facts:
    """Return what the rows of others' entries say of predictors that are known here."""
    return {
        name: {
            "scope": spec.scope,
            "summary": spec.summary,
            **({"needs_known": True} if spec.needs_known else {}),
        }
        for name, spec in _predictors(registry).items()
    }


def _predictors(registry: Registry) -> dict[str, PredictorSpec]:
    named = registry.named("predictor").items()
    return {name: entry.spec for name, entry in named if isinstance(entry.spec, PredictorSpec)}


def runnable(registry: Registry, results: Sequence[TrialResult]) -> Facts:
    """Return what the page says of how a predictor is run and what it needs.

    Predictors on another encoder (``linear-probe+uni``) are registered by no name of their own;
    those that have results can be run as well, if the encoder is registered, or is a network that
    was used here. timm and torchvision are not asked for a name: they take seconds to import.
    """
    specs = _predictors(registry)
    on_others = {each.predictor for each in results if "+" in each.predictor}
    used = {each.predictor for each in results if _ran_a_network(each)}
    for name in sorted(on_others):
        base, _, encoder = name.partition("+")
        with suppress(SparedBenchError):  # a name that an entry of others made up
            if name not in used:
                encoder = registry.canonical("encoder", encoder)
            on_it = on_encoder(registry.get("predictor", base), encoder).spec
            assert isinstance(on_it, PredictorSpec)
            specs[on_it.name] = on_it
    return {
        name: {
            "summary": spec.summary,
            "citation": spec.citation,
            "licence": spec.licence,
            "pretraining": spec.pretraining,
            "encoder": spec.encoder,
            "gpu": spec.gpu,
        }
        for name, spec in specs.items()
    }


def _ran_a_network(trial: TrialResult) -> bool:
    """Return whether a trial of this workspace used an encoder that no plugin registers."""
    encoder = trial.facts.get("encoder") or {}
    return origin_of(trial).trained_here and encoder.keys() == {"name"}


def settings_facts(
    registry: Registry, protocols: Sequence[Protocol], known: Known
) -> dict[str, Any]:
    """Return what each protocol does, and whether a name suffices to run it."""
    from spared_bench.leaderboard.differences import settings_of

    registered = {each.id: each for each in _registered(registry)}
    every = registered | {each.id: each for each in protocols}
    told = settings_of(every, dict(known.metrics))
    return {name: {**each, "registered": name in registered} for name, each in told.items()}


def protocol_files(registry: Registry, protocols: Sequence[Protocol]) -> dict[str, str]:
    """Return the protocols that come with no plugin, as files, which a command has to name."""
    from spared_bench.leaderboard.differences import file_of

    registered = {each.id for each in _registered(registry)}
    return {each.id: file_of(each) for each in protocols if each.id not in registered}


def with_what_is_known(
    results: Sequence[TrialResult],
    entries: Sequence[MethodEntry],
    registry: Registry,
    protocols: Sequence[Protocol],
) -> list[TrialResult]:
    """Return runs and others' entries as trials, with what is known here of their datasets.

    Neither an entry nor an imported run says it of itself; a protocol divides its datasets and
    lists them.
    """
    known = {each.id: each for each in (*_registered(registry), *protocols)}
    predictors = _predictor_facts(registry)
    found: list[TrialResult] = []
    names = [*(run.protocol for run in results), *(entry.protocol for entry in entries)]
    for name in dict.fromkeys(names):
        datasets = trial_facts(registry, known.get(name))
        runs = [result for result in results if result.protocol == name]
        theirs = [entry for entry in entries if entry.protocol == name]
        found += without_foreign_facts(runs, datasets, predictors)
        found += entry_trials(theirs, datasets, predictors)
    listed = {name: _listed(each, registry) for name, each in known.items()}
    return list(with_listing(found, listed, {name: _joined(p) for name, p in known.items()}))


def _listed(protocol: Protocol, registry: Registry) -> tuple[str, ...]:
    """Return the datasets of a protocol, folds by name."""
    return tuple(fold for name in protocol.datasets for fold in registry.expand(name))


def _joined(protocol: Protocol) -> frozenset[str]:
    """Return the datasets of which a protocol lists folds, and ranks the mean over them."""
    wholes = (name.rpartition(".")[0] for name in protocol.datasets)
    return frozenset(filter(None, wholes)) if protocol.ranking.folds == "mean" else frozenset()
