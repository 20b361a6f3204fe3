"""A table in a Zarr folder, of which an interrupted copy leaves some chunks out.

A chunk that is not stored reads as zeros without a word. Writers leave out what is zero throughout:
no chunk of the values of a sparse matrix is, and one of a dense matrix may be.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from pathlib import Path
from typing import Any

from spared_bench.errors import CountsError
from spared_bench.words import counted


def check_stored(table: Path, layer: str, path: Path) -> list[str]:
    """Refuse counts of which chunks are not there; say so where these may be zeros.

    Parameters
    ----------
    table : Path
        The folder of the table.
    layer : str
        Where its counts are: a layer, ``"raw"``, or ``X`` by default.
    path : Path
        For the message.

    Returns
    -------
    list of str
        What is to be recorded.

    Raises
    ------
    CountsError
    """
    import zarr

    place = {"": "X", "X": "X", "raw": "raw/X"}.get(layer, f"layers/{layer}")
    try:
        found = zarr.open_group(str(table), mode="r")[place]
        is_sparse = isinstance(found, zarr.Group)
        values = found["data"] if isinstance(found, zarr.Group) else found
    except (OSError, KeyError, ValueError):  # whose reader says what is lacking
        return []
    if not isinstance(values, zarr.Array):
        return []
    lacking, n_stored = _unstored(values)
    if lacking and is_sparse:
        raise CountsError(
            f"{counted(lacking, 'chunk')} of {n_stored} of the counts ({place}) of {path} are"
            " not there, and would be read as 0. The folder was not copied whole: copy it again."
        )
    if lacking:
        return [
            f"{counted(lacking, 'chunk')} of {n_stored} of the counts ({place}) are not"
            " stored, as those that hold zeros alone, and were read as 0. If the folder was not"
            " copied whole, counts are lacking."
        ]
    return []


def told_unstored(table: Path, columns: Collection[str]) -> list[str]:
    """Return a sentence for each column of ``obs`` of which chunks are not there; and of ``var``.

    Of numbers these read as 0, of classes as the first of them, of text as empty: of ``var`` text
    alone is looked at, since a class may well be that of all genes.

    Parameters
    ----------
    table : Path
        The folder of the table.
    columns : collection of str
        Those of ``obs`` that are read.
    """
    import zarr

    notes = []
    for part in ("obs", "var"):
        try:
            group = zarr.open_group(str(table / part), mode="r")
            found = {
                name: each for name, each in group.members() if part == "var" or name in columns
            }
        except (OSError, KeyError, ValueError):  # whose reader says what is lacking
            continue
        for name, column in sorted(found.items()):
            values = column.get("codes") if isinstance(column, zarr.Group) else column
            if not isinstance(values, zarr.Array) or (
                part == "var" and values.dtype.kind in "iufb"
            ):
                continue
            lacking, whole = _unstored(values)
            if lacking:
                notes.append(
                    f"{counted(lacking, 'chunk')} of {whole} of {part}[{name!r}] are not stored, as"
                    " those that hold zeros, the first class or no text, and were read so. If the"
                    " folder was not copied whole, copy it again."
                )
    return notes


def _unstored(values: Any) -> tuple[int, int]:
    """Return how many of the files that hold an array are not there, and how many it has whole.

    A file holds a chunk, or several (a shard), whose last ones may lie beyond the array's end.
    """
    sides = values.shards or values.chunks
    in_each = math.prod(side // of for side, of in zip(sides, values.chunks, strict=True))
    whole = math.prod(-(-n // side) for n, side in zip(values.shape, sides, strict=True))
    return whole - values.nchunks_initialized // in_each, whole
