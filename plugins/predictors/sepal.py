"""SEPAL: a patch network's prediction, corrected by a graph network over the spot's neighbourhood.

Mejia, Cardenas et al., "SEPAL: Spatial Gene Expression Prediction from Local Graphs", ICCV
workshops 2023; github.com/BCV-Uniandes/SEPAL. The first stage is ViT-B+Delta: ViT-B/16 on the
difference from the training mean of each gene. It is then frozen, and the second stage sees its
embeddings of the spots up to ``hops`` steps away. Each stage has the whole budget of the protocol.
In a run the first stage is a product of the store, made once for all candidates of the second.

Differs from the authors' code: no ELU follows the last layer, where it would bound every correction
below by -1; the neighbours are those of the array (6 or 8), where the 6 nearest reach over gaps;
embeddings are of the patch as the first stage was trained on it, not enlarged; offsets are encoded
without the shift that makes them positive and depends on the data; a node has no edge to itself.
The layout ``free`` is made of the parts that the paper searched over (its section 4.5).
``released_graphs``, ``enlarged`` and ``last_elu`` do as their code does. The pooling is theirs: of
each graph, the one node with the highest score is kept; scores are compared before their tanh.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import torch
from annotated_types import Ge, Le
from torch import Tensor, nn
from torch.nn import functional

from spared_bench import PredictorSpec, Stage
from spared_bench.bounds import Count, Positive, Size
from spared_bench.data import Slides
from spared_bench.errors import UsageError, did_you_mean
from spared_bench.interfaces import Context
from spared_bench.models import TorchPredictor, geometric
from spared_bench.models.arrays import load_arrays, save_arrays
from spared_bench.models.encoders import TimmEncoder
from spared_bench.models.local_graphs import LocalGraphs, LocalGraphUnits, position_code
from spared_bench.models.offered import is_offered
from spared_bench_plugins.predictors.vit_b_delta import ViTBDelta

SPEC = PredictorSpec(
    "sepal",
    f"{__name__}:SEPAL",
    summary="ViT-B on differences from the mean, corrected by a graph of the neighbours",
    citation="Mejia, Cardenas et al., ICCV workshops 2023, github.com/BCV-Uniandes/SEPAL",
    licence="MIT",
    extras=("torch_geometric",),
    scope="neighbourhood",
    pretraining="ImageNet-1k classification",
    stages={
        "first": Stage(
            "vit-b-delta",
            taken={
                "lr": "first_lr",
                "backbone": "backbone",
                "weights": "weights",
                "freeze": "freeze",
            },
        )
    },
    search={"lr": (1e-2, 1e-3, 1e-4, 1e-5)},
)

_CHUNK = 256  # graphs that are predicted at a time


class KeepBest(nn.Module):
    """Of every graph the node with the highest score, times its score: one row per graph."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.score = geometric.GraphConv(width, 1)

    def forward(self, x: Tensor, batch: LocalGraphs) -> Tensor:
        scores = self.score(x, batch.edges).squeeze(1)
        # Before tanh, which makes large scores equal: the first spot of the file would be kept.
        ranked = scores.detach().float().nan_to_num(-torch.inf)
        scores = scores.tanh()
        n_graphs = len(batch.first)
        highest = ranked.new_full((n_graphs,), -torch.inf)
        highest = highest.scatter_reduce(0, batch.graph, ranked, "amax")
        at = (ranked == highest[batch.graph]).nonzero().squeeze(1)
        best = batch.graph.new_full((n_graphs,), len(x))
        best = best.scatter_reduce(0, batch.graph[at], at, "amin")
        return x[best] * scores[best, None]


