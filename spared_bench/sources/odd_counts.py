"""Whole numbers that may be no raw counts: rounded after a normalisation, or marks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from anndata import AnnData

_LEAST_SPOTS, _LEAST_COUNTS = 20, 10
_ALIKE = 0.01  # of the mean: sums of measured spots differ by tens of per cent


def odd_counts(slide: AnnData) -> list[str]:
    """Return a sentence where counts look as if they had been changed; nothing where they do not.

    Parameters
    ----------
    slide : AnnData
        Its ``X`` holds whole numbers.
    """
    sums = np.asarray(slide.X.sum(axis=1, dtype=np.float64)).ravel()
    if len(sums) < _LEAST_SPOTS or sums.mean() < _LEAST_COUNTS:
        return []
    if slide.X.max() == 1:
        return [
            "No count is above 1: where they only mark what was seen, give the file, or the layer,"
            " that holds the counts."
        ]
    if sums.std() < _ALIKE * sums.mean():
        low, high = sums.min(), sums.max()
        return [
            f"All spots have nearly the same sum of counts ({low:,.0f} to {high:,.0f}), as"
            " after a normalisation that was rounded, or thinning to one depth: depths, and what"
            " methods of counts learn, are no longer those measured. Give the raw counts."
        ]
    return []
