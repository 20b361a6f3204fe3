"""Numbers of many spots as short texts, and how many fit into a folder of bounded size.

A value becomes one of ``levels + 1`` steps between the lowest and the highest of its gene; the
steps of a slide are deflated and written in base64, as a script can hold nothing but text.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from spared_bench.leaderboard.site_data import plain

#: Steps where there is room, which a map cannot tell from the exact values, and where there is not.
FINE, COARSE = 254, 31
#: Characters per value at most, by levels: bits of a step, deflated at worst, in base64.
CHARACTERS = {FINE: 1.36, COARSE: 0.90}
UNMEASURED = 255
#: Values of one file, so that a gene of a large slide is read without the other genes.
VALUES_PER_FILE = 200_000


@dataclass(frozen=True)
class Budget:
    """What each map may hold.

    Parameters
    ----------
    levels : int
        ``FINE`` or ``COARSE``.
    values : int
        Of one map at most.
    """

    levels: int
    values: int

    def stride(self, n_spots: int, n_genes: int) -> int:
        """Return which spots are kept: every so manieth."""
        return max(1, -(-n_spots * n_genes // max(1, self.values)))


def share_out(sizes: Sequence[int], characters: float) -> Budget:
    """Share characters out over maps: fine steps if all fit; else coarse ones, and fewer spots.

    Parameters
    ----------
    sizes : sequence of int
        Values of each map.
    characters : float
        Of all together.

    Returns
    -------
    Budget
        Whose bound is the largest with ``sum(min(size, bound))`` values within ``characters``:
        small maps stay whole, and the large ones are cut to one size.
    """
    if sum(sizes) * CHARACTERS[FINE] <= characters:
        return Budget(FINE, max(sizes, default=1))
    left = characters / CHARACTERS[COARSE]
    bound = 1.0
    ordered = sorted(sizes)
    for number, size in enumerate(ordered):
        bound = left / (len(ordered) - number)
        if size > bound:
            break
        left -= size
        bound = size
    return Budget(COARSE, max(1, int(bound)))


def genes_per_file(n_spots: int) -> int:
    """Return how many genes of so many spots share a file."""
    return max(1, VALUES_PER_FILE // max(1, n_spots))


def extremes(values: np.ndarray, seen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the lowest and the highest seen value of each gene, (n_genes,); 0 where none is."""
    low = np.where(seen, values, np.inf).min(axis=0, initial=np.inf)
    high = np.where(seen, values, -np.inf).max(axis=0, initial=-np.inf)
    known = seen.any(axis=0)
    return np.where(known, low, 0.0), np.where(known, high, 0.0)


def packed(
    values: np.ndarray, seen: np.ndarray, low: np.ndarray, high: np.ndarray, levels: int
) -> dict[str, Any]:
    """Pack values between the extremes of their genes.

    Parameters
    ----------
    values : ndarray of shape (n_spots, n_genes)
    seen : ndarray of bool, of shape (n_spots, n_genes)
        False where nothing was measured.
    low, high : ndarray of shape (n_genes,)
    levels : int
        At most ``FINE``.

    Returns
    -------
    dict
        ``low``, ``high``; ``steps``, base64 of the deflated bytes, gene by gene.
    """
    span = np.where(high > low, high - low, 1.0)
    steps = np.full(values.shape, UNMEASURED, dtype=np.uint8)
    scaled = (np.where(seen, values, low) - low) / span * levels
    steps[seen] = np.rint(np.clip(scaled, 0, levels)).astype(np.uint8)[seen]
    text = base64.b64encode(zlib.compress(steps.T.tobytes(), 6)).decode()
    return {"low": plain(low.tolist()), "high": plain(high.tolist()), "steps": text}
