"""What methods return, held to the contract before anything is made of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

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

    Raises
    ------
    PluginError
        If it is no array of numbers of that shape.
    DivergedError
        If it holds nan or infinite values.
    """
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
