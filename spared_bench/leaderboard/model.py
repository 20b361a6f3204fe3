"""The leaderboard as plain values: what ``rows`` computes, and ``tables`` and the site show."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from spared_bench.leaderboard.measures import can_be_normalised, is_comparable
from spared_bench.protocol import Ranking
from spared_bench.specs import MetricSpec

UNDEFINED = (math.nan, math.nan)


@dataclass(frozen=True)
class Score:
    """One row on one dataset by one metric.

    Parameters
    ----------
    mean, sd : float
        Over seeds; the sample deviation is nan for a single seed.
    normalised : float
        The error over the lowest of any method (``measures.normalised``).
    interval : tuple of float
        95 % interval over slides (Student's); nan for fewer than two slides.
    gain : float
        By how much it is better than from images alone (``gains``); nan where there is no such row.
    """

    mean: float = math.nan
    sd: float = math.nan
    normalised: float = math.nan
    interval: tuple[float, float] = UNDEFINED
    gain: float = math.nan


_NO_SCORE = Score()


@dataclass(frozen=True)
class Mean:
    """A mean over datasets, and how many of them it covers."""

    value: float = math.nan
    covered: int = 0
    total: int = 0


@dataclass(frozen=True)
class Summary:
    """One row by one metric, over the datasets that count.

    Parameters
    ----------
    mean, normalised : Mean
        Of the scores, and of the normalised errors.
    interval : tuple of float
        95 % interval of ``overall`` over datasets (Student's); nan for fewer than five.
    gain : Mean
        Of the gains.
    """

    mean: Mean = Mean()
    normalised: Mean = Mean()
    interval: tuple[float, float] = UNDEFINED
    gain: Mean = Mean()

    def overall(self, metric: MetricSpec) -> Mean:
        """Return what rows are ranked by: normalised errors, or scores where there are none."""
        return self.normalised if can_be_normalised(metric) else self.mean


_NO_SUMMARY = Summary()


@dataclass(frozen=True)
class Flagged:
    """A doubt about a row, or about its value on one dataset (empty: about all of it)."""

    kind: str
    reason: str
    dataset: str = ""


@dataclass(frozen=True)
class Origin:
    """Where a row comes from; by default, from runs of this workspace.

    Parameters
    ----------
    trust : str
        ``"reported"``, ``"re-scored"`` or ``"reproduced"``; ``"imported"`` for runs of another
        workspace, ``"brought"`` for predictions made elsewhere and scored here.
    method, version : str
        Of an entry; empty for runs of the workspace.
    source : str
        In words.
    withdrawn : str or None
        The reason, if it was.
    flags : tuple of Flagged
    several : bool
        Whether the entry has several predictors, so that its name does not tell its rows apart.
    """

    trust: str = "reproduced"
    method: str = ""
    version: str = ""
    source: str = ""
    withdrawn: str | None = None
    flags: tuple[Flagged, ...] = ()
    several: bool = False

    @property
    def of_others(self) -> bool:
        """Whether others brought it: an entry, or runs of another workspace."""
        return bool(self.method) or self.trust == "imported"

    @property
    def trained_here(self) -> bool:
        """Whether parameters, times and weights were seen here, rather than claimed by others."""
        return not self.method and self.trust == "reproduced"


@dataclass(frozen=True)
class DatasetScores:
    """What one row has on one dataset.

    Parameters
    ----------
    scores : dict of metric to Score
    seeds : int
        With scores.
    failed : int
        Seeds without scores: failed, skipped, or not run while another row's were.
    """

    scores: dict[str, Score] = field(default_factory=dict)
    seeds: int = 0
    failed: int = 0

    def score(self, metric: MetricSpec) -> Score:
        """Return the score by a metric; undefined where there is none."""
        return self.scores.get(metric.name, _NO_SCORE)

    def complete(self, metric: MetricSpec) -> bool:
        """Whether every seed gave a value of that metric."""
        return not self.failed and math.isfinite(self.score(metric).mean)


@dataclass(frozen=True)
class BoardDataset:
    """A dataset of the board.

    Parameters
    ----------
    name, tier, split : str
        ``split`` is the evaluation split.
    synthetic : bool
        Generated data, which enters no mean and no rank.
    repeats : tuple of str
        Datasets of this board with the same slides in other roles, for whose sake this one enters
        no mean and no rank either.
    listed : bool
        Whether the protocol lists it. What a single entry brings in addition enters no mean, no
        rank and no question of completeness.
    shared_donors : tuple of str
        Donors with slides to learn from and slides in the evaluation split; a score there does not
        show how a method does on a new donor.
    doubts : tuple of str
        Slides that fail a check of their image, and why.
    best : dict of metric to float
        The score of the row that sets the record (``records``); nan if there is none.
    about : dict
        Further facts (organism, tissue, task, ...), as far as they are known here.
    """

    name: str
    tier: str
    split: str
    synthetic: bool
    repeats: tuple[str, ...] = ()
    listed: bool = True
    shared_donors: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    best: dict[str, float] = field(default_factory=dict)
    about: dict[str, Any] = field(default_factory=dict)

    @property
    def counts(self) -> bool:
        """Whether it enters means and ranks."""
        return self.listed and not self.synthetic and not self.repeats


@dataclass(frozen=True)
class StudyLink:
    """A study of the workspace, and where its report lies, seen from the page."""

    name: str
    summary: str
    href: str


@dataclass(frozen=True)
class Row:
    """One predictor with one completer.

    Parameters
    ----------
    datasets : dict of str to DatasetScores
        One for every dataset of the board.
    summaries : dict of metric to Summary
    n_parameters : int or None
        Trainable; the largest over datasets, whose numbers of genes differ.
    fit_seconds : float
        Training time: the mean over its trials; nan if none was timed.
    machine : str
        The classes of machines that computed its trials; empty where that is not known.
    threads : tuple of int
        On how many CPU threads its trials ran, each number once; empty where that is not known.
    by_hand : str
        Parameters that were set by hand, with the datasets where these are not all; empty without.
    n_codes : int
        How many versions of the code of its methods made the results.
    complete : bool
        Whether every seed has a value of the metric that ranks on every dataset that counts.
    rank : int or None
        ``None`` for controls, for incomplete rows and for withdrawn ones.
    origin : Origin
    encoder : dict of str to str
        ``name``, ``licence``, ``pretraining`` and ``seen`` of the frozen encoder that it stands on.
    field_of_view_um : float or None
        How wide the largest window is that it looks at, where it asks for others than the
        protocol's patches; ``None`` where it does not, or no image has a scale.
    worst_drop : float or None
        How much it loses under the shift of the tested images that it bears worst, as a study of
        robustness of this protocol found; ``None`` without one.
    worst_shift : str
        Which shift, by which metric, of how many shifts, and on which datasets.
    studies : tuple of StudyLink
        Those of the workspace that run this predictor.
    """

    predictor: str
    completer: str
    scope: str
    control: bool
    weights: str
    datasets: dict[str, DatasetScores]
    summaries: dict[str, Summary]
    n_parameters: int | None
    fit_seconds: float
    complete: bool
    rank: int | None = None
    origin: Origin = Origin()
    machine: str = ""
    threads: tuple[int, ...] = ()
    by_hand: str = ""
    n_codes: int = 0
    field_of_view_um: float | None = None
    encoder: dict[str, str] = field(default_factory=dict)
    worst_drop: float | None = None
    worst_shift: str = ""
    studies: tuple[StudyLink, ...] = ()

    def summary(self, metric: MetricSpec) -> Summary:
        """Return the means by a metric; undefined where there are none."""
        return self.summaries.get(metric.name, _NO_SUMMARY)

    @property
    def competes(self) -> bool:
        """Whether it can set a record and have a rank: no control, and not withdrawn."""
        return not self.control and self.origin.withdrawn is None


@dataclass(frozen=True)
class Failure:
    """A trial without scores, and why."""

    dataset: str
    completer: str
    predictor: str
    seed: int
    status: str
    message: str


@dataclass(frozen=True)
class ProtocolBoard:
    """Everything under one protocol; rows in the order in which they are shown.

    Parameters
    ----------
    metrics : tuple of MetricSpec
        Those that rows have scores of, the one that ranks first.
    image_only : tuple of Row
        Under a protocol of partially measured samples: the methods that look at images alone, which
        are no rows of its board.
    """

    protocol: str
    comparable: bool
    seeds: tuple[int, ...]
    datasets: tuple[BoardDataset, ...]
    rows: tuple[Row, ...]
    failures: tuple[Failure, ...]
    metrics: tuple[MetricSpec, ...] = ()
    ranking: Ranking = field(default_factory=Ranking)
    notes: tuple[str, ...] = ()
    image_only: tuple[Row, ...] = ()

    @property
    def counted(self) -> tuple[BoardDataset, ...]:
        """The datasets that enter means and ranks."""
        return tuple(dataset for dataset in self.datasets if dataset.counts)

    @property
    def headline(self) -> tuple[MetricSpec, ...]:
        """The metrics of a small table: the one that ranks, and one that is the other way round.

        The second is the first whose values can be compared between datasets.
        """
        first = self.metrics[:1]
        other = [
            m
            for m in self.metrics
            if is_comparable(m) and m.better != first[0].better and m.given == "expression"
        ]
        return (*first, *other[:1])


@dataclass(frozen=True)
class Board:
    """All protocols, in the order of their names."""

    protocols: tuple[ProtocolBoard, ...] = ()

    @property
    def first(self) -> ProtocolBoard | None:
        """The protocol that a reader sees who named none.

        The one with most rows that were trained or scored here; where there are none, or equally
        many, that with most rows and datasets, and then the first by its name.
        """

        def size(part: ProtocolBoard) -> tuple[int, int, int]:
            checked = sum(row.origin.trust != "reported" for row in part.rows)
            return checked, len(part.rows), len(part.datasets)

        return max(self.protocols, key=size, default=None)
