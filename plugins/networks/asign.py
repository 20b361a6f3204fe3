"""The network of ASIGN, in a section and across sections, as released and corrected.

Zhu et al., CVPR 2025; github.com/hrlblab/ASIGN (described, not copied). As released, a spot attends
to one region and to one global patch, and the softmax over a single key is 1: neither the spot's
patch nor the queries and keys have any effect, so they are not computed here. The corrected form
attends to all regions and all global patches and adds what it finds to the spot's own features,
feeds each graph layer with the one before, and reads the three layers of a node together, where
the released code reshapes what should be transposed and so mixes nodes.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

LAYERS = 3  # of the graph, and of the transformer that reads them
_DROPOUT = 0.1
_ROUNDS = 20  # of the label propagation (paper: 10)
LEVELS = ("spot", "region", "globe")


@dataclass(frozen=True)
class Graph:
    """Weighted edges between nodes.

    Parameters
    ----------
    edges : Tensor of int64, of shape (2, n_edges)
        From neighbours (row 0) to nodes.
    weights : Tensor of float32, of shape (n_edges,)
    """

    edges: Tensor
    weights: Tensor

    def mean(self, x: Tensor) -> Tensor:
        """Weighted mean over the neighbours of each node, (n_nodes, width); 0 where none are.

        In float32 whatever ``x`` is in, so that sums of many stay exact.
        """
        source, node = self.edges
        total = torch.zeros_like(x, dtype=torch.float32)
        total = total.index_add(0, node, x[source].float() * self.weights[:, None])
        weight = torch.zeros(len(x), device=x.device).index_add(0, node, self.weights)
        return total / torch.where(weight > 0, weight, 1)[:, None]


@dataclass(frozen=True)
class Nodes:
    """The nodes of one resolution.

    Parameters
    ----------
    features : Tensor of float32, of shape (n_nodes, width)
        Of regions and global patches; those of spots come from the encoder.
    graph : Graph
    of_spot : Tensor of int64, of shape (n_spots,)
        In which of them each spot lies; of spots, themselves.
    """

    features: Tensor
    graph: Graph
    of_spot: Tensor


@dataclass(frozen=True)
class Levels:
    """What the network says of spots, regions and global patches, each (n_nodes, n_genes)."""

    spot: Tensor
    region: Tensor
    globe: Tensor


class CrossAttention(nn.Module):
    """Spots attend to patches of a coarser resolution."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.out = nn.Linear(width, width)

    def forward(self, spots: Tensor, keys: Tensor) -> Tensor:
        """Attend to all keys: (n_spots, width), (n_keys, width) -> (n_spots, width)."""
        q, k, v = (
            part(x).view(len(x), self.heads, -1).transpose(0, 1)[None]
            for part, x in ((self.query, spots), (self.key, keys), (self.value, keys))
        )
        dropout = _DROPOUT if self.training else 0.0
        seen = functional.scaled_dot_product_attention(q, k, v, dropout_p=dropout)
        return self.out(seen[0].transpose(0, 1).flatten(1))

    def alone(self, keys: Tensor) -> Tensor:
        """Attend to one key per spot, (n_spots, width): its share is 1, whatever the spot."""
        v = self.value(keys).view(len(keys), self.heads, -1)
        share = functional.dropout(torch.ones_like(v[..., :1]), _DROPOUT, self.training)
        return self.out((share * v).flatten(1))


class GraphLayer(nn.Module):
    """Mean over the neighbours, a linear layer, ReLU, rows of length 1."""

    def __init__(self, width: int, released: bool) -> None:
        super().__init__()
        self.linear = nn.Linear(width, width, bias=False)
        nn.init.xavier_uniform_(self.linear.weight)
        if released:
            # Scales rows before they get length 1: it counts, and does nothing.
            self.idle_scale = nn.Parameter(torch.empty(width, 1))
            nn.init.xavier_uniform_(self.idle_scale)

    def forward(self, x: Tensor, graph: Graph) -> Tensor:
        y = functional.relu(self.linear(graph.mean(x).to(x.dtype)))
        return functional.normalize(y, dim=1, eps=1e-12)


class LayerReader(nn.Module):
    """A transformer over the graph layers of every node: (3, n, width) -> (n, width)."""

    def __init__(self, width: int, heads: int, released: bool) -> None:
        super().__init__()
        self.released = released
        self.positions = nn.Parameter(torch.randn(LAYERS, width) * 0.02)
        first = nn.TransformerEncoderLayer(width, heads, 4 * width, _DROPOUT, batch_first=True)
        self.layers = nn.ModuleList(copy.deepcopy(first) for _ in range(LAYERS))
        if released:
            self.idle_layer = first

    def placed(self, memory: Tensor) -> Tensor:
        """Return what the transformer reads, (n, 3, width): a row per layer, and its position."""
        n, width = memory.shape[1:]
        read = memory.reshape(n, LAYERS, width) if self.released else memory.transpose(0, 1)
        return read + self.positions

    def forward(self, memory: Tensor) -> Tensor:
        x = self.placed(memory)
        for layer in self.layers:
            x = layer(x)
        return x.mean(dim=1)


