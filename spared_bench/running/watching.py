"""What is told of a run: to watchers while it goes on, and in a summary at its end."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from spared_bench.interfaces import Job, Outcome
from spared_bench.results import TrialResult


class Watcher(Protocol):
    """What is told of a run while it goes on."""

    def planned(self, open_trials: int) -> None:
        """So many trials are known to be open; called again when searches open more."""
        ...

    def started(self, job: Job) -> None:
        """A job went to a worker."""
        ...

    def progress(self, job: Job, step: int, values: dict[str, float]) -> None:
        """A job has come so far."""
        ...

    def finished(self, outcome: Outcome) -> None:
        """A job has ended."""
        ...

    def waiting(self, message: str) -> None:
        """Nothing is left to do but what others are doing; empty when that has ended."""
        ...


@dataclass
class Summary:
    """How a run went.

    Parameters
    ----------
    results : dict of key to TrialResult
        Of every trial of the plan, found or new, the search's included.
    new, cached : int
        Trials done by this run; trials found in the store, others' during the run included.
    waited : float
        Seconds in which the orchestrator waited for workers.
    overhead : float
        Seconds that workers spent on the harness.
    held_back : dict of str to int
        Predictors whose circuit breaker opened, and how many of their trials were not begun.
    undone : int
        Trials that were not begun because the run was stopped.
    unfinished : set of str
        Keys of trials that count and whose scores or figures are still to be made.
    """

    results: dict[str, TrialResult] = field(default_factory=dict)
    new: int = 0
    cached: int = 0
    waited: float = 0.0
    overhead: float = 0.0
    held_back: dict[str, int] = field(default_factory=dict)
    undone: int = 0
    unfinished: set[str] = field(default_factory=set)
