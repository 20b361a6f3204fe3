"""What the page's template shows: texts, sorting keys and bars, computed here and tested here."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from spared_bench.leaderboard.board import Column, Entry, Failure, Mean, ProtocolBoard, Row, Value
from spared_bench.leaderboard.text import (
    MAX_MESSAGE,
    NONE,
    Number,
    correlation,
    count,
    coverage,
    duration,
    score,
    visible,
)


@dataclass(frozen=True)
class Cell:
    """One cell of the table.

    Parameters
    ----------
    text, aside : str
        The value, and what stands small beside it (spread, coverage).
    sort : str
        What to sort by; empty for undefined, which is always last.
    bar : float or None
        Length of the bar in percent, longer being better; ``None`` for no bar.
    best : bool
        Best of the methods that are no controls.
    title : str
        More, for the pointer and the screen reader.
    """

    text: str
    sort: str
    aside: str = ""
    bar: float | None = None
    best: bool = False
    title: str = ""


@dataclass(frozen=True)
class Heading:
    """A column's heading; ``first`` is the direction of the first click."""

    key: str
    text: str
    first: str
    title: str = ""


@dataclass(frozen=True)
class Group:
    """Columns under one heading."""

    text: str
    headings: tuple[Heading, ...]
    badges: tuple[tuple[str, str], ...] = ()  # (text, title)


@dataclass(frozen=True)
class Line:
    """A row of the table; ``about`` is its small print, ``words`` what the text filter searches."""

    predictor: str
    completer: str
    scope: str
    control: bool
    complete: bool
    about: str
    words: str
    rank: Cell
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Part:
    """One protocol."""

    protocol: str
    comparable: bool
    n_seeds: int
    n_measured: int
    groups: tuple[Group, ...]
    lines: tuple[Line, ...]
    failures: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...]
    completers: tuple[str, ...]
    scopes: tuple[str, ...]


def view(board: ProtocolBoard) -> Part:
    """Prepare one protocol for the template; every text of a stranger is made visible."""
    top = _top(column.best_pcc for column in board.columns)
    lines = tuple(_line(row, board, top) for row in board.rows)
    return Part(
        protocol=visible(board.protocol),
        comparable=board.comparable,
        n_seeds=len(board.seeds),
        n_measured=sum(column.counts for column in board.columns),
        groups=_groups(board),
        lines=lines,
        failures=tuple(map(_failure_texts, board.failures)),
        notes=tuple(visible(note, MAX_MESSAGE) for note in board.notes),
        completers=tuple(sorted({line.completer for line in lines})),
        scopes=tuple(sorted({line.scope for line in lines if line.scope})),
    )


def _failure_texts(failure: Failure) -> tuple[str, ...]:
    names = (failure.dataset, failure.predictor, failure.completer, str(failure.seed))
    return (*map(visible, names), visible(failure.status), visible(failure.message, MAX_MESSAGE))


def _groups(board: ProtocolBoard) -> tuple[Group, ...]:
    overall = Group(
        "Overall",
        (
            Heading("nmse", "Norm. MSE", "ascending", "Mean normalised MSE; lower is better"),
            Heading("pcc", "PCC-Gene", "descending", "Mean PCC-Gene; higher is better"),
        ),
    )
    cost = Group(
        "Cost",
        (
            Heading("parameters", "Parameters", "ascending", "Trainable parameters"),
            Heading("time", "Training", "ascending", "Mean training time of a trial"),
        ),
    )
    datasets = [_dataset_group(i, column) for i, column in enumerate(board.columns)]
    return (overall, *datasets, cost)


def _dataset_group(number: int, column: Column) -> Group:
    badges = []
    if column.tier:
        badges.append((f"tier {visible(column.tier)}", _TIERS.get(column.tier, "")))
    if column.split and column.split != "test":
        badges.append((visible(column.split), "Scored on this split"))
    if column.synthetic:
        badges.append(("generated", "Generated data: shown, but in no mean and in no rank"))
    if column.repeats:
        others = ", ".join(map(visible, column.repeats))
        badges.append(("repeats", f"Same slides as {others}: shown, but in no mean and in no rank"))
    return Group(
        visible(column.name),
        (
            Heading(f"mse{number}", "MSE", "ascending", "Lower is better"),
            Heading(f"pcc{number}", "PCC-Gene", "descending", "Higher is better"),
        ),
        tuple(badges),
    )


_TIERS = {
    "A": "Test slides of other donors than those trained on",
    "B": "Test slides are other sections of donors trained on",
    "C": "No independent test slides: validation scores",
}


