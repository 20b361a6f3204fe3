"""Keeps a plugin's code from what the whole process shares: output, folder, signals, its end.

Imports are watched in this process, because a child for each would make every command slow. What
ends a process from C (a crash, ``abort``) still ends the command, with the system's message.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from pathlib import Path
from types import FrameType
from typing import Any

from spared_bench.errors import PluginError

#: Seconds after which a slow import is told, and after which it is given up.
TOLD_SECONDS = 10.0
IMPORT_SECONDS = 120.0
_SECONDS_TO_END = 5.0
_UNCAUGHT = {signal.SIGKILL, signal.SIGSTOP}


class ImportStopped(BaseException):
    """A plugin's import tried to end the process, or does not end; no ``Exception``."""


class TooLong(BaseException):
    """Code of a plugin has not returned in its time; no ``Exception``, which it may catch."""


@contextmanager
def guarded() -> Iterator[None]:
    """Send what is printed to standard error, and take back what code of a plugin sets.

    That is the folder, handlers of signals, an alarm, rights of new files, the depth of calls.

    Standard output belongs to the command, whose ``--json`` must stay JSON: what C code and child
    processes write to file descriptor 1 goes to standard error, too. A copy of this process that
    the code has forked ends where it would go on as this one.
    """
    process = os.getpid()
    folder, handlers = _folder(), _handlers()
    alarm, begun = signal.getitimer(signal.ITIMER_REAL), time.monotonic()
    depth, umask = sys.getrecursionlimit(), _umask()
    try:
        with _OUTPUT.away(), redirect_stdout(sys.stderr):
            yield
    finally:
        if os.getpid() != process:
            _leave(1)
        sys.setrecursionlimit(depth)
        os.umask(umask)
        if folder is not None:
            with suppress(OSError):  # it is gone
                os.chdir(folder)
        if threading.current_thread() is threading.main_thread():
            left, again = alarm[0] - (time.monotonic() - begun), alarm[1]
            signal.setitimer(signal.ITIMER_REAL, left if left > 0 else again, again)
        for number, handler in handlers.items():
            if signal.getsignal(number) is not handler:
                signal.signal(number, handler)


class _Output:
    """File descriptor 1, which is elsewhere while code of a plugin runs in any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._depth = 0
        self._kept = -1

    @contextmanager
    def away(self) -> Iterator[None]:
        with self._lock:
            if self._depth == 0:
                self._redirect()
            self._depth += 1
        try:
            yield
        finally:
            with self._lock:
                self._depth -= 1
                if self._depth == 0:
                    self._restore()

    def _redirect(self) -> None:
        with suppress(OSError, ValueError, AttributeError):  # closed, or none
            sys.stdout.flush()
        with suppress(OSError):
            self._kept = os.dup(1)
            os.dup2(2, 1)

    def _restore(self) -> None:
        if self._kept >= 0:
            with suppress(OSError, AttributeError, TypeError):
                ctypes.CDLL(None).fflush(None)  # what C code has printed and not yet written
            os.dup2(self._kept, 1)
            os.close(self._kept)
            self._kept = -1


_OUTPUT = _Output()


def keep_output() -> None:
    """Keep standard output for what the command itself says (``say``), from now on.

    Code of plugins runs when methods, readers and metrics are called, too: all that it, C code and
    child processes print to file descriptor 1 goes to standard error. Where something else stands
    for standard output, as in a test, nothing is changed.
    """
    global _own  # noqa: PLW0603 - a process has one standard output
    with suppress(OSError, ValueError, AttributeError):  # closed, or none
        if _own < 0 and sys.stdout.fileno() == 1:
            sys.stdout.flush()
            _own = os.dup(1)
            os.dup2(2, 1)


def end_copy() -> None:
    """End this process if it is a copy of the command, which code of a plugin has forked."""
    if _command_in and os.getpid() != _command_in:
        _leave(1)


def say(text: str) -> None:
    """Write to the standard output that was kept; to standard output where none was."""
    if _own < 0:
        if sys.stdout is not None:  # it was closed before the command began
            sys.stdout.write(text)
        return
    left = text.encode(sys.stdout.encoding, "backslashreplace")
    while left:
        left = left[os.write(_own, left) :]


def nobody_reads() -> bool:
    """Return whether a reader of this command's output, or of its errors, has gone."""
    poll = select.poll()
    for number in {1, 2, _own} - {-1}:
        poll.register(number, 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))


_own = -1


def refuse_exit() -> None:
    """Let no code of plugins end this process by ``os._exit``, with status 0 and without a word."""
    global _command_in  # noqa: PLW0603 - a process is one command
    _command_in = os.getpid()
    os._exit = _leave_unless_refused  # type: ignore[assignment]


def end_output() -> None:
    """Send all that comes after a command's own output to standard error: of ``atexit``, of C.

    Nor does ``os._exit`` of what runs then change the command's status.
    """
    global _ending_in  # noqa: PLW0603 - a process ends once
    _ending_in = os.getpid()
    with suppress(OSError, ValueError, AttributeError):
        sys.stdout.flush()
        os.dup2(2, 1)
    os._exit = _leave_unless_refused  # type: ignore[assignment]


