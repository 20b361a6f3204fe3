"""Adaptive median filter: an unmeasured entry takes the median of its neighbourhood.

As in the SpaRED benchmark (Mejia et al., MICCAI 2024) and its code: the window around a spot grows
hop by hop along the neighbour graph until its median is not 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from spared_bench.errors import ShapeMismatchError
from spared_bench.processing.compiled import compiled

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix


def median_filter(
    values: np.ndarray, unmeasured: np.ndarray, graph: csr_matrix, n_hops: int = 4
) -> np.ndarray:
    """Fill the unmeasured entries of one slide; all others are copied.

    Window k of a spot is the spot and all that are at most k hops away. Its median counts all
    values, the zeros of unmeasured ones included. An unmeasured entry takes the first median that
    is not 0, for k = 1 to ``n_hops``; if all are 0, the median of what was measured of the gene on
    the slide; if nothing was, 0. Medians are of the values as given, never of filled ones.

    Parameters
    ----------
    values : ndarray of shape (n_spots, n_genes)
        Logged expression of one slide, 0 at unmeasured entries.
    unmeasured : ndarray of bool, of shape (n_spots, n_genes)
        True where an entry is to be filled.
    graph : sparse matrix of shape (n_spots, n_spots)
        Neighbours of spot i in row i (see ``neighbour_graph``).
    n_hops : int
        At least 1.

    Returns
    -------
    ndarray of shape (n_spots, n_genes)
        Of the dtype of ``values``, if that is a floating one.

    Raises
    ------
    ShapeMismatchError
        If the arrays do not belong to the same spots and genes.
    """
    values, unmeasured = np.asarray(values), np.asarray(unmeasured, dtype=bool)
    if values.shape != unmeasured.shape or graph.shape != (len(values), len(values)):
        raise ShapeMismatchError(
            f"values {values.shape}, unmeasured {unmeasured.shape} and graph {graph.shape} must be"
            " (n_spots, n_genes) twice and (n_spots, n_spots)."
        )
    return fill_from(values, unmeasured, *windows(graph, n_hops))


def fill_from(
    values: np.ndarray, unmeasured: np.ndarray, spots: np.ndarray, ends: np.ndarray
) -> np.ndarray:
    """Fill as ``median_filter`` does, from windows of any shape.

    ``spots`` and ``ends`` list them as ``windows`` does: nested, each spot first in its own.
    """
    dtype = np.result_type(values.dtype, np.float32)
    # One row per gene: the filter walks over the spots of one gene at a time.
    by_gene = np.ascontiguousarray(values.T, dtype=np.float64)
    filled = by_gene.copy()
    _fill(by_gene, np.ascontiguousarray(unmeasured.T), spots, ends, filled)
    return np.ascontiguousarray(filled.T).astype(dtype, copy=False)


def fill_slides(
    values: np.ndarray,
    unmeasured: np.ndarray,
    slide_ids: np.ndarray,
    coordinates: np.ndarray,
    n_hops: int = 4,
    n_neighbours: int = 6,
) -> np.ndarray:
    """Fill every slide from its own spots, through the graph of its nearest neighbours."""
    from spared_bench.processing.graph import neighbour_graph

    filled = values.copy()
    for slide_id in dict.fromkeys(slide_ids):
        here = slide_ids == slide_id
        graph = neighbour_graph(coordinates[here], n_neighbours)
        filled[here] = median_filter(values[here], unmeasured[here], graph, n_hops)
    return filled


def radial_windows(array: np.ndarray, n_distances: int = 7) -> tuple[np.ndarray, np.ndarray]:
    """List the spots within each of the smallest distances that occur between spots of a slide.

    SEPAL's windows (Mejia et al., ICCV Workshops 2023): distances are Euclidean between array
    indices, so on a Visium slide they are not round in the tissue.

    Parameters
    ----------
    array : ndarray of shape (n_spots, 2)
        Array row and column.
    n_distances : int
        How many distances count, 0 aside; all where there are fewer.

    Returns
    -------
    spots, ends
        As from ``windows``; ``ends`` has one column more than there are distances.
    """
    from scipy.spatial import cKDTree

    points = np.asarray(array, dtype=np.float64)
    n_spots, tree = len(points), cKDTree(points)
    asked = min(n_spots, 8 * n_distances)
    occurring = np.unique(np.round(tree.query(points, k=range(1, asked + 1))[0] ** 2, 6))
    radii = np.sqrt(occurring[occurring > 0][:n_distances])
    within = tree.query_ball_point(points, radii[-1] * (1 + 1e-9) if len(radii) else 0.0)
    owner = np.repeat(np.arange(n_spots), [len(found) for found in within])
    spots = np.concatenate([np.asarray(found, dtype=np.int64) for found in within])
    distance = np.sqrt(np.square(points[owner] - points[spots]).sum(axis=1))
    distance[owner == spots] = -1.0  # first in its own list, whatever lies on the same place
    order = np.lexsort((distance, owner))
    reach = np.searchsorted(radii * (1 + 1e-9), distance[order])
    counts = np.zeros((n_spots, len(radii) + 1), dtype=np.int64)
    counts[:, 0] = 1
    np.add.at(counts, (owner, np.where(distance[order] < 0, 0, reach + 1)), 1)
    counts[:, 0] -= 1
    starts = np.cumsum(counts.sum(axis=1)) - counts.sum(axis=1)
    return spots[order], starts[:, None] + np.cumsum(counts, axis=1)


def windows(graph: csr_matrix, n_hops: int) -> tuple[np.ndarray, np.ndarray]:
    """List the spots within ``n_hops`` of each spot, the nearest first.

    Returns
    -------
    spots : ndarray of int
        The lists of all spots, one after the other; each begins with the spot itself.
    ends : ndarray of int, of shape (n_spots, n_hops + 1)
        Where the part of a spot's list ends that is at most so many hops away. A list begins where
        the one before ends.
    """
    from scipy.sparse import eye_array

    n_spots = graph.shape[0]
    step = (eye_array(n_spots) + (graph != 0)).tocsr().astype(bool)
    within = eye_array(n_spots, dtype=bool, format="csr")
    sizes = [np.ones(n_spots, dtype=np.int64)]
    n_windows = within.astype(np.int64)  # the number of nested windows that a pair is in
    for _ in range(n_hops):
        within = within @ step
        sizes.append(np.diff(within.indptr))
        n_windows = n_windows + within.astype(np.int64)
    n_windows = n_windows.tocsr()
    owner = np.repeat(np.arange(n_spots), sizes[-1])
    order = np.lexsort((-n_windows.data, owner))
    ends = n_windows.indptr[:-1, None] + np.stack(sizes, axis=1)
    return n_windows.indices[order].astype(np.int64), ends.astype(np.int64)


@compiled()
def _fill(by_gene, unmeasured, spots, ends, filled):
    n_genes, n_spots = by_gene.shape
    nonzero = np.empty(n_spots, dtype=np.float64)
    for gene in range(n_genes):
        row = by_gene[gene]
        fallback = np.nan  # until it is needed
        for spot in range(n_spots):
            if not unmeasured[gene, spot]:
                continue
            start = ends[spot - 1, -1] if spot else 0
            median = _first_median(row, spots[start : ends[spot, -1]], ends[spot] - start, nonzero)
            if median == 0.0:
                if np.isnan(fallback):
                    measured = row[~unmeasured[gene]]
                    fallback = np.median(measured) if measured.size else 0.0
                median = fallback
            filled[gene, spot] = median


@compiled()
def _first_median(row, spots, sizes, nonzero):
    """Return the median of the smallest window where it is not 0, else 0."""
    n_values = n_below = position = 0  # values that differ from 0, and those below
    for hop in range(1, sizes.size):
        while position < sizes[hop]:
            value = row[spots[position]]
            nonzero[n_values] = value  # overwritten by the next if it is 0: no branch to mispredict
            n_values += value != 0.0
            n_below += value < 0.0
            position += 1
        n_zeros = position - n_values
        low, high = (position - 1) // 2, position // 2  # the middle ranks
        if n_below <= low and high < n_below + n_zeros:
            continue
        below = min(high, n_below - 1)
        last = below if high < n_below + n_zeros else high - n_zeros
        _sort_up_to(nonzero[:n_values], last)
        median = _at(nonzero, low, n_below, n_zeros) + _at(nonzero, high, n_below, n_zeros)
        if median != 0.0:
            return 0.5 * median
    return 0.0


@compiled()
def _sort_up_to(values, rank):
    """Bring the ``rank`` + 1 smallest values to the front, in order.

    Few are needed: the zeros of a window stand below its other values, and when a window is
    reached, about half of the one before were zeros.
    """
    for slot in range(min(rank + 1, values.size)):
        smallest = slot
        for other in range(slot + 1, values.size):
            if values[other] < values[smallest]:
                smallest = other
        values[slot], values[smallest] = values[smallest], values[slot]


@compiled()
def _at(nonzero, rank, n_below, n_zeros):
    """Return the value of a rank among sorted values of which the zeros are only counted."""
    if rank < n_below:
        return nonzero[rank]
    if rank < n_below + n_zeros:
        return 0.0
    return nonzero[rank - n_zeros]
