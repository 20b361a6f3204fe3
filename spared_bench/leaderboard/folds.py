"""Folds of a dataset as one column: the mean over its folds, where a protocol ranks so."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from statistics import fmean
from typing import Any

from spared_bench.leaderboard.merging import origin_of
from spared_bench.results import UNLISTED, TrialResult


def with_joined_folds(trials: Iterable[TrialResult]) -> list[TrialResult]:
    """Return trials in which those of one dataset's folds are one, its scores their means.

    A fold that other methods have and this one lacks, or on which it failed, makes the whole a
    failure. A trial of the dataset itself stays as it is.

    Parameters
    ----------
    trials : iterable of TrialResult
        Of one protocol.
    """
    known, plain = list(trials), []
    groups: dict[tuple[Any, ...], list[TrialResult]] = {}
    wanted: dict[str, set[str]] = {}
    for trial in known:
        whole = str(trial.facts.get("fold_of", ""))
        if not whole:
            plain.append(trial)
            continue
        place = (whole, trial.completer, trial.predictor, trial.seed, origin_of(trial))
        groups.setdefault(place, []).append(trial)
        wanted.setdefault(whole, set()).add(trial.dataset)
    joined = [_joined(place[0], mine, wanted[place[0]]) for place, mine in groups.items()]
    return [*plain, *joined]


def _joined(whole: str, mine: Sequence[TrialResult], wanted: set[str]) -> TrialResult:
    ordered = sorted(mine, key=lambda trial: trial.dataset)
    facts = ordered[0].facts | {"fold_of": "", "folds": len(ordered)}
    if any(trial.facts.get("shared_donors") for trial in ordered):
        facts["shared_donors"] = sorted(
            {str(d) for trial in ordered for d in trial.facts.get("shared_donors", ())}
        )
    if any(not trial.facts.get(UNLISTED) for trial in ordered):
        facts.pop(UNLISTED, None)
    lacking = sorted(wanted - {trial.dataset for trial in ordered})
    failed = [trial for trial in ordered if not trial.ok]
    first = replace(ordered[0], dataset=whole, facts=facts, slide_scores={}, curves={})
    if lacking or failed:
        said = f"no result on {lacking[0]}" if lacking else f"{failed[0].dataset} failed"
        status = failed[0].status if failed else "skipped"
        return replace(first, status=status, message=f"Not all folds have scores: {said}.")
    seconds = [trial.seconds["fit"] for trial in ordered if "fit" in trial.seconds]
    return replace(
        first,
        scores=_means([trial.scores for trial in ordered]),
        seconds={"fit": fmean(seconds)} if seconds else {},
    )


def _means(scores: Sequence[Mapping[str, Mapping[str, float]]]) -> dict[str, dict[str, float]]:
    """Return the mean of every score that all folds have."""
    found: dict[str, dict[str, float]] = {}
    for split in scores[0]:
        names = [set(each.get(split, {})) for each in scores]
        common = sorted(set.intersection(*names))
        found[split] = {name: fmean(each[split][name] for each in scores) for name in common}
    return found