def end_despite_threads(status: int, seconds: float = 10.0) -> None:
    """Let the process end so many seconds after its command, whatever threads a plugin has left.

    Python waits for them for ever. Those of pools of ours end when they are told to, at once. A
    process that goes on after a command, as a notebook does, is left alone.
    """

    def leave() -> None:
        time.sleep(seconds)
        if not getattr(threading, "_SHUTTING_DOWN", False):
            return
        main = threading.main_thread()
        left = [each for each in threading.enumerate() if each is not main and not each.daemon]
        if left:  # else something is still being written
            names = ", ".join(repr(each.name) for each in left)
            told = f"Threads that a plugin has begun do not end, and are left: {names}.\n"
            with suppress(OSError):
                os.write(2, told.encode(errors="backslashreplace"))
            _leave(status)

    threading.Thread(target=leave, daemon=True).start()


_command_in, _ending_in = 0, 0
_leave = os._exit


def _leave_unless_refused(code: int = 0) -> None:
    if os.getpid() == _ending_in:
        raise ImportStopped(f"it calls os._exit({code}) when the command ends")
    if os.getpid() == _command_in:
        raise PluginError(
            f"Code of a plugin calls os._exit({code}), which would have ended this command with"
            f" status {code} and nothing said. Let it raise an exception instead."
        )
    _leave(code)


@contextmanager
def importing(name: str, seconds: float | None = IMPORT_SECONDS) -> Iterator[None]:
    """Guard the import of a plugin: it can neither end the process nor take for ever untold.

    Parameters
    ----------
    name : str
        Of the plugin, for what is told.
    seconds : float, optional
        After which the import is given up; ``None`` for one that may take long.

    Raises
    ------
    ImportStopped
        If it calls ``os._exit`` or takes longer.
    """
    ended, main = threading.Event(), threading.current_thread() is threading.main_thread()
    process, before = os.getpid(), os._exit

    def refuse(code: int = 0) -> None:
        if ended.is_set() or os.getpid() != process:  # kept for later, or in a child of its own
            _leave_unless_refused(code)
        raise ImportStopped(f"it calls os._exit({code}) when it is imported")

    with guarded():
        due = threading.Event()
        if main and seconds is not None:
            _stop_on_alarm(due, ImportStopped(f"its import takes longer than {seconds:g} s"))
        watch = threading.Thread(
            target=_watch, args=(name, ended, due, seconds if main else None), daemon=True
        )
        watch.start()
        os._exit = refuse  # type: ignore[assignment]
        try:
            yield
        finally:
            ended.set()
            os._exit = before
            watch.join()


@contextmanager
def bounded(what: str, seconds: float) -> Iterator[None]:
    """Guard code of a plugin as ``guarded`` does, and give it up where it takes too long.

    In the main thread alone: no other can be stopped. Code that cannot be stopped either ends the
    process.

    Parameters
    ----------
    what : str
        The code, for what is told: ``"The reader of dataset 'x'"``.
    seconds : float

    Raises
    ------
    TooLong
    """
    with guarded():
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        ended, due = threading.Event(), threading.Event()
        told = f"{what} has not returned within {seconds:g} s"
        _stop_on_alarm(due, TooLong(told))
        lost = f"{told}, and cannot be stopped."
        watch = threading.Thread(target=_stop_after, args=(seconds, ended, due, lost), daemon=True)
        watch.start()
        try:
            yield
        finally:
            ended.set()
            watch.join()


def _stop_on_alarm(due: threading.Event, error: BaseException) -> None:
    """Raise an error at an alarm once it is due; other alarms are of whoever was there before."""
    theirs = signal.getsignal(signal.SIGALRM)

    def stop(number: int, frame: FrameType | None) -> None:
        if due.is_set():
            raise error
        if callable(theirs):
            theirs(number, frame)
        elif theirs == signal.SIG_DFL:  # which ends the process
            signal.signal(number, theirs)
            os.kill(os.getpid(), number)

    signal.signal(signal.SIGALRM, stop)


def _watch(name: str, ended: threading.Event, due: threading.Event, seconds: float | None) -> None:
    """Tell that an import is slow; where it has a limit, stop it, and if it does not stop, end."""
    limit = TOLD_SECONDS if seconds is None else seconds
    if ended.wait(min(TOLD_SECONDS, limit)):
        return
    if limit > TOLD_SECONDS or seconds is None:
        _tell(f"Plugin {name} is still being imported.")
    if seconds is not None:
        lost = f"Plugin {name} hangs when it is imported and cannot be stopped: uninstall it."
        _stop_after(limit - min(TOLD_SECONDS, limit), ended, due, lost)


def _stop_after(seconds: float, ended: threading.Event, due: threading.Event, lost: str) -> None:
    """Alarm the main thread until code there has ended; where it does not end, the process does."""
    if ended.wait(seconds):
        return
    due.set()
    for _ in range(int(_SECONDS_TO_END / 0.5)):
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGALRM)
        if ended.wait(0.5):
            return
    _tell(lost)
    _leave(70)


def _tell(text: str) -> None:
    os.write(2, f"{text}\n".encode())


def _umask() -> int:
    """Return which rights new files lack, which cannot be asked for without setting them."""
    found = os.umask(0o077)
    os.umask(found)
    return found


def _folder() -> Path | None:
    try:
        return Path.cwd()
    except OSError:
        return None


def _handlers() -> dict[int, Any]:
    if threading.current_thread() is not threading.main_thread():
        return {}
    found = {number: signal.getsignal(number) for number in signal.valid_signals() - _UNCAUGHT}
    return {number: handler for number, handler in found.items() if handler is not None}
