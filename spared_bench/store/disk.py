"""A workspace that takes no more: how it is recognised, and what a user is told."""

from __future__ import annotations

import errno
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from spared_bench.errors import WorkspaceError

_SAYS_FULL = re.compile(
    r"No space left on device|Disk quota exceeded|\d+ requested and \d+ written"
    r"|database or disk is full"
)
#: Numbers of errors that mean it.
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}
#: Those of a disk, or of a server of files, that does not do what it is asked.
FAILING = {errno.EIO, errno.ESTALE, errno.ENOTCONN, errno.EHOSTDOWN}
#: What to do about it.
LOST = (
    "Its disk fails, or the server that has it is away. When it is there again, run the same"
    " command again: what is finished is kept."
)
_TRIED_MIB = 64
_MOST_CAUSES = 16


def is_full(error: BaseException) -> bool:
    """Whether an error says that the disk takes no more, which is nobody's failure."""
    if isinstance(error, OSError) and error.errno in FULL:
        return True
    # Libraries lose the number: HDF5 raises a RuntimeError, numpy counts what was not written.
    return isinstance(error, OSError | RuntimeError) and bool(_SAYS_FULL.search(str(error)))


def takes_no_more(folder: Path) -> bool:
    """Whether there is no space for a file of some size in a folder: it is written and removed."""
    block = bytes(1 << 20)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
            for _ in range(_TRIED_MIB):
                if file.write(block) != len(block):
                    return True
            os.fsync(file.fileno())
    except OSError as error:
        return error.errno in FULL
    return False


def is_full_at(folder: Path, error: BaseException) -> bool:
    """Whether an error says that the disk of a folder takes no more, and not another one.

    What a plugin writes elsewhere (to a cache, to ``/tmp``) may find a disk full or read-only that
    is not the workspace's, and errors of writing do not name their file.
    """
    return is_full(error) and takes_no_more(folder)


@contextmanager
def full_disk_explained(root: Path) -> Iterator[None]:
    """Tell of a disk that takes no more, wherever it was met, as what it is.

    Raises
    ------
    WorkspaceError
    """
    try:
        yield
    except OSError as error:
        if not is_full(error):
            raise
        raise WorkspaceError(why_unwritable(root, error)) from error


def why_not_written(error: OSError | RuntimeError) -> str:
    """Return what to tell of a disk that is full or read-only, or of a file that may not grow.

    Empty for another error.
    """
    number = error.errno if isinstance(error, OSError) else None
    if not (is_full(error) or number == errno.EFBIG):
        return ""
    file = getattr(error, "filename", None) or "A file"
    return (
        f"{file} cannot be written: {os.strerror(number or errno.ENOSPC)}. Free some space, or"
        " write elsewhere (`--workspace DIR`, `--data-dir DIR`, `--out`), then run the same"
        " command again: what is finished is kept."
    )


def is_lost(error: BaseException | None) -> bool:
    """Whether an error, or what it was raised from, says that a disk or a server of files fails.

    That is nobody's failure, and nothing is damaged: it can be read when the disk is there again.
    """
    for _ in range(_MOST_CAUSES):  # a stranger may have raised an error from itself
        if isinstance(error, OSError) and error.errno in FAILING:
            return True
        error = None if error is None else error.__cause__
    return False


def with_loss(told: str) -> str:
    """Put before what a reader told of its file that the disk fails: it may call that damage."""
    return f"{LOST} What was found: {told}"


def why_lost(error: OSError | RuntimeError) -> str:
    """Return what to tell of a disk, or a server of files, that fails; empty for another error."""
    if not (isinstance(error, OSError) and error.errno in FAILING):
        return ""
    told = os.strerror(error.errno)
    return f"{error.filename or 'A file'} cannot be read or written: {told}. {LOST}"


def way_out(error: Exception, otherwise: str) -> str:
    """Return what to do where something could not be written: a disk that is full wants space.

    Parameters
    ----------
    error : Exception
        Of the system, or what a library made of it: MLflow, a database.
    otherwise : str
        What to do about other errors: a sentence.
    """
    if is_full(error) or _SAYS_FULL.search(str(error)):
        return f"Free some space, or {otherwise[0].lower()}{otherwise[1:]}"
    return otherwise


def why_unwritable(root: Path, error: Exception) -> str:
    """Return what to tell of a store below ``root`` that cannot be written."""
    reason = getattr(error, "strerror", None)
    if reason is None and is_full(error):
        reason = "No space left on device"
    return (
        f"Cannot write to the workspace {root.parent}: {reason or error}."
        " Finished results are safe. Free some space or choose another workspace"
        " (`--workspace DIR`), then run the same command again."
    )
