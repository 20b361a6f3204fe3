"""Ridge regression of many genes with many penalties, cross-validated by one decomposition.

Features are reduced to their principal components first, fitted on all training spots. A fold then
costs an eigen-decomposition of a matrix as wide as the components, and a penalty a division.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import linalg

from spared_bench.errors import UsageError

#: From none to all, in steps of a factor of ten, of the mean variance of a component.
PENALTIES = tuple(10.0**power for power in range(-6, 7))


@dataclass(frozen=True)
class Reduction:
    """Standardisation and principal components, as one affine map.

    Parameters
    ----------
    mean, scale : ndarray of shape (width,)
        Of the training spots, the deviation with 0 degrees of freedom; 1 of a constant feature.
    components : ndarray of shape (width, n_components)
        Orthonormal columns, the largest variance first; 0 where the spots vary no more, as in the
        last of as many components as spots.
    """

    mean: np.ndarray
    scale: np.ndarray
    components: np.ndarray

    def apply(self, features: np.ndarray) -> np.ndarray:
        """Return the scores of spots, (n_spots, n_components), float64."""
        found: np.ndarray = ((features - self.mean) / self.scale) @ self.components
        return found


def reduce(
    features: np.ndarray, n_components: int, standardise: bool = True
) -> tuple[Reduction, np.ndarray]:
    """Standardise features and take their principal components; exact, by the Gram matrix.

    Parameters
    ----------
    features : ndarray of shape (n_spots, width)
    n_components : int
    standardise : bool
        If not, features are neither centred nor scaled, and the components are those about 0.

    Returns
    -------
    Reduction
    scores : ndarray of float64, of shape (n_spots, n_components)
        Of these spots.

    Raises
    ------
    UsageError
        If there are fewer spots or features than components.
    """
    n, width = features.shape
    if n_components > min(n, width):
        raise UsageError(
            f"{n_components} principal components were asked for of {n} spots with {width}"
            f" features; there are at most {min(n, width)}. Set `components` to fewer, or 0."
        )
    values = features.astype(np.float64)
    mean, scale = values.mean(axis=0), values.std(axis=0)
    if not standardise:
        mean, scale = np.zeros(width), np.ones(width)
    scale[scale <= 1e-10 * np.maximum(np.abs(mean), 1e-300)] = 1.0
    values -= mean
    values /= scale
    last = min(n, width)
    if width <= n:
        gram = values.T @ values
        _, vectors = linalg.eigh(gram, subset_by_index=(last - n_components, last - 1))
        components = vectors[:, ::-1]
    else:
        variances, left = linalg.eigh(
            values @ values.T, subset_by_index=(last - n_components, last - 1)
        )
        components = values.T @ left[:, ::-1]
        # Without variance, what is left is rounding, which made longer is a copy of other ones.
        varies = variances[::-1] > width * np.finfo(np.float64).eps * variances[-1]
        components[:, ~varies] = 0
        components[:, varies] /= np.linalg.norm(components[:, varies], axis=0)
    components = _signed(components)
    return Reduction(mean, scale, components), values @ components


def _signed(components: np.ndarray) -> np.ndarray:
    """Turn each component so that its largest entry is positive, as an eigenvector has no sign."""
    largest = np.abs(components).argmax(axis=0)
    signs = np.sign(components[largest, np.arange(components.shape[1])])
    return np.asarray(components * np.where(signs == 0, 1.0, signs))


@dataclass(frozen=True)
class Choice:
    """What cross-validation came to.

    Parameters
    ----------
    penalty : float
        Of the lowest error; the largest of equally good ones.
    errors : ndarray of shape (n_penalties,)
        Mean squared error at the spots left out, over all genes.
    """

    penalty: float
    errors: np.ndarray


def choose_penalty(
    scores: np.ndarray,
    target: np.ndarray,
    folds: np.ndarray,
    penalties: Sequence[float] = PENALTIES,
    intercept: bool = True,
) -> Choice:
    """Choose a ridge penalty by leaving out one fold after the other.

    Parameters
    ----------
    scores : ndarray of shape (n_spots, n_components)
    target : ndarray of shape (n_spots, n_genes)
    folds : ndarray of shape (n_spots,)
        To which fold a spot belongs; best whole slides.
    penalties : sequence of float
        Times the mean squared norm of a column of ``scores``: they do not depend on how many spots
        there are, or on the scale of the features.
    intercept : bool

    Returns
    -------
    Choice
        ``penalty`` as a plain weight of the squared coefficients.

    Raises
    ------
    UsageError
        If there are fewer than two folds.
    """
    names = np.unique(folds)
    if len(names) < 2:
        raise UsageError(
            "A penalty is chosen by leaving parts of the training spots out, and there is one part"
            " only. Give the penalty with `alpha`."
        )
    x, y = scores.astype(np.float64), target.astype(np.float64)
    unit = float(np.einsum("ij,ij->", x, x)) / x.shape[1]
    plain = np.asarray(penalties) * unit
    gram, cross = x.T @ x, x.T @ y
    sums, totals = x.sum(axis=0), y.sum(axis=0)
    errors = np.zeros(len(plain))
    for name in names:
        out = folds == name
        xo, yo, n = x[out], y[out], int((~out).sum())
        rest, right = gram - xo.T @ xo, cross - xo.T @ yo
        mean_x = (sums - xo.sum(axis=0)) / n if intercept else np.zeros(x.shape[1])
        mean_y = (totals - yo.sum(axis=0)) / n if intercept else np.zeros(y.shape[1])
        rest = rest - n * np.outer(mean_x, mean_x)
        right = right - n * np.outer(mean_x, mean_y)
        values, vectors = linalg.eigh(rest)
        turned, seen = vectors.T @ right, (xo - mean_x) @ vectors
        for at, alpha in enumerate(plain):
            weights = turned / (np.maximum(values, 0) + alpha)[:, None]
            errors[at] += np.square(yo - mean_y - seen @ weights).sum()
    errors /= y.size
    best = np.flatnonzero(errors <= errors.min() * (1 + 1e-12))[-1]
    return Choice(float(plain[best]), errors)


def solve(
    scores: np.ndarray, target: np.ndarray, penalty: float, intercept: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    """Solve a ridge regression exactly; without a penalty, by the smallest coefficients.

    Parameters
    ----------
    scores : ndarray of shape (n_spots, n_components)
    target : ndarray of shape (n_spots, n_genes)
    penalty : float
        Weight of the squared coefficients beside the squared error summed over spots.
    intercept : bool

    Returns
    -------
    coefficients : ndarray of shape (n_components, n_genes)
    intercept : ndarray of shape (n_genes,)
    """
    x, y = scores.astype(np.float64), target.astype(np.float64)
    mean_x = x.mean(axis=0) if intercept else np.zeros(x.shape[1])
    mean_y = y.mean(axis=0) if intercept else np.zeros(y.shape[1])
    x, y = x - mean_x, y - mean_y
    if penalty > 0:
        gram = x.T @ x
        gram[np.diag_indices_from(gram)] += penalty
        weights = linalg.solve(gram, x.T @ y, assume_a="pos")
    else:
        weights = linalg.lstsq(x, y)[0]
    return weights, mean_y - mean_x @ weights
