"""Trials -> rows: the arithmetic of the leaderboard, and nothing else.

How each number is computed:

- a *score* is read on the evaluation split (test where there is one), as the protocol pools it;
- *seeds* are averaged first. The mean over seeds is undefined (nan) if any seed that ran has no
  finite value; a seed that failed leaves the row incomplete on that dataset;
- *normalised MSE* is a row's MSE on a dataset divided by the lowest MSE on it of any row that is
  not a control (completers count as different rows). A control can therefore be below 1;
- *means over datasets* are over measured (not generated) datasets of the protocol, and over
  those on which the value is defined. ``Mean.covered`` of ``Mean.total`` says how many that were;
- datasets that share *slides* in conflicting roles do not enter one mean: the one that shares with
  most others is set aside, the last by name among equals, until none is left that shares;
- a row is one predictor with one completer, of one origin: the runs of the workspace, or one
  version of an entry of others (``merging``). Its seeds are those of its origin;
- a row is *complete* if it has an MSE from every seed on every measured dataset. Complete rows that
  are neither controls nor withdrawn are ranked by mean normalised MSE; equal values share the
  better rank;
- *intervals* are bootstrap percentiles (95 %): of a mean normalised MSE over datasets, with the
  same resampled datasets for all rows, and of a PCC-Gene over the dataset's slides.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

from spared_bench.imports import UNLISTED
from spared_bench.leaderboard.board import (
    Board,
    Column,
    Entry,
    Failure,
    Mean,
    Origin,
    ProtocolBoard,
    Row,
    Value,
)
from spared_bench.leaderboard.intervals import slide_interval, with_intervals
from spared_bench.leaderboard.merging import Facts, origin_of
from spared_bench.results import TrialResult

MSE = "mse"
PCC = "pcc-gene"


_Method = tuple[Origin, str, str]


def board_rows(
    results: Iterable[TrialResult], datasets: Facts | None = None, protocols: Iterable[str] = ()
) -> Board:
    """Arrange trials as a leaderboard.

    Parameters
    ----------
    results : iterable of TrialResult
        In any order; the board does not depend on it. Those of entries of others are made by
        ``merging.entry_trials``.
    datasets : mapping of name to mapping, optional
        What is known of the datasets beside their scores.
    protocols : iterable of str, optional
        Protocols that the board has even if no trial is of them.
    """
    parts: dict[str, list[TrialResult]] = {name: [] for name in protocols}
    for name, part in groupby(sorted(results, key=_identity), _protocol):
        parts[name] = list(part)
    return Board(
        tuple(_protocol_board(name, part, datasets or {}) for name, part in sorted(parts.items()))
    )


def _protocol(trial: TrialResult) -> str:
    return trial.protocol


def _identity(trial: TrialResult) -> tuple[Any, ...]:
    name = (trial.protocol, trial.dataset, trial.completer, trial.predictor, trial.seed)
    return (*name, *_origin_order(origin_of(trial)), not trial.ok, trial.key)


def _origin_order(origin: Origin) -> tuple[str, str, str]:
    return origin.trust, origin.method, origin.version


def _protocol_board(protocol: str, results: list[TrialResult], datasets: Facts) -> ProtocolBoard:
    trials, notes = _one_each(results)
    columns = _columns(trials, datasets)
    methods = _by_method(trials)
    seeds = _seeds_by_origin(trials)
    entries = {name: _entries(mine, columns, len(seeds[name[0]])) for name, mine in methods.items()}
    competing = [entries[name] for name, mine in methods.items() if _competes(name[0], mine)]
    columns = tuple(_with_best(column, competing) for column in columns)
    rows = [_row(name, mine, columns, entries[name]) for name, mine in methods.items()]
    return ProtocolBoard(
        protocol=protocol,
        comparable=all(trial.facts.get("comparable", True) for trial in trials),
        seeds=tuple(sorted(set[int]().union(*seeds.values()))),
        columns=columns,
        rows=_ranked(with_intervals(rows, columns)),
        failures=tuple(_failure(trial) for trial in trials if not trial.ok),
        notes=tuple(notes),
    )


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


def _columns(trials: Sequence[TrialResult], datasets: Facts) -> tuple[Column, ...]:
    facts: dict[str, list[dict[str, Any]]] = {}
    for trial in trials:
        facts.setdefault(trial.dataset, []).append(trial.facts)
    columns = [
        Column(
            name=name,
            tier=_said(said, "tier"),
            split=_said(said, "evaluation_split"),
            synthetic=any(fact.get("synthetic") for fact in said),
            listed=not any(fact.get(UNLISTED) for fact in said),
            shared_donors=tuple(
                sorted({str(donor) for fact in said for donor in fact.get("shared_donors", ())})
            ),
            about=dict(datasets.get(name, {})),
        )
        for name, said in sorted(facts.items())
    ]
    ordered = _set_aside(columns, trials)
    return tuple(sorted(ordered, key=lambda column: (column.synthetic, column.name)))


def _set_aside(columns: Sequence[Column], trials: Sequence[TrialResult]) -> tuple[Column, ...]:
    """Mark the datasets that would count other datasets' slides twice."""
    names = {column.name for column in columns if column.listed}
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
        column
        if column.name in counted or not column.listed
        else replace(column, repeats=tuple(sorted(shares[column.name])))
        for column in columns
    )


