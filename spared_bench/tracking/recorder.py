"""A run's cells on their way to MLflow: one writer, in a thread of its own."""

from __future__ import annotations

import math
import threading
import time
from typing import Any

from spared_bench.errors import TrackingError, in_words
from spared_bench.planning.plan import Plan
from spared_bench.running.watching import Summary
from spared_bench.store.leases import Leases
from spared_bench.tracking.database import is_sqlite
from spared_bench.tracking.unchanged import is_logged, note_logged
from spared_bench.tracking.writer import CELLS, SECONDS_FOR_ANOTHER, one_writer
from spared_bench.trials.cell_state import state_of_cells
from spared_bench.trials.cells import Seen, finished_cells, record_cells
from spared_bench.trials.outdated import make_current
from spared_bench.workspace import Workspace

_SECONDS_BETWEEN_BATCHES = 10.0


_SECONDS_BETWEEN_TRIES = 30.0


#: A server that answers a byte at a time never makes a request fail.
_SECONDS_AT_THE_END = 1800.0


class NoRecorder:
    """Logs nothing: the records of cells alone are written, and ``track sync`` does the rest."""

    wanted = False

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._last = time.monotonic()

    def tick(self, summary: Summary) -> None:
        """Write the records of cells, at most every few seconds."""
        if time.monotonic() - self._last > _SECONDS_BETWEEN_BATCHES:
            record_cells(self._plan, summary.results, but=summary.unfinished)
            self._last = time.monotonic()

    def finish(self, summary: Summary) -> TrackingError | None:
        """Write the records of all finished cells."""
        record_cells(self._plan, summary.results)
        make_current(self._plan)
        return None


class Unrecorded(NoRecorder):
    """Writes no records either: what is run is a variant, and no cell of its protocol."""

    def tick(self, summary: Summary) -> None:
        """Do nothing."""

    def finish(self, summary: Summary) -> TrackingError | None:
        """Do nothing."""
        return None


class Recorder:
    """Logs a run's cells to MLflow while the trials go on, in a thread of its own.

    It is the one writer: of several runs on one workspace, the one that has the lease logs for all.
    A tracking server that is away is tried again until the run ends; what it has not got by then is
    in the store, from which the next run or ``spared-bench track sync`` logs it.

    Parameters
    ----------
    plan : Plan
    """

    wanted = True

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._wake = threading.Event()
        self._ending = False
        self._error: TrackingError | None = None
        self._last = -math.inf  # the first comes at once: the database is made while workers train
        # A daemon: an interrupted run does not wait for it, and the next one repairs what it left.
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def tick(self, summary: Summary) -> None:
        """Take note of the results so far, at most every few seconds."""
        if time.monotonic() - self._last > _SECONDS_BETWEEN_BATCHES:
            self._offer(summary)

    def finish(self, summary: Summary) -> TrackingError | None:
        """Log what is left; return what went wrong, if anything did."""
        self._offer(summary, ending=True)
        self._thread.join(_SECONDS_AT_THE_END)
        if self._thread.is_alive():  # a daemon, which ends with the command
            minutes = round(_SECONDS_AT_THE_END / 60)
            return TrackingError(f"MLflow has not taken all within {minutes} minutes.")
        return self._error

    def _offer(self, summary: Summary, *, ending: bool = False) -> None:
        """Write the records of finished cells; what waits for scores or figures comes later."""
        record_cells(self._plan, summary.results, but=set() if ending else summary.unfinished)
        if ending:
            make_current(self._plan)
        self._last = time.monotonic()
        self._ending = ending
        self._wake.set()

    def _work(self) -> None:
        try:
            self._log_to_the_end()
        except Exception as error:  # the run goes on, and is not said to be logged
            self._error = TrackingError(f"Logging to MLflow broke off: {in_words(error)[0]}.")

    def _log_to_the_end(self) -> None:
        workspace, protocol = self._plan.bench.workspace, self._plan.bench.protocol.id
        leases = Leases(workspace.store.root / "leases")
        tracker, seen, ending = None, Seen(), False
        try:
            while not ending:
                self._wake.wait(_SECONDS_BETWEEN_TRIES if self._error else None)
                self._wake.clear()
                ending = self._ending
                if not self._is_ours(leases, ending):
                    continue
                try:
                    if tracker is None and is_logged(workspace, protocol):
                        self._error = None
                        continue
                    tracker = tracker or self._connected()
                    cells = state_of_cells(workspace.store, protocol)
                    self._log(tracker, seen)
                    self._error = tracker.refusal() if ending else None
                    if ending and self._error is None:
                        note_logged(workspace, protocol, cells)
                except TrackingError as error:
                    self._error, tracker, seen = error, None, Seen()
        finally:
            leases.close()

    def _is_ours(self, leases: Leases, ending: bool) -> bool:
        """Take the right to log; at the end, wait for a while until another run gives it back."""
        until = time.monotonic() + (SECONDS_FOR_ANOTHER if ending else 0)
        while not leases.take(CELLS):
            if time.monotonic() >= until:
                if ending:
                    self._error = TrackingError("Another run is logging to MLflow just now.")
                return False
            time.sleep(0.2)
        return True

    def _connected(self) -> Any:
        from spared_bench.tracking.tracker import Tracker

        tracker = Tracker(self._plan.bench.workspace.root)
        tracker.connect()
        return tracker

    def _log(self, tracker: Any, seen: Seen) -> None:
        """Log the cells whose records are new since the last time."""
        bench = self._plan.bench
        fresh = seen.fresh(bench.workspace.store)
        tracker.sync(finished_cells(bench.workspace.store, bench.protocol.id, only=fresh))
        seen.note(fresh)


def sync(workspace: Workspace, protocol: str = "", uri: str | None = None) -> int:
    """Log every finished cell that MLflow lacks; return how many.

    Raises
    ------
    TrackingError
        Also if a run is logging, which logs all of its protocol.
    """
    from spared_bench.tracking.tracker import Tracker

    cells = list(finished_cells(workspace.store, protocol))
    if not cells:
        return 0
    tracker = Tracker(workspace.root, uri)
    if is_sqlite(tracker.uri):
        workspace.make_writable()  # MLflow would try for minutes
    with one_writer(workspace.store.root, CELLS, "`spared-bench track sync`"):
        added = tracker.sync(cells)
    if error := tracker.refusal():
        raise error
    return added
