"""What tests ask of processes that they or a command began."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path


def wait_for(condition, seconds=60):
    """Wait until a condition holds."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "waited too long"
        time.sleep(0.05)


def alive(pid):
    """Whether a process runs; one that has ended, of which its parent took no note, does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def workers_of(workspace):
    """Return the living processes that do jobs in a workspace, whoever their parent is by now.

    A child that a worker forked outlives it by the moment in which the system ends it, and writes
    its errors, as the worker does, into a log of the workspace.
    """
    logs = str(Path(workspace).resolve() / "logs")
    found = []
    for folder in Path("/proc").iterdir():
        with suppress(OSError):
            if folder.name.isdigit() and str((folder / "fd" / "2").readlink()).startswith(logs):
                found.append(int(folder.name))
    return found
