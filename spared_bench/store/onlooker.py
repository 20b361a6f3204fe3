"""A child that looks at many files while its parent does something else.

To ask the system for the files of 100,000 entries takes a second, in which Python does nothing
else. A thread would not help: each of the answers is a moment's work of Python.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import islice, repeat

from spared_bench.threads import usable_cores

#: Of questions that are worth a child, and of answers that it hands over at once.
_WORTH, _AT_ONCE = 2_000, 256
_leave = os._exit  # which a command keeps from code of plugins


def looked_ahead(look: Callable[[], Iterable[int]], number: int) -> Generator[int | None]:
    """Return what a forked child finds, in its order, and then ``None`` without end.

    It begins at once, and ends with the last of its answers, or when what is returned is closed.

    Parameters
    ----------
    look : callable
        Is called in the child, in which no thread runs but the one that calls; yields whole numbers
        from 0 to 255.
    number : int
        How many, about. For a few, on one core, and where a system does not fork, there is no
        child.
    """
    found = _found_by(look, number)
    next(found)  # it begins
    return found


def _found_by(look: Callable[[], Iterable[int]], number: int) -> Generator[int | None]:
    if number >= _WORTH and usable_cores() > 1 and hasattr(os, "fork"):
        # There may be too many files or processes.
        with suppress(OSError), _child(look) as reading:
            yield None
            while answers := os.read(reading, _AT_ONCE):
                yield from answers
    else:
        yield None
    yield from repeat(None)


@contextmanager
def _child(look: Callable[[], Iterable[int]]) -> Iterator[int]:
    """Fork a child that writes what it finds to the file whose number is given."""
    reading, writing = os.pipe()
    try:
        child = os.fork()
    except OSError:
        os.close(reading)
        os.close(writing)
        raise
    if child == 0:
        with suppress(BaseException):
            os.close(reading)
            found = iter(look())
            while some := bytes(islice(found, _AT_ONCE)):
                os.write(writing, some)
        _leave(0)
    os.close(writing)
    try:
        yield reading
    finally:
        os.close(reading)  # with which what it writes next ends it
        with suppress(ChildProcessError):  # whoever began us ignores how children end
            os.waitpid(child, 0)
