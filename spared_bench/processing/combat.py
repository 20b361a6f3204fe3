"""ComBat: remove differences in mean and variance between batches, shrunken over genes.

Johnson, Li and Rabinovic, Biostatistics 2007, doi:10.1093/biostatistics/kxj037; parametric prior,
no covariates, no reference batch. Written from the formulas of the paper.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from spared_bench.errors import DataError, ShapeMismatchError

_MAX_ITERATIONS = 1_000


@dataclass(frozen=True)
class Correction:
    """ComBat's estimates: what the genes have in common, and what each batch adds to it.

    Attributes
    ----------
    varying : ndarray of bool, of shape (n_genes,)
        Genes that take part. Those that are constant within every batch have no variance to scale
        by.
    grand_mean, sigma : ndarray of float64, of shape (n_varying,)
        Mean over all spots, and standard deviation within batches.
    effects : dict of batch label to (gamma, delta)
        Shift and scale of a batch, in units of ``sigma`` and of its square; each of shape
        (n_varying,).
    """

    varying: np.ndarray
    grand_mean: np.ndarray
    sigma: np.ndarray
    effects: dict[Any, tuple[np.ndarray, np.ndarray]]

    def apply(self, values: np.ndarray, batches: np.ndarray) -> np.ndarray:
        """Take the effects of the known batches out of values.

        Parameters
        ----------
        values : ndarray of shape (n_spots, n_genes)
        batches : ndarray of shape (n_spots,)
            The model expects no shift of a batch that it was not fitted to, so spots of such a
            batch are returned as they are.

        Returns
        -------
        ndarray of float64, of shape (n_spots, n_genes)
        """
        values, batches = _checked(values, batches)
        out = values.copy()
        for batch, (gamma, delta) in self.effects.items():
            cells = np.ix_(np.flatnonzero(batches == batch), self.varying)
            standard = (values[cells] - self.grand_mean) / self.sigma
            out[cells] = self.sigma * (standard - gamma) / np.sqrt(delta) + self.grand_mean
        return out


def combat(
    values: np.ndarray, batches: np.ndarray, published: bool = False, tolerance: float = 1e-4
) -> np.ndarray:
    """Correct batches towards their common mean and variance.

    Every batch is corrected with its own data. So the values of a slide depend on which other
    slides are corrected with it, and a batch of test spots is moved by looking at the test spots;
    see `fit_combat` for a correction that does not.

    Parameters
    ----------
    values, batches, published, tolerance
        As of `fit_combat`.

    Returns
    -------
    ndarray of float64, of shape (n_spots, n_genes)
        Genes that are constant within every batch are returned unchanged.

    Raises
    ------
    ShapeMismatchError
        If there is not one label per spot.
    DataError
        If the iteration does not settle.
    """
    return fit_combat(values, batches, published, tolerance).apply(values, batches)


def fit_combat(
    values: np.ndarray, batches: np.ndarray, published: bool = False, tolerance: float = 1e-4
) -> Correction:
    """Estimate the effect of every batch on every gene.

    Parameters
    ----------
    values : ndarray of shape (n_spots, n_genes)
        Logged expression.
    batches : ndarray of shape (n_spots,)
        Labels. Nothing is to be corrected in a single batch. In a batch of one spot, only the mean
        is corrected.
    published : bool
        Repeat a defect of the ``combat`` package 0.3.3, with which SpaRED's data were made: the
        variances of all genes are updated with the mean effect of the *first* gene, so the result
        depends on the order of the genes.
    tolerance : float
        Largest relative change at which the iteration ends. As in the reference implementations,
        the change is divided by the signed old value.

    Returns
    -------
    Correction

    Raises
    ------
    ShapeMismatchError
        If there is not one label per spot.
    DataError
        If the iteration does not settle.
    """
    values, batches = _checked(values, batches)
    labels = np.unique(batches)
    rows = [np.flatnonzero(batches == label) for label in labels]
    varying = np.zeros(values.shape[1], dtype=bool)
    for here in rows:
        varying |= np.ptp(values[here], axis=0) > 0
    values = values[:, varying]
    means = np.stack([values[here].mean(axis=0) for here in rows])
    sizes = np.array([len(here) for here in rows])
    grand_mean = sizes @ means / sizes.sum()
    squares = [((values[r] - mean) ** 2).sum(axis=0) for r, mean in zip(rows, means, strict=True)]
    sigma = np.sqrt(np.sum(squares, axis=0) / sizes.sum())
    effects = {}
    if len(rows) > 1 and varying.any():
        for label, here in zip(labels, rows, strict=True):
            standard = (values[here] - grand_mean) / sigma
            effects[label] = _shrunken_effects(standard, published, tolerance)
    return Correction(varying, grand_mean, sigma, effects)


def _checked(values: np.ndarray, batches: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    values, batches = np.asarray(values, dtype=np.float64), np.asarray(batches)
    if values.ndim != 2 or batches.shape != values.shape[:1]:
        raise ShapeMismatchError(
            f"ComBat needs one batch label per spot: values {values.shape}, batches"
            f" {batches.shape}."
        )
    return values, batches


def _shrunken_effects(
    standard: np.ndarray, published: bool, tolerance: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the additive and multiplicative effect of one batch on each gene.

    Alternates between the posterior means of the two, from their moments over genes.
    """
    n_spots = len(standard)
    gamma_hat = standard.mean(axis=0)
    delta_hat = standard.var(axis=0) if n_spots > 1 else np.ones_like(gamma_hat)
    gamma_bar, tau2 = gamma_hat.mean(), gamma_hat.var()
    mean, spread = delta_hat.mean(), delta_hat.var()
    gamma, delta = gamma_hat, delta_hat
    for _ in range(_MAX_ITERATIONS):
        weight = tau2 * n_spots
        new_gamma = (weight * gamma_hat + delta * gamma_bar) / (weight + delta)
        if spread > 0:
            a = (2 * spread + mean**2) / spread
            b = (mean * spread + mean**3) / spread
            centre = new_gamma[0] if published else new_gamma
            squares = n_spots * (delta_hat + (gamma_hat - centre) ** 2)  # of standard - centre
            new_delta = (squares / 2 + b) / (n_spots / 2 + a - 1)
        else:
            new_delta = np.full_like(delta, mean)  # the limit: a prior that is sure
        change = max(_relative(gamma, new_gamma), _relative(delta, new_delta))
        gamma, delta = new_gamma, new_delta
        if change <= tolerance:
            return gamma, delta
    raise DataError(
        f"ComBat did not settle within {_MAX_ITERATIONS} steps (last change {change:.3g}, wanted"
        f" {tolerance:.3g}). Use `batch_correction: none`, or leave out the oddest batch."
    )


def _relative(old: np.ndarray, new: np.ndarray) -> float:
    moved = np.abs(new - old)
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(np.where(moved == 0, 0.0, moved / old).max())
