"""Who is told of what happens in a run: a watcher, and the observers among the plugins."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from spared_bench.interfaces import Job
from spared_bench.registry import Registry, notify

if TYPE_CHECKING:
    from spared_bench.running.watching import Watcher


class Silent:
    """A watcher that says nothing."""

    def planned(self, open_trials: int) -> None:
        return None

    def started(self, job: Job) -> None:
        return None

    def finished(self, outcome: Any) -> None:
        return None

    def progress(self, job: Job, step: int, values: dict[str, float]) -> None:
        return None

    def waiting(self, message: str) -> None:
        return None


class Notifying:
    """Tells a watcher, and the observers among the plugins."""

    def __init__(self, watcher: Watcher, registry: Registry, log: Callable[[str], None]) -> None:
        self._watcher = watcher
        self._registry = registry
        self._log = log
        self.planned = watcher.planned
        self.started = watcher.started
        self.progress = watcher.progress
        # Watchers of earlier versions lack it.
        self.waiting = getattr(watcher, "waiting", lambda message: None)
        self.close = getattr(watcher, "close", lambda: None)

    def finished(self, outcome: Any) -> None:
        self._watcher.finished(outcome)
        if outcome.result is not None:
            hook = "spared_bench_trial_finished"
            notify(self._registry, hook, self._log, result=outcome.result)
