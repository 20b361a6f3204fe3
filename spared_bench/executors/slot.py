"""One place where a job runs: a worker process, watched from outside.

Local and distributed executors use the same slots, so that a timeout, a memory cap, a segmentation
fault or a kill means the same under all of them.
"""

from __future__ import annotations

import json
import math
import os
import queue
import secrets
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from spared_bench.apart import how_ended
from spared_bench.bench import Limits, Settings
from spared_bench.errors import WorkspaceError
from spared_bench.executors.left_behind import OWNER, owner
from spared_bench.executors.worker_process import WorkerProcess, kill, start_worker
from spared_bench.interfaces import Job, Outcome
from spared_bench.memory import kills_for_want_of_memory
from spared_bench.results import RETRIES, TrialResult
from spared_bench.store.disk import way_out

if TYPE_CHECKING:
    import psutil

_TAIL_CHARS = 8_000  # of a worker's log, that are told of a job it died in
_READ_BYTES = 64 * 1024
_MOST_LOG_BYTES = 64 * 2**20
_MOST_LETTERS = 16 * 2**20  # of a message
_MOST_WAITING = 1_000  # messages that nobody has read yet
_LAST_WORDS_SECONDS = 2.0  # for what a process said before it ended
#: In which a worker says that its child was ended; it takes half of it to end what that one left.
_SILENT_SECONDS = 20.0
#: What a timeout ends: what plugins compute. Preparing may take as long as it takes.
_TIMED = ("trial", "complete", "network")

#: What a worker says before its first job.
_OF_THE_WORKER = ("ready", "refused")
#: What messages hold beside their type. A method's process writes some of them, and may be odd.
_HOLDS: dict[str, dict[str, type | tuple[type, ...]]] = {
    "ready": {},
    "refused": {"message": str},
    "forked": {"pid": int},
    "progress": {"step": int, "values": dict},
    "done": {
        "status": str,
        "message": str,
        "traceback": str,
        "result": (dict, type(None)),
        "overhead": float,
    },
    "ended": {},
    "died": {"code": int},
}

Inbox = queue.Queue  # of (Slot, dict or None)


