"""Spots of several sections as a graph: who overlaps whom, and edges within and across sections.

All is sparse, found with k-d trees: 6 x 5,000 spots take a second or two and little memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from spared_bench.errors import ShapeMismatchError, UsageError
from spared_bench.geometry import rows_by_slide, spacing
from spared_bench.models.graphs import nearest

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

By = Literal["overlap", "similarity"]

#: Weight, at one pitch, of an edge across sections between spots that do not overlap. On an array
#: of 100 um spots 200 um apart, a spot overlaps 1.7 others on average, and not twelve.
_APART = 0.1
_NEAREST = 0.1  # of a pitch: a nearer spot counts as that near


def circle_overlap(distance: np.ndarray, radius: float, other: float | None = None) -> np.ndarray:
    """Return which share of a circle lies in another: exact, from the two circular segments.

    Parameters
    ----------
    distance : ndarray
        Between the centres.
    radius : float
        Of the circle whose share is asked for.
    other : float, optional
        Of the other one; the same by default.

    Returns
    -------
    ndarray
        In [0, 1], of the shape of ``distance``.

    Raises
    ------
    UsageError
        If a radius is not positive.
    """
    other = radius if other is None else other
    if not (radius > 0 and other > 0):
        raise UsageError(f"Circles have positive radii; found {radius} and {other}.")
    d = np.abs(np.asarray(distance, dtype=np.float64))
    crossing = (d < radius + other) & (d > abs(radius - other))
    safe = np.where(crossing, d, radius + other)
    a = (safe**2 + radius**2 - other**2) / (2 * safe)  # to the common chord
    b = safe - a
    area = _segment(a, radius) + _segment(b, other)
    inside = min(radius, other) ** 2 * np.pi
    whole = np.where(d <= abs(radius - other), inside, 0.0)
    share: np.ndarray = np.clip(np.where(crossing, area, whole) / (np.pi * radius**2), 0.0, 1.0)
    return share


def _segment(height: np.ndarray, radius: float) -> np.ndarray:
    """Area of the part of a circle beyond a chord at a signed distance from its centre."""
    cosine = np.clip(height / radius, -1.0, 1.0)
    return np.asarray(
        radius**2 * np.arccos(cosine) - height * np.sqrt(np.maximum(radius**2 - height**2, 0.0))
    )


@dataclass(frozen=True, eq=False)
class SectionGraph:
    """Edges between the spots of a sample; messages go from row 0 to row 1.

    Parameters
    ----------
    edges : ndarray of int64, of shape (2, n_edges)
    weights : ndarray of float64, of shape (n_edges,)
        Positive.
    overlap : ndarray of float64, of shape (n_edges,)
        Which share of the circle of the spot in row 1 the one in row 0 covers; 0 within a section.
    across : ndarray of bool, of shape (n_edges,)
        Whether the spots lie on two sections.
    n_spots : int
    """

    edges: np.ndarray
    weights: np.ndarray
    overlap: np.ndarray
    across: np.ndarray
    n_spots: int

    @property
    def matrix(self) -> csr_matrix:
        """Weights at [spot, neighbour]; an edge that is there twice counts once."""
        from scipy.sparse import coo_matrix

        shape = (self.n_spots, self.n_spots)
        found = coo_matrix((self.weights, (self.edges[1], self.edges[0])), shape=shape).tocsr()
        found.sum_duplicates()
        return found


def overlaps(
    points: np.ndarray, sections: np.ndarray, order: np.ndarray, diameter: float
) -> csr_matrix:
    """Return which share of each spot's circle every spot of the neighbouring sections covers.

    Parameters
    ----------
    points : ndarray of shape (n_spots, 2)
        Centres in the frame of the sample, in um.
    sections : ndarray of str, of shape (n_spots,)
    order : ndarray of int, of shape (n_spots,)
        Place of its section along z. Neighbours are those of the next lower and the next higher.
    diameter : float
        Of a spot, in um.

    Returns
    -------
    sparse matrix of float64, of shape (n_spots, n_spots)
        At [spot, other].
    """
    from scipy.sparse import coo_matrix
    from scipy.spatial import cKDTree

    spot, other, share = [], [], []
    for a, b in _neighbours(sections, order):
        tree, there = cKDTree(points[a]), cKDTree(points[b])
        near = tree.sparse_distance_matrix(there, diameter, output_type="ndarray")
        value = circle_overlap(near["v"], diameter / 2)
        kept = value > 0
        spot += [a[near["i"][kept]], b[near["j"][kept]]]
        other += [b[near["j"][kept]], a[near["i"][kept]]]
        share += [value[kept]] * 2
    where = (np.concatenate([[], *spot]).astype(int), np.concatenate([[], *other]).astype(int))
    shape = (len(points), len(points))
    return coo_matrix((np.concatenate([[], *share]), where), shape=shape).tocsr()


def _neighbours(
    sections: np.ndarray, order: np.ndarray, reach: int = 1
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the rows of every two sections that are at most so many apart, each pair once."""
    rows = sorted(rows_by_slide(np.asarray(sections)), key=lambda each: order[each[0]])
    return [
        (rows[i], rows[j])
        for i in range(len(rows))
        for j in range(i + 1, min(i + reach, len(rows) - 1) + 1)
    ]


