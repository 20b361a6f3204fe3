"""Attention among frozen features of a spot and of those around it.

No paper's own method: what studies of pathology encoders put on features where the surroundings are
to count, a small transformer over the spots of a window. Positions enter as differences between two
spots alone, so that a prediction does not depend on where on the slide a window lies.
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
from spared_bench.data import Slides
from spared_bench.errors import UsageError
from spared_bench.models import FeaturePredictor
from spared_bench_plugins.networks.around import AroundBatch, AroundUnits, RelativeAttention

SPEC = PredictorSpec(
    "feature-attention",
    f"{__name__}:FeatureAttention",
    summary="Attention over the frozen features of neighbouring spots, positions relative",
    licence="MIT",
    scope="neighbourhood",
    encoder="encoder",
    search={"lr": (3e-3, 1e-3, 3e-4)},
)


class WindowNet(nn.Module):
    """A window's features to the expression of its middle spot."""

    mean: Tensor
    scale: Tensor

    def __init__(
        self, inputs: int, n_genes: int, width: int, depth: int, heads: int, dropout: float
    ) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(inputs))
        self.register_buffer("scale", torch.ones(inputs))
        self.embed = nn.Sequential(nn.Linear(inputs, width), nn.GELU(), nn.Dropout(dropout))
        self.blocks = nn.ModuleList(RelativeAttention(width, heads, dropout) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, n_genes)

    def forward(self, batch: AroundBatch) -> Tensor:
        # AroundBatch -> (n_spots, n_genes)
        tokens = self.embed((batch.features - self.mean) / self.scale)[batch.around]
        for block in self.blocks:
            tokens = block(tokens, batch.offset, batch.there)
        found: Tensor = self.head(self.norm(tokens[:, 0]))
        return found

    def learn(self, features: np.ndarray) -> None:
        """Standardise by (n_spots, width); a constant feature is only shifted."""
        values = features.astype(np.float64)
        mean, deviation = values.mean(axis=0), values.std(axis=0)
        deviation[deviation <= 1e-6 * np.abs(mean)] = 1.0
        self.mean.copy_(torch.from_numpy(mean))
        self.scale.copy_(torch.from_numpy(np.where(deviation > 0, deviation, 1.0)))


@dataclass
class FeatureAttention(FeaturePredictor):
    """Predict the expression of a spot from its features and those of the spots around it.

    Parameters
    ----------
    reach : float
        Of the window, in distances between neighbouring spots.
    most : int
        Neighbours in it, the nearest.
    hidden, depth, heads : int
        Width, blocks and heads of the transformer.
    dropout, weight_decay : float
    """

    name: ClassVar[str] = "feature-attention"
    tiny: ClassVar[dict[str, Any]] = {"hidden": 16, "depth": 1, "heads": 2, "dropout": 0.0}
    configurations: ClassVar[dict[str, dict[str, Any]]] = {"small": {"hidden": 64, "depth": 1}}

    lr: float = 1e-3
    reach: float = 2.0
    most: int = 18
    hidden: int = 256
    depth: int = 2
    heads: int = 4
    dropout: float = 0.2
    weight_decay: float = 1e-2

    def build(self, width: int, n_genes: int) -> nn.Module:
        # AroundBatch -> (n_spots, n_genes)
        if self.heads < 1 or self.hidden < 1 or self.hidden % self.heads or self.depth < 0:
            raise UsageError(
                f"feature-attention has hidden={self.hidden}, heads={self.heads} and"
                f" depth={self.depth}; expected a width divisible by the heads, and a depth of 0 or"
                " more."
            )
        return WindowNet(width, n_genes, self.hidden, self.depth, self.heads, self.dropout)

    def new_network(self, n_genes: int) -> nn.Module:
        """Return the network, which standardises by itself."""
        return self.build(self.width, n_genes)

    def start(self, network: Any, train: Slides) -> None:
        """Standardise, and let the first prediction be near the training mean of each gene."""
        super().start(network, train)
        with torch.no_grad():
            network.head.bias.copy_(torch.from_numpy(train.target.mean(axis=0)))

    def units(self, slides: Slides, device: str, resident: bool) -> AroundUnits:
        """Return spots with those around them, all of them on the device."""
        return AroundUnits(slides, self._table(slides), self.reach, self.most, device)

    def loss(self, network: nn.Module, batch: AroundBatch) -> Tensor:
        """Return the MSE over all entries, completed ones too."""
        return functional.mse_loss(network(batch), batch.target)

    def predict_batch(self, network: nn.Module, batch: AroundBatch) -> Tensor:
        """Return the prediction of a batch, (n_spots, n_genes)."""
        found: Tensor = network(batch)
        return found

    def optimizer(self, parameters: Iterable[nn.Parameter]) -> Optimizer:
        decay = self.weight_decay
        return torch.optim.AdamW(parameters, lr=self.lr, weight_decay=decay, fused=True)
