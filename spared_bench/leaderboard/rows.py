"""Trials -> rows: the arithmetic of the leaderboard, and nothing else.

How each number is computed:

- a *score* is read on the evaluation split (test where there is one), as the protocol pools it;
- *seeds* are averaged first (``means``); a seed that failed leaves the row incomplete on that
  dataset;
- a *normalised* error is a row's error on a dataset divided by the lowest on it of any row that is
  neither a control nor withdrawn (completers count as different rows). An error is the distance
  from what a perfect prediction reaches (``measures``). A control can therefore be below 1;
- *means over datasets* are over measured (not generated) datasets that do not repeat the slides of
  others (``datasets``);
- a row is one predictor with one completer, of one origin: the runs of the workspace, or one
  version of an entry of others (``merging``). Its seeds are those of its origin;
- a row is *complete* if every seed gave a value of the metric that ranks on every dataset that
  counts; complete rows are ranked (``ranks``).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Any

from spared_bench.leaderboard.datasets import datasets_of, joined
from spared_bench.leaderboard.folds import with_joined_folds
from spared_bench.leaderboard.gains import uses_known, with_gains
from spared_bench.leaderboard.means import (
    dataset_intervals,
    evaluation_split,
    finite,
    mean,
    over_datasets,
    over_seeds,
    slide_interval,
)
from spared_bench.leaderboard.measures import best, can_be_normalised, normalised
from spared_bench.leaderboard.merging import Facts, origin_of, origin_order
from spared_bench.leaderboard.model import (
    Board,
    BoardDataset,
    DatasetScores,
    Failure,
    Mean,
    Origin,
    ProtocolBoard,
    Row,
    Score,
    Summary,
)
from spared_bench.leaderboard.ranks import ranked
from spared_bench.leaderboard.studied import Studied
from spared_bench.protocol import Ranking
from spared_bench.results import TrialResult
from spared_bench.specs import MetricSpec

_Method = tuple[Origin, str, str]


@dataclass(frozen=True)
class Known:
    """What is known here beside the trials.

    Parameters
    ----------
    datasets : mapping of name to mapping
        Facts of datasets.
    metrics : mapping of name to MetricSpec
        Scores by any other metric are not shown, because nobody says which direction is better.
    rankings : mapping of protocol to Ranking
        By what each protocol (``"demo@1"``) ranks; of any other the usual ranking, with a note.
    remarks : mapping of protocol to tuple of str
        What makes its scores another quantity than those of other protocols, in sentences.
    image_only : mapping of protocol to str
        Of protocols of partially measured samples: the predictor that gains are measured against.
    studied : Studied
        What studies of the workspace say of methods.
    """

    datasets: Facts = field(default_factory=dict)
    metrics: Mapping[str, MetricSpec] = field(default_factory=dict)
    rankings: Mapping[str, Ranking] = field(default_factory=dict)
    remarks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    image_only: Mapping[str, str] = field(default_factory=dict)
    studied: Studied = field(default_factory=Studied)


def board_rows(
    results: Iterable[TrialResult], known: Known | None = None, protocols: Iterable[str] = ()
) -> Board:
    """Arrange trials as a leaderboard.

    Parameters
    ----------
    results : iterable of TrialResult
        In any order; the board does not depend on it. Those of entries of others are made by
        ``merging.entry_trials``.
    known : Known, optional
        What is known of datasets, metrics and protocols.
    protocols : iterable of str, optional
        Protocols that the board has even if no trial is of them.
    """
    parts: dict[str, list[TrialResult]] = {name: [] for name in protocols}
    for name, part in groupby(sorted(results, key=_identity), lambda trial: trial.protocol):
        parts[name] = list(part)
    known = known or Known()
    return Board(tuple(_protocol_board(name, part, known) for name, part in sorted(parts.items())))


def _identity(trial: TrialResult) -> tuple[Any, ...]:
    name = (trial.protocol, trial.dataset, trial.completer, trial.predictor, trial.seed)
    return (*name, *origin_order(origin_of(trial)), not trial.ok, trial.key)


def _protocol_board(protocol: str, results: list[TrialResult], known: Known) -> ProtocolBoard:
    trials, notes = _one_each(results)
    if known.rankings.get(protocol, Ranking()).folds == "mean":
        trials = sorted(with_joined_folds(trials), key=_identity)
    ranking, metrics, remarks = _metrics(protocol, trials, known)
    datasets = datasets_of(trials, known.datasets)
    everything = _by_method(trials)
    reference = known.image_only.get(protocol, "")
    beside = [name for name in everything if reference and not uses_known(everything[name])]
    methods = {name: mine for name, mine in everything.items() if name not in beside}
    seeds = _seeds_by_origin(trials)
    scores = {
        name: _scores(mine, datasets, metrics, len(seeds[name[0]]))
        for name, mine in everything.items()
    }
    competing = [scores[name] for name, mine in methods.items() if _competes(name[0], mine)]
    datasets = tuple(_with_best(dataset, competing, metrics) for dataset in datasets)
    rows = [_row(name, mine, datasets, scores[name], metrics) for name, mine in methods.items()]
    rows = _with_intervals(rows, [each.name for each in datasets if each.counts], metrics)
    image_only = [_row(name, everything[name], datasets, scores[name], metrics) for name in beside]
    if reference:
        rows, lacking = with_gains(rows, image_only, reference, datasets, metrics)
        remarks = [*remarks, *lacking]
    rows = [known.studied.added(protocol, row) for row in rows]
    return ProtocolBoard(
        protocol=protocol,
        comparable=all(trial.facts.get("comparable", True) for trial in trials),
        seeds=tuple(sorted(set[int]().union(*seeds.values()))),
        datasets=datasets,
        rows=ranked(rows, metrics[0], ranking) if metrics else tuple(rows),
        failures=tuple(_failure(trial) for trial in trials if not trial.ok),
        metrics=metrics,
        ranking=ranking,
        notes=(*known.remarks.get(protocol, ()), *notes, *remarks),
        image_only=tuple(image_only),
    )


#: Notes are for readers of a board; what its maker could do stands last.
_MAKER = "Whoever makes it"
#: In which order metrics are shown: those that all methods have values of come first.
_GIVEN = ("expression", "tissue", "variance", "classes")


def _metrics(
    protocol: str, trials: Sequence[TrialResult], known: Known
) -> tuple[Ranking, tuple[MetricSpec, ...], list[str]]:
    """Return by what a protocol ranks, its metrics with that one first, and what is not known."""
    ranking = known.rankings.get(protocol, Ranking())
    found = {name for trial in trials for scores in trial.scores.values() for name in scores}
    unknown = sorted(found - set(known.metrics))
    given = {name: known.metrics[name].given for name in found & set(known.metrics)}
    shown = sorted(
        given, key=lambda name: (name != ranking.metric, _GIVEN.index(given[name]), name)
    )
    notes = []
    if found and unknown:
        notes.append(
            f"Scores by {', '.join(unknown)} are not shown: no plugin that was here when the board"
            f" was made says what {'it is' if len(unknown) == 1 else 'they are'}."
            f" {_MAKER} names the plugin's file with --plugin."
        )
    if shown and shown[0] != ranking.metric:
        notes.append(
            f"No score here is by {ranking.metric}, by which the protocol ranks; rows are ranked by"
            f" {shown[0]}."
        )
        ranking = ranking.model_copy(update={"metric": shown[0]})
    if shown and protocol not in known.rankings:
        notes.append(
            f"Rows are ranked by {ranking.metric}, for want of better: the rules of {protocol},"
            " which say by what, were not here when the board was made."
            f" {_MAKER} names their file with --protocol, or that of their plugin with --plugin."
        )
    return ranking, tuple(known.metrics[name] for name in shown), notes


def _by_method(trials: Iterable[TrialResult]) -> dict[_Method, list[TrialResult]]:
    methods: dict[_Method, list[TrialResult]] = {}
    for trial in trials:
        name = (origin_of(trial), trial.predictor, trial.completer)
        methods.setdefault(name, []).append(trial)
    return methods


def _seeds_by_origin(trials: Iterable[TrialResult]) -> dict[Origin, set[int]]:
    seeds: dict[Origin, set[int]] = {}
    for trial in trials:
        seeds.setdefault(origin_of(trial), set()).add(trial.seed)
    return seeds


def _competes(origin: Origin, trials: Iterable[TrialResult]) -> bool:
    return origin.withdrawn is None and not _is_control(trials)


def _is_control(trials: Iterable[TrialResult]) -> bool:
    return any(trial.facts.get("control") for trial in trials)


def _one_each(results: Sequence[TrialResult]) -> tuple[list[TrialResult], list[str]]:
    """Keep one trial per (dataset, completer, predictor, seed), and say where there were more."""
    kept, notes = [], []
    for name, group in groupby(results, lambda trial: _identity(trial)[:8]):
        first, *others = group
        kept.append(first)
        if others:
            notes.append(
                f"{len(others) + 1} results stand for {' / '.join(map(str, name[1:4]))}, seed"
                f" {name[4]}; the one with key {first.key[:12]} is shown."
            )
    return kept, notes


def _scores(
    mine: Sequence[TrialResult],
    datasets: Sequence[BoardDataset],
    metrics: Sequence[MetricSpec],
    n_seeds: int,
) -> dict[str, DatasetScores]:
    done: dict[str, list[TrialResult]] = {dataset.name: [] for dataset in datasets}
    for trial in mine:
        if trial.ok:
            done[trial.dataset].append(trial)
    return {
        name: DatasetScores(
            {metric.name: _score(trials, metric.name) for metric in metrics},
            seeds=len(trials),
            failed=n_seeds - len(trials),
        )
        for name, trials in done.items()
    }


def _score(trials: Sequence[TrialResult], metric: str) -> Score:
    values = [
        float(trial.scores.get(evaluation_split(trial), {}).get(metric, math.nan))
        for trial in trials
    ]
    centre, sd = over_seeds(values)
    return Score(centre, sd, interval=slide_interval(trials, metric))


def _with_best(
    dataset: BoardDataset,
    competing: Sequence[dict[str, DatasetScores]],
    metrics: Sequence[MetricSpec],
) -> BoardDataset:
    found = {
        metric.name: best(metric, [each[dataset.name].score(metric).mean for each in competing])
        for metric in metrics
    }
    return replace(dataset, best=found)


def _row(
    method: _Method,
    mine: Sequence[TrialResult],
    datasets: Sequence[BoardDataset],
    scores: Mapping[str, DatasetScores],
    metrics: Sequence[MetricSpec],
) -> Row:
    facts = [trial.facts for trial in mine]
    scored = {d.name: _with_normalised(scores[d.name], d, metrics) for d in datasets}
    counted = [scored[dataset.name] for dataset in datasets if dataset.counts]
    counts = [trial.n_parameters for trial in mine if trial.n_parameters is not None]
    times = finite(trial.seconds["fit"] for trial in mine if trial.ok and "fit" in trial.seconds)
    return Row(
        predictor=method[1],
        completer=method[2],
        origin=method[0],
        scope=joined(facts, "scope"),
        control=_is_control(mine),
        weights=joined(facts, "weights"),
        datasets=scored,
        summaries={metric.name: _summary(counted, metric) for metric in metrics},
        n_parameters=max(counts, default=None),
        fit_seconds=mean(times),
        encoder=_encoder(facts),
        field_of_view_um=max(finite(map(_field_of_view, facts)), default=None),
        machine=joined([trial.environment for trial in mine if trial.ok], "machine"),
        complete=bool(counted and metrics) and all(each.complete(metrics[0]) for each in counted),
    )


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
    ratios = [score.normalised for score in scores]
    return Summary(
        over_datasets([score.mean for score in scores]),
        over_datasets(ratios) if can_be_normalised(metric) else Mean(),
    )


def _with_intervals(
    rows: Sequence[Row], counted: Sequence[str], metrics: Sequence[MetricSpec]
) -> list[Row]:
    """Return rows with the interval, by every metric, of what rows are ranked by."""
    found: list[dict[str, Summary]] = [{} for _ in rows]
    for metric in metrics:
        scores = [[row.datasets[name].score(metric) for row in rows] for name in counted]
        ratio = can_be_normalised(metric)
        values = [[each.normalised if ratio else each.mean for each in line] for line in scores]
        bounds = dataset_intervals(values) or [(math.nan, math.nan)] * len(rows)
        for summaries, row, interval in zip(found, rows, bounds, strict=True):
            summaries[metric.name] = replace(row.summary(metric), interval=interval)
    return [replace(row, summaries=each) for row, each in zip(rows, found, strict=True)]


def _failure(trial: TrialResult) -> Failure:
    return Failure(
        trial.dataset,
        trial.completer,
        trial.predictor,
        trial.seed,
        trial.status,
        trial.message,
    )