def section_graph(
    points: np.ndarray,
    sections: np.ndarray,
    order: np.ndarray,
    diameter: float,
    within: int = 8,
    across: int = 12,
    by: By = "overlap",
    features: np.ndarray | None = None,
    reach: int = 1,
) -> SectionGraph:
    """Connect the spots of a sample within sections and across neighbouring ones.

    Within a section, each spot with its nearest ones (all that are equally near), weighed by the
    inverse of the distance in pitches. Across, each spot with those of each neighbouring section
    that it overlaps, weighed by the share of its circle; where these are fewer than ``across``,
    filled up with the nearest ones, weighed by at most 0.1: on an array with gaps there are no
    twelve that overlap. By similarity, across: the ones of the most similar features (cosine of
    standardised ones), weighed by that similarity. The graph is made symmetric; of two weights of
    one edge, the larger counts.

    Parameters
    ----------
    points, sections, order, diameter
        As ``overlaps`` takes them.
    within, across : int
        Neighbours of a spot in its section, and in each neighbouring one.
    by : {"overlap", "similarity"}
    features : ndarray of shape (n_spots, width), optional
        For ``by="similarity"``.
    reach : int
        How many sections apart in order neighbouring ones may be.

    Raises
    ------
    ShapeMismatchError
        If the arrays are not of the same spots.
    UsageError
        For ``by="similarity"`` without features, or another word.
    """
    points = np.asarray(points, dtype=np.float64)[:, :2]
    if not len(points) == len(sections) == len(order):
        raise ShapeMismatchError(
            f"{len(points)} points, {len(sections)} sections and {len(order)} places in order; one"
            " of each per spot is needed."
        )
    if by not in ("overlap", "similarity") or (by == "similarity" and features is None):
        raise UsageError(f"Edges across sections are by overlap or by similarity of features, which"
                         f" must be given; found by={by!r}.")  # fmt: skip
    sections, order = np.asarray(sections), np.asarray(order)
    parts = [_within(points, rows, within) for rows in rows_by_slide(sections)]
    for a, b in _neighbours(sections, order, reach):
        if by == "similarity":
            assert features is not None
            parts += [_similar(features, a, b, across), _similar(features, b, a, across)]
        else:
            pitch = max(spacing(points[a]), spacing(points[b]))
            both = (a, b), (b, a)
            parts += [_overlapping(points, *each, across, diameter, pitch) for each in both]
    return _symmetric(parts, len(points))


_Part = tuple[np.ndarray, np.ndarray, np.ndarray, bool]


