"""What a network of whole slides, or of large windows of them, is fed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from spared_bench.data import MASK, TARGET, Slides
from spared_bench.errors import CoordinateError
from spared_bench.geometry import rows_by_slide
from spared_bench.models.augment import normalisation_of, normalise
from spared_bench.models.augmentation.augmenter import Augmentation, augmented
from spared_bench.models.augmentation.symmetries import Symmetries
from spared_bench.models.device_patches import DevicePatches
from spared_bench.models.window_cutting import Window, cut_pieces, cut_windows

_NO_EDGES = np.empty((2, 0), dtype=np.int64)


@dataclass(frozen=True)
class WindowBatch:
    """One window. Of the tensors, all but ``target``, ``mask`` and below have a row per spot seen.

    Parameters
    ----------
    images : Tensor of float32, of shape (n_spots, 3, size, size)
        Normalised.
    positions : Tensor of int64, of shape (n_spots, 2)
        Array column and row.
    core : Tensor of int64, of shape (n_core,)
        Which of the spots are predicted.
    target, mask : Tensor of shape (n_core, n_genes)
        As in ``Batch``.
    counts : Tensor of float32, of shape (n_core, n_genes)
        Raw counts, where they are visible and asked for; no columns elsewhere.
    size_factors : Tensor of float32, of shape (n_core,)
        Total count of a spot over the slide's median of it; 1 where counts are not visible.
    edges : Tensor of int64, of shape (2, n_edges)
        From neighbours (row 0) to spots, as positions among those seen; none unless asked for.
    """

    images: Tensor
    positions: Tensor
    core: Tensor
    target: Tensor
    mask: Tensor
    counts: Tensor
    size_factors: Tensor
    edges: Tensor


class SlideUnits(Protocol):
    """Units that predict several spots each."""

    #: Positions of the spots that each unit predicts; together, every spot once.
    predicted: Sequence[np.ndarray]

    def __len__(self) -> int:
        """Return the number of units."""
        ...

    def batch(self, rows: Tensor, augment: torch.Generator | None = None) -> Any:
        """Return one unit."""
        ...


class WindowUnits:
    """Slides, or windows of them, with the patch of every spot.

    Parameters
    ----------
    slides : Slides
        With or without their expression.
    max_spots, margin
        As ``cut_windows`` takes them.
    n_positions : int
        Rows of the network's table of positions.
    device : str
    budget : int, optional
        Bytes of patches that may stay on the device (``DevicePatches``).
    counts : bool
        Whether a batch holds raw counts.
    neighbours : callable, optional
        ``array coordinates of a slide -> edges``, for methods that want them.
    normalisation : str
        As ``PatchUnits`` takes it.
    pieces : int
        Cut every slide into so many times so many pieces (``cut_pieces``) and let each stand for a
        slide of its own, in its neighbours, its size factors and the spots that are seen together.
    augmentation : callable, optional
        As ``PatchUnits`` takes it.

    Raises
    ------
    CoordinateError
        If a spot lies beyond the table.
    WithheldError
        If counts are asked for, and the slides have a target and no counts.
    """

    def __init__(
        self,
        slides: Slides,
        max_spots: int,
        margin: float,
        n_positions: int,
        device: str = "cpu",
        budget: int | None = None,
        counts: bool = False,
        neighbours: Callable[[np.ndarray], np.ndarray] | None = None,
        normalisation: str = "imagenet",
        pieces: int = 1,
        augmentation: Augmentation | None = None,
    ) -> None:
        self._normalisation = normalisation_of(normalisation)
        self._augmentation = augmentation or Symmetries()
        places = slides.array_coordinates[:, ::-1].copy()
        self._positions = torch.tensor(table_rows(places, n_positions)).to(device)
        self.windows: list[Window] = []
        self._edges: list[np.ndarray] = []
        piece_of = np.empty(len(slides), dtype=np.int64)
        parts = [
            slide[part]
            for slide in rows_by_slide(slides.slide_ids)
            for part in cut_pieces(slides.coordinates[slide], pieces)
        ]
        for number, here in enumerate(parts):
            piece_of[here] = number
            edges = neighbours(slides.array_coordinates[here]) if neighbours else _NO_EDGES
            for window in cut_windows(slides.coordinates[here], max_spots, margin):
                self.windows.append(Window(here[window.spots], window.core))
                self._edges.append(_edges_among(window.spots, edges, len(here)))
        self.predicted = [window.spots[window.core] for window in self.windows]
        self._patches = DevicePatches(slides.patches, device, budget)
        visible = TARGET in slides.adata.layers and MASK in slides.adata.layers
        nothing = torch.empty(len(slides), 0)
        self._target = (torch.tensor(slides.target) if visible else nothing).to(device)
        self._mask = (torch.tensor(slides.mask) if visible else nothing.bool()).to(device)
        raw = slides.counts if counts and visible else nothing.numpy()
        self._counts = torch.tensor(raw).to(device)
        self._size_factors = torch.tensor(size_factors(raw, piece_of)).to(device)

    def __len__(self) -> int:
        return len(self.windows)

    def batch(self, rows: Tensor, augment: torch.Generator | None = None) -> WindowBatch:
        """Return one window; with a generator, each patch augmented by a draw of its own."""
        assert len(rows) == 1, "a step of these methods is one window"
        window = self.windows[int(rows)]
        spots = torch.from_numpy(window.spots)
        device = self._target.device
        core = torch.from_numpy(window.core)
        predicted = spots[core].to(device)
        return WindowBatch(
            self._images(spots, augment),
            self._positions[spots.to(device)],
            core.to(device),
            self._target[predicted],
            self._mask[predicted],
            self._counts[predicted],
            self._size_factors[predicted],
            torch.from_numpy(self._edges[int(rows)]).to(device),
        )

    def _images(self, spots: Tensor, augment: torch.Generator | None) -> Tensor:
        images = self._patches[spots]
        if augment is not None:
            images = augmented(images, self._augmentation, augment)
        return normalise(images, *self._normalisation)


def _edges_among(spots: np.ndarray, edges: np.ndarray, n_spots: int) -> np.ndarray:
    """Edges between these spots of a slide, as positions among them."""
    place = np.full(n_spots, -1)
    place[spots] = np.arange(len(spots))
    moved = place[edges]
    return moved[:, (moved >= 0).all(axis=0)]


def table_rows(array_coordinates: np.ndarray, n_positions: int) -> np.ndarray:
    """Check that array coordinates fit a table of learned positions, and round them.

    Returns
    -------
    ndarray of int64, of the shape of ``array_coordinates``

    Raises
    ------
    CoordinateError
        If one is negative or beyond the table.
    """
    rows = np.rint(array_coordinates).astype(np.int64)
    if rows.size and (rows.min() < 0 or rows.max() >= n_positions):
        raise CoordinateError(
            f"Array coordinates run from {rows.min()} to {rows.max()}, but the table of learned"
            f" positions has rows 0 to {n_positions - 1}. Set the parameter `n_positions` to"
            f" {max(int(rows.max()) + 1, n_positions)} or more, and number the array from 0."
        )
    return rows


def size_factors(counts: np.ndarray, slide_ids: np.ndarray) -> np.ndarray:
    """Total count of each spot over its slide's median of it, (n_spots,), float32.

    1 for all spots of a slide whose median is 0.
    """
    totals = counts.sum(axis=1, dtype=np.float64)
    factors = np.ones(len(totals))
    for slide_id in np.unique(slide_ids):
        here = slide_ids == slide_id
        middle = np.median(totals[here])
        if middle > 0:
            factors[here] = totals[here] / middle
    return factors.astype(np.float32)
