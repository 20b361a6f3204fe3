"""Whether files are as they were: their names, sizes and times of change, as one text."""

from __future__ import annotations

import os
from collections.abc import Sequence

from spared_bench.store.imports import MARK
from spared_bench.store.trials import PREDICTIONS

_NO_FILE = "-"
#: An error takes longer than to ask.
_OFTEN_MISSING = {MARK, PREDICTIONS}


def stamp_of_file(name: str, facts: os.stat_result) -> str:
    # The time of the last change of any kind, which no program can set as it likes.
    return f"{name}\t{facts.st_size}\t{facts.st_ctime_ns}"


def stamp_of(folder: str, names: Sequence[str]) -> tuple[str, list[os.stat_result]]:
    """Return names, sizes and times of files, one a line, and what the system says of them."""
    lines, found = [], []
    for name in names:
        path = f"{folder}/{name}"  # one text: a path of its own takes longer, as an error does
        if name in _OFTEN_MISSING and not os.access(path, os.F_OK):
            lines.append(missing(name))
            continue
        try:
            facts = os.stat(path)  # noqa: PTH116
        except FileNotFoundError:
            lines.append(missing(name))
        else:
            lines.append(stamp_of_file(name, facts))
            found.append(facts)
    return "\n".join(lines), found


def is_as(folder: str, stamp: str, root: int | None = None) -> bool:
    """Return whether the files of a stamp are as it says; the first that is not ends the look.

    Parameters
    ----------
    folder, stamp : str
    root : int, optional
        An open folder that ``folder`` is within: the system asks for fewer names on the way.
    """
    for line in stamp.split("\n"):
        name, size, changed = line.split("\t")
        path = f"{folder}/{name}"
        if size == _NO_FILE:
            if os.access(path, os.F_OK, dir_fd=root):
                return False
            continue
        facts = os.stat(path, dir_fd=root)
        if facts.st_size != int(size) or facts.st_ctime_ns != int(changed):
            return False
    return True


def missing(name: str) -> str:
    """Return the line of a file that is not there."""
    return f"{name}\t{_NO_FILE}\t{_NO_FILE}"


def names_in(stamp: str) -> list[str]:
    return [line.partition("\t")[0] for line in stamp.split("\n")]
