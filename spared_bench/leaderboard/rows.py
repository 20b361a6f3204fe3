"""Trials -> rows: the arithmetic of the leaderboard, and nothing else.

How each number is computed, here and in ``method_rows``:

- a *score* is read on the evaluation split (test where there is one), as the protocol pools it;
- *seeds* are averaged first (``means``); a seed that failed leaves the row incomplete on that
  dataset;
- a *normalised* error is a row's error on a dataset divided by that of the row that sets the record
  there: the lowest of rows that are neither controls nor withdrawn, of those that were checked, are
  complete and bear no flag where there are such (``records``; completers count as different rows).
  An error is the distance from what a perfect prediction reaches (``measures``). A control, and a
  number that nobody checked, can therefore be below 1;
- *means over datasets* are over measured (not generated) datasets that do not repeat the slides of
  others (``datasets``);
- a row is one predictor with one completer, of one origin: the runs of the workspace, or one
  version of an entry of others (``merging``). Its seeds are those of its origin;
- a row is *complete* if every seed gave a value of the metric that ranks on every dataset that
  counts; complete rows are ranked (``ranks``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from operator import itemgetter
from typing import Any

from spared_bench.leaderboard.datasets import datasets_of
from spared_bench.leaderboard.folds import lacking_folds, with_joined_folds
from spared_bench.leaderboard.gains import uses_known, with_gains
from spared_bench.leaderboard.merging import Facts, origin_of, origin_order
from spared_bench.leaderboard.method_rows import Method, is_control, row_of, scores_of
from spared_bench.leaderboard.model import (
    Board,
    Failure,
    Origin,
    ProtocolBoard,
)
from spared_bench.leaderboard.ranks import ranked
from spared_bench.leaderboard.records import Competitor, with_records
from spared_bench.leaderboard.studied import Studied
from spared_bench.protocol import Ranking
from spared_bench.results import TrialResult
from spared_bench.specs import MetricSpec


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
    settings : mapping of protocol to str
        The hash of its settings: results that were made under others are not shown.
    seeds : mapping of protocol to sequence of int
        Imported results of others are not shown.
    studied : Studied
        What studies of the workspace say of methods.
    """

    datasets: Facts = field(default_factory=dict)
    metrics: Mapping[str, MetricSpec] = field(default_factory=dict)
    rankings: Mapping[str, Ranking] = field(default_factory=dict)
    remarks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    image_only: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    seeds: Mapping[str, Sequence[int]] = field(default_factory=dict)
    studied: Studied = field(default_factory=Studied)

    def with_remarks(self, more: Mapping[str, tuple[str, ...]]) -> Known:
        """Return the same with further remarks after those of each protocol."""
        found = dict(self.remarks)
        for protocol, said in more.items():
            found[protocol] = (*found.get(protocol, ()), *said)
        return replace(self, remarks=found)


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
    parts: dict[str, list[_Named]] = {name: [] for name in protocols}
    named = sorted(((_identity(trial), trial) for trial in results), key=itemgetter(0))
    for protocol, part in groupby(named, lambda each: each[1].protocol):
        parts[protocol] = list(part)
    known = known or Known()
    return Board(tuple(_protocol_board(name, part, known) for name, part in sorted(parts.items())))


#: What a trial is ordered by, and the trial.
_Named = tuple[tuple[Any, ...], TrialResult]


def _identity(trial: TrialResult) -> tuple[Any, ...]:
    return (*trial.cell, *origin_order(origin_of(trial)), not trial.ok, trial.key)


def _protocol_board(protocol: str, results: Sequence[_Named], known: Known) -> ProtocolBoard:
    trials, notes = _one_each(results)
    shown = {trial.key for trial in trials}
    if known.rankings.get(protocol, Ranking()).folds == "mean":
        notes += lacking_folds(trials, known.datasets)
        trials = sorted(with_joined_folds(trials, known.datasets, notes), key=_identity)
    ranking, metrics, remarks = _metrics(protocol, trials, known)
    datasets = datasets_of(trials, known.datasets)
    everything = _by_method(trials)
    reference = known.image_only.get(protocol, "")
    beside = [name for name in everything if reference and not uses_known(everything[name])]
    methods = {name: mine for name, mine in everything.items() if name not in beside}
    seeds = _seeds_by_origin(trials)
    scores = {
        name: scores_of(mine, datasets, metrics, len(seeds[name[0]]))
        for name, mine in everything.items()
    }
    competing = [
        Competitor(name[0], scores[name])
        for name, mine in methods.items()
        if _competes(name[0], mine)
    ]
    datasets = with_records(datasets, competing, metrics)
    rows = [row_of(name, mine, datasets, scores[name], metrics) for name, mine in methods.items()]
    image_only = [
        row_of(name, everything[name], datasets, scores[name], metrics) for name in beside
    ]
    if reference:
        rows, lacking = with_gains(rows, image_only, reference, datasets, metrics)
        remarks = [*remarks, *lacking]
    rows = [known.studied.added(protocol, row, shown) for row in rows]
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


def _by_method(trials: Iterable[TrialResult]) -> dict[Method, list[TrialResult]]:
    methods: dict[Method, list[TrialResult]] = {}
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
    return origin.withdrawn is None and not is_control(trials)


def _one_each(results: Sequence[_Named]) -> tuple[list[TrialResult], list[str]]:
    """Keep one trial per (dataset, completer, predictor, seed), and say where there were more."""
    kept, notes = [], []
    for name, group in groupby(results, lambda each: each[0][:8]):
        (_, first), *others = group
        kept.append(first)
        if others:
            notes.append(
                f"{len(others) + 1} results stand for {' / '.join(map(str, name[1:4]))}, seed"
                f" {name[4]}; the one with key {first.key[:12]} is shown."
            )
    return kept, notes


def _failure(trial: TrialResult) -> Failure:
    return Failure(
        trial.dataset,
        trial.completer,
        trial.predictor,
        trial.seed,
        trial.status,
        trial.message,
    )
