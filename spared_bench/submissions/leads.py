"""Scores far above those of every other method, by whichever metrics a protocol has."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from spared_bench.leaderboard.entries import EntryResult, read_entries
from spared_bench.leaderboard.measures import can_be_normalised, error, is_comparable
from spared_bench.specs import MetricSpec
from spared_bench.submissions.evidence import Evidence
from spared_bench.submissions.forensics import far_above
from spared_bench.submissions.names import plain_name

#: A smaller lead is none: of a bounded metric's range (0.1 of a correlation), and of the logarithm
#: of an error without a bound.
LEAD_OF_RANGE, LEAD_OF_LOG = 0.05, 0.2
_LOWEST_ERROR = 1e-12


def look_at_lead(
    evidence: Evidence,
    results: Sequence[EntryResult],
    leaderboards: Path,
    protocol: str,
    own: str,
    metrics: Sequence[MetricSpec],
) -> None:
    """Flag results that lead all other methods by more than the best of those leads their median.

    Metrics of single spots are left aside, which follow those of genes and entries, and metrics
    without a perfect value, whose leads have no scale.
    """
    method = plain_name(own.partition("@")[0])
    rivals = {name: list(scores) for name, scores in evidence.rival_scores.items()}
    for entry in read_entries(leaderboards, protocol, {each.name: each for each in metrics})[0]:
        if entry.withdrawn is None and entry.trust != "reported":
            for result in entry.results:
                scores = next(iter(result.split_scores.values()), {})
                rivals.setdefault(result.dataset, []).append((entry.method, scores))
    telling = [each for each in metrics if each.per != "spot" and can_be_normalised(each)]
    for result in results:
        scores = next(iter(result.split_scores.values()))
        for metric in telling:
            best: dict[str, float] = {}
            for name, theirs in rivals.get(result.dataset, []):
                if plain_name(name) != method:
                    value = _higher_is_better(metric, theirs.get(metric.name))
                    best[name] = max(value, best.get(name, -math.inf))
            value = _higher_is_better(metric, scores.get(metric.name))
            if far_above(value, list(best.values()), _least(metric)):
                leader = max(best, key=lambda name: best[name])
                evidence.add(
                    "far-above",
                    f"{result.completer}, {result.predictor}, seed {result.seed}: {metric.name}"
                    f" {scores[metric.name]:.4g} leads the best of {len(best)} other methods"
                    f" ({leader}) by more than that one leads their median.",
                    result.dataset,
                )


def _least(metric: MetricSpec) -> float:
    low, high = metric.bounds
    return LEAD_OF_RANGE * (high - low) if is_comparable(metric) else LEAD_OF_LOG


def _higher_is_better(metric: MetricSpec, value: float | None) -> float:
    if value is None or not math.isfinite(value):
        return -math.inf
    distance = error(metric, value)
    return -distance if is_comparable(metric) else -math.log(max(distance, _LOWEST_ERROR))
