"""The neighbourhood of every spot as a graph of its own, with one embedding per spot in memory.

A step's graphs are gathered by index into one disconnected graph; stored apart, the embeddings of a
slide would be repeated as often as a spot has neighbours.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse import identity
from torch import Tensor

from spared_bench.data import Slides
from spared_bench.geometry import rows_by_slide
from spared_bench.models.graphs import (
    hops,
    is_square,
    lattice,
    lattice_of_slides,
    nearest,
)
from spared_bench.models.units import target_and_mask


@dataclass(frozen=True)
class LocalGraphs:
    """Graphs of some spots, node after node; the nodes of a graph lie together.

    Parameters
    ----------
    embeddings : Tensor of shape (n_nodes, width)
    offsets : Tensor of float32, of shape (n_nodes, 2)
        Array row and column, less those of the spot whose graph it is.
    edges : Tensor of int64, of shape (2, n_edges)
        From row 0 to row 1.
    graph : Tensor of int64, of shape (n_nodes,)
        Which graph a node belongs to.
    first : Tensor of shape (n_graphs, n_genes)
        What was predicted for the spot itself before.
    target, mask : Tensor of shape (n_graphs, n_genes)
        As in ``Batch``.
    """

    embeddings: Tensor
    offsets: Tensor
    edges: Tensor
    graph: Tensor
    first: Tensor
    target: Tensor
    mask: Tensor


class LocalGraphUnits:
    """Spots, each with the graph of the spots up to some hops away on its slide's lattice.

    Any two nodes of a graph that are themselves so many hops apart share an edge.

    Parameters
    ----------
    slides : Slides
        With or without their expression.
    embeddings : Tensor of shape (n_spots, width)
    first : Tensor of shape (n_spots, n_genes)
    n_hops : int
    device : str
    released : bool
        The graphs that SEPAL's released code builds instead. On a hexagonal array, a step leads
        from a spot to each of the spots that have it among their six nearest, equally distant ones
        included, and edges lead the way that steps do (``released_steps``); and every node has an
        edge to itself, since the zeros that are written on the diagonal are stored, and become
        edges.
    """

    def __init__(
        self,
        slides: Slides,
        embeddings: Tensor,
        first: Tensor,
        n_hops: int,
        device: str = "cpu",
        released: bool = False,
    ) -> None:
        n = len(slides)
        steps = released_steps(slides) if released else lattice_of_slides(slides)
        near = hops(steps, n, n_hops).astype(np.int8)
        self._members = (near + identity(n, np.int8, "csr")).tocsr()
        # Row: the node that an edge leads to.
        self._from = self._members.T.tocsr() if released else near
        self._place = slides.array_coordinates.astype(np.float32)
        self._embeddings, self._first = embeddings.to(device), first.to(device)
        self._target, self._mask = target_and_mask(slides, device)

    def __len__(self) -> int:
        return len(self._place)

    def batch(self, rows: Tensor, augment: torch.Generator | None = None) -> LocalGraphs:
        """Return the graphs of these spots; embeddings are fixed, so nothing is augmented."""
        spots, n = rows.numpy(), len(self)
        members = self._members[spots]
        members.sort_indices()
        graph = np.repeat(np.arange(len(spots)), np.diff(members.indptr))
        node = members.indices.astype(np.int64)
        # Where edges come from, to every node, among the nodes of the same graph.
        to, neighbour = self._from[node].multiply(members[graph]).nonzero()
        keys = graph * n + node  # ascending
        come_from = np.searchsorted(keys, graph[to] * n + neighbour)
        device = self._target.device
        here, nodes = rows.to(device), torch.from_numpy(node).to(device)
        return LocalGraphs(
            self._embeddings[nodes],
            torch.from_numpy(self._place[node] - self._place[spots[graph]]).to(device),
            torch.from_numpy(np.stack([come_from, to]).astype(np.int64)).to(device),
            torch.from_numpy(graph).to(device),
            self._first[here],
            self._target[here],
            self._mask[here],
        )


def released_steps(slides: Slides) -> np.ndarray:
    """Return the steps that SEPAL's released code takes on the array of every slide.

    In the squidpy of its time, the matrix of neighbours was transposed: the row of a spot holds
    those that have *it* among their nearest, of which there may be more or fewer than six. On a
    square array, neighbours are the eight around a spot, as here.

    Returns
    -------
    ndarray of int64, of shape (2, n_edges)
        Spot reached and spot, in positions among all spots.
    """
    coordinates, array = slides.coordinates, slides.array_coordinates
    steps = [np.empty((2, 0), dtype=np.int64)]
    for here in rows_by_slide(slides.slide_ids):
        if is_square(array[here]):
            steps.append(here[lattice(coordinates[here])])
        else:
            steps.append(here[nearest(coordinates[here], 6)[::-1]])
    return np.concatenate(steps, axis=1)


def position_code(offsets: Tensor, width: int) -> Tensor:
    """Encode two offsets as sines and cosines: (n, 2) -> (n, width).

    The first half is of the row, the second of the column; within a half of c numbers, sine and
    cosine of the offset times 10000^(-2i/c) alternate.
    """
    half = width // 2
    rates = 10000 ** (-torch.arange(0, half, 2, device=offsets.device) / half)
    angles = offsets[:, :, None] * rates  # (n, 2, half / 2)
    return torch.stack([angles.sin(), angles.cos()], dim=3).flatten(1)
