"""Attention among frozen features of a spot and of those around it.

No paper's own method: what studies of pathology encoders put on features where the surroundings are
to count, a small transformer over the spots of a window. Positions enter as differences between two
spots alone, so that a prediction does not depend on where on the slide a window lies.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from spared_bench import PredictorSpec
from spared_bench.data import Slides
from spared_bench_plugins.networks.around import AroundBatch
from spared_bench_plugins.networks.around_head import AroundHead, AroundNet

SPEC = PredictorSpec(
    "feature-attention",
    f"{__name__}:FeatureAttention",
    summary="Attention over the frozen features of neighbouring spots, positions relative",
    licence="MIT",
    scope="neighbourhood",
    encoder="encoder",
    search={"lr": (3e-3, 1e-3, 3e-4)},
)


class WindowNet(AroundNet):
    """A window's features to the expression of its middle spot."""

    def __init__(
        self, inputs: int, n_genes: int, width: int, depth: int, heads: int, dropout: float
    ) -> None:
        super().__init__(inputs, width, dropout)
        self.look_around(n_genes, width, depth, heads, dropout, by_distance=False)

    def forward(self, batch: AroundBatch) -> Tensor:
        # AroundBatch -> (n_spots, n_genes)
        return self.read(self.tokens(batch), batch)


@dataclass
class FeatureAttention(AroundHead):
    """Predict the expression of a spot from its features and those of the spots around it.

    Its parameters are those of ``AroundHead``.
    """

    name: ClassVar[str] = "feature-attention"
    tiny: ClassVar[dict[str, Any]] = {"hidden": 16, "depth": 1, "heads": 2, "dropout": 0.0}
    configurations: ClassVar[dict[str, dict[str, Any]]] = {"small": {"hidden": 64, "depth": 1}}

    def build(self, width: int, n_genes: int) -> nn.Module:
        # AroundBatch -> (n_spots, n_genes)
        self.check_parameters()
        return WindowNet(width, n_genes, self.hidden, self.depth, self.heads, self.dropout)

    def start(self, network: Any, train: Slides) -> None:
        """Standardise, and let the first prediction be near the training mean of each gene."""
        super().start(network, train)
        with torch.no_grad():
            network.head.bias.copy_(torch.from_numpy(train.target.mean(axis=0)))

    def loss(self, network: nn.Module, batch: AroundBatch) -> Tensor:
        """Return the MSE over all entries, completed ones too."""
        return functional.mse_loss(network(batch), batch.target)

    def predict_batch(self, network: nn.Module, batch: AroundBatch) -> Tensor:
        """Return the prediction of a batch, (n_spots, n_genes)."""
        found: Tensor = network(batch)
        return found
