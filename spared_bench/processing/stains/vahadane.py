"""Vahadane et al. (IEEE Trans. Med. Imaging 2016): stains and amounts that are not negative.

Densities are taken apart by sparse non-negative matrix factorisation: stains of length 1, amounts
with an L1 penalty. The published penalties and percentile are kept (0.1 for the stains, 0.01 for
the amounts, 99). With two stains the amounts of a pixel have a closed form, so the factorisation
alternates exact steps; the tests hold it against scikit-learn's, which takes minutes for a slide.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from spared_bench.processing.stains.density import HIGHEST, density, light, stained

#: Haematoxylin and eosin as measured by Ruifrok and Johnston (2001), where the search begins.
_BEGIN = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11]])
_FOR_STAINS, _FOR_AMOUNTS = 0.1, 0.01
_PIXELS, _ROUNDS, _STILL = 20_000, 200, 1e-6


def measure(pixels: np.ndarray) -> dict[str, np.ndarray]:
    """Return the stain vectors, (2, 3), haematoxylin first, and the highest amounts, (2,)."""
    every = density(pixels)
    found = stained(every)
    stains = factorise(found[:: max(1, len(found) // _PIXELS)], _FOR_STAINS)
    highest = np.percentile(amounts(every, stains, _FOR_AMOUNTS), HIGHEST, axis=0)
    return {"stains": stains, "highest": np.maximum(highest, 1e-6)}


def change(
    colours: np.ndarray, source: Mapping[str, np.ndarray], target: Mapping[str, np.ndarray]
) -> np.ndarray:
    """Return colours with the stains and the highest amounts of the target."""
    found = amounts(density(colours), source["stains"], _FOR_AMOUNTS)
    return light(found * (target["highest"] / source["highest"]) @ target["stains"])


def factorise(densities: np.ndarray, penalty: float) -> np.ndarray:
    """Return two stains of length 1, without negative parts, haematoxylin first, (2, 3).

    Minimises ``|densities - amounts @ stains|² / 2 + penalty * |amounts|``.
    """
    stains = _BEGIN / np.linalg.norm(_BEGIN, axis=1, keepdims=True)
    for _ in range(_ROUNDS):
        before = stains
        found = amounts(densities, stains, penalty)
        together, with_data = found.T @ found, found.T @ densities
        stains = stains.copy()
        for at in (0, 1):  # exact for one stain while the other stands still
            if together[at, at] <= 0:
                continue
            other = with_data[at] - together[at, 1 - at] * stains[1 - at]
            one = np.maximum(other, 0)
            length = np.linalg.norm(one)
            stains[at] = one / length if length > 0 else stains[at]
        if np.abs(stains - before).max() < _STILL:
            break
    return stains[::-1] if stains[0, 0] < stains[1, 0] else stains


def amounts(densities: np.ndarray, stains: np.ndarray, penalty: float) -> np.ndarray:
    """Return the amounts of two stains that are not negative, (n, 2): the lasso, exactly.

    Where the solution for both has a negative part, the better of the two stains stands alone.
    """
    between = float(stains[0] @ stains[1])
    pull = densities @ stains.T - penalty
    both = (pull - between * pull[:, ::-1]) / max(1 - between**2, 1e-12)
    alone = np.maximum(pull, 0)
    alone[np.arange(len(alone)), np.argmin(alone, axis=1)] = 0
    return np.where((both >= 0).all(axis=1, keepdims=True), both, alone)
