"""Something done in a child of this process, and what it answers, as JSON.

A fork has the memory of its parent and none of its threads. What a library has handed to threads of
its own there, as libvips does, waits for ever in the child: whoever reads images in a child starts
a fresh interpreter (``spared_bench.fresh``).
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NoReturn

from spared_bench.errors import PluginError, in_words

_LOOK_SECONDS = 0.05
_ANSWER_BYTES = 256 << 20
_LEFT_SECONDS = 10.0
_STOPPED_SECONDS = 5.0  # Ctrl-Z stops both, and who goes on first may find the other stopped
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


def do_apart(work: Callable[[], Any], seconds: float = 0.0, most_bytes: int = 0) -> Any:
    """Do something in a forked child and return what it returned.

    All that the child has started is ended with it (Linux; elsewhere the child alone).

    Parameters
    ----------
    work : callable
        Returns what JSON can hold; nan and infinity too.
    seconds : float
        After which it is ended; 0: never.
    most_bytes : int
        Of memory, about, above which it is ended; 0: any.

    Raises
    ------
    FailedError
        If it raised.
    DiedError
        If its process ended otherwise, took longer or more, or answered nothing that can be read.
    """

    def begin(reading: int, writing: int) -> int:
        parent = os.getpid()
        child = os.fork()
        if child == 0:
            with suppress(OSError):
                os.close(reading)
            answer_and_end(work, parent, writing)
        return child

    return answer_of(begin, seconds, most_bytes)


def answer_of(begin: Callable[[int, int], int], seconds: float, most_bytes: int = 0) -> Any:
    """Begin a child, and return what it answers by ``answer_and_end``.

    Parameters
    ----------
    begin : callable
        Is given the ends of a pipe to read from and to write to; returns the child's number.
    seconds, most_bytes : float, int
        After which it is ended; 0: never.

    Raises
    ------
    FailedError, DiedError
        As ``do_apart``.
    """
    adopt_orphans()
    before = descendants()
    reading, writing = os.pipe()
    try:
        try:
            child = begin(reading, writing)
        finally:
            os.close(writing)
        answer, code, ended = _listen(child, reading, seconds, most_bytes)
    finally:
        os.close(reading)
        end_what_is_left(before)
    if answer is None:
        how = f"was ended {ended}," if ended else how_ended(code)
        raise DiedError(code, f"Its process {how} before it had answered.")
    if "message" in answer:
        raise FailedError(str(answer["message"]), str(answer.get("story", "")))
    return answer["value"]


def how_ended(code: int) -> str:
    """Say how a process ended: ``was killed by SIGKILL``."""
    if code < 0:
        with suppress(ValueError):
            return f"was killed by {signal.Signals(-code).name}"
        return f"was killed by signal {-code}"  # most of those of real time have no name
    return f"ended with status {code}"


def answer_and_end(work: Callable[[], Any], parent: int, writing: int) -> NoReturn:
    """Do something in this process, the child, write what it returned to a pipe, and end."""
    me = os.getpid()
    hear_of_children()
    try:
        end_with(parent)
        answer = {"value": work()}
        text = json.dumps(answer)
    except BaseException as error:
        message, story = in_words(error)
        text = json.dumps({"message": message, "story": story})
    if os.getpid() == me:  # and not a child of a stranger's code that goes on here
        with suppress(BaseException), os.fdopen(writing, "w", encoding="utf-8") as pipe:
            pipe.write(text)
    os._exit(0)


def _listen(
    child: int, reading: int, seconds: float, most_bytes: int
) -> tuple[dict[str, Any] | None, int, str]:
    """Return what a child says, ``None`` for nonsense, how it ended, and why it was ended."""
    until = time.monotonic() + seconds if seconds else float("inf")
    parts, size, ended, code, why, looks = [], 0, False, 0, "", 0
    while True:
        ready, _, _ = select.select([reading], [], [], 0 if ended else _LOOK_SECONDS)
        part = os.read(reading, _READ_BYTES) if ready else b""
        parts.append(part)
        size += len(part)
        late, large = time.monotonic() > until, most_bytes and _held_by(child) > most_bytes
        # Counted by looks: a clock goes on while this process is stopped, too.
        looks = looks + 1 if not ready and _is_stopped(child) else 0
        stands = looks * _LOOK_SECONDS > _STOPPED_SECONDS
        if size > _ANSWER_BYTES or late or large or stands:
            why = why or (f"after {seconds:g} s" if late else "")
            why = why or ("as it was stopped (SIGSTOP)" if stands else "")
            why = why or (f"as it held more than {most_bytes / 2**30:.3g} GiB" if large else "")
            parts, until, size, most_bytes = [], float("inf"), 0, 0
            if ended:
                break
            os.kill(child, signal.SIGKILL)
        if ended and not part:
            break
        if not ended:
            try:
                found, status = os.waitpid(child, os.WNOHANG)
            except ChildProcessError:  # whose end was told to nobody: SIGCHLD is ignored here
                found, status = child, 0
            if found:
                ended, code = True, os.waitstatus_to_exitcode(status)
            elif ready and not part:  # it has closed its end and does not end itself
                time.sleep(_LOOK_SECONDS)
    try:
        answer = json.loads(b"".join(parts))
    except (ValueError, RecursionError):
        return None, code, why
    sound = isinstance(answer, dict) and bool({"value", "message"} & set(answer))
    return (answer if sound and code == 0 else None), code, why


def _is_stopped(child: int) -> bool:
    """Return whether a process is there and does nothing, so that it will never answer."""
    import psutil

    with suppress(psutil.Error):
        return bool(psutil.Process(child).status() == psutil.STATUS_STOPPED)
    return False


def _held_by(child: int) -> int:
    """Return the memory that a process holds, in bytes; 0 if it is gone."""
    import psutil

    with suppress(psutil.Error):
        return int(psutil.Process(child).memory_info().rss)
    return 0


def hear_of_children() -> None:
    """Be told how children end, where whoever began us ignores it: we would inherit that."""
    is_ignored = hasattr(signal, "SIGCHLD") and signal.getsignal(signal.SIGCHLD) == signal.SIG_IGN
    if is_ignored and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)


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
