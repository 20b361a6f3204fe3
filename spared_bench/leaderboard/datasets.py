"""The datasets of a board: what trials and plugins say of them, and which enter means.

Datasets that share slides in conflicting roles do not enter one mean: the one that shares with most
others is set aside, the last by name among equals, until none is left that shares.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from spared_bench.leaderboard.merging import Facts
from spared_bench.leaderboard.model import BoardDataset
from spared_bench.results import UNLISTED, TrialResult


def datasets_of(trials: Sequence[TrialResult], known: Facts) -> tuple[BoardDataset, ...]:
    """Return the datasets that trials are of, generated ones last."""
    by_dataset: dict[str, list[TrialResult]] = {}
    for trial in trials:
        by_dataset.setdefault(trial.dataset, []).append(trial)
    facts = {name: once(mine, "facts") for name, mine in by_dataset.items()}
    datasets = [
        BoardDataset(
            name=name,
            tier=joined(said, "tier"),
            split=joined(said, "evaluation_split"),
            synthetic=any(fact.get("synthetic") for fact in said),
            listed=not any(fact.get(UNLISTED) for fact in said),
            shared_donors=tuple(
                sorted({str(donor) for fact in said for donor in fact.get("shared_donors", ())})
            ),
            doubts=_doubts(said),
            about=dict(known.get(name, {})),
        )
        for name, said in sorted(facts.items())
    ]
    ordered = _set_aside(datasets, trials)
    return tuple(sorted(ordered, key=lambda dataset: (dataset.synthetic, dataset.name)))


def once(trials: Iterable[TrialResult], field: str) -> list[dict[str, Any]]:
    """Return what trials say in a field of them; what several have together, once."""
    said = (getattr(trial, field) for trial in trials)
    return list({id(each): each for each in said}.values())


def _doubts(facts: Sequence[dict[str, Any]]) -> tuple[str, ...]:
    """Return which slides fail a check of their image, by what trials say; each sentence once."""
    told = {
        f"{slide} ({sentence})"
        for fact in facts
        for slide, sentences in fact.get("slide_checks", {}).get("failed", {}).items()
        for sentence in sentences
    }
    return tuple(sorted(told))


def joined(facts: Sequence[dict[str, Any]], name: str) -> str:
    """Return what trials say of themselves, joined if they differ."""
    return ", ".join(sorted({str(fact[name]) for fact in facts if fact.get(name)}))


def _set_aside(
    datasets: Sequence[BoardDataset], trials: Sequence[TrialResult]
) -> tuple[BoardDataset, ...]:
    """Mark the datasets that would count other datasets' slides twice."""
    names = {dataset.name for dataset in datasets if dataset.listed}
    shares = {name: set[str]() for name in names}
    for trial in trials:
        if trial.dataset not in names:
            continue
        for other in names & set(trial.facts.get("conflicts_with", ())):
            shares[trial.dataset].add(other)
            shares[other].add(trial.dataset)
    counted = set(names)
    while worst := max(
        (name for name in counted if shares[name] & counted),
        key=lambda name: (len(shares[name] & counted), name),
        default="",
    ):
        counted.remove(worst)
    return tuple(
        dataset
        if dataset.name in counted or not dataset.listed
        else replace(dataset, repeats=tuple(sorted(shares[dataset.name])))
        for dataset in datasets
    )
