"""What a run is doing, in a file that other shells and machines can read: ``runs/<owner>.json``."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from spared_bench.files import write_text
from spared_bench.interfaces import Job, Outcome
from spared_bench.ordinary import read_json
from spared_bench.store.processes import is_running, is_stopped, place, started_at

_SECONDS = 2.0
_BEAT_SECONDS = 15.0
#: A run of another machine that has said nothing for so long is gone.
_SILENT_SECONDS = 60.0
#: What it said goes when it cannot be a machine any more that was cut off for a while.
_FORGOTTEN_SECONDS = 24 * 3600.0
_UNREADABLE = (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError)


class RunFile:
    """Writes what a run is doing, at most every few seconds; takes away what killed ones have said.

    Parameters
    ----------
    folder : Path
        ``runs/`` of a workspace.
    protocol : str
    """

    def __init__(self, folder: Path, protocol: str) -> None:
        _forget_killed(folder)
        self._path = folder / f"{place()}-{os.getpid()}.json"
        self._facts: dict[str, Any] = {
            "protocol": protocol,
            "host": socket.gethostname(),
            "place": place(),
            "pid": os.getpid(),
            "started": started_at(os.getpid()),
            "begun": time.time(),
        }
        self._running: dict[str, dict[str, Any]] = {}
        self._counts = {"done": 0, "failed": 0, "left": 0}
        self._written = 0.0
        self._ended = threading.Event()
        threading.Thread(target=self._beat, daemon=True).start()

    def _beat(self) -> None:
        """Keep the file young while a long training says nothing."""
        while not self._ended.wait(_BEAT_SECONDS):
            with suppress(OSError):
                os.utime(self._path)

    def planned(self, open_trials: int) -> None:
        """Note how many trials are left."""
        self._counts["left"] = open_trials
        self._write()

    def started(self, job: Job) -> None:
        """Note a job."""
        self._running[job.key] = {"key": job.key, "kind": job.kind, "label": job.label}
        self._write()

    def progress(self, job: Job, step: int, values: dict[str, float]) -> None:
        """Note how far it is."""
        if job.key in self._running:
            self._running[job.key] |= {"step": step, "values": values}
        self._write()

    def finished(self, outcome: Outcome) -> None:
        """Note that it has ended."""
        self._running.pop(outcome.job.key, None)
        if outcome.job.kind == "trial":
            failed = outcome.result is None or not outcome.result.ok
            self._counts["failed" if failed else "done"] += 1
        self._write()

    def waiting(self, message: str) -> None:
        """Note for whom it waits; empty when it goes on."""
        self._facts["waiting"] = message
        self._written = 0.0  # told at once: nothing may happen for long
        self._write()

    def _write(self) -> None:
        if time.monotonic() - self._written < _SECONDS:
            return
        self._written = time.monotonic()
        running = list(self._running.values())
        facts = {**self._facts, **self._counts, "running": running, "written": time.time()}
        with suppress(OSError):  # whoever looks is told less; the run goes on
            write_text(self._path, json.dumps(facts, default=float), sync=False)

    def close(self) -> None:
        """The run has ended: nothing more to say."""
        self._ended.set()
        with suppress(OSError):
            self._path.unlink(missing_ok=True)


def living_runs(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield what every run that is alive last said of itself."""
    for path in sorted(folder.glob("*.json")):
        try:
            facts = read_json(path)
            if _is_alive(facts, path):
                stopped = facts["place"] == place() and is_stopped(int(facts["pid"]))
                yield facts | {"suspended": stopped}
        except _UNREADABLE:
            continue


def _is_alive(facts: dict[str, Any], path: Path, patience: float = _SILENT_SECONDS) -> bool:
    if facts["place"] == place():
        return is_running(int(facts["pid"]), int(facts["started"]))
    return time.time() - path.stat().st_mtime < patience


def _forget_killed(folder: Path) -> None:
    """Remove the files of runs that have ended without closing theirs."""
    for path in folder.glob("*.json"):
        with suppress(*_UNREADABLE):
            if not _is_alive(read_json(path), path, _FORGOTTEN_SECONDS):
                path.unlink()
