"""How honest a variance is: the normal distribution that it describes, held against what came.

Metrics are ``(truth, prediction, mask, variance) -> array`` and take what is measured for a draw of
a normal distribution with the predicted mean and variance (Gneiting and Raftery, J. Am. Stat.
Assoc. 2007, doi:10.1198/016214506000001437; of calibration and sharpness, Gneiting et al., J. R.
Stat. Soc. B 2007, doi:10.1111/j.1467-9868.2007.00587.x). Like all others, they count measured
entries alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from statistics import NormalDist

import numpy as np

from spared_bench.errors import ShapeMismatchError
from spared_bench.metrics.arrays import blocks, checked

#: Of the central intervals of a calibration curve: how much of the truth each should hold.
LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)

_Part = tuple[np.ndarray, np.ndarray]


def nll(
    truth: np.ndarray, prediction: np.ndarray, mask: np.ndarray, variance: np.ndarray
) -> np.ndarray:
    """Mean negative log-likelihood of what was measured, in nats per entry.

    Parameters
    ----------
    truth, prediction : ndarray of shape (n_spots, n_genes)
        Expression in one layer, in its unit.
    mask : ndarray of bool, of shape (n_spots, n_genes)
        True where measured.
    variance : ndarray of shape (n_spots, n_genes)
        Of the prediction, in the squared unit; not negative.

    Returns
    -------
    ndarray of shape ()
        It falls with the unit: values in other units differ by the logarithm of their ratio.
        Infinite where a variance is 0 at a measured entry; nan if nothing was measured.

    Raises
    ------
    ShapeMismatchError
        If the arrays differ in shape.
    """
    total, n_seen = 0.0, 0
    for error, spread in _measured(truth, prediction, mask, variance):
        if not spread.all():
            return np.asarray(np.inf)
        total += float((0.5 * np.log(2 * np.pi * spread**2) + 0.5 * (error / spread) ** 2).sum())
        n_seen += len(error)
    return np.asarray(total / n_seen if n_seen else np.nan)


def coverage_50(
    truth: np.ndarray, prediction: np.ndarray, mask: np.ndarray, variance: np.ndarray
) -> np.ndarray:
    """Share of what was measured that lies in the central 50 % interval; parameters as ``nll``."""
    return calibration_curve(truth, prediction, mask, variance, (0.5,))[0]


def coverage_90(
    truth: np.ndarray, prediction: np.ndarray, mask: np.ndarray, variance: np.ndarray
) -> np.ndarray:
    """Share of what was measured that lies in the central 90 % interval; parameters as ``nll``."""
    return calibration_curve(truth, prediction, mask, variance, (0.9,))[0]


def sharpness(
    truth: np.ndarray, prediction: np.ndarray, mask: np.ndarray, variance: np.ndarray
) -> np.ndarray:
    """Mean predicted standard deviation over measured entries, in the unit of the target.

    Says how much is claimed to be known, whatever the truth is. Of two predictions that are as
    well calibrated, the one with the lower value is the better. Parameters as ``nll``.
    """
    total, n_seen = 0.0, 0
    for error, spread in _measured(truth, prediction, mask, variance):
        total, n_seen = total + float(spread.sum()), n_seen + len(error)
    return np.asarray(total / n_seen if n_seen else np.nan)


def calibration_curve(
    truth: np.ndarray,
    prediction: np.ndarray,
    mask: np.ndarray,
    variance: np.ndarray,
    levels: tuple[float, ...] = LEVELS,
) -> np.ndarray:
    """Share of what was measured within the central interval of each level.

    Parameters
    ----------
    truth, prediction, mask, variance
        As ``nll`` takes them.
    levels : tuple of float
        Between 0 and 1.

    Returns
    -------
    ndarray of shape (n_levels,)
        Equal to the levels for a distribution that is right; nan if nothing was measured.
    """
    widths = np.array([NormalDist().inv_cdf(0.5 + level / 2) for level in levels])
    inside, n_seen = np.zeros(len(levels)), 0
    for error, spread in _measured(truth, prediction, mask, variance):
        distance = np.abs(error)
        inside += [(distance <= width * spread).sum() for width in widths]
        n_seen += len(error)
    return inside / n_seen if n_seen else np.full(len(levels), np.nan)


def _measured(
    truth: np.ndarray, prediction: np.ndarray, mask: np.ndarray, variance: np.ndarray
) -> Iterator[_Part]:
    """Yield error and standard deviation at measured entries, some rows at a time, in float64."""
    truth, prediction, mask = checked(truth, prediction, mask)
    variance = np.asarray(variance)
    if variance.shape != truth.shape:
        raise ShapeMismatchError(
            f"variance {variance.shape} must have the shape of the prediction, {truth.shape}."
        )
    errors = blocks(truth, prediction, mask)
    spreads = blocks(variance, variance, mask)
    for (t, p, seen), (spread, _, _) in zip(errors, spreads, strict=True):
        yield (t - p)[seen], np.sqrt(spread[seen])
