"""Which spots are for training, for choices, and for scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np


def assign_splits(
    slide_ids: np.ndarray,
    coordinates: np.ndarray,
    split: Mapping[str, Sequence[str]],
    held_out_fraction: float,
) -> np.ndarray:
    """Label every spot ``train``, ``val`` or ``test``.

    Slides go where the split of the dataset says. Where it names no validation slides, a strip of
    every training slide becomes ``val``.

    Parameters
    ----------
    slide_ids : ndarray of str, of shape (n_spots,)
    coordinates : ndarray of shape (n_spots, 2)
        Pixels.
    split : mapping of str to sequence of str
        Slide ids of each split; together, all of ``slide_ids``.
    held_out_fraction : float
        Of the spots of each training slide, where a strip is held out.

    Returns
    -------
    ndarray of str, of shape (n_spots,)
    """
    split_of = {slide: name for name, slides in split.items() for slide in slides}
    labels = np.array([split_of[slide] for slide in slide_ids], dtype="<U5")
    if not split.get("val"):
        for slide in split["train"]:
            here = np.flatnonzero(slide_ids == slide)
            labels[here[held_out_strip(coordinates[here], held_out_fraction)]] = "val"
    return labels


def held_out_strip(coordinates: np.ndarray, fraction: float) -> np.ndarray:
    """Choose the spots at the far end of the longer side of a slide.

    A strip, because held-out spots among training spots would resemble their neighbours; at an end,
    because there it has only one border with the training spots.

    Parameters
    ----------
    coordinates : ndarray of shape (n_spots, 2)
    fraction : float
        Of the spots, rounded; at least one spot, and never the last remaining one.

    Returns
    -------
    ndarray of bool, of shape (n_spots,)
    """
    n_spots = len(coordinates)
    n_held_out = min(max(round(fraction * n_spots), 1), n_spots - 1)
    longer = int(np.argmax(np.ptp(coordinates, axis=0)))
    order = np.lexsort((coordinates[:, 1 - longer], coordinates[:, longer]))
    strip = np.zeros(n_spots, dtype=bool)
    strip[order[n_spots - n_held_out :]] = True
    return strip