class VisiumHead(nn.Module):
    """Embedding beside position, a linear layer, two graph convolutions, pooling, linear."""

    def __init__(self, n_genes: int, embedding: int, width: int, last_elu: bool = False) -> None:
        super().__init__()
        self.last_elu = last_elu
        self.before = nn.Linear(2 * embedding, width)
        self.graph1 = geometric.GCNConv(width, width // 2)
        self.graph2 = geometric.GCNConv(width // 2, width // 4)
        self.pool = KeepBest(width // 4)
        self.after = nn.Linear(width // 4, n_genes)

    def forward(self, batch: LocalGraphs) -> Tensor:
        position = position_code(batch.offsets, batch.embeddings.shape[1])
        x = functional.elu(self.before(torch.cat([batch.embeddings, position], dim=1)))
        x = functional.elu(self.graph1(x, batch.edges))
        x = functional.elu(self.graph2(x, batch.edges))  # (n_nodes, width / 4)
        correction = self.after(self.pool(x, batch))  # (n_graphs, n_genes)
        return functional.elu(correction) if self.last_elu else correction


#: Names of graph operators, and of their layers in torch-geometric.
OPERATORS = {
    "gcn": "GCNConv",
    "sage": "SAGEConv",
    "gat": "GATConv",
    "gin": "GINConv",
    "graphconv": "GraphConv",
    "transformer": "TransformerConv",
}


def _graph_layer(operator: str, width: int, out: int) -> nn.Module:
    made: nn.Module = getattr(geometric, OPERATORS[operator])(
        *([nn.Linear(width, out)] if operator == "gin" else [width, out])
    )
    return made


class FreeHead(nn.Module):
    """Any operator, position, number of layers, and stages of the paper's search."""

    def __init__(self, n_genes: int, embedding: int, settings: SEPAL) -> None:
        super().__init__()
        self.positions = settings.positions
        width = embedding * (2 if settings.positions == "concat" else 1)
        self.before = nn.Linear(width, settings.width) if settings.before else None
        width = settings.width if settings.before else width
        layers = []
        for layer in range(settings.layers):
            is_last = layer == settings.layers - 1
            out = n_genes if is_last and not settings.after else max(8, width // 2)
            layers.append(_graph_layer(settings.operator, width, out))
            width = out
        self.graphs = nn.ModuleList(layers)
        self.pool = KeepBest(width)
        self.after = nn.Linear(width, n_genes) if settings.after else None

    def forward(self, batch: LocalGraphs) -> Tensor:
        x = batch.embeddings
        if self.positions != "none":
            position = position_code(batch.offsets, x.shape[1])
            x = x + position if self.positions == "sum" else torch.cat([x, position], dim=1)
        if self.before is not None:
            x = functional.elu(self.before(x))
        for graph in self.graphs:
            x = functional.elu(graph(x, batch.edges))
        pooled = self.pool(x, batch)
        return pooled if self.after is None else self.after(pooled)


class LegacyHead(nn.Module):
    """Embedding plus position, one graph convolution to the genes, pooling."""

    def __init__(self, n_genes: int, embedding: int) -> None:
        super().__init__()
        self.graph = geometric.GraphConv(embedding, n_genes)
        self.pool = KeepBest(n_genes)

    def forward(self, batch: LocalGraphs) -> Tensor:
        x = batch.embeddings + position_code(batch.offsets, batch.embeddings.shape[1])
        return self.pool(functional.elu(self.graph(x, batch.edges)), batch)


@dataclass
class SEPAL(TorchPredictor):
    """Predict the expression of a spot from its patch and those around it.

    Parameters
    ----------
    backbone : str
        Of the first stage; any network of timm or torchvision whose embeddings are of a width
        divisible by 4.
    first_lr : float
        Learning rate of the first stage, ViT-B+Delta; in a run its other parameters are those that
        the protocol gives ``vit-b-delta``.
    layout : {"visium", "legacy_st", "free"}
        The graph network published for Visium (with 3 hops) or for legacy ST (with 1 hop); or one
        of the parts that the paper searched over, which the next five fields name.
    operator : {"gcn", "sage", "gat", "gin", "graphconv", "transformer"}
        Of ``free``: what a graph layer computes.
    positions : {"concat", "sum", "none"}
        Of ``free``: how the code of a spot's place joins its embedding.
    layers : int
        Of ``free``: graph layers, 1 to 4, each half as wide as the one before.
    before, after : bool
        Of ``free``: a linear layer before the graph layers, and one after the pooling; without the
        latter the last graph layer is as wide as there are genes.
    hops : int
        How far the neighbourhood reaches.
    width : int
        Of the first layer of the Visium layout.
    released_graphs : bool
        Build the graphs of the released code, in which every node is also its own neighbour
        (``spared_bench.models.local_graphs.LocalGraphUnits``).
    enlarged : bool
        Embeddings and first predictions are of patches enlarged by an eighth and cropped, as by the
        transform that comes with torchvision's weights; the first stage was trained on none such.
    last_elu : bool
        Of the Visium layout: an ELU after the last layer, too, which bounds every correction below
        by -1, as in the released code.
    """

    name: ClassVar[str] = "sepal"
    head_parts: ClassVar[tuple[str, ...]] = ("",)  # all of it; the body is the first stage's
    tiny: ClassVar[dict[str, Any]] = {
        "backbone": "test_resnet", "weights": "random", "hops": 1, "width": 32,
        "lr": 1e-3, "first_lr": 1e-3,
    }  # fmt: skip
    configurations: ClassVar[dict[str, dict[str, Any]]] = {
        "small": {
            "backbone": "test_resnet", "weights": "random",
            "hops": 2, "width": 128, "first_lr": 3e-3,
        },
        "spared": {"released_graphs": True, "enlarged": True, "last_elu": True},
    }  # fmt: skip

    lr: Positive = 1e-5
    backbone: str = "vit_b_16"
    first_lr: Positive = 1e-4
    layout: Literal["visium", "legacy_st", "free"] = "visium"
    hops: Count = 3
    width: Size = 512
    operator: Literal["gcn", "sage", "gat", "gin", "graphconv", "transformer"] = "gcn"
    positions: Literal["concat", "sum", "none"] = "concat"
    layers: Annotated[int, Ge(1), Le(4)] = 2
    before: bool = True
    after: bool = True
    released_graphs: bool = False
    enlarged: bool = False
    last_elu: bool = False

    def check_parameters(self) -> None:
        """Refuse a backbone whose embeddings cannot hold the code of a position.

        Raises
        ------
        UsageError
        """
        if not is_offered(self, "backbone"):
            self._embedding()

    def _embedding(self) -> int:
        """Return the width of the backbone's embeddings."""
        width = TimmEncoder(self.backbone).width
        if width % 4:
            raise UsageError(
                f"The embeddings of {self.backbone!r} are {width} wide; SEPAL's code of a"
                " position needs a width divisible by 4. Take another backbone."
            )
        return width

    def build(self, n_genes: int) -> nn.Module:
        # LocalGraphs -> (n_graphs, n_genes)
        embedding = self._embedding()
        if self.layout == "visium":
            return VisiumHead(n_genes, embedding, self.width, self.last_elu)
        if self.layout == "legacy_st":
            return LegacyHead(n_genes, embedding)
        if self.layout == "free":
            self._check_free()
            return FreeHead(n_genes, embedding, self)
        raise UsageError(
            f"SEPAL has no layout {self.layout!r}. Expected 'visium', 'legacy_st' or 'free'."
        )

    def _check_free(self) -> None:
        if self.operator not in OPERATORS:
            raise UsageError(
                f"SEPAL has no operator {self.operator!r}. {did_you_mean(self.operator, OPERATORS)}"
                f" There are: {', '.join(OPERATORS)}."
            )
        if self.positions not in ("concat", "sum", "none"):
            raise UsageError(
                f"SEPAL's positions are {self.positions!r}. Expected 'concat', 'sum' or 'none'."
            )
        if not 1 <= self.layers <= 4:
            raise UsageError(f"SEPAL has layers={self.layers}. Expected 1 to 4.")

    def fit(self, train: Slides, val: Slides, context: Context) -> None:
        """Train the first stage, then the second on its embeddings."""
        self.mean_ = train.target.mean(axis=0)
        train, val = (part.with_target(part.target - self.mean_) for part in (train, val))
        self.first_: ViTBDelta = context.stages.get("first") or self._first_stage(
            train, val, context
        )
        if self.first_.backbone != self.backbone:
            raise UsageError(
                f"SEPAL's first stage has the backbone {self.first_.backbone!r}, and SEPAL itself"
                f" {self.backbone!r}. Set the parameter `backbone` of both to the same network."
            )
        super().fit(train, val, context)

    def _first_stage(self, train: Slides, val: Slides, context: Context) -> ViTBDelta:
        def report(step: int, values: dict[str, float]) -> None:
            context.report(step, {f"first_{name}": value for name, value in values.items()})

        first = ViTBDelta(
            self.first_lr, self.weights, self.micro_batch, self.precision, self.compile,
            self.normalisation, self.augment, self.freeze, backbone=self.backbone,
        )  # fmt: skip
        scratch = None if context.scratch is None else context.scratch / "first"
        first.fit(train, val, replace(context, report=report, scratch=scratch))
        return first

    def units(self, slides: Slides, device: str, resident: bool) -> LocalGraphUnits:
        """Return spots with the graph of their neighbourhood."""
        embeddings, first = self.first_.embed(slides, self.enlarged)
        graphs = self.hops, device, self.released_graphs
        return LocalGraphUnits(slides, embeddings, first, *graphs)

    def loss(self, network: nn.Module, batch: LocalGraphs) -> Tensor:
        """Return the MSE of the corrected difference from the mean."""
        return functional.mse_loss(self.predict_batch(network, batch), batch.target)

    def predict_batch(self, network: nn.Module, batch: LocalGraphs) -> Tensor:
        """Return the first stage's prediction plus the correction, (n_graphs, n_genes)."""
        return batch.first + network(batch)

    def predict(self, slides: Slides, batch_size: int = _CHUNK) -> np.ndarray:
        """Predict (n_spots, n_genes): the training mean, the first stage and the correction."""
        return super().predict(slides, batch_size) + self.mean_

    @property
    def n_parameters(self) -> int:
        """Of both stages."""
        return super().n_parameters + self.first_.n_parameters

    def save(self, folder: Path) -> None:
        """Write both stages and the means into a folder."""
        super().save(folder)
        self.first_.save(folder / "first_stage")
        save_arrays(folder / "mean", {"mean": self.mean_}, first_stage=asdict(self.first_))

    def load(self, folder: Path, device: str = "cpu") -> None:
        """Read what ``save`` wrote."""
        super().load(folder, device)
        arrays, facts = load_arrays(folder / "mean")
        self.mean_ = arrays["mean"]
        self.first_ = ViTBDelta(**facts["first_stage"])
        self.first_.load(folder / "first_stage", device)
