"""Who is writing: living processes of this machine, and how files name them."""

from __future__ import annotations

import os
import re
import socket
import tempfile
import time
import uuid
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from spared_bench.removal import remove_folder

_SCRATCH = "spared-bench-scratch."
_STALE_SECONDS = 24 * 3600
#: How ``files.replacing`` names what is not whole yet. Ids of processes are shorter than a date.
_NOT_WHOLE = re.compile(r"\.\d{1,7}-[0-9a-f]{8}\..+")


def _boot() -> str:
    """Return what tells this machine, until it starts again, from all others; empty if unsaid."""
    try:
        said = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""
    return f"-{said.replace('-', '')[:12]}" if said else ""


#: Read at once: a process that is shut in later may not be able to.
_BOOT = _boot()


def stamp() -> str:
    """Return a suffix that says who is writing, for ``sweep``: place, process, its start.

    It follows a dot, so that a place is not taken for one whose name ends alike.
    """
    return f"{place()}.{os.getpid()}-{_own_start(os.getpid())}.{uuid.uuid4().hex[:8]}"


@cache
def _own_start(pid: int) -> int:
    return started_at(pid)


def started_at(pid: int) -> int:
    """Return a number that tells a living process from later ones of its id; 0 if it is gone.

    On Linux the ticks of its start since the machine's: a date would move when the clock is set.
    """
    import psutil

    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return 0  # it has ended: its parent was killed before it could take note
        return _ticks(pid) or round(process.create_time())
    except psutil.NoSuchProcess:
        return 0
    except psutil.AccessDenied:
        return -1


def _ticks(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        return int(text.rpartition(")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        return 0


def is_running(pid: int, started: int) -> bool:
    """Whether the process of this machine that began at ``started`` (``started_at``) still runs."""
    found = started_at(pid)
    # Less than 0: somebody else's, of which we may not know more than that it is there.
    return found < 0 or (found > 0 and abs(found - started) <= 1)


def is_stopped(pid: int) -> bool:
    """Whether a process of this machine is there but does nothing: SIGSTOP, Ctrl-Z, a debugger.

    All threads of a process stop together, except one that waits for what it cannot be taken out
    of: a child that was stopped before it began its program, a disk. So one that stands is enough.
    """
    import psutil

    stopped = (psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP)
    try:
        states = {psutil.Process(thread).status() for thread in _threads(pid)}
        return not states.isdisjoint(stopped)
    except (psutil.Error, ValueError, OverflowError):
        return False


def _threads(pid: int) -> list[int]:
    """The ids of a process's threads, each of which Linux describes as it does a process."""
    try:
        return [int(path.name) for path in Path(f"/proc/{pid}/task").iterdir()]
    except OSError:
        return [pid]


def is_orphan(path: Path, living: Collection[str] = ()) -> bool:
    """Whether the writer that ``stamp`` names in a path has ended before it was done.

    Parameters
    ----------
    path : Path
    living : collection of str
        Places other than this one (``place``) from which somebody gave a sign of life lately: what
        is written there may take days.
    """
    parts = path.name.rsplit(".", 2)
    pid, dash, started = parts[1].partition("-") if len(parts) == 3 else ("", "", "")
    if not (dash and pid.isdigit() and started.isdigit()):
        return False
    if parts[0].endswith(f".{place()}"):
        return not is_running(int(pid), int(started))
    if any(parts[0].endswith(f".{each}") for each in living):
        return False
    try:
        return time.time() - path.stat().st_mtime > _STALE_SECONDS
    except FileNotFoundError:
        return False


def sweep_beside(folder: Path) -> None:
    """Remove the files that killed processes had begun in a folder (``files.replacing``).

    Their names tell no machine, so they go after a day in which nobody has written into them.
    """
    for path in folder.glob(".*-*.*"):
        if _NOT_WHOLE.fullmatch(path.name):
            with suppress(OSError):
                if time.time() - path.lstat().st_mtime > _STALE_SECONDS:
                    path.unlink()


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Give a folder among the system's temporary ones, for as long as the block takes.

    What killed processes left of theirs is taken away: a bundle unpacks to gigabytes, and not every
    system ever tidies up.
    """
    above = Path(tempfile.gettempdir())
    for left in filter(is_orphan, above.glob(f"{_SCRATCH}*")):
        remove_folder(left)
    folder = above / f"{_SCRATCH}{stamp()}"
    folder.mkdir(mode=0o700)
    try:
        yield folder
    finally:
        remove_folder(folder)


def place() -> str:
    """Name the machine and, in containers that share its name, the space of process ids.

    Names of machines are not unique (``localhost``, ``ubuntu``), and where there are no containers
    this space has the same number everywhere: so what the system was started by belongs to it, too.
    """
    try:
        space = os.stat("/proc/self/ns/pid").st_ino  # noqa: PTH116
    except OSError:
        space = 0
    return f"{socket.gethostname()}-{space}{_BOOT}"
