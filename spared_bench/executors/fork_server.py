"""The process that forks workers: it has imported what they need, and has run none of it.

It has read what our own plugins say of themselves, knows none of others, and has no threads but
those of libraries (OpenBLAS, jemalloc), which begin them anew in a child. Each worker is asked for
by one message with five files: its input, its output, its log, a pipe on which its number is told,
and in the end how it ended, and its folder. The server ends after the last of its workers when its
parent is gone or lets it go; and after a while in which nothing was asked.
"""

from __future__ import annotations

import json
import os
import select
import socket
import sys
import traceback
from contextlib import suppress

from spared_bench.apart import hear_of_children
from spared_bench.executors.worker import import_what_jobs_need, no_garbage, read_own_code
from spared_bench.executors.worker import main as be_worker
from spared_bench.registry import discover
from spared_bench.threads import use_threads

_MESSAGE_BYTES = 1 << 16
_FILES = 5
_IDLE_SECONDS = 600.0


def main() -> None:
    """Serve until nobody asks any more."""
    hear_of_children()
    asked = socket.socket(fileno=int(sys.argv[1]))
    asked.set_inheritable(False)
    use_threads(int(sys.argv[2]))
    with no_garbage():
        get_ready()
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):  # until here what it prints is in the log of the first worker
        os.dup2(nowhere, stream)
    os.close(nowhere)
    _serve(asked)


def get_ready() -> None:
    """Import and read what every worker would, of our own code alone."""
    import_what_jobs_need()
    read_own_code()
    discover(only=())


def _serve(asked: socket.socket) -> None:
    workers: dict[int, tuple[int, int]] = {}  # by a file that is readable when it has ended
    forked, open_ = 0, True
    while open_ or workers:
        waited_for = [*workers, *([asked.fileno()] if open_ else [])]
        ready, _, _ = select.select(waited_for, [], [], None if workers else _IDLE_SECONDS)
        if not ready:  # what is asked from now on fails there, and what has been is heard
            asked.shutdown(socket.SHUT_RD)
            continue
        for ending in workers.keys() & set(ready):
            _tell_end(ending, *workers.pop(ending))
        if asked.fileno() in ready:
            text, files, _, _ = socket.recv_fds(asked, _MESSAGE_BYTES, _FILES)
            if not text:
                open_ = False
                continue
            if forked:  # the first may have nothing to fit; where more come, some will
                with no_garbage():
                    import torch  # noqa: F401
            forked += 1
            *streams, told, folder = files
            child = os.fork()
            if child == 0:
                for file in (asked.fileno(), *workers, *(pipe for _, pipe in workers.values())):
                    os.close(file)
                os.close(told)
                _become_worker(json.loads(text), streams, folder)
            for file in (*streams, folder):
                os.close(file)
            _tell(told, child)
            workers[os.pidfd_open(child)] = child, told


def _become_worker(variables: dict[str, str | None], streams: list[int], folder: int) -> None:
    """Be a worker with these standard streams, further variables, and folder; does not return."""
    status = 1
    try:
        os.setsid()
        os.fchdir(folder)
        for number, file in enumerate(streams):
            os.dup2(file, number)
        for file in (*streams, folder):
            os.close(file)
        for name, value in variables.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
        be_worker()
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def _tell_end(ending: int, child: int, told: int) -> None:
    _, status = os.waitpid(child, 0)
    _tell(told, os.waitstatus_to_exitcode(status))
    os.close(ending)
    os.close(told)


def _tell(told: int, number: int) -> None:
    with suppress(BrokenPipeError):  # nobody wants to know any more
        os.write(told, f"{number}\n".encode())


if __name__ == "__main__":
    main()
