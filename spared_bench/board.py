"""From finished cells to MLflow and to the leaderboard."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from spared_bench.cells import finished_cells, record_cells
from spared_bench.errors import TrackingError
from spared_bench.leaderboard import build
from spared_bench.plan import Plan
from spared_bench.results import TrialResult
from spared_bench.workspace import Workspace

Source = Literal["mlflow", "store"]
_SECONDS_BETWEEN_BATCHES = 10.0


class Recorder:
    """Logs a run's cells to MLflow while the trials go on, in a thread of its own.

    It is the one writer. Opening the database and logging take seconds in which this process would
    only wait for its workers. A tracking server that is away costs nothing but a line: the store
    has everything, and ``spared-bench track sync`` catches up.

    Parameters
    ----------
    plan : Plan
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._wake = threading.Event()
        self._ending = False
        self._error: TrackingError | None = None
        self._last = time.monotonic()
        # A daemon: an interrupted run does not wait for it, and the next one repairs what it left.
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def tick(self, results: Mapping[str, TrialResult]) -> None:
        """Take note of the results so far, at most every few seconds."""
        if time.monotonic() - self._last > _SECONDS_BETWEEN_BATCHES:
            self._offer(results)

    def finish(self, results: Mapping[str, TrialResult]) -> TrackingError | None:
        """Log what is left; return what went wrong, if anything did."""
        self._ending = True
        self._offer(results)
        self._thread.join()
        return self._error

    def _offer(self, results: Mapping[str, TrialResult]) -> None:
        record_cells(self._plan, results)
        self._last = time.monotonic()
        self._wake.set()

    def _work(self) -> None:
        from spared_bench.tracking import Tracker

        workspace, protocol = self._plan.bench.workspace, self._plan.bench.protocol.id
        try:
            tracker = Tracker(workspace.root)
            tracker.connect()
            ending = False
            while not ending:
                self._wake.wait()
                self._wake.clear()
                ending = self._ending
                tracker.sync(finished_cells(workspace.store, protocol))
        except TrackingError as error:
            self._error = error


def publish(plan: Plan, *, tracked: bool, command: str) -> Path | None:
    """Build the leaderboard of a plan's protocol, from MLflow if the runs are in it."""
    source: Source = "mlflow" if tracked else "store"
    bench = plan.bench
    return build_leaderboard(bench.workspace, bench.protocol.id, source=source, command=command)


def sync(workspace: Workspace, protocol: str = "", uri: str | None = None) -> int:
    """Log every finished cell that MLflow lacks; return how many."""
    from spared_bench.tracking import Tracker

    cells = list(finished_cells(workspace.store, protocol))
    if not cells:
        return 0
    return Tracker(workspace.root, uri).sync(cells)


def collect(workspace: Workspace, protocol: str, source: Source) -> list[TrialResult]:
    """Return the results that count, from MLflow or from the store; both say the same."""
    if source == "store":
        return [cell.final for cell in finished_cells(workspace.store, protocol)]
    from spared_bench.tracking import Tracker

    return Tracker(workspace.root).results(protocol or None)


def build_leaderboard(
    workspace: Workspace,
    protocol: str = "",
    *,
    source: Source = "mlflow",
    out: Path | None = None,
    command: str = "spared-bench leaderboard build",
) -> Path | None:
    """Build the page and the tables; return the page, or ``None`` if there is nothing to show."""
    results = collect(workspace, protocol, source)
    if not results:
        return None
    return build(results, out or workspace.leaderboard, command=command, source=source)
