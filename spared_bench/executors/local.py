"""Jobs in worker processes of this machine.

Workers are started when first needed and are used again. One that dies, by a segmentation fault or
the kernel's out-of-memory killer, takes only its job with it.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from spared_bench.bench import Settings
from spared_bench.errors import WorkspaceError
from spared_bench.interfaces import Outcome
from spared_bench.plan import Job
from spared_bench.results import TrialResult

_TAIL_BYTES = 4_000


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

    def __init__(
        self, settings: Settings, workers: int, progress: Callable[[Job, int, dict], None]
    ) -> None:
        self.capacity = max(1, workers)
        self._settings = settings
        self._progress = progress
        self._messages: queue.Queue[tuple[_Worker, dict[str, Any] | None]] = queue.Queue()
        self._workers: list[_Worker] = []

    def submit(self, job: Job) -> None:
        """Give a job to an idle worker, starting one if there is none."""
        worker = next((worker for worker in self._workers if worker.job is None), None)
        if worker is None:
            worker = _Worker(self._settings, len(self._workers), self._messages)
            self._workers.append(worker)
        worker.give(job)

    def wait(self) -> list[Outcome]:
        """Block until a worker is done with its job, or has died over it."""
        while True:
            worker, message = self._messages.get()
            job = worker.job
            if message is None:
                self._workers.remove(worker)
                if job is not None:
                    return [Outcome(job, "killed", worker.epitaph(), worker.log_tail())]
            elif job is not None and message["type"] == "progress":
                self._progress(job, message["step"], message["values"])
            elif job is not None:
                worker.job = None
                return [_outcome(job, message)]

    def close(self) -> None:
        """Kill all workers; what they were doing is not stored."""
        for worker in self._workers:
            worker.kill()
        self._workers.clear()


def _outcome(job: Job, message: dict[str, Any]) -> Outcome:
    result = TrialResult.from_dict(message["result"]) if message["result"] else None
    return Outcome(
        job,
        message["status"],
        message["message"],
        message["traceback"],
        result,
        message["overhead"],
    )


class _Worker:
    """One process, the thread that listens to it, and the job it has."""

    def __init__(self, settings: Settings, number: int, messages: queue.Queue) -> None:
        self.job: Job | None = None
        self._log = Path(settings.workspace) / "logs" / f"worker-{os.getpid()}-{number}.log"
        try:
            self._log.parent.mkdir(parents=True, exist_ok=True)
            log = self._log.open("wb")
        except OSError as error:
            raise WorkspaceError(f"Cannot write the log {self._log}: {error.strerror}.") from error
        with log:
            # A session of its own: Ctrl-C reaches the parent alone, which then ends its workers.
            self._process = subprocess.Popen(
                [sys.executable, "-m", "spared_bench.executors.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
            )
        self._send(settings.as_dict())
        threading.Thread(target=self._listen, args=(messages,), daemon=True).start()

    def give(self, job: Job) -> None:
        self.job = job
        self._send(job.as_dict())

    def _send(self, values: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(values) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # It has died: the listener tells.

    def _listen(self, messages: queue.Queue) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            messages.put((self, json.loads(line)))
        self._process.wait()
        messages.put((self, None))

    def epitaph(self) -> str:
        code = self._process.returncode
        how = f"ended with status {code}"
        if code is not None and code < 0:
            how = f"was killed by {signal.Signals(-code).name}"
        return (
            f"The worker process {how} in the middle of this job. If it was the system, for want"
            " of memory, use fewer `--workers`. Its last output is in the traceback."
        )

    def log_tail(self) -> str:
        try:
            return self._log.read_bytes()[-_TAIL_BYTES:].decode("utf-8", "replace")
        except OSError:
            return ""

    def kill(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