class Slot:
    """A worker process and the job that it has.

    Parameters
    ----------
    settings : Settings
    number : int
        Among those of this executor: which of the ``gpus`` is its own, and which log.
    inbox : queue.Queue
        Gets ``(slot, message)`` for every message, and ``(slot, None)`` when the process has ended.
    """

    def __init__(self, settings: Settings, number: int, inbox: Inbox) -> None:
        self.job: Job | None = None
        self.number = number
        self.forks = settings.limits.isolate
        self._limits = settings.limits
        self._begun = math.inf  # its imports are not the job's time
        self._ready = False
        self._child = 0
        self._verdict: tuple[str, str] | None = None
        self._ended = math.inf  # when its job was
        self._refused = ""
        self._token, self._kills = "", 0
        self._done: dict[str, Any] | None = None
        kind = "-forks" if self.forks else ""
        self._log = Path(settings.workspace) / "logs" / f"worker-{os.getpid()}-{number}{kind}.log"
        self._process = self._start(environment(settings.limits, number), settings.threads)
        self._send(settings.as_dict())
        listener = threading.Thread(target=self._listen, args=(inbox,), daemon=True)
        listener.start()
        threading.Thread(target=self._await_end, args=(listener, inbox), daemon=True).start()

    def _start(self, env: dict[str, str], threads: int) -> WorkerProcess:
        try:
            self._log.parent.mkdir(parents=True, exist_ok=True)
            self._log.unlink(missing_ok=True)  # of an earlier process; or a pipe, which would wait
            # Appending, so that what is cut off leaves no hole that is written behind.
            new = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND
            log = os.fdopen(os.open(self._log, new, 0o666), "wb")
        except OSError as error:
            way = way_out(error, "Choose another workspace with `--workspace DIR`.")
            told = f"Cannot write the log {self._log}: {error.strerror}."
            raise WorkspaceError(f"{told} {way}") from error
        with log:
            return start_worker(env, threads, log)

    def give(self, job: Job) -> None:
        """Give it a job, whose time begins when its process is there: the worker, or its child."""
        self.job = job
        self._begun = time.monotonic() if self._ready and not self.forks else math.inf
        self._verdict, self._child, self._done, self._ended = None, 0, None, math.inf
        self._token, self._kills = secrets.token_hex(8), kills_for_want_of_memory()
        self._send({"token": self._token, "job": job.as_dict()})

    def _send(self, values: dict[str, Any]) -> None:
        try:
            self._process.stdin.write(json.dumps(values) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # It has died: the listener tells.

    def _listen(self, inbox: Inbox) -> None:
        for line in lines_of(self._process.stdout):
            try:
                message = json.loads(line)
            except (ValueError, RecursionError):  # half a line of a child that was killed
                continue
            # What is only looked at waits for nobody: a method may tell more than is ever read.
            if self._is_of_this_job(message) and not (
                message["type"] == "progress" and inbox.qsize() > _MOST_WAITING
            ):
                inbox.put((self, message))

    def _is_of_this_job(self, message: Any) -> bool:
        """Tell what is said of this job from the words of what an earlier one left running."""
        if not is_message(message):
            return False
        if message["type"] in _OF_THE_WORKER:
            return not self._ready
        return bool(message.get("token") == self._token)

    def _await_end(self, listener: threading.Thread, inbox: Inbox) -> None:
        """Tell of the process's end; children of a method may hold its output open for longer."""
        self._process.wait()
        if self._process.pid:
            kill(-self._process.pid)
        listener.join(_LAST_WORDS_SECONDS)
        inbox.put((self, None))

    def enforce(self) -> None:
        """End the job if it takes more than it may; the executor calls this now and then."""
        self._bound_log()
        if self.job is None or not self._has_process:
            return
        if self._verdict is not None:
            if time.monotonic() - self._ended > _SILENT_SECONDS:
                self.kill()  # a method can stop the worker, which then says nothing any more
            return
        limits, took = self._limits, time.monotonic() - self._begun
        if limits.timeout and took > limits.timeout and self.job.kind in _TIMED:
            self._end(
                "timeout",
                f"Ended after {limits.timeout:g} s, which is all that `--timeout` allows.",
            )
        elif limits.memory_mb and (used := self._memory()) > limits.memory_mb:
            self._end(
                "out_of_memory",
                f"Ended when it held {used:.0f} MiB; `--memory-mb` allows {limits.memory_mb}.",
            )

    def _bound_log(self) -> None:
        """Keep the end of the log alone when it is long: a method may print without end."""
        with suppress(OSError):
            if self._log.stat().st_size > _MOST_LOG_BYTES:
                with self._log.open("a+b") as file:
                    file.seek(-_READ_BYTES, os.SEEK_END)
                    end = file.read()
                    file.truncate(0)
                    file.write(end)

    @property
    def _has_process(self) -> bool:
        """Whether the job has begun; what a worker takes before it forks is not the job's."""
        return bool(self._child) or not self.forks

    def _end(self, status: str, message: str) -> None:
        self._verdict, self._ended = (status, message), time.monotonic()
        family = self._family()
        if not self._child:
            self.kill()
        for process in family:
            kill(process.pid)

    def _family(self) -> list[psutil.Process]:
        """Return the processes of the job: the one it runs in, and those it has started."""
        import psutil

        try:
            root = psutil.Process(self._child or self._process.pid)
            return [root, *root.children(recursive=True)]
        except psutil.Error:
            return []

    def _memory(self) -> float:
        """Return the memory that the job's processes hold, in MiB.

        The sum of what each has resident counts what they share (a data loader's workers share
        nearly all) once for each. That is quick to read, and an upper bound; beyond the limit the
        proportional set sizes are read, where the system has them, which count it once.
        """
        family = self._family()
        resident = _sum_of(family, "memory_info", "rss")
        if not self._limits.memory_mb or resident <= self._limits.memory_mb:
            return resident
        return _sum_of(family, "memory_full_info", "pss") or resident

    def outcome(self, message: dict[str, Any] | None) -> Outcome | None:
        """Return what a message says about the job, ``None`` if it does not end it.

        Parameters
        ----------
        message : dict or None
            From the inbox; ``None``: the process has ended.
        """
        job, kind = self.job, None if message is None else self._kind_of(message)
        if kind == "refused" and message is not None:
            self._refused = message["message"]
        elif kind == "ready":
            self._ready = True
            self._begun = math.inf if self.forks else time.monotonic()
        elif kind == "forked" and message is not None:
            if not self._child:  # what follows is a method's word, that another process be ended
                self._child, self._begun = message["pid"], time.monotonic()
        elif kind == "done" and self.forks:
            self._done = message  # which counts when the child has ended, and all that it started
            return None
        elif kind == "ended":
            message, kind = self._done or message, "done" if self._done else "died"
        if job is None or kind not in (None, "done", "died"):
            return None
        self.job, self._child = None, 0
        if self._refused:
            return Outcome(job, "refused", self._refused)
        if kind == "done" and message is not None:
            return _told(job, message)
        if self._verdict is not None:
            return Outcome(job, *self._verdict, traceback=self._log_tail())
        code = message["code"] if message is not None else self._process.returncode
        lacked = code == -signal.SIGKILL and kills_for_want_of_memory() > self._kills
        # What another process took is no reason to train in other parts: first, it is tried again.
        status = "out_of_memory" if lacked and job.attempt >= RETRIES["killed"] else "killed"
        return Outcome(job, status, _how_it_ended(code, lacked), self._log_tail())

    def _kind_of(self, message: dict[str, Any]) -> str:
        """Return the type of a message; a method may say that its process ended, and go on.

        A worker says so when the process is gone.
        """
        import psutil

        kind = str(message["type"])
        early = kind in ("ended", "died") and self._child and psutil.pid_exists(self._child)
        return "too early" if early else kind

    def _log_tail(self) -> str:
        try:
            with self._log.open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(0, size - _READ_BYTES))
                text = file.read().decode("utf-8", "replace")
        except OSError:
            return ""
        # After a crash Python names every compiled module, which would push out where it was.
        lines = [line for line in text.splitlines() if not line.startswith("Extension modules:")]
        return "\n".join(lines)[-_TAIL_CHARS:]

    @property
    def alive(self) -> bool:
        """Whether its process is there."""
        return not self._process.has_ended()

    def kill(self) -> None:
        """End the process, and its child, at once."""
        self._process.end()

    def close(self) -> None:
        """End the process when it is not needed any more, and leave no log without a word."""
        self.kill()
        with suppress(OSError):
            if not self._log.stat().st_size:
                self._log.unlink()


