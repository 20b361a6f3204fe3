"""Labels of known spots, spread along the edges of a graph (Zhu and Ghahramani 2002)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from spared_bench.errors import ShapeMismatchError

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

_MOST_ROUNDS = 2_000


def propagate(
    graph: csr_matrix,
    labels: np.ndarray,
    known: np.ndarray,
    rounds: int = 0,
    tolerance: float = 1e-3,
) -> np.ndarray:
    """Let every unknown spot be the weighted mean of its neighbours, the known ones held.

    It begins at the mean of the known labels. So many rounds of means are taken, or, with
    ``rounds=0``, what they converge to is solved for by conjugate gradients: from zero, ten rounds
    have not converged, and far spots are still near zero.

    Parameters
    ----------
    graph : sparse matrix of shape (n_spots, n_spots)
        Weights at [spot, neighbour], not negative; symmetric where ``rounds`` is 0.
    labels : ndarray of shape (n_spots, n_genes)
        Rows of unknown spots are not read.
    known : ndarray of bool, of shape (n_spots,)
        By a mask: a known row may be all zeros.
    rounds : int
    tolerance : float
        Of the residual beside that of the start.

    Returns
    -------
    ndarray of float32, of shape (n_spots, n_genes)
        Known rows as they are. A spot that no way leads from to a known one has the mean of the
        known labels; all are 0 where nothing is known.

    Raises
    ------
    ShapeMismatchError
    """
    known = np.asarray(known, dtype=bool)
    labels = np.asarray(labels, dtype=np.float32)
    if graph.shape != (len(labels),) * 2 or known.shape != labels.shape[:1]:
        raise ShapeMismatchError(
            f"A graph of {graph.shape}, labels of {labels.shape} and {len(known)} marks; expected"
            " one row of each per spot."
        )
    found = np.zeros_like(labels)
    if not known.any():
        return found
    mean = labels[known].mean(axis=0)
    found[known], found[~known] = labels[known], mean
    if rounds:
        return _in_rounds(graph, found, known, rounds)
    found[~known] += _solved(graph, labels - mean, known, tolerance)
    return found


def _in_rounds(graph: csr_matrix, found: np.ndarray, known: np.ndarray, rounds: int) -> np.ndarray:
    from scipy.sparse import diags

    unknown = np.flatnonzero(~known)
    rows = graph[unknown].astype(np.float32)
    total = np.asarray(rows.sum(axis=1)).ravel()
    means = diags(np.divide(1, total, out=np.zeros_like(total), where=total > 0)) @ rows
    linked = total > 0
    for _ in range(rounds):
        found[unknown[linked]] = (means @ found)[linked]
    return found


def _solved(
    graph: csr_matrix, centred: np.ndarray, known: np.ndarray, tolerance: float
) -> np.ndarray:
    """Solve for the unknown rows, all genes at once, by conjugate gradients (Jacobi)."""
    from scipy.sparse import diags

    rows = graph[np.flatnonzero(~known)].astype(np.float32)
    total = np.asarray(rows.sum(axis=1)).ravel()
    linked = np.where(total > 0, total, 1)
    matrix = (diags(linked) - rows[:, np.flatnonzero(~known)]).tocsr().astype(np.float32)
    right = rows[:, np.flatnonzero(known)] @ centred[known]
    scale = (1 / linked)[:, None].astype(np.float32)
    x, residual = np.zeros_like(right), right.copy()
    z = scale * residual
    direction, rho = z.copy(), (residual * z).sum(axis=0)
    goal = tolerance**2 * np.maximum(rho, np.finfo(np.float32).tiny)
    for _ in range(_MOST_ROUNDS):
        if (rho <= goal).all():
            break
        step = matrix @ direction
        curve = (direction * step).sum(axis=0)
        alpha = np.divide(rho, curve, out=np.zeros_like(rho), where=curve > 0)
        x += alpha * direction
        residual -= alpha * step
        np.multiply(scale, residual, out=z)
        new = (residual * z).sum(axis=0)
        direction *= np.divide(new, rho, out=np.zeros_like(rho), where=rho > 0)
        direction += z
        rho = new
    return x
