"""Results in a store that may not be read: told of, since they are left out of every table."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from spared_bench.words import counted

if TYPE_CHECKING:
    from spared_bench.store.records import Records

_KINDS = ("trials", "scores")


def told_of_shut(records: Records) -> str:
    """Say which folders and records of results may not be read; empty if none.

    Parameters
    ----------
    records : Records
        Of a store. That its folders for kinds of entries can be read, the workspace sees to.
    """
    # Of the records of cells, of which there are many, those are asked that could not be read.
    places = [cell.place for cell in records.cells() if cell.record is None and not cell.earlier]
    for kind in _KINDS:
        with suppress(OSError):  # there is none so far
            places += [each.path for each in os.scandir(records.store.root / kind)]
    shut = [place for place in places if os.path.exists(place) and not _may_be_read(place)]  # noqa: PTH110
    if not shut:
        return ""
    return (
        f"{counted(len(shut), 'place')} of results may not be read, so what is in there is left"
        f" out: {min(shut)}, for example. Change the permissions, or ask whoever made them to."
    )


def _may_be_read(place: str) -> bool:
    return os.access(place, os.R_OK | os.X_OK if os.path.isdir(place) else os.R_OK)  # noqa: PTH112
