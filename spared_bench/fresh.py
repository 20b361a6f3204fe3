"""A function of ours called in a fresh interpreter, and what it answers, as JSON.

For what a forked child cannot do: libvips, once it has run, waits in a fork for threads that are
not there, and so may other libraries. It costs the imports, a second or two.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from spared_bench.apart import answer_and_end, answer_of


def do_fresh(function: str, arguments: Mapping[str, Any], seconds: float) -> Any:
    """Call a function in an interpreter that has run nothing before, and return its answer.

    What is printed there goes to the standard error output. All that it has started is ended with
    it (Linux; elsewhere the interpreter alone).

    Parameters
    ----------
    function : str
        ``"module:name"``; returns what JSON can hold.
    arguments : mapping
        By name; what JSON can hold.
    seconds : float
        After which it is ended.

    Raises
    ------
    FailedError
        If it raised.
    DiedError
        If its process ended otherwise, took longer, or answered nothing that can be read.
    """
    asked = {"function": function, "arguments": dict(arguments), "parent": os.getpid()}

    def begin(_: int, writing: int) -> int:
        with tempfile.TemporaryFile() as file:
            file.write(json.dumps(asked).encode())
            file.seek(0)
            os.set_inheritable(writing, True)
            return os.posix_spawn(
                sys.executable,
                [sys.executable, *path_options(), "-m", "spared_bench.fresh", str(writing)],
                os.environ,
                file_actions=[
                    (os.POSIX_SPAWN_DUP2, file.fileno(), 0),
                    (os.POSIX_SPAWN_DUP2, 2, 1),
                ],
            )

    return answer_of(begin, seconds)


def path_options() -> list[str]:
    """Keep a new interpreter from importing what lies in this folder, unless we would."""
    return [] if {"", str(Path.cwd())} & set(sys.path) else ["-P"]


def main() -> None:
    """Do what standard input asks for; answer through the pipe of this number."""
    gc.set_threshold(50_000, 50, 50)  # as in the command line: what is imported stays
    asked = json.load(sys.stdin)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    writing = int(sys.argv[1])
    os.set_inheritable(writing, False)

    def work() -> Any:
        module, _, name = asked["function"].partition(":")
        try:
            return getattr(import_module(module), name)(**asked["arguments"])
        finally:
            with suppress(OSError, ValueError):  # a stranger's code has closed it
                sys.stdout.flush()  # as the end that comes next does not

    answer_and_end(work, asked["parent"], writing)


if __name__ == "__main__":
    main()
