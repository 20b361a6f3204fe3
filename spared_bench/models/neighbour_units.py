"""Spots with the features of those around them: what an attention over neighbours is fed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from spared_bench.data import Slides
from spared_bench.geometry import rows_by_slide, spacing
from spared_bench.models.units import target_and_mask


@dataclass(frozen=True)
class NeighbourBatch:
    """The spots of one step, and those around them.

    Parameters
    ----------
    features : Tensor of float32, of shape (n_seen, width)
        Of every spot that is seen, each once.
    around : Tensor of int64, of shape (n_spots, 1 + most)
        Rows of ``features``: the spot itself, then its neighbours; where there are fewer than
        most, the spot itself again.
    there : Tensor of bool, of that shape
        False where there is no neighbour.
    distance : Tensor of float32, of that shape
        In distances between neighbouring spots of the slide.
    target, mask : Tensor of shape (n_spots, n_genes)
        As in ``Batch``.
    """

    features: Tensor
    around: Tensor
    there: Tensor
    distance: Tensor
    target: Tensor
    mask: Tensor


def neighbours(
    coordinates: np.ndarray, reach: float, most: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the spots around each spot of one slide, whatever the order of the spots.

    Parameters
    ----------
    coordinates : ndarray of shape (n_spots, 2)
    reach : float
        In distances between neighbouring spots; a hundredth more counts as within.
    most : int
        So many of the nearest; of equally near ones, those with the smaller x, then y.

    Returns
    -------
    around, there, distance : ndarray of shape (n_spots, 1 + most)
        As in ``NeighbourBatch``, rows being positions among these spots.
    """
    from scipy.spatial import cKDTree

    n, pitch = len(coordinates), spacing(coordinates)
    around = np.repeat(np.arange(n)[:, None], 1 + most, axis=1)
    there = np.zeros((n, 1 + most), dtype=bool)
    distance = np.zeros((n, 1 + most), dtype=np.float32)
    there[:, 0] = True
    near = cKDTree(coordinates).query_ball_point(coordinates, 1.01 * reach * pitch)
    for spot, found in enumerate(near):
        others = np.array([each for each in found if each != spot], dtype=np.int64)
        if not len(others):
            continue
        apart = np.linalg.norm(coordinates[others] - coordinates[spot], axis=1) / pitch
        x, y = coordinates[others].T
        kept = np.lexsort((y, x, np.round(apart, 3)))[:most]
        places = slice(1, 1 + len(kept))
        around[spot, places], there[spot, places] = others[kept], True
        distance[spot, places] = apart[kept]
    return around, there, distance


class NeighbourUnits:
    """Spots, each with the features of those around it on its slide.

    Parameters
    ----------
    slides : Slides
        With or without their expression.
    features : ndarray of float32, of shape (n_spots, width)
    reach : float
        In distances between neighbouring spots.
    most : int
        Neighbours of a spot.
    device : str
        Where everything lies.
    """

    def __init__(
        self, slides: Slides, features: np.ndarray, reach: float, most: int, device: str = "cpu"
    ) -> None:
        n = len(slides)
        around = np.zeros((n, 1 + most), dtype=np.int64)
        there = np.zeros((n, 1 + most), dtype=bool)
        distance = np.zeros((n, 1 + most), dtype=np.float32)
        for rows in rows_by_slide(slides.slide_ids):
            local, there[rows], distance[rows] = neighbours(slides.coordinates[rows], reach, most)
            around[rows] = rows[local]
        self._features = torch.from_numpy(features).to(device)
        self._around, self._there, self._distance = (
            torch.from_numpy(each).to(device) for each in (around, there, distance)
        )
        self._target, self._mask = target_and_mask(slides, device)

    def __len__(self) -> int:
        return len(self._around)

    def batch(self, rows: Tensor, augment: torch.Generator | None = None) -> NeighbourBatch:
        """Return these spots; features are fixed, so nothing is augmented."""
        here = rows.to(self._around.device)
        seen, around = torch.unique(self._around[here], return_inverse=True)
        return NeighbourBatch(
            self._features[seen],
            around,
            self._there[here],
            self._distance[here],
            self._target[here],
            self._mask[here],
        )
