"""File systems that lock no files, where HDF5 would open none: NFS without its daemon, Lustre."""

from __future__ import annotations

import errno
import fcntl
import os
import tempfile
from contextlib import suppress
from pathlib import Path

_NONE_HERE = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}
_ASKED_FOR = "HDF5_USE_FILE_LOCKING"


def let_hdf5_do_without_locks(folder: Path) -> None:
    """Tell HDF5, here and in children, to lock nothing if a folder's file system cannot.

    Entries of the store need no locks, since they are written beside their place. Elsewhere HDF5
    keeps its locks, by which it knows a file that is just being written. It looks when it is first
    imported.

    Parameters
    ----------
    folder : Path
        Nothing is done where it is not there, or may not be written.
    """
    if _ASKED_FOR in os.environ:
        return
    with suppress(OSError), tempfile.TemporaryFile(dir=folder) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in _NONE_HERE:
                os.environ[_ASKED_FOR] = "FALSE"
