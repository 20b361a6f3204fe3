"""How well the colours under and around spots foretell their expression, wherever these are placed.

By a ridge regression that is tested on spots which it has not seen, strip by strip.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from spared_bench.reports.placed_spots import PlacedSpots, ReducedImage, density, extremes, sample

if TYPE_CHECKING:
    from anndata import AnnData

_N_GENES, _N_COMPONENTS, _N_FOLDS, _PENALTY = 500, 6, 5, 10.0


def foretelling(
    image: ReducedImage, spots: PlacedSpots, responses: np.ndarray
) -> Callable[[np.ndarray], float]:
    """Return what tells how well colours foretell the expression in a placement; -1 off it."""
    colours = _colours(image, spots.diameter)
    folds = _folds(spots.centres)

    def foretold(centres: np.ndarray) -> float:
        seen = sample(colours, centres)
        return -1.0 if seen is None else _held_out_correlation(seen, responses, folds)

    return foretold


def _colours(image: ReducedImage, diameter: float) -> np.ndarray:
    """Return what the image shows around every pixel: (height, width, 12).

    Of the density of each channel and of the saturation: mean and spread over a spot, and the mean
    over three spots.
    """
    from scipy.ndimage import uniform_filter

    rgb = image.pixels.astype(np.float32)
    dark, bright = extremes(rgb)
    saturation = (bright - dark) / (bright + 1)
    width = max(1, round(diameter))
    maps = []
    for values in (*np.moveaxis(density(rgb), 2, 0), saturation):
        mean = uniform_filter(values, width, mode="nearest")
        square = uniform_filter(values * values, width, mode="nearest")
        around = uniform_filter(values, 3 * width, mode="nearest")
        maps += [mean, np.sqrt(np.maximum(square - mean * mean, 0)), around]
    return np.stack(maps, axis=-1)


def responses_of(slide: AnnData) -> np.ndarray:
    """Return what is to be foretold, standardised: log counts, and components of expression."""
    from scipy.sparse import csr_matrix, diags

    counts = csr_matrix(slide.X, dtype=np.float64)
    totals = counts @ np.ones(counts.shape[1])
    genes = np.argsort(-(np.ones(counts.shape[0]) @ counts), kind="stable")[:_N_GENES]
    scaled = diags(1e4 / np.maximum(totals, 1)) @ counts[:, genes]
    values = np.log1p(scaled.toarray())
    out = np.column_stack([np.log10(totals + 1), _components(values - values.mean(axis=0))])
    spread = out.std(axis=0)
    kept = out[:, spread > 1e-9]
    return (kept - kept.mean(axis=0)) / kept.std(axis=0) if kept.size else np.zeros((len(out), 1))


def _components(centred: np.ndarray) -> np.ndarray:
    """Return the first principal components of spots, in any order: (n_spots, at most 6).

    Of the smaller matrix of products: a singular value decomposition takes five times as long.
    """
    from scipy.linalg import eigh

    n_spots, n_genes = centred.shape
    products = centred @ centred.T if n_spots < n_genes else centred.T @ centred
    if not products.size:
        return np.empty((n_spots, 0))
    last = len(products) - 1
    powers, vectors = eigh(products, subset_by_index=(max(0, last - _N_COMPONENTS + 1), last))
    vectors = vectors[:, powers > max(0.0, 1e-12 * powers[-1])]
    return vectors if n_spots < n_genes else centred @ vectors


def _folds(centres: np.ndarray) -> np.ndarray:
    """Cut the spots into strips across their longest extent: (n_spots,)."""
    centred = centres - centres.mean(axis=0)
    along = centred @ np.linalg.svd(centred, full_matrices=False)[2][0]
    rank = np.argsort(np.argsort(along, kind="stable"), kind="stable")
    return np.minimum(rank * _N_FOLDS // len(rank), _N_FOLDS - 1)


def _held_out_correlation(seen: np.ndarray, responses: np.ndarray, folds: np.ndarray) -> float:
    """Mean Pearson correlation of the responses with what is foretold of the other strips."""
    seen = (seen - seen.mean(axis=0)) / (seen.std(axis=0) + 1e-9)
    foretold = np.empty_like(responses)
    for fold in range(_N_FOLDS):
        test = folds == fold
        known, mean = seen[~test], responses[~test].mean(axis=0)
        gram = known.T @ known + _PENALTY * np.eye(seen.shape[1])
        foretold[test] = (
            seen[test] @ np.linalg.solve(gram, known.T @ (responses[~test] - mean)) + mean
        )
    foretold -= foretold.mean(axis=0)
    truth = responses - responses.mean(axis=0)
    above = (foretold * truth).sum(axis=0)
    below = np.sqrt((foretold**2).sum(axis=0) * (truth**2).sum(axis=0))
    return float(np.divide(above, below, out=np.zeros_like(above), where=below > 0).mean())
