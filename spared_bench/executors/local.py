"""Jobs in worker processes of this machine.

Workers are started when first needed and are used again. One that dies, by a segmentation fault or
the kernel's out-of-memory killer, takes only its job with it.
"""

from __future__ import annotations

import queue
import time
from collections.abc import Callable
from typing import Any

from spared_bench.bench import Limits, Settings
from spared_bench.executors.cluster_file import refuse_cluster
from spared_bench.executors.left_behind import end_left_behind
from spared_bench.executors.slot import Slot
from spared_bench.executors.strangers import choose, runs_apart, settings_of
from spared_bench.interfaces import Job, Outcome

_LOOK_SECONDS = 0.2
_LOOK_AT_LOGS_SECONDS = 2.0


class LocalExecutor:
    """A pool of worker processes.

    Parameters
    ----------
    settings : Settings
        What every worker is told.
    workers : int
        How many at most.
    progress : callable
        ``progress(job, step, values)``.
    """

    @staticmethod
    def works_here(cluster: str) -> bool:
        """Return whether jobs run on this machine."""
        return True

    @staticmethod
    def check(limits: Limits, cluster: str) -> None:
        """Refuse a cluster, which would have no effect."""
        refuse_cluster("local", cluster)

    def __init__(
        self, settings: Settings, workers: int, progress: Callable[[Job, int, dict], None]
    ) -> None:
        self.check(settings.limits, settings.cluster)
        end_left_behind()
        self.capacity = max(1, workers)
        self._settings = settings
        self._progress = progress
        self._inbox: queue.Queue = queue.Queue()
        self._slots: list[Slot] = []
        limits = settings.limits
        self._look = _LOOK_SECONDS if limits.timeout or limits.memory_mb else _LOOK_AT_LOGS_SECONDS
        self._looked = time.monotonic()

    def submit(self, job: Job) -> None:
        """Give a job to an idle worker, starting one if there is none."""
        apart = runs_apart(self._settings, job)
        slot, number = choose(self._slots, apart)
        if slot is None:
            slot = Slot(settings_of(self._settings, apart), number, self._inbox)
            self._slots.append(slot)
        slot.give(job)

    def wait(self, timeout: float | None = None) -> list[Outcome]:
        """Block until a worker is done with its job, or has died over it."""
        until = None if timeout is None else time.monotonic() + timeout
        while True:
            left = None if until is None else max(0.0, until - time.monotonic())
            self._enforce()
            try:
                slot, message = self._inbox.get(
                    timeout=self._look if left is None else min(self._look, left)
                )
            except queue.Empty:
                if until is not None and time.monotonic() >= until:
                    return []
                continue
            outcome = self._hear(slot, message)
            if outcome is not None:
                return [outcome]

    def _hear(self, slot: Slot, message: dict[str, Any] | None) -> Outcome | None:
        if message is None:
            self._slots.remove(slot)
        elif message["type"] == "progress" and slot.job is not None:
            self._progress(slot.job, message["step"], message["values"])
        return slot.outcome(message)

    def _enforce(self) -> None:
        if time.monotonic() - self._looked > self._look:
            self._looked = time.monotonic()
            for slot in self._slots:
                slot.enforce()

    def close(self) -> None:
        """Kill all workers; what they were doing is not stored."""
        for slot in self._slots:
            slot.close()
        self._slots.clear()