def _within(points: np.ndarray, rows: np.ndarray, k: int) -> _Part:
    edges = nearest(points[rows], k) if k else np.empty((2, 0), np.int64)
    step = spacing(points[rows])
    distance = np.linalg.norm(points[rows[edges[0]]] - points[rows[edges[1]]], axis=1) / step
    return rows[edges], 1 / np.maximum(distance, _NEAREST), np.zeros(edges.shape[1]), False


def _overlapping(
    points: np.ndarray, to: np.ndarray, from_: np.ndarray, k: int, diameter: float, pitch: float
) -> _Part:
    from scipy.spatial import cKDTree

    k = min(k, len(from_))
    if k == 0:
        return np.empty((2, 0), np.int64), np.empty(0), np.empty(0), True
    distance, found = cKDTree(points[from_]).query(points[to], k=k)
    distance, found = distance.reshape(len(to), k), found.reshape(len(to), k)
    share = circle_overlap(distance, diameter / 2)
    filled = _APART / np.maximum(distance / pitch, 1.0)
    weights = np.maximum(share, filled)
    edges = np.stack([from_[found].ravel(), np.repeat(to, k)])
    return edges, weights.ravel(), share.ravel(), True


def _similar(features: np.ndarray, to: np.ndarray, from_: np.ndarray, k: int) -> _Part:
    cosine, found = most_similar(features[to], features[from_], k)
    edges = np.stack([from_[found].ravel(), np.repeat(to, found.shape[1])])
    return edges, np.maximum(cosine, 1e-3).ravel(), np.zeros(found.size), True


def most_similar(
    features: np.ndarray, known: np.ndarray, k: int, at_once: int = 4_096
) -> tuple[np.ndarray, np.ndarray]:
    """Return cosine and place of the most similar rows, by features standardised in each part.

    Parameters
    ----------
    features : ndarray of shape (n_spots, width)
    known : ndarray of shape (n_known, width)
    k : int
        Fewer where there are fewer.
    at_once : int
        Spots that are compared at a time.

    Returns
    -------
    cosine, place : ndarray of shape (n_spots, k)
        The most similar first; of equal ones, the first.
    """
    unit, others = (_unit(standardised(each)) for each in (features, known))
    k = min(k, len(others))
    cosines, places = [np.empty((0, k))], [np.empty((0, k), dtype=np.int64)]
    for start in range(0, len(unit), at_once):
        alike = unit[start : start + at_once] @ others.T
        place = np.argsort(-alike, axis=1, kind="stable")[:, :k]
        cosines.append(np.take_along_axis(alike, place, axis=1))
        places.append(place)
    return np.concatenate(cosines), np.concatenate(places)


def standardised(features: np.ndarray) -> np.ndarray:
    """Return features of mean 0 and deviation 1 over these rows; a constant one is 0."""
    values = np.asarray(features, dtype=np.float64)
    spread = values.std(axis=0)
    return np.asarray((values - values.mean(axis=0)) / np.where(spread > 1e-12, spread, np.inf))


def _unit(rows: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(length > 0, length, 1))


def _symmetric(parts: list[_Part], n_spots: int) -> SectionGraph:
    source, spot = np.concatenate([each[0] for each in parts], axis=1)
    weights = np.concatenate([each[1] for each in parts])
    share = np.concatenate([each[2] for each in parts])
    across = np.concatenate([np.full(each[0].shape[1], each[3]) for each in parts])
    ends = np.concatenate([[source, spot], [spot, source]], axis=1)
    weights, share, across = (np.tile(each, 2) for each in (weights, share, across))
    order = np.lexsort((-weights, ends[0], ends[1]))
    ends = ends[:, order]
    first = np.ones(len(order), dtype=bool)
    first[1:] = (ends[:, 1:] != ends[:, :-1]).any(axis=0)
    kept = order[first]
    return SectionGraph(ends[:, first], weights[kept], share[kept], across[kept], n_spots)
