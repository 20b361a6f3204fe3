"""Files of predictions as scanpy, pandas and numpy write them, opened without trusting them.

Nothing in a file is ever run: arrays of Python objects are refused, links of HDF5 are not followed,
and what is read into memory is bounded by what is wanted of it, whatever the file claims.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from spared_bench.brought.collecting import Named
from spared_bench.brought.h5ad_file import read_h5ad
from spared_bench.brought.npz_file import read_npz
from spared_bench.brought.parquet_file import read_parquet
from spared_bench.brought.text_file import read_text_table
from spared_bench.errors import MissingFileError, SubmissionError, UsageError

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
        raise MissingFileError(f"There is no file of predictions at {path}. Check the path.")
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
    try:
        return _READERS[kind](path, layer)
    except (OSError, EOFError) as error:
        raise SubmissionError(
            f"{path.name} cannot be read ({str(error)[:200]}). It is damaged or incomplete: write"
            " it again."
        ) from error