def environment(limits: Limits, number: int) -> dict[str, str]:
    """Return the environment of a slot: whose it is, and which GPU is its own."""
    env = os.environ | {OWNER: owner()}
    if limits.gpus:
        env["CUDA_VISIBLE_DEVICES"] = limits.gpus[number % len(limits.gpus)]
    return env


def is_message(values: Any) -> bool:
    """Whether these are the parts of a message of its type."""
    holds = _HOLDS.get(str(values.get("type"))) if isinstance(values, dict) else None
    if holds is None or not all(isinstance(values.get(name), kind) for name, kind in holds.items()):
        return False
    numbers = values["values"].values() if values["type"] == "progress" else ()
    return all(isinstance(number, float) for number in numbers)


def lines_of(stream: IO[str], most: int = _MOST_LETTERS) -> Iterator[str]:
    """Yield the lines of a stream that are not too long: a method may write one without end."""
    begins = True
    while part := stream.readline(most):
        ends = part.endswith("\n")
        if begins and ends:
            yield part
        begins = ends


def _told(job: Job, message: dict[str, Any]) -> Outcome:
    try:
        result = TrialResult.from_dict(message["result"]) if message["result"] else None
    except ValueError as error:  # a method has changed what its process works with: the clock, say
        what = " ".join(str(error).split())
        return Outcome(job, "error", f"What its process told cannot be read: {what}")
    if result is not None and result.key != job.key:
        return Outcome(job, "error", f"The job told the result of another: {result.key[:12]}.")
    return Outcome(
        job,
        "mismatch" if message["status"] == "refused" else message["status"],  # as a worker says
        message["message"],
        message["traceback"],
        result,
        message["overhead"] if math.isfinite(message["overhead"]) else 0.0,
    )


def _sum_of(family: list[psutil.Process], how: str, name: str) -> float:
    """Return a figure of all these processes, in MiB; one that has ended holds nothing."""
    import psutil

    total = 0
    for process in family:
        with suppress(psutil.Error):
            total += getattr(getattr(process, how)(), name, 0)
    return total / 2**20


def _how_it_ended(code: int | None, lacked_memory: bool) -> str:
    if lacked_memory:
        return (
            "The system ended its process for want of memory. Use fewer `--workers`, or settings"
            " of the method that need less; what else runs on the machine counts, too."
        )
    how = "ended" if code is None else how_ended(code)
    return (
        f"The process {how} in the middle of this job. If it was the system, for want of memory,"
        " use fewer `--workers`. Its last output is in the traceback (`spared-bench status --why`)."
    )
