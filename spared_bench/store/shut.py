"""Results in a store that may not be read: told of, since they are left out of every table."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from spared_bench.words import counted

_KINDS = ("cells", "trials", "scores")


def told_of_shut(root: Path) -> str:
    """Say which folders and records of results below a store may not be read; empty if none.

    Parameters
    ----------
    root : Path
        Of the store. That its folders for kinds of entries can be read, the workspace sees to.
    """
    shut = []
    for kind in _KINDS:
        with suppress(OSError):  # there is none so far
            for each in os.scandir(root / kind):
                right = os.R_OK | os.X_OK if each.is_dir() else os.R_OK
                if not os.access(each.path, right):
                    shut.append(each.path)
    if not shut:
        return ""
    return (
        f"{counted(len(shut), 'place')} of results may not be read, so what is in there is left"
        f" out: {min(shut)}, for example. Change the permissions, or ask whoever made them to."
    )
