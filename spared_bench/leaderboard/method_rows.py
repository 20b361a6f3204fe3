"""The row of one method: its scores on each dataset, their means, and what its trials say of it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from spared_bench.leaderboard.datasets import joined, once
from spared_bench.leaderboard.means import (
    dataset_interval,
    evaluation_split,
    finite,
    mean,
    over_datasets,
    over_seeds,
    slide_interval,
)
from spared_bench.leaderboard.measures import can_be_normalised, normalised
from spared_bench.leaderboard.model import (
    BoardDataset,
    DatasetScores,
    Mean,
    Origin,
    Row,
    Score,
    Summary,
)
from spared_bench.leaderboard.text import MAX_MESSAGE, visible
from spared_bench.results import TrialResult
from spared_bench.specs import MetricSpec

#: Whose row it is: origin, predictor, completer.
Method = tuple[Origin, str, str]


def is_control(trials: Iterable[TrialResult]) -> bool:
    return any(trial.facts.get("control") for trial in trials)


def scores_of(
    mine: Sequence[TrialResult],
    datasets: Sequence[BoardDataset],
    metrics: Sequence[MetricSpec],
    n_seeds: int,
) -> dict[str, DatasetScores]:
    """Return the scores of a method on each dataset; seeds that failed are counted."""
    done: dict[str, list[TrialResult]] = {dataset.name: [] for dataset in datasets}
    for trial in mine:
        if trial.ok:
            done[trial.dataset].append(trial)
    return {name: _on_dataset(trials, metrics, n_seeds) for name, trials in done.items()}


def _on_dataset(
    trials: Sequence[TrialResult], metrics: Sequence[MetricSpec], n_seeds: int
) -> DatasetScores:
    splits = [evaluation_split(trial) for trial in trials]
    both = list(zip(trials, splits, strict=True))
    scores = [trial.scores.get(split, {}) for trial, split in both]
    slides = [trial.slide_scores.get(split, {}) for trial, split in both]
    return DatasetScores(
        {metric.name: _score(scores, slides, metric) for metric in metrics},
        seeds=len(trials),
        failed=n_seeds - len(trials),
    )


def _score(
    scores: Sequence[Mapping[str, float]],
    slides: Sequence[Mapping[str, Mapping[str, float]]],
    metric: MetricSpec,
) -> Score:
    centre, sd = over_seeds([float(each.get(metric.name, math.nan)) for each in scores])
    return Score(centre, sd, interval=slide_interval(slides, metric, centre))


def row_of(
    method: Method,
    mine: Sequence[TrialResult],
    datasets: Sequence[BoardDataset],
    scores: Mapping[str, DatasetScores],
    metrics: Sequence[MetricSpec],
) -> Row:
    """Return the row of a method, by its scores and what its trials say of it."""
    facts = once(mine, "facts")
    scored = {d.name: _with_normalised(scores[d.name], d, metrics) for d in datasets}
    counted = [scored[dataset.name] for dataset in datasets if dataset.counts]
    counts = [trial.n_parameters for trial in mine if trial.n_parameters is not None]
    environments = once(filter(_is_ok, mine), "environment")
    times = finite(trial.seconds["fit"] for trial in mine if trial.ok and "fit" in trial.seconds)
    return Row(
        predictor=method[1],
        completer=method[2],
        origin=method[0],
        scope=joined(facts, "scope"),
        control=is_control(mine),
        weights=joined(facts, "weights"),
        datasets=scored,
        summaries={metric.name: _summary(counted, metric) for metric in metrics},
        n_parameters=max(counts, default=None),
        fit_seconds=mean(times),
        encoder=_encoder(facts),
        field_of_view_um=max(finite(map(_field_of_view, facts)), default=None),
        machine=joined(environments, "machine"),
        threads=_threads(environments),
        by_hand=_by_hand(mine),
        n_codes=n_codes(filter(_is_ok, mine)),
        complete=bool(counted and metrics) and all(each.complete(metrics[0]) for each in counted),
    )


def _is_ok(trial: TrialResult) -> bool:
    return trial.ok


def _by_hand(trials: Sequence[TrialResult]) -> str:
    """Return what was set by hand: ``st-net.lr=0.1``, or ``st-net.lr=0.1 (her2st_demo)``."""
    found: dict[str, set[str]] = {}
    for trial in trials:
        for said in trial.by_hand:
            found.setdefault(visible(said), set()).add(trial.dataset)
    every = {trial.dataset for trial in trials}
    told = "; ".join(
        said if where == every else f"{said} ({', '.join(sorted(where))})"
        for said, where in sorted(found.items())
    )
    return visible(told, MAX_MESSAGE)


def n_codes(trials: Iterable[TrialResult]) -> int:
    """Return of how many versions the code of one of their predictors or completers was."""
    found: dict[tuple[str, str], set[str]] = {}
    # Of what several say together, one: a large board has 100,000 trials and few environments.
    apart = {(each.completer, each.predictor, id(each.environment)): each for each in trials}
    for trial in apart.values():
        plugins = trial.environment.get("plugins")
        made = plugins if isinstance(plugins, Mapping) else {}
        for kind, name in (("completer", trial.completer), ("predictor", trial.predictor)):
            # The hash alone: another version of its package may have the same code. Joined folds
            # say several.
            said = str(made.get(kind, "")).split(", ")
            hashes = found.setdefault((kind, name), set())
            hashes |= {each.rpartition(" code ")[2] for each in said}
    return max(map(len, found.values()), default=0)


def _threads(environments: Iterable[Mapping[str, Any]]) -> tuple[int, ...]:
    """Return on how many threads trials ran; a record of others may say anything."""
    said = [made.get("threads") for made in environments]
    return tuple(sorted({each for each in said if type(each) is int and 0 < each < 10_000}))


#: Of an encoder with random weights, whatever its makers trained it on.
_UNTRAINED = {"pretraining": "none, random weights", "seen": "declared: none"}


def _encoder(facts: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return what trials say of their encoder, joined if they differ."""
    said = [
        {**fact["encoder"], **(_UNTRAINED if fact.get("weights") == "random" else {})}
        for fact in facts
        if isinstance(fact.get("encoder"), Mapping)
    ]
    names = ("name", "licence", "pretraining", "seen")
    return {name: text for name in names if (text := joined(said, name))}


def _field_of_view(facts: Mapping[str, Any]) -> float:
    """Return what a trial says of it, in µm; nan where it says nothing, or no number."""
    um = facts.get("field_of_view_um")
    return float(um) if isinstance(um, int | float) and not isinstance(um, bool) else math.nan


def _with_normalised(
    scores: DatasetScores, dataset: BoardDataset, metrics: Sequence[MetricSpec]
) -> DatasetScores:
    found = {}
    for metric in metrics:
        score = scores.score(metric)
        ratio = normalised(metric, score.mean, dataset.best[metric.name])
        found[metric.name] = replace(score, normalised=ratio)
    return replace(scores, scores=found)


def _summary(counted: Sequence[DatasetScores], metric: MetricSpec) -> Summary:
    scores = [each.score(metric) for each in counted]
    means, ratios = [each.mean for each in scores], [each.normalised for each in scores]
    is_ratio = can_be_normalised(metric)
    return Summary(
        over_datasets(means),
        over_datasets(ratios) if is_ratio else Mean(),
        dataset_interval(ratios if is_ratio else means),
    )
