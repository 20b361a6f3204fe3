"""Something done in a child of this process, and what it answers, as JSON."""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from spared_bench.errors import PluginError, in_words

_LOOK_SECONDS = 0.05
_ANSWER_BYTES = 256 << 20
_LEFT_SECONDS = 10.0
_READ_BYTES = 1 << 20
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36


class DiedError(PluginError):
    """A child ended without an answer.

    Parameters
    ----------
    code : int
        How it ended: its status, or a negative signal.
    """

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class FailedError(PluginError):
    """What was done in a child raised; ``story`` is its traceback."""

    def __init__(self, message: str, story: str) -> None:
        super().__init__(message)
        self.story = story


def do_apart(work: Callable[[], Any], seconds: float = 0.0) -> Any:
    """Do something in a forked child and return what it returned.

    All that the child has started is ended with it (Linux; elsewhere the child alone).

    Parameters
    ----------
    work : callable
        Returns what JSON can hold; nan and infinity too.
    seconds : float
        After which it is ended; 0: never.

    Raises
    ------
    FailedError
        If it raised.
    DiedError
        If its process ended otherwise, took longer, or answered nothing that can be read.
    """
    adopt_orphans()
    before, parent = descendants(), os.getpid()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        _in_child(work, parent, reading, writing)
    os.close(writing)
    try:
        answer, code = _listen(child, reading, seconds)
    finally:
        os.close(reading)
        end_what_is_left(before)
    if answer is None:
        raise DiedError(code, f"Its process {how_ended(code)} before it had answered.")
    if "message" in answer:
        raise FailedError(str(answer["message"]), str(answer.get("story", "")))
    return answer["value"]


def how_ended(code: int) -> str:
    """Say how a process ended: ``was killed by SIGKILL``."""
    if code < 0:
        with suppress(ValueError):
            return f"was killed by {signal.Signals(-code).name}"
    return f"ended with status {code}"


def _in_child(work: Callable[[], Any], parent: int, reading: int, writing: int) -> None:
    me = os.getpid()
    try:
        end_with(parent)
        os.close(reading)
        answer = {"value": work()}
        text = json.dumps(answer)
    except BaseException as error:
        message, story = in_words(error)
        text = json.dumps({"message": message, "story": story})
    if os.getpid() == me:  # and not a child of a stranger's code that goes on here
        with suppress(BaseException), os.fdopen(writing, "w", encoding="utf-8") as pipe:
            pipe.write(text)
    os._exit(0)


def _listen(child: int, reading: int, seconds: float) -> tuple[dict[str, Any] | None, int]:
    """Return what a child says, ``None`` for nonsense, and how it ended."""
    until = time.monotonic() + seconds if seconds else float("inf")
    parts, size, ended, code = [], 0, False, 0
    while True:
        ready, _, _ = select.select([reading], [], [], 0 if ended else _LOOK_SECONDS)
        part = os.read(reading, _READ_BYTES) if ready else b""
        parts.append(part)
        size += len(part)
        if size > _ANSWER_BYTES or time.monotonic() > until:
            parts, until, size = [], float("inf"), 0
            if ended:
                break
            os.kill(child, signal.SIGKILL)
        if ended and not part:
            break
        if not ended:
            found, status = os.waitpid(child, os.WNOHANG)
            if found:
                ended, code = True, os.waitstatus_to_exitcode(status)
            elif ready and not part:  # it has closed its end and does not end itself
                time.sleep(_LOOK_SECONDS)
    try:
        answer = json.loads(b"".join(parts))
    except (ValueError, RecursionError):
        return None, code
    sound = isinstance(answer, dict) and bool({"value", "message"} & set(answer))
    return (answer, code) if sound and code == 0 else (None, code)


def end_with(parent: int) -> None:
    """End this process when its parent ends, however that comes about."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)


def adopt_orphans() -> None:
    """Become the parent of what a child leaves running, where the system can do that."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def descendants() -> set[int]:
    """Return the processes below this one."""
    import psutil

    with suppress(psutil.Error):
        return {process.pid for process in psutil.Process().children(recursive=True)}
    return set()


def end_what_is_left(before: set[int] | None = None) -> None:
    """Kill what this process has below it, those that left its group and session too.

    ``before``: those that are to stay.
    """
    import psutil

    until = time.monotonic() + _LEFT_SECONDS
    while time.monotonic() < until:
        every = psutil.Process().children(recursive=True)
        left = [process for process in every if process.pid not in (before or ())]
        for process in left:
            with suppress(psutil.Error):
                process.kill()
        for process in left:
            with suppress(OSError):
                os.waitpid(process.pid, os.WNOHANG)
        if not left:
            return
        time.sleep(0.02)
