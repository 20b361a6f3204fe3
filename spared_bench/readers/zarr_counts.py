"""Counts of a table in a Zarr folder, of which an interrupted copy leaves some chunks out.

A chunk that is not stored reads as zeros without a word. Writers leave out what is zero throughout:
no chunk of the values of a sparse matrix is, and one of a dense matrix may be.
"""

from __future__ import annotations

from pathlib import Path

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
    lacking = values.nchunks - values.nchunks_initialized
    if lacking and is_sparse:
        raise CountsError(
            f"{counted(lacking, 'chunk')} of {values.nchunks} of the counts ({place}) of {path} are"
            " not there, and would be read as 0. The folder was not copied whole: copy it again."
        )
    if lacking:
        return [
            f"{counted(lacking, 'chunk')} of {values.nchunks} of the counts ({place}) are not"
            " stored, as those that hold zeros alone, and were read as 0. If the folder was not"
            " copied whole, counts are lacking."
        ]
    return []