_WEIGHTS = {"pretrained": "pretrained weights", "random": "random weights"}


def _line(row: Row, board: ProtocolBoard, top: float) -> Line:
    names = visible(row.predictor), visible(row.completer), visible(row.scope)
    about = " · ".join(filter(None, (names[2], _WEIGHTS.get(row.weights, visible(row.weights)))))
    best_nmse, best_pcc = _best_means(board)
    cells = [
        _mean_cell(
            row.mean_normalised_mse, score, _inverse(row.mean_normalised_mse.value), best_nmse
        ),
        _mean_cell(row.mean_pcc, correlation, _share(row.mean_pcc.value, top), best_pcc),
    ]
    for column in board.columns:
        cells += _entry_cells(row.entries[column.name], column, top, row.control)
    n_parameters = "" if row.n_parameters is None else str(row.n_parameters)
    cells += [
        Cell(count(row.n_parameters), n_parameters, title=n_parameters),
        Cell(duration(row.fit_seconds), _key(row.fit_seconds)),
    ]
    return Line(
        *names,
        control=row.control,
        complete=row.complete,
        about=about,
        words=" ".join((*names, about)).casefold(),
        rank=_rank_cell(row),
        cells=tuple(cells),
    )


def _rank_cell(row: Row) -> Cell:
    if row.rank is not None:
        return Cell(str(row.rank), str(row.rank))
    reason = "Controls are not ranked" if row.control else "Not ranked: incomplete"
    return Cell(NONE, "", title=reason)


def _mean_cell(mean: Mean, number: Number, bar: float | None, best: float) -> Cell:
    part = coverage(mean.covered, mean.total)
    title = f"Over {mean.covered} of {mean.total} datasets" if part else ""
    is_best = not part and mean.value == best
    return Cell(number(mean.value), _key(mean.value), part, bar, is_best, title)


def _best_means(board: ProtocolBoard) -> tuple[float, float]:
    """Return the best means among complete methods; nan where there is none."""
    rows = [row for row in board.rows if not row.control and row.complete]
    errors = [row.mean_normalised_mse.value for row in rows]
    correlations = [row.mean_pcc.value for row in rows if not coverage(*_covered(row.mean_pcc))]
    return min(_finite(errors), default=math.nan), max(_finite(correlations), default=math.nan)


def _covered(mean: Mean) -> tuple[int, int]:
    return mean.covered, mean.total


def _entry_cells(entry: Entry, column: Column, top: float, control: bool) -> tuple[Cell, Cell]:
    normalised = entry.normalised_mse
    title = "" if math.isnan(normalised) else f"Normalised: {score(normalised)}"
    return (
        Cell(
            score(entry.mse.mean),
            _key(entry.mse.mean),
            _beside(entry.mse, entry.failed, score),
            _inverse(normalised),
            not control and entry.mse.mean == column.lowest_mse,
            _with_seeds(title, entry),
        ),
        Cell(
            correlation(entry.pcc.mean),
            _key(entry.pcc.mean),
            _beside(entry.pcc, entry.failed, correlation),
            _share(entry.pcc.mean, top),
            not control and entry.pcc.mean == column.best_pcc,
            _with_seeds("", entry),
        ),
    )


def _beside(value: Value, failed: int, number: Number) -> str:
    if failed and value.seeds:
        return f"{value.seeds}/{value.seeds + failed} seeds"
    return "" if math.isnan(value.spread) else f"±{number(value.spread)}"


def _with_seeds(title: str, entry: Entry) -> str:
    missing = f"{entry.failed} of {entry.mse.seeds + entry.failed} seeds have no result"
    return ". ".join(filter(None, (title, missing if entry.failed else "")))


def _key(value: float) -> str:
    return repr(value) if math.isfinite(value) else ""


def _inverse(normalised: float) -> float | None:
    """Return a bar for a ratio of which 1 is best: its inverse, so that longer is better."""
    return min(100.0, 100.0 / normalised) if normalised > 0 else None


def _share(value: float, top: float) -> float | None:
    if math.isnan(value):
        return None
    return min(100.0, max(0.0, 100.0 * value / top))


def _top(values: Iterable[float]) -> float:
    """Return where PCC bars end: the best value, rounded up to a tenth."""
    best = max(_finite(values), default=0.0)
    return max(0.1, math.ceil(10 * best - 1e-9) / 10)


def _finite(values: Iterable[float]) -> list[float]:
    return [value for value in values if math.isfinite(value)]
