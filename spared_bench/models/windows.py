"""Methods that see a whole slide at once, or a large window of it: their units and their loop.

A slide with more spots than a network can hold is cut into windows. Every spot is predicted in one
window only, the one whose core it lies in; a margin of context around the core is seen and not
predicted. Cuts depend on where spots are, and not on their order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from spared_bench.data import MASK, TARGET, Slides
from spared_bench.errors import CoordinateError
from spared_bench.geometry import rows_by_slide, spacing
from spared_bench.interfaces import Budget
from spared_bench.models.augment import (
    apply_symmetries,
    draw_symmetries,
    normalisation_of,
    normalise,
)
from spared_bench.models.device_patches import DevicePatches
from spared_bench.models.precision import mixed
from spared_bench.models.torch_predictor import TorchPredictor

_FEWEST = 5  # spots of a piece
_NO_EDGES = np.empty((2, 0), dtype=np.int64)


@dataclass(frozen=True)
class Window:
    """Spots that are seen together, by position.

    Parameters
    ----------
    spots : ndarray of int64
        All that are seen, in ascending order.
    core : ndarray of int64
        Those that are predicted, as positions within ``spots``.
    """

    spots: np.ndarray
    core: np.ndarray


def cut_windows(coordinates: np.ndarray, max_spots: int, margin: float) -> list[Window]:
    """Cut one slide into windows of at most ``max_spots`` spots.

    A part whose window is too large is cut in the middle of its longer side, again and again.

    Parameters
    ----------
    coordinates : ndarray of shape (n_spots, 2)
        Of one slide.
    max_spots : int
        0: the whole slide is one window.
    margin : float
        Width of the context around a core, in distances between neighbouring spots.

    Returns
    -------
    list of Window
        One for a slide that is small enough. The cores are a partition of the slide. A window has
        more than ``max_spots`` only where its core is one place, which cannot be cut.
    """
    width = margin * spacing(coordinates) * (1 + 1e-6)
    windows: list[Window] = []
    waiting = [np.arange(len(coordinates))]
    while waiting:
        core = waiting.pop()
        low, high = coordinates[core].min(axis=0), coordinates[core].max(axis=0)
        seen = ((coordinates >= low - width) & (coordinates <= high + width)).all(axis=1)
        whole = not max_spots or len(coordinates) <= max_spots
        if whole or seen.sum() <= max_spots or (low == high).all():
            spots = np.arange(len(coordinates)) if whole else np.flatnonzero(seen)
            windows.append(Window(spots, np.searchsorted(spots, core)))
            continue
        axis = int(np.argmax(high - low))
        near = coordinates[core, axis] <= (low[axis] + high[axis]) / 2
        waiting += [core[~near], core[near]]
    return windows


def cut_pieces(coordinates: np.ndarray, n: int) -> list[np.ndarray]:
    """Cut one slide into n by n pieces of about as many distinct coordinates, as SpaRED's Hist2ST.

    A piece of fewer than 5 spots joins the next one that has any, row by row from the largest y and
    the smallest x; the last joins the one before.

    Parameters
    ----------
    coordinates : ndarray of shape (n_spots, 2)
        x and y.
    n : int

    Returns
    -------
    list of ndarray of int64
        The spots of each piece, in ascending order.
    """
    column, row = (_rank(coordinates[:, 0]), _rank(-coordinates[:, 1]))
    place = [np.minimum(rank // max((rank.max() + 1) // n, 1), n - 1) for rank in (row, column)]
    number = place[0] * n + place[1]
    pieces = [np.flatnonzero(number == each) for each in np.unique(number)]
    while len(pieces) > 1 and min(map(len, pieces)) < _FEWEST:
        at = next(i for i, piece in enumerate(pieces) if len(piece) < _FEWEST)
        into = at + 1 if at + 1 < len(pieces) else at - 1
        pieces[into] = np.sort(np.concatenate([pieces[into], pieces[at]]))
        del pieces[at]
    return pieces


def _rank(values: np.ndarray) -> np.ndarray:
    """Return the rank of every value among the distinct ones, from 0."""
    return np.unique(values, return_inverse=True)[1].reshape(-1)


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
    ) -> None:
        self._normalisation = normalisation_of(normalisation)
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
        """Return one window; with a generator, each patch turned by a symmetry of its own."""
        assert len(rows) == 1, "a step of these methods is one window"
        window = self.windows[int(rows)]
        spots = torch.from_numpy(window.spots)
        images = self._patches[spots]
        if augment is not None:
            images = apply_symmetries(images, draw_symmetries(len(spots), augment))
        device = self._target.device
        core = torch.from_numpy(window.core)
        predicted = spots[core].to(device)
        return WindowBatch(
            normalise(images, *self._normalisation),
            self._positions[spots.to(device)],
            core.to(device),
            self._target[predicted],
            self._mask[predicted],
            self._counts[predicted],
            self._size_factors[predicted],
            torch.from_numpy(self._edges[int(rows)]).to(device),
        )


def _edges_among(spots: np.ndarray, edges: np.ndarray, n_spots: int) -> np.ndarray:
    """Edges between these spots of a slide, as positions among them."""
    place = np.full(n_spots, -1)
    place[spots] = np.arange(len(spots))
    moved = place[edges]
    return moved[:, (moved >= 0).all(axis=0)]


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


@dataclass
class SlidePredictor(TorchPredictor):
    """A network whose unit is a slide, a window or a graph of many spots, one of them per step.

    A subclass implements ``build`` and ``units`` (which returns ``SlideUnits``).
    """

    def units_per_step(self, budget: Budget) -> int:
        """One, whatever the batch size: a step is a slide, as published."""
        return 1

    def predict(self, slides: Slides, batch_size: int = 1) -> np.ndarray:
        """Predict (n_spots, n_genes), float32, unit after unit; ``batch_size`` has no effect."""
        network = self._fitted().eval()
        units: Any = self.units(slides, self._device, resident=False)
        prediction = np.empty((len(slides), len(self.gene_names_)), dtype=np.float32)
        with torch.inference_mode(), mixed(network, self._device, self.precision):
            for unit, spots in enumerate(units.predicted):
                batch = units.batch(torch.tensor([unit]))
                prediction[spots] = self.predict_batch(network, batch).float().cpu().numpy()
        return prediction


@dataclass
class WindowPredictor(SlidePredictor):
    """A network of the patches and array positions of a window: ``network(images, positions)``.

    Parameters
    ----------
    n_positions : int
        Rows of each table of learned positions; Visium's array needs 128.
    max_spots : int
        Spots that the network sees at once; a larger slide is cut into windows; 0: no limit.
    margin : float
        Context around a window's core, in distances between neighbouring spots.
    """

    n_positions: int = 128
    max_spots: int = 2000
    margin: float = 4.0

    def units(self, slides: Slides, device: str, resident: bool) -> Any:
        """Return the windows of the slides."""
        budget = None if resident else 0
        return WindowUnits(
            slides,
            self.max_spots,
            self.margin,
            self.n_positions,
            device,
            budget,
            normalisation=self.normalisation,
        )

    def loss(self, network: nn.Module, batch: WindowBatch) -> Tensor:
        """Return the MSE over all entries of the core."""
        return nn.functional.mse_loss(self.predict_batch(network, batch), batch.target)

    def predict_batch(self, network: nn.Module, batch: WindowBatch) -> Tensor:
        """Return the prediction of the core, (n_core, n_genes)."""
        return network(batch.images, batch.positions)[batch.core]
