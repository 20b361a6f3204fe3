"""Samples as ASIGN 3D sees them: the spots of all sections on one graph, some of them known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from spared_bench.data import ORDER, Slides
from spared_bench.models.known import pitch_um
from spared_bench.models.propagation import propagate
from spared_bench.models.section_graphs import section_graph
from spared_bench_plugins.networks.asign import LEVELS, Graph, Nodes
from spared_bench_plugins.networks.sections import (
    Section,
    SectionBatch,
    SectionUnits,
    on_device,
    random_projection,
)

_KNOWN_SHARE = 0.25  # of the spots of a step of training, where no section can be known whole


@dataclass(frozen=True)
class Edges:
    """How many neighbours a node has, and how edges across sections are chosen.

    Parameters
    ----------
    within, across : int
    by : {"overlap", "similarity"}
    weighted : bool
        Else all weights are 1. (Released, the two matrices are added, each symmetric.)
    """

    within: int
    across: int
    by: str = "overlap"
    weighted: bool = True


def graph_of_sample(
    points: np.ndarray,
    slide_ids: np.ndarray,
    order: np.ndarray,
    diameter: float,
    edges: Edges,
    features: np.ndarray | None = None,
) -> Graph:
    """Connect the nodes of a sample; see ``section_graph`` for the parameters."""
    by: Any = edges.by if features is not None else "overlap"
    found = section_graph(
        points, slide_ids, order, diameter, edges.within, edges.across, by, features
    )
    weights = found.weights if edges.weighted else np.ones(len(found.weights))
    return Graph(torch.from_numpy(found.edges), torch.from_numpy(weights.astype(np.float32)))


def samples_of_slides(
    slides: Slides,
    features: Mapping[str, np.ndarray],
    edges: Edges,
    project_to: int,
    device: str,
) -> list[Section]:
    """Take slides apart into samples; the parameters are those of ``sections_of``.

    A region or global patch lies, in the frame of the sample, at the mean of its spots.
    """
    windows = {name: slides.windows(name) for name in LEVELS[1:]}
    frame, sample_ids, slide_ids = slides.spatial_3d, slides.sample_ids, slides.slide_ids
    order_of = dict(zip(slide_ids.tolist(), slides.adata.obs[ORDER].tolist(), strict=True))
    found = []
    for sample in dict.fromkeys(sample_ids.tolist()):
        here = np.flatnonzero(sample_ids == sample)
        spots = here[np.lexsort((*frame[here].T[:2], slide_ids[here]))]
        coarse = {}
        for name, grid in windows.items():
            nodes, of_spot = np.unique(grid.of_spot[spots], return_inverse=True)
            values = features[name][nodes]
            ids = grid.slide_ids[nodes]
            if project_to:
                values = np.concatenate([
                    random_projection(values[ids == slide], project_to, slide)
                    for slide in dict.fromkeys(ids.tolist())
                ])  # fmt: skip
            count = np.bincount(of_spot, minlength=len(nodes))
            centres = np.stack([
                np.bincount(of_spot, frame[spots, axis], minlength=len(nodes)) / count
                for axis in (0, 1)
            ], axis=1)  # fmt: skip
            order = np.array([order_of[slide] for slide in ids.tolist()])
            diameter = pitch_um(slides)
            graph = graph_of_sample(centres, ids, order, diameter, edges)
            coarse[name] = Nodes(
                torch.from_numpy(np.ascontiguousarray(values)).to(device),
                on_device(graph, device),
                torch.from_numpy(of_spot.reshape(-1)).to(device),
            )
        found.append(Section(spots, frame[spots, :2], coarse))
    return found


@dataclass(frozen=True)
class SampleBatch(SectionBatch):
    """A sample, or a part of it.

    Parameters
    ----------
    known : Tensor of bool, of shape (n_spots,)
        Which of the spots are known.
    known_labels : Tensor of shape (n_spots, n_genes)
        Their targets; 0 where unknown.
    spread : Tensor of shape (n_spots, n_genes)
        These labels, spread along the graph until they do not change; no rows as released.
    """

    known: Tensor
    known_labels: Tensor
    spread: Tensor


class SampleUnits(SectionUnits):
    """Samples, or parts of them, one a unit.

    Parameters
    ----------
    slides : Slides
        Spots to predict, and known ones after them.
    samples : sequence of Section
    known : ndarray of bool, of shape (n_slides_spots,), optional
        Which spots are known. Without it, in training, all are measured: for each step a section
        of those of the part is known, drawn at random, or a quarter of the spots where it is one
        section, or as released.
    released : bool
    **others
        As of ``SectionUnits``.
    """

    def __init__(
        self,
        slides: Slides,
        samples: Sequence[Section],
        parts: Sequence[Sequence[Any]],
        graphs: Sequence[Sequence[Graph]],
        known: np.ndarray | None,
        released: bool,
        **others: Any,
    ) -> None:
        super().__init__(slides, samples, parts, graphs, **others)
        self._known, self._released = known, released
        self._slide_ids = np.unique(slides.slide_ids, return_inverse=True)[1].reshape(-1)

    def batch(self, rows: Tensor, augment: torch.Generator | None = None) -> SampleBatch:
        """Return one unit; with a generator, what is known in training is drawn from it."""
        found = super().batch(rows, augment)
        number, which = self._order[int(rows)]
        section, part = self._sections[number], self._parts[number][which]
        seen = section.spots[part.spots]
        known = self._drawn(seen, augment) if self._known is None else self._known[seen]
        labels = self._target[torch.from_numpy(seen).to(self._device)]
        labels = torch.where(torch.from_numpy(known).to(self._device)[:, None], labels, 0)
        if self._known is None and not self._released:
            found = self._unknown_only(found, seen, part, known)
        spread = labels[:0]
        if not self._released:
            graph = self._graphs[number][which]
            spread = torch.from_numpy(_spread(graph, labels, known)).to(self._device)
        values = {name: getattr(found, name) for name in SectionBatch.__dataclass_fields__}
        marks = torch.from_numpy(known).to(self._device)
        return SampleBatch(**values, known=marks, known_labels=labels, spread=spread)

    def _drawn(self, seen: np.ndarray, generator: torch.Generator | None) -> np.ndarray:
        """Draw what is known of a part in training, (n_spots,), bool."""
        draws = generator or torch.Generator().manual_seed(0)
        sections = np.unique(self._slide_ids[seen])
        if len(sections) > 1 and not self._released:
            taken = int(torch.randint(len(sections), (1,), generator=draws))
            return np.asarray(self._slide_ids[seen] == sections[taken])
        values = torch.rand(len(seen), generator=draws).numpy()
        known: np.ndarray = values < _KNOWN_SHARE
        return known

    def _unknown_only(
        self, found: SectionBatch, seen: np.ndarray, part: Any, known: np.ndarray
    ) -> SectionBatch:
        """Leave known spots out of what a step is judged by; they would be right by copying."""
        core = part.core[~known[part.core]]
        core = core if len(core) else part.core
        here = torch.from_numpy(seen[core]).to(self._device)
        return replace(
            found,
            core=torch.from_numpy(core).to(self._device),
            target=self._target[here],
            mask=self._mask[here],
        )


def _spread(graph: Graph, labels: Tensor, known: np.ndarray) -> np.ndarray:
    from scipy.sparse import coo_matrix

    source, spot = graph.edges.cpu().numpy()
    shape = (len(known), len(known))
    matrix = coo_matrix((graph.weights.cpu().numpy(), (spot, source)), shape=shape).tocsr()
    return propagate(matrix, labels.cpu().numpy(), known)
