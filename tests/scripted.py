"""An executor that does as it is told, so that the orchestrator is tested without processes."""

from __future__ import annotations

from collections import deque
from dataclasses import replace

from spared_bench.interfaces import Outcome
from spared_bench.trials.record import blank_record


class ScriptedExecutor:
    """Ends every job as a script says.

    Parameters
    ----------
    bench : Bench
    script : callable
        ``script(job)`` returns the status of the job's outcome; ``"ok"``, ``"error"`` and
        ``"diverged"`` of a trial are told by its result. Scoring always ends well.
    capacity : int
    """

    def __init__(self, bench, script, capacity=1):
        self.capacity = capacity
        self.done = []
        self._bench, self._script = bench, script
        self._waiting = deque()

    def submit(self, job):
        assert len(self._waiting) < self.capacity
        self._waiting.append(job)

    def wait(self, timeout=None):
        job = self._waiting.popleft()
        if job.kind == "score":  # of trials whose predictions there are none
            return [Outcome(job)]
        status = self._script(job)
        self.done.append((job, status))
        if job.kind != "trial" or status in ("killed", "timeout"):
            return [Outcome(job, status, f"it was {status}")]
        result = replace(blank_record(self._bench, job), status=status, validation_mse=1.0)
        return [Outcome(job, result=result)]

    def close(self):
        self._waiting.clear()


class Deaf:
    """A watcher that takes note of nothing."""

    def planned(self, open_trials): ...
    def started(self, job): ...
    def progress(self, job, step, values): ...
    def finished(self, outcome): ...
    def waiting(self, message): ...
