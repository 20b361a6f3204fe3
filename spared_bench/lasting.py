"""What is on the disk when a command says that it is done, where the file system can tell."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from spared_bench.files import replacing

#: What a file system says that knows no way to wait for its disk: some shares and mounted clouds.
_CANNOT_WAIT = {errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}


def bring_to_disk(path: Path) -> None:
    """Wait until what was written to a file is on the disk; not where that cannot be asked for.

    Raises
    ------
    OSError
        With the name of the file, if its disk fails.
    """
    with path.open("rb") as file:
        try:
            os.fsync(file.fileno())
        except OSError as error:
            if error.errno not in _CANNOT_WAIT:
                raise OSError(error.errno, error.strerror, str(path)) from error


def write_lasting(path: Path, text: str) -> None:
    """Write a text file so that it is never read half-written, nor lost once it is written.

    Raises
    ------
    OSError
    """
    with replacing(path) as beside:
        beside.write_text(text, encoding="utf-8")
        bring_to_disk(beside)
