"""Whether a prediction is put together from several others: by genes, by slides, or as a sum.

None of the others needs to be like it as a whole (``sketches.likeness``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from spared_bench.submissions.sketches import (
    LEAST_GENES,
    LEAST_SPOTS,
    SAME,
    Trace,
    kept_genes,
    unit,
)

_MOST_TOGETHER = 4  # of the others in one sum: many would explain anything
_RIDGE = 1e-4  # two of the others may be one and the same


@dataclass(frozen=True)
class Patchwork:
    """How much of a prediction is like one of several others, which may differ from part to part.

    Parameters
    ----------
    genes : float
        Median over genes of the largest *smooth* correlation with any of them.
    spread : float
        Share of genes whose quantiles are those of any of them.
    slides : float
        Mean over slides of the largest median *shape* correlation with any of them.
    sum_smooth, sum_shape : float
        Median over genes of the multiple correlation of *smooth*, and of *shape*, with a few of
        them together, those by which it is highest: what is averaged from several is nearly a sum.
    """

    genes: float
    spread: float
    slides: float
    sum_smooth: float
    sum_shape: float


def patchwork(mine: Trace, others: Sequence[Trace]) -> Patchwork:
    """Compare a trace with several of one dataset, part by part: each with that which is nearest.

    What cannot be compared is left out; nan where nothing is left, or too little of it varies, and,
    but for *spread*, where spots are few.
    """
    kept = mine.genes[kept_genes(len(mine.genes))]
    width = mine.smooth.shape[1]
    others = [
        each for each in others if each.smooth.shape[1] == width and np.isin(kept, each.genes).all()
    ]
    if not others:
        return Patchwork(*[float("nan")] * 5)
    own = _of_genes(mine, kept)
    theirs = [_of_genes(each, kept) for each in others]
    varies = own.smooth.any(axis=1)
    if varies.sum() < max(1, min(LEAST_GENES, len(kept))):
        return Patchwork(*[float("nan")] * 5)
    apart = np.min([np.abs(own.quantiles - each.quantiles).max(axis=1) for each in theirs], axis=0)
    spread = float((apart[varies] <= SAME).mean())
    if width < LEAST_SPOTS:
        return Patchwork(float("nan"), spread, *[float("nan")] * 3)
    smooth = np.max([(own.smooth * each.smooth).sum(axis=1) for each in theirs], axis=0)
    return Patchwork(
        float(np.median(smooth[varies])),
        spread,
        _nearest_slides(mine.parts, mine.shares, [each.shape for each in theirs]),
        _explained(own.smooth[varies], np.stack([each.smooth[varies] for each in theirs])),
        _explained(own.shape[varies], np.stack([each.shape[varies] for each in theirs])),
    )


def _nearest_slides(parts: np.ndarray, shares: np.ndarray, theirs: Sequence[np.ndarray]) -> float:
    """Return the mean over slides of the largest median correlation of genes with any trace.

    A slide with a share f of the spots has a length of sqrt(f) in a row of length 1. What falls on
    its places from other slides is noise, 1 / (16 sqrt(f)) of a correlation for one gene; the
    median over genes and the mean over slides take most of it out.

    Parameters
    ----------
    parts : ndarray of int8, of shape (n_slides, n_genes, width)
    shares : ndarray of shape (n_slides,)
    theirs : sequence of ndarray of shape (n_genes, width)
    """
    total = weight = 0.0
    for part, share in zip(parts, shares, strict=False):
        mine = unit(part.astype(np.float64))
        varies = mine.any(axis=1)
        if varies.any():
            alike = [np.median((mine * each).sum(axis=1)[varies]) for each in theirs]
            total += share * min(1.0, float(max(alike)) / np.sqrt(share))
            weight += share
    return total / weight if weight else float("nan")


def _explained(own: np.ndarray, theirs: np.ndarray) -> float:
    """Return the median over genes of the multiple correlation with a few of several others.

    They are taken one after the other, each time the one that explains most beside those before.

    Parameters
    ----------
    own : ndarray of shape (n_genes, width)
        Rows of length 1.
    theirs : ndarray of shape (n_others, n_genes, width)
        Likewise.
    """
    left, share = own, np.zeros(len(own))
    free = np.square(theirs).sum(axis=2)  # of each, what those before do not explain
    found: list[np.ndarray] = []  # orthonormal, from those taken
    for _ in range(min(_MOST_TOGETHER, len(theirs))):
        gains = _products(theirs, left) ** 2 / (free + _RIDGE)
        best = int(np.argmax(np.median(share + gains, axis=1)))
        fresh = theirs[best]
        for each in found:
            fresh = fresh - (fresh * each).sum(axis=1, keepdims=True) * each
        found.append(unit(fresh))
        share = share + gains[best]
        left = left - (left * found[-1]).sum(axis=1, keepdims=True) * found[-1]
        free = np.maximum(free - _products(theirs, found[-1]) ** 2, 0)
    return float(np.sqrt(np.clip(np.median(share), 0, 1)))


def _products(theirs: np.ndarray, own: np.ndarray) -> np.ndarray:
    """Return the products of each of several with one, gene by gene: (n_others, n_genes)."""
    products: np.ndarray = np.einsum("igw,gw->ig", theirs, own)
    return products


def _of_genes(trace: Trace, genes: np.ndarray) -> Trace:
    at = np.searchsorted(trace.genes, genes)
    return Trace(genes, trace.smooth[at], trace.shape[at], trace.quantiles[at])
