"""ComBat: remove differences in mean and variance between batches, shrunken over genes.

Johnson, Li and Rabinovic, Biostatistics 2007, doi:10.1093/biostatistics/kxj037; parametric prior,
no covariates, no reference batch. Written from the formulas of the paper.
"""

from __future__ import annotations

import numpy as np

from spared_bench.errors import DataError, ShapeMismatchError

_MAX_ITERATIONS = 1_000


def combat(
    values: np.ndarray, batches: np.ndarray, published: bool = False, tolerance: float = 1e-4
) -> np.ndarray:
    """Correct batches towards their common mean and variance.

    Every batch is corrected with its own data. So the values of a slide depend on which other
    slides are corrected with it, and a batch of test spots is moved by looking at the test spots.

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
    ndarray of float64, of shape (n_spots, n_genes)
        Genes that are constant within every batch have no variance to scale by; they are returned
        unchanged and do not take part.

    Raises
    ------
    ShapeMismatchError
        If there is not one label per spot.
    DataError
        If the iteration does not settle.
    """
    values, batches = np.asarray(values, dtype=np.float64), np.asarray(batches)
    if values.ndim != 2 or batches.shape != values.shape[:1]:
        raise ShapeMismatchError(
            f"ComBat needs one batch label per spot: values {values.shape}, batches"
            f" {batches.shape}."
        )
    rows = [np.flatnonzero(batches == batch) for batch in np.unique(batches)]
    varying = np.any([np.ptp(values[here], axis=0) > 0 for here in rows], axis=0)
    out = values.copy()
    if len(rows) > 1 and varying.any():
        out[:, varying] = _correct(values[:, varying], rows, published, tolerance)
    return out


def _correct(
    values: np.ndarray, rows: list[np.ndarray], published: bool, tolerance: float
) -> np.ndarray:
    means = np.stack([values[here].mean(axis=0) for here in rows])
    sizes = np.array([len(here) for here in rows])
    grand_mean = sizes @ means / sizes.sum()
    squares = sum(
        ((values[r] - mean) ** 2).sum(axis=0) for r, mean in zip(rows, means, strict=True)
    )
    sigma = np.sqrt(squares / sizes.sum())
    out = np.empty_like(values)
    for here in rows:
        standard = (values[here] - grand_mean) / sigma
        gamma, delta = _shrunken_effects(standard, published, tolerance)
        out[here] = sigma * (standard - gamma) / np.sqrt(delta) + grand_mean
    return out


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
