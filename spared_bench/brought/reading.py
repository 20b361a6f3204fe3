"""Files of predictions as scanpy, pandas and numpy write them, opened without trusting them.

Nothing in a file is ever run: arrays of Python objects are refused, links of HDF5 are not followed,
and what is read into memory is bounded by what is wanted of it, whatever the file claims.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

from spared_bench.brought.collecting import Block, Named, Read
from spared_bench.brought.h5ad_file import read_h5ad
from spared_bench.brought.npz_file import read_npz
from spared_bench.brought.parquet_file import read_parquet
from spared_bench.brought.text_file import read_text_table
from spared_bench.errors import (
    MissingFileError,
    SparedBenchError,
    SubmissionError,
    UsageError,
)
from spared_bench.store.predictions import UNREADABLE
from spared_bench.whereabouts import no_file

#: Opens a file: the table of predictions, and one of variances or ``None``.
Reader = Callable[[Path, str], tuple[Named, Named | None]]

_READERS: dict[str, Reader] = {
    ".h5ad": read_h5ad,
    ".parquet": read_parquet,
    ".npz": read_npz,
    ".csv": read_text_table,
    ".tsv": read_text_table,
    ".txt": read_text_table,
}


def open_predictions(path: Path, layer: str = "") -> tuple[Named, Named | None]:
    """Open a file of predictions.

    Parameters
    ----------
    path : Path
        ``.h5ad``, ``.parquet``, ``.npz``, ``.csv``, ``.tsv`` or ``.txt``, the last three also
        packed by gzip.
    layer : str
        Of an ``.h5ad``: where the predictions are; by default the layer ``predicted`` where there
        is one, else ``X``.

    Returns
    -------
    predictions : Named
    variances : Named or None
        Where the file holds them: the layer ``variance``, or the array of that name.

    Raises
    ------
    MissingFileError, UsageError
        If it is not there, or of another kind.
    SubmissionError
        If it is damaged, or holds what is not read.
    """
    name = path.name.lower().removesuffix(".gz")
    kind = f".{name.rpartition('.')[2]}"
    if not path.is_file():
        raise MissingFileError(f"There is no file of predictions at {path}. {no_file(path)}")
    if kind not in _READERS or (kind != ".h5ad" and layer):
        what = (
            "`--layer` is for .h5ad files" if layer and kind in _READERS else "It is none of them"
        )
        raise UsageError(
            f"{path.name} cannot be read as predictions: known are .h5ad, .parquet, .npz, .csv,"
            f" .tsv and .txt (these three also .gz). {what}."
        )
    if not path.stat().st_size:
        raise SubmissionError(f"{path.name} is empty (0 bytes). Write it again.")
    with _damage_told(path):
        predictions, variances = _READERS[kind](path, layer)
    return _guarded(path, predictions), None if variances is None else _guarded(path, variances)


def _guarded(path: Path, table: Named) -> Named:
    """Return the table; what is damaged in a file is mostly met where its blocks are read."""

    def guarded(read: Read) -> Read:
        def read_block(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
            with _damage_told(path):
                return read(rows, columns)

        return read_block

    def blocks() -> Iterator[Block]:
        with _damage_told(path):
            yield from ((names, guarded(read)) for names, read in table.blocks)

    return replace(table, blocks=blocks())


@contextmanager
def _damage_told(path: Path) -> Iterator[None]:
    """Tell of a damaged file as one, whatever a library says of it."""
    try:
        yield
    except SparedBenchError:
        raise
    except UNREADABLE as error:
        raise SubmissionError(
            f"{path.name} cannot be read ({str(error)[:200]}). It is damaged or incomplete: write"
            " it again."
        ) from error
