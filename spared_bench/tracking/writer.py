"""One process at a time logs a workspace's results to MLflow.

Of two that log at once, neither sees what the other has begun: a cell would stand there twice, or
be deleted by one as half logged while the other logs it.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from spared_bench.errors import TrackingError
from spared_bench.store.leases import Leases, described

#: Leases: of cells, which a run holds to its end, and of results of completion. A study has one for
#: all of its report.
CELLS, COMPLETION = "tracking", "tracking-completion"
SECONDS_FOR_ANOTHER = 60.0
_SECONDS_UNTOLD = 5.0
_POLL = 0.2


@contextmanager
def one_writer(store: Path, what: str, later: str) -> Iterator[None]:
    """Be the one that logs, waiting for a while until another has done so.

    Parameters
    ----------
    store : Path
        The root of the workspace's store.
    what : str
        The name of a lease.
    later : str
        What logs it once the other has ended, for people.

    Raises
    ------
    TrackingError
        If another goes on with it for longer.
    """
    leases = Leases(store / "leases")
    try:
        _wait(leases, what, later)
        yield
    finally:
        leases.close()


def _wait(leases: Leases, what: str, later: str) -> None:
    begun, told = time.monotonic(), False
    while not _taken(leases, what):
        waited = time.monotonic() - begun
        holder = leases.holder(what)
        who = described(holder) if holder else "another process"
        if waited > SECONDS_FOR_ANOTHER:
            raise TrackingError(
                f"Nothing was logged to MLflow: {who} is logging this workspace's results to it."
                f" Once it has ended, {later} logs what is left."
            )
        if waited > _SECONDS_UNTOLD and not told:
            print(f"Waiting for {who}, which is logging to MLflow.", file=sys.stderr)
            told = True
        time.sleep(_POLL)


def _taken(leases: Leases, what: str) -> bool:
    try:
        return leases.take(what)
    except OSError:  # a workspace that may only be read, logged to a server
        return True
