"""Slides as ASIGN sees them: spots, regions and global patches with their graphs."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from spared_bench.data import Slides
from spared_bench.geometry import rows_by_slide, spacing
from spared_bench.models.augmentation.augmenter import Augmentation, augmented
from spared_bench.models.augmentation.symmetries import Symmetries
from spared_bench.models.device_patches import DevicePatches
from spared_bench.models.graphs import nearest
from spared_bench.models.units import target_and_mask
from spared_bench.models.window_cutting import Window
from spared_bench_plugins.networks.asign import LEVELS, Graph, Levels, Nodes

if TYPE_CHECKING:
    from spared_bench.data.transform import TargetTransform

_NEAREST = 1e-3  # of the distance between neighbours: what one place is taken for in a weight


@dataclass(frozen=True)
class Section:
    """One slide.

    Parameters
    ----------
    spots : ndarray of int64
        Its spots among all, by their places: from above, then from the left.
    coordinates : ndarray of shape (n_spots, 2)
        Of these, in full-resolution pixels.
    coarse : mapping of str to Nodes
        ``"region"`` and ``"globe"``, on the device.
    """

    spots: np.ndarray
    coordinates: np.ndarray
    coarse: Mapping[str, Nodes]


@dataclass(frozen=True)
class SectionBatch:
    """A section, or some spots of it with all its regions and global patches.

    Parameters
    ----------
    images : Tensor of uint8, of shape (n_spots, size, size, 3)
        No spots where they do not matter.
    nodes : mapping of str to Nodes
    core : Tensor of int64, of shape (n_core,)
        Which of the spots are predicted.
    target, mask : Tensor of shape (n_core, n_genes)
        As in ``Batch``.
    region, globe : Tensor of shape (n_nodes, n_genes)
        Labels; no rows where none are needed.
    """

    images: Tensor
    nodes: dict[str, Nodes]
    core: Tensor
    target: Tensor
    mask: Tensor
    region: Tensor
    globe: Tensor

    @property
    def labels(self) -> Levels:
        """What the predictions of all resolutions are compared with."""
        return Levels(self.target, self.region, self.globe)

    @property
    def of_core(self) -> dict[str, Tensor]:
        """In which region and global patch each predicted spot lies."""
        return {name: self.nodes[name].of_spot[self.core] for name in LEVELS[1:]}


def graph_of(coordinates: np.ndarray, n_neighbours: int, weighted: bool) -> Graph:
    """Connect every node to its nearest ones, and to those as far as the last of these.

    Parameters
    ----------
    coordinates : ndarray of shape (n_nodes, 2)
    n_neighbours : int
    weighted : bool
        By the inverse of the distance; else all weights are 1.
    """
    edges = nearest(coordinates, n_neighbours)
    weights = np.ones(edges.shape[1], dtype=np.float32)
    if weighted:
        step = spacing(coordinates)
        distance = np.linalg.norm(coordinates[edges[0]] - coordinates[edges[1]], axis=1) / step
        weights = (1 / np.maximum(distance, _NEAREST)).astype(np.float32)
    return Graph(torch.from_numpy(edges), torch.from_numpy(weights))


def part_of(graph: Graph, nodes: np.ndarray, n_nodes: int) -> Graph:
    """Return the edges between these nodes, numbered as they are given."""
    place = torch.full((n_nodes,), -1)
    place[torch.from_numpy(nodes)] = torch.arange(len(nodes))
    moved = place[graph.edges]
    kept = (moved >= 0).all(dim=0)
    return Graph(moved[:, kept], graph.weights[kept])


def on_device(graph: Graph, device: str) -> Graph:
    """Return the same graph on a device."""
    return Graph(graph.edges.to(device), graph.weights.to(device))


def random_projection(features: np.ndarray, width: int, slide_id: str) -> np.ndarray:
    """Project features by a linear layer that is drawn for a slide, and stays as it is drawn.

    As PyTorch draws a layer, from a seed that the slide's name gives.
    """
    rng = np.random.default_rng(zlib.crc32(slide_id.encode()))
    limit = features.shape[1] ** -0.5
    weight = rng.uniform(-limit, limit, size=(features.shape[1], width))
    return (features @ weight + rng.uniform(-limit, limit, size=width)).astype(np.float32)


def sections_of(
    slides: Slides,
    features: Mapping[str, np.ndarray],
    n_neighbours: int,
    weighted: bool,
    project_to: int,
    device: str,
) -> list[Section]:
    """Take slides apart.

    Parameters
    ----------
    slides : Slides
        With the views ``"region"`` and ``"globe"``, both grids.
    features : mapping of str to ndarray of float32, of shape (n_windows, feature_width)
        Of each of these views.
    n_neighbours, weighted
        As ``graph_of`` takes them, for the graphs of regions and of global patches.
    project_to : int
        Width of a ``random_projection`` of the features; 0: they stay as they are.
    device : str
    """
    windows = {name: slides.windows(name) for name in LEVELS[1:]}
    coordinates, found = slides.coordinates, []
    for here in rows_by_slide(slides.slide_ids):
        spots = here[np.lexsort(coordinates[here].T)]
        slide_id = str(slides.slide_ids[here[0]])
        coarse = {}
        for name, grid in windows.items():
            of_slide = np.flatnonzero(grid.slide_ids == slide_id)
            of_slide = of_slide[np.lexsort((grid.columns[of_slide], grid.rows[of_slide]))]
            place = np.full(len(grid), -1)
            place[of_slide] = np.arange(len(of_slide))
            values = features[name][of_slide]
            if project_to:
                values = random_projection(values, project_to, slide_id)
            graph = graph_of(grid.centres[of_slide], n_neighbours, weighted)
            coarse[name] = Nodes(
                torch.from_numpy(np.ascontiguousarray(values)).to(device),
                on_device(graph, device),
                torch.from_numpy(place[grid.of_spot[spots]]).to(device),
            )
        found.append(Section(spots, coordinates[spots], coarse))
    return found


def coarse_labels(
    slides: Slides, sections: Sequence[Section], transform: TargetTransform
) -> list[dict[str, np.ndarray]]:
    """Return the labels of regions and global patches, a mapping of both for every section.

    The target of the summed counts of their spots, whose size factors add up, too; where the
    target is no function of counts, the mean of their spots' targets.

    Parameters
    ----------
    slides : Slides
        With their expression.
    sections : sequence of Section
        Of these slides.
    transform : TargetTransform
    """
    from scipy.sparse import csr_matrix

    if transform.undefined:
        values, factors = slides.target, np.ones(len(slides))
    else:
        values, factors = slides.counts, transform.size_factors(slides)
    found = []
    for section in sections:
        labels = {}
        for name, nodes in section.coarse.items():
            places = nodes.of_spot.cpu().numpy(), np.arange(len(section.spots))
            shape = len(nodes.features), len(section.spots)
            inside = csr_matrix((np.ones(len(section.spots)), places), shape=shape)
            total, factor = inside @ values[section.spots], inside @ factors[section.spots]
            factor = np.maximum(factor, np.finfo(np.float32).tiny)  # of spots without any count
            labels[name] = (
                total / factor[:, None] if transform.undefined
                else transform.to_target(total, factor)
            ).astype(np.float32)  # fmt: skip
        found.append(labels)
    return found


def random_parts(n_spots: int, size: int, rng: np.random.Generator) -> list[Window]:
    """Deal the spots of a section to parts of at most so many, all predicted; 0: one part."""
    number = -(-n_spots // size) if size else 1
    parts = [np.sort(part) for part in np.array_split(rng.permutation(n_spots), number)]
    return [Window(part, np.arange(len(part))) for part in parts]


class SectionUnits:
    """Sections, or parts of them, one a unit.

    Parameters
    ----------
    slides : Slides
        With or without their expression.
    sections : sequence of Section
        Of these slides.
    parts : sequence of sequences of Window
        Of each section: the parts that are seen together, as positions among its spots.
    graphs : sequence of sequences of Graph
        The graph of the spots of each part.
    labels : sequence of dict of str to ndarray
        What ``coarse_labels`` returns; empty where they are not needed.
    images : bool
        Whether the patches of spots are read.
    device : str
    budget : int, optional
        Bytes of patches that may stay on the device (``DevicePatches``).
    augmentation : callable, optional
        What is done to patches where they are augmented; by default the eight symmetries.
    """

    def __init__(
        self,
        slides: Slides,
        sections: Sequence[Section],
        parts: Sequence[Sequence[Window]],
        graphs: Sequence[Sequence[Graph]],
        labels: Sequence[dict[str, np.ndarray]] = (),
        images: bool = True,
        device: str = "cpu",
        budget: int | None = None,
        augmentation: Augmentation | None = None,
    ) -> None:
        self._augmentation = augmentation or Symmetries()
        self._sections, self._parts, self._device = sections, parts, torch.device(device)
        self._graphs = [[on_device(graph, device) for graph in each] for each in graphs]
        self._order = [(i, j) for i, each in enumerate(parts) for j in range(len(each))]
        self.predicted = [
            sections[i].spots[parts[i][j].spots[parts[i][j].core]] for i, j in self._order
        ]
        self._patches = DevicePatches(slides.patches, device, budget) if images else None
        self._target, self._mask = target_and_mask(slides, device)
        self._labels = [
            {name: torch.from_numpy(values).to(device) for name, values in each.items()}
            for each in labels
        ]

    def __len__(self) -> int:
        return len(self._order)

    def batch(self, rows: Tensor, augment: torch.Generator | None = None) -> SectionBatch:
        """Return one unit; with a generator, each patch augmented by a draw of its own."""
        assert len(rows) == 1, "a step of this method is one section, or a part of it"
        number, which = self._order[int(rows)]
        section, part = self._sections[number], self._parts[number][which]
        images = torch.empty(0, 1, 1, 3, dtype=torch.uint8, device=self._device)
        if self._patches is not None:
            images = self._patches[torch.from_numpy(section.spots[part.spots])]
            if augment is not None:
                images = augmented(images, self._augmentation, augment)
        seen = torch.from_numpy(part.spots).to(self._device)
        own = torch.arange(len(seen), device=self._device)
        nodes = {"spot": Nodes(own.new_empty(0), self._graphs[number][which], own)}
        for name, coarse in section.coarse.items():
            nodes[name] = Nodes(coarse.features, coarse.graph, coarse.of_spot[seen])
        predicted = torch.from_numpy(self.predicted[int(rows)]).to(self._device)
        none = self._target[:0]
        labels = self._labels[number] if self._labels else {}
        return SectionBatch(
            images,
            nodes,
            torch.from_numpy(part.core).to(self._device),
            self._target[predicted],
            self._mask[predicted],
            labels.get("region", none),
            labels.get("globe", none),
        )
