"""What a run came to, in a few lines: the best on each dataset, and what is significant.

Donors are what a test of one dataset counts: sections of one donor rise and fall together, so the
scores of their slides are averaged first. Over datasets, each dataset counts once.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean
from typing import Any

from spared_bench.leaderboard.comparisons import errors, records, relative
from spared_bench.leaderboard.folds import fold_columns
from spared_bench.leaderboard.means import evaluation_split
from spared_bench.leaderboard.measures import error
from spared_bench.leaderboard.merging import origin_of
from spared_bench.leaderboard.model import BoardDataset, ProtocolBoard, Row
from spared_bench.leaderboard.rows import Known, board_rows
from spared_bench.leaderboard.text import predictor_name, visible
from spared_bench.leaderboard.text import score as shown
from spared_bench.results import TrialResult
from spared_bench.specs import MetricSpec
from spared_bench.words import counted

ALPHA = 0.05


@dataclass(frozen=True)
class _Board:
    """A board by the metric that ranks, with the trials behind it."""

    part: ProtocolBoard
    metric: MetricSpec
    trials: Sequence[TrialResult]
    known: Known

    def behind(self, dataset: str) -> list[TrialResult]:
        """Return the trials of a dataset of the board; where folds are joined, those of each."""
        if dataset in self.columns.values():
            return [each for each in self.trials if self.columns.get(each.dataset) == dataset]
        return [each for each in self.trials if each.dataset == dataset]

    @cached_property
    def columns(self) -> dict[str, str]:
        """Under which name of a dataset each fold stands, where folds are joined."""
        joined = self.part.ranking.folds == "mean"
        return fold_columns(self.trials, self.known.datasets) if joined else {}

    def alone(self, dataset: str) -> str:
        """Say what a score is that is not a mean over slides to take an interval of."""
        folds = {each.dataset for each in self.behind(dataset)} - {dataset}
        if folds:
            return f"the mean of {counted(len(folds), 'fold')}"
        several = len(self.slides(dataset)) > 1
        return "the score is not the mean over its slides" if several else "one slide"

    def slides(self, dataset: str) -> dict[str, str]:
        """Return the donor of each slide of the evaluation split; a slide's name if unknown."""
        mine, donor = self.behind(dataset), self._said(dataset)
        return {
            name: donor.get(name) or name
            for each in mine
            for name in each.slide_scores.get(evaluation_split(each), {})
        }

    def _said(self, dataset: str) -> dict[str, str]:
        """Return what is said of the donors of slides, which may be nothing."""
        return {
            each["slide_id"]: each["patient_id"]
            for name in dict.fromkeys(trial.dataset for trial in self.behind(dataset))
            for each in self.known.datasets.get(name, {}).get("slides", ())
        }

    def tested(self, dataset: str, n: int) -> str:
        """Say what a test counts: donors where they are said, else slides, which may share one."""
        said = self._said(dataset)
        if all(said.get(name) for name in self.slides(dataset)):
            return counted(n, "donor")
        return f"{counted(n, 'slide')} of unknown donors"

    def sample(self, dataset: str) -> str:
        """Say over what an interval is: sections of one donor are alike, which makes it narrow."""
        slides = self.slides(dataset)
        donors = set(slides.values())
        of_donors = f" of {counted(len(donors), 'donor')}" if len(donors) < len(slides) else ""
        return counted(len(slides), "slide") + of_donors

    def donors(self, row: Row, dataset: str) -> dict[str, float]:
        """Return the error of a row on each donor of the evaluation split; seeds averaged."""
        donor = self.slides(dataset)
        found: dict[str, list[float]] = {}
        for trial in self.behind(dataset):
            if (trial.predictor, trial.completer, origin_of(trial)) == (
                row.predictor, row.completer, row.origin,
            ):  # fmt: skip
                for slide, scores in trial.slide_scores.get(evaluation_split(trial), {}).items():
                    value = float(scores.get(self.metric.name, math.nan))
                    found.setdefault(donor[slide], []).append(error(self.metric, value))
        return {name: fmean(values) for name, values in found.items()}


def digest(results: Iterable[TrialResult], known: Known) -> list[str]:
    """Return a summary of results in lines for people; none where nothing was scored.

    Parameters
    ----------
    results : iterable of TrialResult
    known : Known
        What is known of datasets and metrics; donors come from ``datasets[name]["slides"]``.

    Returns
    -------
    list of str
        For each dataset the best row with its 95 % interval over slides, the best control, and
        whether the next row is significantly worse (Wilcoxon's signed-rank test over donors);
        of two datasets or more, also what such a test over datasets says of the best row,
        corrected by Holm.
    """
    trials = [trial for trial in results if trial.ok]
    lines: list[str] = []
    for part in board_rows(trials, known).protocols:
        if part.metrics:
            mine = [trial for trial in trials if trial.protocol == part.protocol]
            lines += _of_board(_Board(part, part.metrics[0], mine, known))
    return lines


