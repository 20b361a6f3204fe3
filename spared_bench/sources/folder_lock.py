"""The lock of a folder into which data are fetched, and who has it."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from spared_bench.errors import DownloadError
from spared_bench.ordinary import read_json
from spared_bench.store.leases import described
from spared_bench.store.processes import place

#: What is on its way.
WORK = ".fetch"
_SECONDS_BETWEEN_REMINDERS = 60.0


@contextmanager
def locked(folder: Path, say: Callable[[str], None]) -> Iterator[None]:
    """Hold a folder's lock, which ends with the process; wait for whoever has it.

    The system takes no lock from a process that is suspended, and what it has begun cannot be
    written by two: whoever waits is told, again and again, which process it is.

    Parameters
    ----------
    folder : Path
    say : callable
        Is told for whom this process waits.

    Raises
    ------
    DownloadError
        If the folder cannot be written.
    """
    from filelock import FileLock, Timeout

    work, card = folder / WORK, folder / f"{WORK}.owner"
    try:
        work.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DownloadError(
            f"Cannot write into {folder}: {error.strerror or error}. Change its permissions, or"
            " choose another folder with `--data-dir DIR`."
        ) from error
    lock, patience = FileLock(folder / f"{WORK}.lock"), 0.0
    while not lock.is_locked:
        try:
            lock.acquire(timeout=patience)
        except Timeout:
            say(f"Another process is fetching into {folder}{_named(card)}; waiting for it.")
            patience = _SECONDS_BETWEEN_REMINDERS
    try:
        work.mkdir(exist_ok=True)
        me = {"pid": os.getpid(), "host": socket.gethostname(), "place": place()}
        with suppress(OSError):  # a full disk is told by what is fetched
            card.write_text(json.dumps(me), encoding="utf-8")
        yield
    finally:
        card.unlink(missing_ok=True)
        _remove_empty(work)
        lock.release()


def _named(card: Path) -> str:
    """Return which process has the lock, empty where that is not told."""
    try:
        found = read_json(card)
        return f" ({described({**found, 'pid': int(found['pid'])})})"
    except (OSError, ValueError, LookupError, TypeError):
        return ""


def _remove_empty(work: Path) -> None:
    """Remove the work folders that hold nothing; what is to be continued stays."""
    for each in [*work.glob("*"), work]:
        if each.is_dir() and not any(each.iterdir()):
            each.rmdir()
