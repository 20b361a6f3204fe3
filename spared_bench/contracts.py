"""What methods return, held to the contract before anything is made of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from spared_bench.errors import DivergedError, PluginError

if TYPE_CHECKING:
    from spared_bench.data import Slides


def checked_completion(values: Any, slides: Slides, completer: str) -> np.ndarray:
    """Return what a completer returned as float32, of shape (n_spots, n_genes).

    Raises
    ------
    PluginError
        If it has another shape, holds nan, or changed measured entries.
    """
    values = np.asarray(values, dtype=np.float32)
    wanted = (slides.n_spots, slides.n_genes)
    if values.shape != wanted:
        raise PluginError(
            f"Completer {completer!r} returned shape {values.shape}; expected {wanted}."
        )
    if not np.isfinite(values).all():
        raise PluginError(f"Completer {completer!r} returned nan or infinite values.")
    mask = slides.mask
    if not np.array_equal(values[mask], slides.target[mask]):
        raise PluginError(
            f"Completer {completer!r} changed measured entries. A completer fills unmeasured"
            " entries (mask False) and returns the others as they are."
        )
    return values


def checked_prediction(values: Any, slides: Slides, predictor: str) -> np.ndarray:
    """Return what a predictor returned as float32, of shape (n_spots, n_genes).

    Rows and columns of an array are spots and genes in the order of ``slides``. Those of a
    DataFrame are found by their names, whatever their order; an axis that is merely numbered
    (0, 1, ...) is taken in order, as an array's is.

    Raises
    ------
    PluginError
        If it is no array of numbers of that shape, a masked array with masked entries, or a
        DataFrame with other names than those of the spots and genes.
    DivergedError
        If it holds nan or infinite values.
    """
    if np.ma.isMaskedArray(values) and np.ma.getmaskarray(values).any():
        raise PluginError(
            f"Predictor {predictor!r} returned a masked array with"
            f" {int(np.ma.getmaskarray(values).sum())} masked entries. Every spot needs a value of"
            " every gene: fill them (`.filled(value)`) before returning."
        )
    if isinstance(values, pd.DataFrame):
        spots, genes = list(slides.adata.obs_names), slides.gene_names
        values = _in_order(_in_order(values, 0, spots, predictor), 1, genes, predictor)
    try:
        given = np.asarray(values)
        numbers = given.dtype.kind in "biufO"
        values = given.astype(np.float32) if numbers else given
    except (TypeError, ValueError) as error:
        raise PluginError(
            f"Predictor {predictor!r} returned {type(values).__name__}, which is no array of"
            f" numbers: {error}"
        ) from error
    if not numbers:
        raise PluginError(
            f"Predictor {predictor!r} returned values of type {given.dtype}; expected numbers."
        )
    wanted = (slides.n_spots, slides.n_genes)
    if values.shape != wanted:
        raise PluginError(
            f"Predictor {predictor!r} returned shape {values.shape}; expected {wanted}:"
            " one row per spot, one column per gene."
        )
    if not np.isfinite(values).all():
        raise DivergedError(f"Predictor {predictor!r} predicts nan or infinite values.")
    return values


def _in_order(
    table: pd.DataFrame, axis: Literal[0, 1], names: list[str], predictor: str
) -> pd.DataFrame:
    """Return a table with its rows (axis 0) or columns (1) in the order of these names."""
    found = list(table.axes[axis])
    if found == names or found == list(range(len(found))):
        return table
    what, wanted, there = ("spots", "genes")[axis], set(names), set(found)
    if not table.axes[axis].is_unique:
        twice = table.axes[axis][table.axes[axis].duplicated()][0]
        raise PluginError(
            f"Predictor {predictor!r} returned a DataFrame that names {twice!r} more than once"
            f" among its {what}."
        )
    odd = [name for name in found if name not in wanted]
    lacking = [name for name in names if name not in there]
    if odd or lacking:
        told = [f"{odd[:3]} are none of them"] if odd else []
        told += [f"{lacking[:3]} are lacking"] if lacking else []
        raise PluginError(
            f"Predictor {predictor!r} returned a DataFrame whose {('rows', 'columns')[axis]} are"
            f" not the {len(names)} {what}: {' and '.join(told)}. Name them as"
            f" {('`slides.adata.obs_names`', '`slides.gene_names`')[axis]} does, or return an array"
            " in that order."
        )
    return table.reindex(names, axis=axis)
