"""Jobs that wait: for their turn, for what they need, or for somebody else who has them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from spared_bench.interfaces import Job


class Queue:
    """A queue in which a job appears once all that it needs is made.

    All operations take a time that does not grow with the number of jobs.
    """

    def __init__(self) -> None:
        self.jobs: dict[str, Job] = {}
        self.open_trials = 0
        self._ready: deque[str] = deque()
        self._missing: dict[str, set[str]] = {}
        self._dependents: dict[str, list[str]] = {}

    def __contains__(self, key: str) -> bool:
        return key in self.jobs

    def __len__(self) -> int:
        return len(self.jobs)

    def add(self, job: Job, needs: Iterable[str] = (), *, first: bool = False) -> None:
        """Queue a job.

        Parameters
        ----------
        job : Job
        needs : iterable of str
            Keys of jobs that must be done before.
        first : bool
            Before all others that are ready.
        """
        self.jobs[job.key] = job
        self.open_trials += job.kind == "trial"
        missing = set(needs)
        if missing:
            self._missing[job.key] = missing
            for need in missing:
                self._dependents.setdefault(need, []).append(job.key)
        elif first:
            self._ready.appendleft(job.key)
        else:
            self._ready.append(job.key)

    @property
    def has_ready(self) -> bool:
        """Whether a job could be taken now."""
        return any(key in self.jobs for key in self._ready)

    def take(self, kind: str = "") -> Job | None:
        """Take the next job that is ready, of one kind if it is given; ``None`` if none is."""
        for _ in range(len(self._ready)):
            key = self._ready.popleft()
            if key in self.jobs and self.jobs[key].kind == (kind or self.jobs[key].kind):
                return self._forget(key)
            if key in self.jobs:
                self._ready.append(key)
        return None

    def made(self, key: str) -> None:
        """Let those go on that waited for this."""
        for dependent in self._dependents.pop(key, ()):
            missing = self._missing.get(dependent, set())
            missing.discard(key)
            if not missing and dependent in self.jobs:
                self._missing.pop(dependent, None)
                self._ready.append(dependent)

    def drop_dependents(self, key: str) -> list[Job]:
        """Take away what waits for something that cannot be made."""
        keys = self._dependents.pop(key, [])
        return [self._forget(dependent) for dependent in keys if dependent in self.jobs]

    def _forget(self, key: str) -> Job:
        job = self.jobs.pop(key)
        self._missing.pop(key, None)
        self.open_trials -= job.kind == "trial"
        return job
