"""EGGN: a graph of a slide's spots and of the training spots that resemble them.

Yang et al., "Spatial transcriptomics analysis of gene expression prediction using exemplar guided
graph neural network", Pattern Recognition 2024; folder ``v2`` of github.com/Yan98/EGN.

Differs from the authors' code: the expression branch reads the exemplars' expression, where theirs
reads the last columns of what has already been overwritten; a spot's neighbours are all those
around it in the array (6 or 8), where theirs keeps an arbitrary 5; each slide is a graph of its
own; the features are of patches as the encoder expects them. As there, a step is one slide, and
nothing is augmented, for the features are fixed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Optimizer

from spared_bench import PredictorSpec
from spared_bench.bounds import Positive, Size
from spared_bench.data import MASK, TARGET, Slides
from spared_bench.geometry import rows_by_slide
from spared_bench.models import geometric
from spared_bench.models.exemplars import Bank, ExemplarPredictor, find_exemplars
from spared_bench.models.graphs import lattice
from spared_bench.models.losses import pearson_loss
from spared_bench.models.windows import SlidePredictor

SPEC = PredictorSpec(
    "eggn",
    f"{__name__}:EGGN",
    summary="Graph of the slide's spots and of the training spots that resemble them",
    citation="Yang et al., Pattern Recognition 2024, github.com/Yan98/EGN",
    licence="MIT",
    extras=("torch_geometric",),
    scope="slide",
    pretraining="ImageNet-1k classification",
    encoder="encoder",
    search={"lr": (1e-2, 1e-3, 1e-4, 1e-5)},
)

_SLOPE = 0.2  # of the leaky rectifier
_CLOSE = 3  # neighbours of an example among the examples
_CHUNK = 2048  # examples whose distances are held at a time


@dataclass(frozen=True)
class ExemplarGraph:
    """One slide and its exemplars.

    Parameters
    ----------
    spots : Tensor of shape (n_spots, feature_width)
        The "window" nodes.
    examples : Tensor of shape (n_examples, feature_width + n_genes)
        The distinct exemplars of these spots: features, then expression.
    near, close : Tensor of int64, of shape (2, n_edges)
        Between spots, and between examples.
    refer : Tensor of int64, of shape (n_spots, n_exemplars)
        Which examples are the exemplars of a spot.
    target, mask : Tensor of shape (n_spots, n_genes)
        As in ``Batch``.
    """

    spots: Tensor
    examples: Tensor
    near: Tensor
    close: Tensor
    refer: Tensor
    target: Tensor
    mask: Tensor


class GraphUnits:
    """Slides, each as one ``ExemplarGraph``; features and exemplars are found once."""

    def __init__(
        self, slides: Slides, features: np.ndarray, bank: Bank, exemplars: np.ndarray, device: str
    ) -> None:
        visible = TARGET in slides.adata.layers and MASK in slides.adata.layers
        target = slides.target if visible else np.empty((len(slides), 0), np.float32)
        mask = slides.mask if visible else target.astype(bool)
        table = np.concatenate([bank.features, bank.expression], axis=1)
        coordinates = slides.coordinates
        self.predicted = rows_by_slide(slides.slide_ids)
        self._graphs = []
        for here in self.predicted:
            kept, refer = np.unique(exemplars[here], return_inverse=True)
            examples = torch.from_numpy(table[kept]).to(device)
            parts = (
                features[here],
                lattice(coordinates[here]),
                refer.reshape(exemplars[here].shape),
                target[here],
                mask[here],
            )
            spots, near, refer_to, truth, measured = (torch.tensor(p, device=device) for p in parts)
            close = close_edges(examples)
            graph = ExemplarGraph(spots, examples, near, close, refer_to, truth, measured)
            self._graphs.append(graph)

    def __len__(self) -> int:
        return len(self._graphs)

    def batch(self, rows: Tensor, augment: torch.Generator | None = None) -> ExemplarGraph:
        """Return one slide."""
        assert len(rows) == 1, "a step of this method is one slide"
        return self._graphs[int(rows)]


def close_edges(examples: Tensor) -> Tensor:
    """Connect every example to the three nearest others, (2, n_edges), from them to it."""
    number = min(_CLOSE, len(examples) - 1)
    positions = torch.arange(len(examples), device=examples.device)
    found = [positions.new_empty(0, number)]
    for rows in positions.split(_CHUNK):
        distances = torch.cdist(examples[rows], examples)
        distances[torch.arange(len(rows)), rows] = torch.inf
        found.append(distances.topk(number, dim=1, largest=False).indices)
    return torch.stack([torch.cat(found).flatten(), positions.repeat_interleave(number)])


def leaky(x: Tensor) -> Tensor:
    """Leaky rectifier."""
    return functional.leaky_relu(x, _SLOPE)


class Refer(nn.Module):
    """What spots and their exemplars tell each other, channel by channel through two gates."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.example = nn.Linear(width, width, bias=False)
        self.spot = nn.Linear(width, width, bias=False)
        self.expression = nn.Linear(width, width, bias=False)
        self.reduce = nn.Linear(width, width // 4, bias=False)
        self.gates = nn.Linear(width // 4, width // 2)
        self.spot_bias = nn.Parameter(torch.zeros(width))
        self.example_bias = nn.Parameter(torch.zeros(width))
        self.to_spot = nn.Linear(width, width)
        self.to_example = nn.Linear(width, width)
        for part in self.modules():
            if isinstance(part, nn.Linear):
                nn.init.trunc_normal_(part.weight, std=0.02)
                if part.bias is not None:
                    nn.init.zeros_(part.bias)

    def forward(self, w: Tensor, e: Tensor, y: Tensor, refer: Tensor) -> tuple[Tensor, Tensor]:
        s, t, r = leaky(self.example(e)), leaky(self.spot(w)), self.expression(y)
        # One row per edge, (n_spots, n_exemplars, width).
        difference = self.reduce(s)[refer] - self.reduce(t)[:, None]
        gate1, gate2 = self.gates(leaky(difference)).sigmoid().chunk(2, dim=2)
        s_j, r_j, t_i = s[refer], r[refer], t[:, None].expand(*refer.shape, -1)
        to_spots = gated_mean((s_j, r_j, t_i), gate1).mean(dim=1)
        messages = gated_mean((t_i, s_j, r_j), gate2).flatten(0, 1)
        edges = refer.flatten()
        # In float32 whatever the messages are in, so that sums of many stay exact.
        total = torch.zeros_like(e, dtype=torch.float32).index_add(0, edges, messages.float())
        number = torch.bincount(edges, minlength=len(e)).clamp(min=1)
        to_examples = total / number[:, None]
        return (
            self.to_spot(to_spots + self.spot_bias),
            self.to_example(to_examples + self.example_bias),
        )


def gated_mean(parts: tuple[Tensor, Tensor, Tensor], gate: Tensor) -> Tensor:
    """Mean of three parts, each (..., width), gated by (..., width / 4), as published.

    Every entry of the gate serves twelve channels of the three parts laid end to end.
    """
    width = parts[0].shape[-1]
    stretched = gate.repeat_interleave(12, dim=-1).unflatten(-1, (3, width))
    return (torch.stack(parts, dim=-2) * stretched).mean(dim=-2)


class Layer(nn.Module):
    """Messages among spots, among examples, and between the two."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.near = geometric.SAGEConv(width, width)
        self.close = geometric.SAGEConv(width, width)
        self.refer = Refer(width)

    def forward(
        self, w: Tensor, e: Tensor, y: Tensor, graph: ExemplarGraph
    ) -> tuple[Tensor, Tensor, Tensor]:
        to_spots, to_examples = self.refer(w, e, y, graph.refer)
        w = (self.near(w, graph.near) + to_spots) / 2
        e = (self.close(e, graph.close) + to_examples) / 2
        return leaky(w), leaky(e), leaky(y)


class EGGNNet(nn.Module):
    """An ``ExemplarGraph`` -> expression of its spots."""

    def __init__(self, n_genes: int, feature_width: int, width: int, depth: int) -> None:
        super().__init__()
        self.n_genes = n_genes
        self.example = nn.Linear(feature_width + n_genes, width, bias=False)
        self.spot = nn.Linear(feature_width, width, bias=False)
        self.shared = nn.Linear(width, width, bias=False)
        self.expression = nn.Linear(n_genes, width, bias=False)
        self.layers = nn.ModuleList(Layer(width) for _ in range(depth))
        self.pool = nn.Linear(width, width)
        self.weight = nn.Parameter(torch.tensor(0.1))
        self.head = nn.Linear(width, n_genes)

    def forward(self, graph: ExemplarGraph) -> Tensor:
        e = leaky(self.shared(leaky(self.example(graph.examples))))  # (n_examples, width)
        w = leaky(self.shared(leaky(self.spot(graph.spots))))  # (n_spots, width)
        y = self.expression(graph.examples[:, -self.n_genes :])
        for layer in self.layers:
            w, e, y = layer(w, e, y, graph)
        u = self.pool(w)
        theirs = e[graph.refer]  # (n_spots, n_exemplars, width)
        share = (0.1 * (theirs - u[:, None])).softmax(dim=1)
        return self.head(u + self.weight * (share * theirs).sum(dim=1))  # (n_spots, n_genes)


@dataclass
class EGGN(ExemplarPredictor, SlidePredictor):
    """Predict the expression of a slide's spots from their features and their exemplars.

    Parameters
    ----------
    width, depth : int
        Of the graph network.
    """

    name: ClassVar[str] = "eggn"
    head_parts: ClassVar[tuple[str, ...]] = ("head",)
    loss_name: ClassVar[str] = "mse_and_pcc"
    tiny: ClassVar[dict[str, Any]] = {
        "encoder": "color", "n_exemplars": 3, "width": 32, "depth": 2, "lr": 1e-3,
    }  # fmt: skip
    configurations: ClassVar[dict[str, dict[str, Any]]] = {
        "small": {"encoder": "color", "width": 128},
        "spared": {"lr": 2.154e-3, "own_slide": True},
    }

    lr: Positive = 5e-4
    encoder: str = "resnet18.tv_in1k"
    width: Size = 512
    depth: Size = 4

    def build(self, n_genes: int) -> nn.Module:
        # ExemplarGraph -> (n_spots, n_genes)
        return EGGNNet(n_genes, self.frozen.width, self.width, self.depth)

    def units(self, slides: Slides, device: str, resident: bool) -> Any:
        """Return slides as graphs with their exemplars, by the sum of absolute differences."""
        features = slides.features(self.frozen)
        exemplars = find_exemplars(
            features, slides, self.bank_, self.n_exemplars, 1.0, device, self.own_slide
        )
        return GraphUnits(slides, features, self.bank_, exemplars, device)

    def predict_batch(self, network: nn.Module, batch: ExemplarGraph) -> Tensor:
        """Return the prediction of a slide, (n_spots, n_genes)."""
        return network(batch)

    def loss(self, network: nn.Module, batch: ExemplarGraph) -> Tensor:
        """Return MSE + 0.5 (1 - correlation over the slide)."""
        prediction = network(batch)
        mse = functional.mse_loss(prediction, batch.target)
        return mse + 0.5 * pearson_loss(prediction, batch.target)

    def optimizer(self, parameters: Iterable[nn.Parameter]) -> Optimizer:
        """AdamW, as published."""
        return torch.optim.AdamW(parameters, lr=self.lr, weight_decay=1e-4, fused=True)
