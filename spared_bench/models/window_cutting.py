"""Slides cut into parts that a network can hold: windows with a margin, or pieces.

A slide with more spots than a network can hold is cut into windows. Every spot is predicted in one
window only, the one whose core it lies in; a margin of context around the core is seen and not
predicted. Cuts depend on where spots are, and not on their order.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spared_bench.geometry import spacing

_FEWEST = 5  # spots of a piece


@dataclass(frozen=True)
class Window:
    """Spots that are seen together, by position.

    Parameters
    ----------
    spots : ndarray of int64
        All that are seen, in ascending order.
    core : ndarray of int64
        Those that are predicted, as positions within ``spots``.
    """

    spots: np.ndarray
    core: np.ndarray


def cut_windows(coordinates: np.ndarray, max_spots: int, margin: float) -> list[Window]:
    """Cut one slide into windows of at most ``max_spots`` spots.

    A part whose window is too large is cut in the middle of its longer side, again and again.

    Parameters
    ----------
    coordinates : ndarray of shape (n_spots, 2)
        Of one slide.
    max_spots : int
        0: the whole slide is one window.
    margin : float
        Width of the context around a core, in distances between neighbouring spots.

    Returns
    -------
    list of Window
        One for a slide that is small enough. The cores are a partition of the slide. A window has
        more than ``max_spots`` only where its core is one place, which cannot be cut.
    """
    width = margin * spacing(coordinates) * (1 + 1e-6)
    windows: list[Window] = []
    waiting = [np.arange(len(coordinates))]
    while waiting:
        core = waiting.pop()
        low, high = coordinates[core].min(axis=0), coordinates[core].max(axis=0)
        seen = ((coordinates >= low - width) & (coordinates <= high + width)).all(axis=1)
        whole = not max_spots or len(coordinates) <= max_spots
        if whole or seen.sum() <= max_spots or (low == high).all():
            spots = np.arange(len(coordinates)) if whole else np.flatnonzero(seen)
            windows.append(Window(spots, np.searchsorted(spots, core)))
            continue
        axis = int(np.argmax(high - low))
        near = coordinates[core, axis] <= (low[axis] + high[axis]) / 2
        waiting += [core[~near], core[near]]
    return windows


def cut_pieces(coordinates: np.ndarray, n: int) -> list[np.ndarray]:
    """Cut one slide into n by n pieces of about as many distinct coordinates, as SpaRED's Hist2ST.

    A piece of fewer than 5 spots joins the next one that has any, row by row from the largest y and
    the smallest x; the last joins the one before.

    Parameters
    ----------
    coordinates : ndarray of shape (n_spots, 2)
        x and y.
    n : int

    Returns
    -------
    list of ndarray of int64
        The spots of each piece, in ascending order.
    """
    column, row = (_rank(coordinates[:, 0]), _rank(-coordinates[:, 1]))
    place = [np.minimum(rank // max((rank.max() + 1) // n, 1), n - 1) for rank in (row, column)]
    number = place[0] * n + place[1]
    pieces = [np.flatnonzero(number == each) for each in np.unique(number)]
    while len(pieces) > 1 and min(map(len, pieces)) < _FEWEST:
        at = next(i for i, piece in enumerate(pieces) if len(piece) < _FEWEST)
        into = at + 1 if at + 1 < len(pieces) else at - 1
        pieces[into] = np.sort(np.concatenate([pieces[into], pieces[at]]))
        del pieces[at]
    return pieces


def _rank(values: np.ndarray) -> np.ndarray:
    """Return the rank of every value among the distinct ones, from 0."""
    return np.unique(values, return_inverse=True)[1].reshape(-1)
