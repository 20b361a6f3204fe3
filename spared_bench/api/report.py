"""What a run came to."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from spared_bench.api.readable import Readable
from spared_bench.planning.plan import Plan
from spared_bench.results import TrialResult


@dataclass(frozen=True, repr=False)
class Report(Readable):
    """What a run came to.

    Parameters
    ----------
    plan : Plan
    results : list of TrialResult
        One per cell of the plan that has one.
    new, cached : int
        Trials done now, and trials found in the store; the search's trials count too.
    failed : list of TrialResult
        Cells without a score.
    failed_trials : int
        Trials that ended without a result, the search's too, among ``new`` and ``cached``.
    seconds : dict
        ``wall`` and the harness's own shares.
    page : Path or None
        The leaderboard.
    held_back : dict of str to int
        Predictors that failed too often in a row, and how many of their trials were not begun.
    undone : int
        Trials that were not begun because the run was stopped.
    interrupted : bool
        Whether it was stopped by an interrupt.
    """

    plan: Plan
    results: list[TrialResult]
    new: int
    cached: int
    failed: list[TrialResult]
    seconds: dict[str, float] = field(default_factory=dict)
    page: Path | None = None
    held_back: dict[str, int] = field(default_factory=dict)
    undone: int = 0
    interrupted: bool = False
    failed_trials: int = 0