def _of_board(board: _Board) -> Iterator[str]:
    rows = [row for row in board.part.rows if row.competes]
    for dataset in board.part.datasets:
        scored = [row for row in rows if _finite(row, dataset, board.metric)]
        if scored:
            yield from _of_dataset(board, dataset, scored)
    if len(board.part.counted) > 1 and len(rows) > 1:
        yield from _over_datasets(board, rows)


def _of_dataset(board: _Board, dataset: BoardDataset, rows: list[Row]) -> Iterator[str]:
    metric = board.metric

    def badness(row: Row) -> float:
        return error(metric, row.datasets[dataset.name].score(metric).mean)

    rows = sorted(rows, key=badness)
    first = rows[0]
    score = first.datasets[dataset.name].score(metric)
    interval = (
        f"95 % interval {shown(score.interval[0])} to {shown(score.interval[1])}, over"
        f" {board.sample(dataset.name)}"
        if all(map(math.isfinite, score.interval))
        else f"no interval: {board.alone(dataset.name)}"
    )
    yield f"{visible(dataset.name)} ({dataset.split} slides):"
    label = metric.label or metric.name
    yield f"  best     {_name(first)}: {label} {shown(score.mean)}, {interval}"
    if len(rows) > 1:
        other = rows[1].datasets[dataset.name].score(metric).mean
        told = _told_apart(board, dataset.name, first, rows[1])
        yield f"  next     {_name(rows[1])}: {shown(other)}; {told}"
    controls = [r for r in board.part.rows if r.control and _finite(r, dataset, metric)]
    if controls:
        control = min(controls, key=badness)
        value = control.datasets[dataset.name].score(metric).mean
        ahead = badness(first) < badness(control)
        said = "" if ahead else ": nothing here is better than a control, so nothing was learned"
        yield f"  control  {_name(control)}: {shown(value)}{said}"


def _told_apart(board: _Board, dataset: str, first: Row, second: Row) -> str:
    """Say whether one row is significantly better than another on a dataset."""
    mine, its = board.donors(first, dataset), board.donors(second, dataset)
    both = sorted(name for name in mine.keys() & its if math.isfinite(mine[name] + its[name]))
    if len(both) < _fewest():
        return (
            f"not known to be worse: {board.tested(dataset, len(both))} to test on, and a"
            f" signed-rank test needs {_fewest()}"
        )
    from spared_bench.statistics.pairwise import wilcoxon_p

    p = wilcoxon_p(*_paired(both, mine, its))
    said = "significantly worse" if p < ALPHA else "not significantly worse"
    over = board.tested(dataset, len(both))
    return f"{said} (p = {p:.2g}, signed-rank test over {over})"


def _paired(names: Sequence[str], *values: Mapping[str, float]) -> Any:
    import numpy as np

    return [np.array([each[name] for name in names]) for each in values]


def _over_datasets(board: _Board, rows: list[Row]) -> Iterator[str]:
    """Compare the best row with all others over the datasets on which all have a score."""
    from spared_bench.statistics.blocks import complete_blocks
    from spared_bench.statistics.pairwise import wilcoxon_holm

    names = [str(place) for place in range(len(rows))]
    matrix = errors(rows, board.part.counted, board.metric, names)
    blocks = complete_blocks(matrix).matrix
    n, k = blocks.shape
    if k < 2 or not n:
        return
    scaled = relative(blocks, board.metric, records(board.part, board.metric)).fillna(blocks)
    best = str(scaled.mean().idxmin())
    yield f"over {counted(n, 'dataset')}:"
    yield f"  best     {_name(rows[int(best)])}, by its mean error relative to the record of each"
    fewest = _fewest(k * (k - 1) // 2)
    if n < fewest:
        yield (
            f"  no difference can be significant: {k} methods need {counted(fewest, 'dataset')} for"
            " that (signed-rank test, Holm)"
        )
        return
    p = wilcoxon_holm(scaled)[best].drop(best)
    worse = [_name(rows[int(name)]) for name in p.index if p[name] < ALPHA]
    rest = [_name(rows[int(name)]) for name in p.index if p[name] >= ALPHA]
    yield f"  significantly worse (signed-rank test, Holm): {', '.join(worse) or 'none'}"
    yield f"  not significantly worse: {', '.join(rest) or 'none'}"


def _fewest(tests: int = 1) -> int:
    """Return how many pairs a two-sided signed-rank test needs to reach ``ALPHA``.

    Its smallest p is 2 / 2^n, and Holm multiplies the smallest by the number of tests.

    >>> _fewest(), _fewest(3)
    (6, 7)
    """
    return next(n for n in range(2, 64) if tests * 2.0 ** (1 - n) < ALPHA)


def _finite(row: Row, dataset: BoardDataset, metric: MetricSpec) -> bool:
    scores = row.datasets.get(dataset.name)
    return scores is not None and math.isfinite(scores.score(metric).mean)


def _name(row: Row) -> str:
    return visible(f"{predictor_name(row.origin, row.predictor)} · {row.completer}")
