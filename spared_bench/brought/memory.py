"""Predictions that a notebook holds: a DataFrame or an AnnData, with names on both axes."""

from __future__ import annotations

from typing import Any

import numpy as np

from spared_bench.brought.collecting import Named
from spared_bench.errors import UsageError


def named_table(source: Any, layer: str = "") -> tuple[Named, Named | None]:
    """Return a table in memory as if it had been read.

    Parameters
    ----------
    source : DataFrame or AnnData
        Spots by genes, or genes by spots.
    layer : str
        Of an AnnData; by default ``predicted`` where there is one, else ``X``.

    Raises
    ------
    UsageError
        For anything else, or a layer that is not there.
    """
    import pandas as pd
    from anndata import AnnData

    if isinstance(source, pd.DataFrame):
        rows, columns = ([str(name) for name in axis] for axis in (source.index, source.columns))
        return _named("The table", rows, columns, source), None
    if not isinstance(source, AnnData):
        raise UsageError(
            f"{type(source).__name__} is no table with names. Give a file, a DataFrame with spots"
            " as its index and genes as its columns, or an AnnData."
        )
    named = layer or ("predicted" if "predicted" in source.layers else "X")
    if named != "X" and named not in source.layers:
        raise UsageError(f"The AnnData has no layer {named!r}; it has {list(source.layers)}.")
    if named == "X" and source.X is None:
        raise UsageError("The AnnData has no X and no layer 'predicted'. Name a layer.")
    rows, columns = list(map(str, source.obs_names)), list(map(str, source.var_names))
    values = source.X if named == "X" else source.layers[named]
    spread = source.layers.get("variance") if named != "variance" else None
    told = None if spread is None else _named("The layer 'variance'", rows, columns, spread)
    return _named("The AnnData", rows, columns, values), told


def _named(source: str, rows: list[str], columns: list[str], values: Any) -> Named:
    def read(at: np.ndarray, wanted: np.ndarray) -> np.ndarray:
        part = values.iloc[at, wanted] if hasattr(values, "iloc") else values[at][:, wanted]
        return _numbers(part.toarray() if hasattr(part, "toarray") else part, source)

    return Named(source, columns, iter([(rows, read)]))


def _numbers(part: Any, source: str) -> np.ndarray:
    """Return values as float64, nan where they are masked; what would have to be cast is refused.

    Raises
    ------
    UsageError
    """
    import pandas as pd

    masked = np.ma.getmaskarray(part) if np.ma.isMaskedArray(part) else None
    found = np.asarray(part)
    if found.dtype.kind in "OUST":  # texts of numbers are numbers, as in a file
        try:
            found = np.asarray(pd.to_numeric(found.ravel())).reshape(found.shape)
        except (TypeError, ValueError) as error:
            raise UsageError(f"{source} holds no numbers ({error}); expected numbers.") from error
    if found.dtype.kind not in "biuf":
        raise UsageError(f"{source} holds values of type {found.dtype}; expected numbers.")
    values = found.astype(np.float64)
    return values if masked is None else np.where(masked, np.nan, values)