class ASIGNNet(nn.Module):
    """Patches of spots, features of regions and global patches -> expression of all of them.

    Parameters
    ----------
    n_genes, width, heads : int
    encoder : nn.Module
        ``(n_spots, 3, size, size) -> (n_spots, width)``.
    feature_width : int
        Of regions and global patches; the corrected form projects them by what it learns, where
        the released one is given a random projection.
    released : bool
    """

    def __init__(
        self,
        n_genes: int,
        width: int,
        heads: int,
        encoder: nn.Module,
        feature_width: int,
        released: bool = False,
    ) -> None:
        super().__init__()
        self.width, self.released = width, released
        self.attends = self.spreads = True  # ablations leave out attention, or the graph
        self.encoder = encoder
        self.project = nn.Identity() if released else nn.Linear(feature_width, width)
        self.cross: Any = nn.ModuleDict({name: CrossAttention(width, heads) for name in LEVELS[1:]})
        self.graphs: Any = nn.ModuleDict(
            {
                name: nn.ModuleList(GraphLayer(width, released) for _ in range(LAYERS))
                for name in LEVELS
            }
        )
        self.reader = LayerReader(width, heads, released)
        self.head = self._head(width, n_genes)
        if released:  # They count, and are never called.
            self.idle_heads = nn.ModuleList(self._head(width, n_genes) for _ in range(2))
            self._add_idle(width)

    def _head(self, width: int, n_genes: int) -> nn.Module:
        return nn.Sequential(nn.LayerNorm(width), nn.Linear(width, n_genes))

    def _add_idle(self, width: int) -> None:
        self.idle_lstm = nn.LSTM(width, width, num_layers=2)

    def encode(self, images: Tensor) -> Tensor:
        """Return the features of spots, (n_spots, width), as far as they matter."""
        if self.released:
            return images.new_zeros(len(images), self.width)
        return self.encoder(images)

    def forward(self, spots: Tensor, nodes: dict[str, Nodes]) -> Levels:
        """Return the predictions, from the features of spots as ``encode`` returns them."""
        features = {name: self.project(nodes[name].features) for name in LEVELS[1:]}
        own = {name: features[name][nodes[name].of_spot] for name in LEVELS[1:]}
        return self.predicted({**features, "spot": self.met(spots, features, own)}, nodes)

    def met(self, spots: Tensor, every: dict[str, Tensor], own: dict[str, Tensor]) -> Tensor:
        """Return spots that have seen the coarser resolutions, (n_spots, width).

        ``every`` has the features of all regions and all global patches, ``own`` a row per spot.
        """
        if not self.attends:
            return spots
        if self.released:
            return self.cross["region"].alone(own["region"]) + self.cross["globe"].alone(
                own["globe"]
            )
        seen = [cross(spots, every[name]) for name, cross in self.cross.items()]
        return spots + seen[0] + seen[1]

    def predicted(self, features: dict[str, Tensor], nodes: dict[str, Nodes]) -> Levels:
        """Return the predictions from the features of all nodes, spots that have met included."""
        memory = {name: self._memory(name, features[name], nodes[name].graph) for name in LEVELS}
        return Levels(**{name: self.head(x) for name, x in self.read(memory).items()})

    def _memory(self, name: str, x: Tensor, graph: Graph) -> Tensor:
        """Return what the three graph layers make of the nodes, (3, n_nodes, width)."""
        if not self.spreads:
            return torch.stack([x] * LAYERS)
        found, given = [], x
        for layer in self.graphs[name]:
            given = layer(x if self.released else given, graph)
            found.append(given)
        return torch.stack(found)

    def read(self, memory: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return one row per node, (n_nodes, width), for every resolution."""
        return {name: self.reader(each) for name, each in memory.items()}


class ASIGN3DNet(ASIGNNet):
    """The same for the sections of a sample together, of which some spots are known.

    A region is read beside the global patches, a spot beside the regions, which has an effect in
    the released reading alone; labels are propagated along the graph of the spots and mixed in, by
    a share of its own for every gene.
    """

    def __init__(self, n_genes: int, *sizes: Any, **settings: Any) -> None:
        super().__init__(n_genes, *sizes, **settings)
        self.mixing = nn.Parameter(torch.full((n_genes,), 0.5))

    def _add_idle(self, width: int) -> None:
        return None

    def read(self, memory: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return one row per node; the released reading mixes them with those of the next level."""
        if not self.released:
            return super().read(memory)
        # The authors add the positions to the global memory in place, before it is joined.
        globe = self.reader.placed(memory["globe"]).reshape(memory["globe"].shape)
        found = {"globe": self.reader(memory["globe"])}
        for name, above in (("region", globe), ("spot", memory["region"])):
            joined = self.reader(torch.cat([above, memory[name]], dim=1))
            found[name] = joined[above.shape[1] :]
        return found

    def mixed(self, levels: Levels, labels: Tensor, known: Tensor, graph: Graph) -> Levels:
        """Mix the propagated labels of known spots into the prediction of the spots."""
        return self.mixed_with(levels, propagated(labels, known, graph))

    def mixed_with(self, levels: Levels, spread: Tensor) -> Levels:
        """Mix labels that were spread, (n_spots, n_genes), into the prediction of the spots."""
        share = self.mixing.sigmoid()
        return Levels(share * spread + (1 - share) * levels.spot, levels.region, levels.globe)


def propagated(labels: Tensor, known: Tensor, graph: Graph, rounds: int = _ROUNDS) -> Tensor:
    """Let the labels of known spots flow along the edges of a graph.

    Parameters
    ----------
    labels : Tensor of shape (n_spots, n_genes)
        Those of unknown spots are not read.
    known : Tensor of bool, of shape (n_spots,)
    graph : Graph
    rounds : int

    Returns
    -------
    Tensor of shape (n_spots, n_genes)
        Known labels as they are; others the mean over their neighbours, so many times.
    """
    start = torch.where(known[:, None], labels, 0)
    found = start
    for _ in range(rounds):
        found = torch.where(known[:, None], start, graph.mean(found))
    return found
