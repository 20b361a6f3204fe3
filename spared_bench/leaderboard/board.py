"""The leaderboard as plain values: what ``rows`` computes, and ``tables`` and ``page`` show."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Value:
    """A score on one dataset: mean over seeds, and their sample deviation if there are several."""

    mean: float = math.nan
    spread: float = math.nan
    seeds: int = 0


@dataclass(frozen=True)
class Mean:
    """A mean over datasets, and how many of them it covers."""

    value: float
    covered: int
    total: int


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
        workspace.
    method, version : str
        Of an entry; empty for runs of the workspace.
    source : str
        In words.
    withdrawn : str or None
        The reason, if it was.
    flags : tuple of Flagged
    """

    trust: str = "reproduced"
    method: str = ""
    version: str = ""
    source: str = ""
    withdrawn: str | None = None
    flags: tuple[Flagged, ...] = ()

    @property
    def trained_here(self) -> bool:
        """Whether parameters, times and weights were seen here, rather than claimed by others."""
        return not self.method and self.trust == "reproduced"


@dataclass(frozen=True)
class Entry:
    """What one row has on one dataset.

    Parameters
    ----------
    mse, pcc : Value
    pcc_interval : tuple of float
        95 % interval of PCC-Gene over slides; nan for fewer than two slides.
    normalised_mse : float
        nan where there is no MSE, or no method to compare with.
    failed : int
        Seeds without scores: failed, skipped, or not run while another row's were.
    """

    mse: Value = Value()
    pcc: Value = Value()
    normalised_mse: float = math.nan
    failed: int = 0
    pcc_interval: tuple[float, float] = (math.nan, math.nan)

    @property
    def complete(self) -> bool:
        """Whether every seed gave an MSE."""
        return not self.failed and math.isfinite(self.mse.mean)


@dataclass(frozen=True)
class Column:
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
    lowest_mse : float
        The divisor of normalised MSE; nan if no method has an MSE.
    best_pcc : float
        Highest PCC-Gene of a row that is not a control.
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
    lowest_mse: float = math.nan
    best_pcc: float = math.nan
    about: dict[str, Any] = field(default_factory=dict)

    @property
    def counts(self) -> bool:
        """Whether it enters means and ranks."""
        return self.listed and not self.synthetic and not self.repeats


@dataclass(frozen=True)
class Row:
    """One predictor with one completer.

    Parameters
    ----------
    rank : int or None
        ``None`` for controls, for incomplete rows and for withdrawn ones.
    complete : bool
    entries : dict of str to Entry
        By dataset, one for every column.
    n_parameters : int or None
        Trainable; the largest over datasets, whose numbers of genes differ.
    fit_seconds : float
        Training time: the mean over its trials; nan if none was timed.
    origin : Origin
    interval : tuple of float
        95 % bootstrap interval of the mean normalised MSE over datasets; nan for fewer than five.
    """

    predictor: str
    completer: str
    scope: str
    control: bool
    weights: str
    entries: dict[str, Entry]
    mean_normalised_mse: Mean
    mean_pcc: Mean
    n_parameters: int | None
    fit_seconds: float
    complete: bool
    rank: int | None = None
    origin: Origin = Origin()
    interval: tuple[float, float] = (math.nan, math.nan)

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
    """Everything under one protocol; rows in the order in which they are shown."""

    protocol: str
    comparable: bool
    seeds: tuple[int, ...]
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    failures: tuple[Failure, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Board:
    """All protocols, in the order of their names."""

    protocols: tuple[ProtocolBoard, ...] = ()
