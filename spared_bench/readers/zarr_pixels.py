"""Pixels of a chunked array in a folder: all that a spot needs is decoded, or an error says so.

A chunk that is not stored reads as zeros without a word, which is meant where everything in it is
zero, and is what an interrupted copy leaves as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from spared_bench.errors import ImageError
from spared_bench.words import counted

_COLOURS = 3


def decoded(data: Any, path: Path) -> np.ndarray:
    """Return a lazy array's values.

    Raises
    ------
    ImageError
        If a chunk cannot be read or decoded.
    """
    try:
        return np.asarray(data)
    except Exception as error:  # of any codec
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise ImageError(
            f"A chunk of the image in {path} cannot be decoded: {reason}. It is damaged or was cut"
            " short; copy the folder again."
        ) from error


def refuse_unstored(
    pixels: np.ndarray,
    chunks: Sequence[Sequence[int]],
    centres: np.ndarray,
    diameter: float,
    path: Path,
) -> None:
    """Refuse spots on a chunk of which a colour is zero throughout: nothing was decoded there.

    Parameters
    ----------
    pixels : ndarray of shape (height, width, channels)
    chunks : sequence of two sequences of int
        Heights and widths of the chunks, as dask tells them.
    centres : ndarray of shape (n_spots, 2)
        x and y, in pixels; those beside the image are another check's.
    diameter : float
        Of a spot, in pixels; it may lie on several chunks.
    path : Path

    Raises
    ------
    ImageError
    """
    ends = [np.cumsum(sizes) for sizes in chunks]
    size = np.array([pixels.shape[1], pixels.shape[0]])
    inside = centres[((centres >= 0) & (centres < size)).all(axis=1)]
    holds_nothing: dict[tuple[int, int], bool] = {}
    spoilt = np.zeros(len(inside), dtype=bool)
    for step in product((-diameter / 2, 0.0, diameter / 2), repeat=2):
        points = np.clip(inside + step, 0, size - 1)
        rows = np.searchsorted(ends[0], points[:, 1], side="right")
        columns = np.searchsorted(ends[1], points[:, 0], side="right")
        under, which = np.unique(np.column_stack([rows, columns]), axis=0, return_inverse=True)
        for row, column in map(tuple, under.tolist()):
            if (row, column) not in holds_nothing:
                bottom, right = ends[0][row], ends[1][column]
                top, left = bottom - chunks[0][row], right - chunks[1][column]
                colours = pixels[top:bottom, left:right, :_COLOURS]
                holds_nothing[row, column] = not colours.any(axis=(0, 1)).all()
        found = np.array([holds_nothing[row, column] for row, column in under.tolist()], dtype=bool)
        spoilt |= found[which.ravel()]
    if spoilt.any():
        raise ImageError(
            f"{path}: {counted(int(spoilt.sum()), 'spot')} on chunks of the image that hold nothing"
            " but zeros in a colour. These were not stored, or not copied. Copy the folder again,"
            " or leave such spots out of the table."
        )
