"""Files that are read by their names, where anybody may have put something else.

To open a pipe waits for somebody who writes into it, for ever; a device may have no end.
"""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from stat import S_ISREG
from typing import IO, Any

#: What the system says of a socket, too, when it is opened.
NOT_ORDINARY = errno.ENXIO
#: Windows lacks what others have, and the reverse.
_READ = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_NOT_WAITING = getattr(os, "O_NONBLOCK", 0)


def open_ordinary(path: Path) -> IO[bytes]:
    """Open a file to read its bytes, if it is one.

    Raises
    ------
    OSError
        As ``open`` does; of a pipe, a socket or a device with the number ``NOT_ORDINARY``.
    """
    try:
        number = os.open(path, _READ | _NOT_WAITING)
    except BlockingIOError:  # a file server has lent it out, and is asked to take it back
        if not S_ISREG(os.stat(path).st_mode):  # noqa: PTH116  # of what is opened next
            raise
        number = os.open(path, _READ)
    file = os.fdopen(number, "rb") if S_ISREG(os.fstat(number).st_mode) else None
    if file is None:
        folder = os.path.isdir(number)  # noqa: PTH112  # an open file has no path
        os.close(number)
        if folder:
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        raise OSError(NOT_ORDINARY, "It is a pipe, a socket or a device, and no file", str(path))
    return file


def read_bytes(path: Path) -> bytes:
    """Return what is in a file; see ``open_ordinary``."""
    with open_ordinary(path) as file:
        return file.read()


def read_text(path: Path) -> str:
    """Return the text of a file, in UTF-8, with one kind of line ends.

    Raises
    ------
    OSError
        See ``open_ordinary``.
    ValueError
        If it is no UTF-8.
    """
    return read_bytes(path).decode("utf-8").replace("\r\n", "\n").replace("\r", "\n")


def read_json(path: Path) -> Any:
    """Return what a JSON file holds.

    Raises
    ------
    OSError
        See ``open_ordinary``.
    ValueError
        If it is no JSON, or nested too deeply to be read.
    """
    return json_of(read_text(path))


def json_of(text: str | bytes) -> Any:
    """Return what a text of JSON that others may have written says.

    Raises
    ------
    ValueError
        If it is no JSON, or nested too deeply to be read.
    """
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