def _said(facts: Sequence[dict[str, Any]], name: str) -> str:
    """Return what trials say of themselves, joined if they differ."""
    return ", ".join(sorted({str(fact[name]) for fact in facts if fact.get(name)}))


def _entries(
    mine: Sequence[TrialResult], columns: Sequence[Column], n_seeds: int
) -> dict[str, Entry]:
    done: dict[str, list[TrialResult]] = {column.name: [] for column in columns}
    for trial in mine:
        if trial.ok:
            done[trial.dataset].append(trial)
    return {
        name: Entry(
            mse=_over_seeds([_score(trial, MSE) for trial in trials]),
            pcc=_over_seeds([_score(trial, PCC) for trial in trials]),
            failed=n_seeds - len(trials),
            pcc_interval=slide_interval(trials, PCC),
        )
        for name, trials in done.items()
    }


def _score(trial: TrialResult, metric: str) -> float:
    split = trial.facts.get("evaluation_split", "test")
    return float(trial.scores.get(split, {}).get(metric, math.nan))


def _over_seeds(values: Sequence[float]) -> Value:
    mean = _mean(values)
    if len(values) < 2 or math.isnan(mean):
        return Value(mean, math.nan, len(values))
    # hypot scales before it squares, so that large errors cannot overflow.
    spread = math.hypot(*(value - mean for value in values)) / math.sqrt(len(values) - 1)
    return Value(mean, spread if math.isfinite(spread) else math.nan, len(values))


def _mean(values: Sequence[float]) -> float:
    """Return the mean; nan of nothing, or of anything that is not finite."""
    if not values or not all(math.isfinite(value) for value in values):
        return math.nan
    # Divided first, so that values near the largest float cannot overflow; + 0.0 clears a -0.0.
    return math.fsum(value / len(values) for value in values) + 0.0


def _with_best(column: Column, competing: Sequence[dict[str, Entry]]) -> Column:
    entries = [entry[column.name] for entry in competing]
    return replace(
        column,
        lowest_mse=min(_finite(entry.mse.mean for entry in entries), default=math.nan),
        best_pcc=max(_finite(entry.pcc.mean for entry in entries), default=math.nan),
    )


def _finite(values: Iterable[float]) -> list[float]:
    return [value for value in values if math.isfinite(value)]


def _row(
    method: _Method,
    mine: Sequence[TrialResult],
    columns: Sequence[Column],
    entries: dict[str, Entry],
) -> Row:
    facts = [trial.facts for trial in mine]
    entries = {c.name: _normalised(entries[c.name], c.lowest_mse) for c in columns}
    measured = [entries[column.name] for column in columns if column.counts]
    counts = [trial.n_parameters for trial in mine if trial.n_parameters is not None]
    times = _finite(trial.seconds["fit"] for trial in mine if trial.ok and "fit" in trial.seconds)
    return Row(
        predictor=method[1],
        completer=method[2],
        origin=method[0],
        scope=_said(facts, "scope"),
        control=_is_control(mine),
        weights=_said(facts, "weights"),
        entries=entries,
        mean_normalised_mse=_over_datasets([entry.normalised_mse for entry in measured]),
        mean_pcc=_over_datasets([entry.pcc.mean for entry in measured]),
        n_parameters=max(counts, default=None),
        fit_seconds=_mean(times),
        complete=bool(measured) and all(entry.complete for entry in measured),
    )


def _normalised(entry: Entry, lowest: float) -> Entry:
    # A lowest MSE of 0 would make every other row infinite: no ratio is more honest than that one.
    ratio = entry.mse.mean / lowest if lowest > 0 else math.nan
    return replace(entry, normalised_mse=ratio if math.isfinite(ratio) else math.nan)


def _over_datasets(values: Sequence[float]) -> Mean:
    defined = _finite(values)
    return Mean(_mean(defined), len(defined), len(values))


def _ranked(rows: Sequence[Row]) -> tuple[Row, ...]:
    """Order rows: complete ones by mean normalised MSE, then the others; rank the methods."""
    ordered = sorted(rows, key=_place)
    ranked = [row for row in ordered if _has_rank(row)]
    scores = [row.mean_normalised_mse.value for row in ranked]
    return tuple(
        replace(row, rank=scores.index(row.mean_normalised_mse.value) + 1)
        if _has_rank(row)
        else row
        for row in ordered
    )


def _has_rank(row: Row) -> bool:
    return row.complete and row.competes and math.isfinite(row.mean_normalised_mse.value)


def _place(row: Row) -> tuple[Any, ...]:
    score = row.mean_normalised_mse
    undefined = math.isnan(score.value)
    return (
        not row.complete,
        undefined,
        -score.covered,
        0.0 if undefined else score.value,
        row.predictor,
        row.completer,
        *_origin_order(row.origin),
    )


def _failure(trial: TrialResult) -> Failure:
    return Failure(
        trial.dataset,
        trial.completer,
        trial.predictor,
        trial.seed,
        trial.status,
        trial.message,
    )
