"""Whole numbers that may be no raw counts: scaled and rounded, filled, cut at the top, or marks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from anndata import AnnData

_LEAST_SPOTS, _LEAST_COUNTS = 20, 10
_MANY_GENES, _FEW = 100, 0.05  # with counts, in a spot; of the spots
_MOST_SEEN = 0.9  # of the genes
_TRANSCRIPTOME, _FEW_ZEROS = 1_000, 0.01  # genes; of their counts
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
    return [*_scaled(slide), *_filled(slide), *_cut(slide)]


def _scaled(slide: AnnData) -> list[str]:
    """Tell of spots in which no gene was counted once, as of those times a factor.

    Genes differ in abundance by orders, so that of many in a spot some are seen once.
    """
    ones = np.asarray((slide.X == 1).sum(axis=1)).ravel()
    seen = np.asarray((slide.X > 0).sum(axis=1)).ravel()
    # Where all genes are seen, they may all be abundant: a choice of genes.
    many = (seen >= _MANY_GENES) & (seen <= _MOST_SEEN * slide.n_vars)
    without = many & (ones == 0)
    if without.sum() <= _FEW * len(many):
        return []
    spot = str(slide.obs_names[int(np.flatnonzero(without)[0])])
    return [
        f"In {int(without.sum())} of {len(many)} spots ({spot}, for example) no gene has a count of"
        f" 1 among {_MANY_GENES} or more with counts, as after a normalisation that was rounded, or"
        " counts times a number: depths, and what methods of counts learn, are no longer those"
        " measured. Give the raw counts."
    ]


def _filled(slide: AnnData) -> list[str]:
    """Tell of counts without zeros, which whole transcriptomes are full of."""
    n_genes = slide.n_vars
    zeros = 1 - slide.X.count_nonzero() / (slide.n_obs * n_genes)
    if n_genes < _TRANSCRIPTOME or zeros > _FEW_ZEROS:
        return []
    return [
        f"Only {zeros:.2%} of the counts of {n_genes:,} genes are 0, as after filling in what was"
        " not seen, or adding a number: 0 is taken for not measured, and nothing else. Give the raw"
        " counts."
    ]


def _cut(slide: AnnData) -> list[str]:
    """Tell of a largest count that is more frequent than all that are a little smaller."""
    values = slide.X.data
    top = values.max()
    at_top = int((values == top).sum())
    below = int(((values >= 0.8 * top) & (values < top)).sum())
    if top < _LEAST_COUNTS or at_top < _LEAST_COUNTS or at_top <= below:
        return []
    return [
        f"{at_top:,} counts are {top:,.0f}, the largest, and only {below:,} up to a fifth smaller:"
        " larger ones seem to have been cut, as by a type that holds no more (uint8: 255). Give the"
        " raw counts."
    ]
