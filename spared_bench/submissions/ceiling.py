"""How well anything can score, given the noise of the counts: by binomial thinning.

A count ``c`` is split into two halves, ``c1 ~ Binomial(c, 1/2)`` and ``c2 = c - c1``. If ``c`` is
Poisson, the halves are independent Poisson counts of half the rate. Each goes through the target's
own function, ``log(1 + rate * 2 * half)``, with the rate per count (from library size, and gene
length) that the full count had, and is measured where it is not 0, as the whole is. Per gene and
slide, over entries that are measured in both halves:

- *correlation.* ``r`` is the Pearson correlation of the halves: the reliability at half depth. The
  Spearman-Brown formula gives that at full depth, ``R = 2 r / (1 + r)``, and the correlation of the
  measured values with the noiseless ones is ``sqrt(R)``: what a method reaches that knows the rate
  of every entry, and nothing can do better except by chance;
- *squared error.* ``mean((y1 - y2)^2) / 4``: the difference has twice the variance of a half, and a
  half twice that of the whole.

Assumptions: counts are Poisson given the rate; library sizes are known without error; the noise in
the target falls as 1/depth, which fails where counts are small. So genes enter that have at least
``LEAST_COUNT`` counts per measured entry on a slide, and ``LEAST_SPOTS`` measured entries. On made
counts the correlation is then within 0.05 of what the true rates reach, mostly above it, and the
error at most a tenth above theirs. Noise beyond Poisson makes the true ceiling lower than this one.
Batch correction is a scale per gene and slide here: the floor is multiplied by var(target) /
var(target before correction).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from spared_bench.metrics.pearson import pearson_gene

LEAST_COUNT = 4.0
LEAST_SPOTS = 20
_THINNINGS = 4
_ALMOST_1 = 1 - 1e-9

#: By name of a protocol's target: from a rate to the target, and back.
Scale = tuple[Callable[[np.ndarray], np.ndarray], Callable[[np.ndarray], np.ndarray]]
SCALES: dict[str, Scale] = {
    "log1p_cp10k": (np.log1p, np.expm1),
    "log1p_counts": (np.log1p, np.expm1),
    "log2_tpm": (lambda rate: np.log2(1 + rate), lambda value: np.exp2(value) - 1),
}


@dataclass(frozen=True)
class Ceiling:
    """The best that can be expected, beside what a prediction reaches on the same genes.

    Parameters
    ----------
    pcc, mse : float
        Highest correlation and lowest squared error, means over genes and slides; nan where no
        gene has enough counts.
    reached_pcc, reached_mse : float
        Of the prediction.
    n : int
        Pairs of gene and slide.
    pcc_error : float
        Standard error of ``reached_pcc - pcc``, from pair to pair; nan for fewer than two.
    gene_errors : float
        Of the pair whose correlation passes its own ceiling furthest, by how many standard errors
        (Fisher's), and the two correlations; nan where no pair has a ceiling.
    gene_reached_pcc, gene_pcc : float
    """

    pcc: float
    mse: float
    reached_pcc: float
    reached_mse: float
    n: int
    pcc_error: float = float("nan")
    gene_errors: float = float("nan")
    gene_reached_pcc: float = float("nan")
    gene_pcc: float = float("nan")


Halves = tuple[np.ndarray, np.ndarray, np.ndarray]


def thin(
    counts: np.ndarray,
    expression: np.ndarray,
    mask: np.ndarray,
    scale: Scale,
    rng: np.random.Generator,
) -> Halves:
    """Split counts in two halves, each processed like the whole.

    Parameters
    ----------
    counts : ndarray of shape (n_spots, n_genes)
        Whole numbers.
    expression : ndarray of shape (n_spots, n_genes)
        The target of these counts, before batch correction.
    mask : ndarray of bool, of shape (n_spots, n_genes)
        True where measured. Where zeros count as measured, those of the halves do too.
    scale : pair of callable
        One of ``SCALES``.
    rng : Generator

    Returns
    -------
    two ndarrays of shape (n_spots, n_genes)
        On the scale of ``expression``; 0 where a half is 0.
    ndarray of bool, of shape (n_spots, n_genes)
        Where both are measured.
    """
    forward, back = scale
    whole = np.rint(counts).astype(np.int64)
    per_count = np.divide(
        back(expression.astype(np.float64)), whole, out=np.zeros(whole.shape), where=whole > 0
    )
    first = rng.binomial(whole, 0.5)
    second = whole - first
    zeros_count = bool((mask & (whole == 0)).any())
    seen = mask if zeros_count else mask & (first > 0) & (second > 0)
    return forward(2 * first * per_count), forward(2 * second * per_count), seen


@dataclass(frozen=True)
class Limit:
    """What the noise leaves on one slide, for the genes with enough counts.

    Parameters
    ----------
    rows, genes : ndarray of int
        Of the slide, and of the genes.
    pcc, mse : ndarray of shape (n_genes,)
    """

    rows: np.ndarray
    genes: np.ndarray
    pcc: np.ndarray
    mse: np.ndarray


def limits(
    target: np.ndarray,
    expression: np.ndarray,
    counts: np.ndarray,
    mask: np.ndarray,
    slides: list[np.ndarray],
    scale: Scale,
    seed: int = 0,
) -> list[Limit]:
    """Estimate the noise ceiling of a dataset.

    Parameters
    ----------
    target, expression, counts : ndarray of shape (n_spots, n_genes)
    mask : ndarray of bool, of shape (n_spots, n_genes)
    slides : list of ndarray of int
        The rows of each slide.
    scale : pair of callable
    seed : int
        Of the thinning.

    Returns
    -------
    list of Limit
        One per slide that has a gene with enough counts.
    """
    rng = np.random.default_rng(seed)
    found = []
    for rows in slides:
        genes = np.flatnonzero(_with_enough_counts(counts[rows], mask[rows]))
        if not genes.size:
            continue
        here = np.ix_(rows, genes)
        seen = mask[here]
        halves = [thin(counts[here], expression[here], seen, scale, rng) for _ in range(_THINNINGS)]
        lowest = _lowest_mse(halves, target[here], expression[here], seen)
        found.append(Limit(rows, genes, _highest_pcc(halves), lowest))
    return found


def ceiling(
    prediction: np.ndarray, target: np.ndarray, mask: np.ndarray, best: list[Limit]
) -> Ceiling:
    """Score a prediction on the genes that the limits hold for.

    Parameters
    ----------
    prediction, target : ndarray of shape (n_spots, n_genes)
    mask : ndarray of bool, of shape (n_spots, n_genes)
    best : list of Limit
    """
    parts = [np.empty((5, 0))]
    for limit in best:
        here = np.ix_(limit.rows, limit.genes)
        reached = target[here], prediction[here], mask[here]
        correlation = np.nan_to_num(pearson_gene(*reached))
        n_seen = reached[2].sum(axis=0)
        parts.append(np.stack([limit.pcc, limit.mse, correlation, _gene_mse(*reached), n_seen]))
    found = np.concatenate(parts, axis=1)
    found = found[:, np.isfinite(found).all(axis=0)]
    n = found.shape[1]
    if not n:
        unknown = float("nan")
        return Ceiling(unknown, unknown, unknown, unknown, n)
    pcc, mse, reached_pcc, reached_mse, _ = map(float, found.mean(axis=1))
    error = float(np.std(found[2] - found[0], ddof=1) / np.sqrt(n)) if n > 1 else float("nan")
    beyond = (_fisher(found[2]) - _fisher(found[0])) * np.sqrt(found[4] - 3)
    furthest = int(np.argmax(beyond))
    return Ceiling(
        pcc,
        mse,
        reached_pcc,
        reached_mse,
        n,
        error,
        gene_errors=float(beyond[furthest]),
        gene_reached_pcc=float(found[2, furthest]),
        gene_pcc=float(found[0, furthest]),
    )


def _fisher(correlation: np.ndarray) -> np.ndarray:
    """Return correlations on the scale on which their standard error is 1 / sqrt(n - 3)."""
    return np.arctanh(np.clip(correlation, -_ALMOST_1, _ALMOST_1))


def _with_enough_counts(counts: np.ndarray, mask: np.ndarray) -> np.ndarray:
    n_seen = mask.sum(axis=0)
    total = np.where(mask, counts, 0).sum(axis=0)
    return (n_seen >= LEAST_SPOTS) & (total >= LEAST_COUNT * n_seen)


def _highest_pcc(halves: list[Halves]) -> np.ndarray:
    half = np.mean([pearson_gene(*each) for each in halves], axis=0)
    half = np.clip(half, 0, 1)
    return np.sqrt(2 * half / (1 + half))


def _lowest_mse(
    halves: list[Halves],
    target: np.ndarray,
    expression: np.ndarray,
    mask: np.ndarray,
) -> np.ndarray:
    noise = np.mean([_gene_mse(*each) for each in halves], axis=0) / 4
    before = _gene_variance(expression, mask)
    after = _gene_variance(target, mask)
    return noise * np.divide(after, before, out=np.full(len(before), np.nan), where=before > 0)


def _gene_mse(first: np.ndarray, second: np.ndarray, mask: np.ndarray) -> np.ndarray:
    squares = np.square(first.astype(np.float64) - second)
    n_seen = mask.sum(axis=0)
    total = np.where(mask, squares, 0).sum(axis=0)
    return np.divide(total, n_seen, out=np.full(len(total), np.nan), where=n_seen > 0)


def _gene_variance(values: np.ndarray, mask: np.ndarray) -> np.ndarray:
    mean = np.where(mask, values, 0).sum(axis=0) / mask.sum(axis=0)
    return _gene_mse(values, np.broadcast_to(mean, values.shape), mask)
