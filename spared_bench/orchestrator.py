"""Carries a plan out: hands jobs to an executor in the order of their needs, and minds failures.

The orchestrator decides and waits; it computes nothing. What is in the store is not done again, so
that running the same command again is resuming.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Protocol

from spared_bench.errors import CorruptEntryError, WorkspaceError
from spared_bench.interfaces import Executor, Outcome
from spared_bench.plan import Cell, Job, Plan
from spared_bench.results import Status, TrialResult
from spared_bench.runner import RESULT, TRIALS, failure

#: How often a job is given to another process after its process died.
RETRIES_WHEN_KILLED = 2


class Watcher(Protocol):
    """What is told of a run while it goes on."""

    def planned(self, open_trials: int) -> None:
        """So many trials are known to be open; called again when searches open more."""
        ...

    def started(self, job: Job) -> None:
        """A job went to a worker."""
        ...

    def finished(self, outcome: Outcome) -> None:
        """A job has ended."""
        ...


@dataclass
class Summary:
    """How a run went.

    Parameters
    ----------
    results : dict of key to TrialResult
        Of every trial of the plan, found or new, the search's included.
    new, cached : int
        Trials.
    waited : float
        Seconds in which the orchestrator waited for workers.
    overhead : float
        Seconds that workers spent on the harness.
    """

    results: dict[str, TrialResult] = field(default_factory=dict)
    new: int = 0
    cached: int = 0
    waited: float = 0.0
    overhead: float = 0.0


@dataclass
class Orchestrator:
    """One run of one plan.

    Parameters
    ----------
    plan : Plan
    executor : Executor
    watcher : Watcher
    tick : callable
        Called with the results so far after every outcome; for tracking.
    """

    plan: Plan
    executor: Executor
    watcher: Watcher
    tick: Callable[[dict[str, TrialResult]], None] = lambda results: None

    def __post_init__(self) -> None:
        self.summary = Summary()
        self._waiting: dict[str, Job] = {}
        self._running: dict[str, Job] = {}
        self._made: set[str] = set()
        self._deaths: dict[str, int] = {}

    def run(self) -> Summary:
        """Do everything that is open; an interrupt leaves only running jobs undone."""
        self._want_open_trials()
        while self._waiting or self._running:
            self._submit_ready()
            started = time.perf_counter()
            outcomes = self.executor.wait()
            self.summary.waited += time.perf_counter() - started
            for outcome in outcomes:
                self._settle(outcome)
            self._want_open_trials()
            self.tick(self.summary.results)
        return self.summary

    def _want_open_trials(self) -> None:
        """Queue every trial that is known to be needed and has no result."""
        while found := self._look_up():
            self.summary.results |= found
            self.summary.cached += len(found)
        for job in self._unqueued():
            self._want(job)
        self.watcher.planned(sum(job.kind == "trial" for job in self._open()))

    def _look_up(self) -> dict[str, TrialResult]:
        """Return what the store has of the trials that are not yet queued."""
        return {
            job.key: known
            for job in self._unqueued()
            if (known := stored_result(self.plan, job)) is not None
        }

    def _unqueued(self) -> list[Job]:
        return [
            job
            for job in open_trials(self.plan.cells, self.summary.results)
            if job.key not in self._waiting and job.key not in self._running
        ]

    def _open(self) -> list[Job]:
        return [*self._waiting.values(), *self._running.values()]

    def _want(self, job: Job) -> None:
        """Queue a job and the products that it needs and nobody has made."""
        self._waiting[job.key] = job
        for need in self.plan.needs(job):
            if need.key in self._waiting or need.key in self._running or self._is_made(need):
                continue
            self._want(need)

    def _is_made(self, job: Job) -> bool:
        kind = {"prepare": "prepared", "complete": "completed"}[job.kind]
        if job.key not in self._made and self.plan.bench.workspace.store.has(kind, job.key):
            self._made.add(job.key)
        return job.key in self._made

    def _submit_ready(self) -> None:
        ready = [
            job
            for job in self._waiting.values()
            if all(self._is_made(need) for need in self.plan.needs(job))
        ]
        for job in ready[: self.executor.capacity - len(self._running)]:
            self._running[job.key] = self._waiting.pop(job.key)
            self.watcher.started(job)
            self.executor.submit(job)

    def _settle(self, outcome: Outcome) -> None:
        """Take note of what became of a job."""
        job = outcome.job
        if outcome.status == "unwritable":
            raise WorkspaceError(outcome.message)
        self._running.pop(job.key)
        self.summary.overhead += outcome.overhead
        if outcome.status == "killed" and self._deaths.get(job.key, 0) < RETRIES_WHEN_KILLED:
            self._deaths[job.key] = self._deaths.get(job.key, 0) + 1
            self._waiting[job.key] = job
        elif job.kind == "trial":
            result = outcome.result or _record(self.plan, outcome)
            self.summary.results[job.key] = result
            self.summary.new += 1
            self.watcher.finished(replace(outcome, result=result))
        elif outcome.status == "ok":
            self._made.add(job.key)
            self.watcher.finished(outcome)
        else:
            self.watcher.finished(outcome)
            self._fail_dependents(outcome)

    def _fail_dependents(self, outcome: Outcome) -> None:
        """Record that what needed a product cannot be done."""
        broken = [
            job
            for job in self._waiting.values()
            if any(need.key == outcome.job.key for need in self.plan.needs(job))
        ]
        for job in broken:
            self._running[job.key] = self._waiting.pop(job.key)
            self._settle(replace(outcome, job=job, status="error", overhead=0.0))


def _record(plan: Plan, outcome: Outcome) -> TrialResult:
    status: Status = "killed" if outcome.status == "killed" else "error"
    return failure(plan.bench, outcome.job, status, outcome.message, outcome.traceback)


def open_trials(cells: Iterable[Cell], results: dict[str, TrialResult]) -> list[Job]:
    """Return the trials without a result that are known to be needed, each once, in order."""
    wanted: dict[str, Job] = {}
    for cell in cells:
        chosen = cell.chosen(results)
        for job in cell.search if chosen is None else (*cell.search, chosen):
            if job.key not in results:
                wanted.setdefault(job.key, job)
    return list(wanted.values())


def stored_result(plan: Plan, job: Job) -> TrialResult | None:
    """Return the result that the store has of a trial; a damaged one is as good as none."""
    try:
        entry = plan.bench.workspace.store.open(TRIALS, job.key)
        return None if entry is None else TrialResult.from_dict(entry.read_json(RESULT))
    except (CorruptEntryError, ValueError):
        return None


def stored_results(plan: Plan) -> dict[str, TrialResult]:
    """Return every result of a plan that the store has, those that searches lead to included."""
    results: dict[str, TrialResult] = {}
    while True:
        found = {
            job.key: known
            for job in open_trials(plan.cells, results)
            if (known := stored_result(plan, job)) is not None
        }
        if not found:
            return results
        results |= found


def final_results(plan: Plan, results: dict[str, TrialResult]) -> list[TrialResult]:
    """Return the one result of every cell that has it, in the order of the cells."""
    finals = []
    for cell in plan.cells:
        job = cell.chosen(results)
        if job is not None and job.key in results:
            finals.append(results[job.key])
    return finals


def forget_failures(plan: Plan) -> int:
    """Remove stored failures of a plan, so that they are tried again; return how many."""
    failed = [result for result in stored_results(plan).values() if not result.ok]
    for result in failed:
        plan.bench.workspace.store.remove(TRIALS, result.key)
    return len(failed)
