"""A multi-layer perceptron on the features of a frozen encoder.

No paper's own method: the head that studies of pathology encoders put on frozen features where a
linear one is not enough. It begins at the training mean of every gene, so that a short training
does not have to find it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import nn
from torch.optim import Optimizer

from spared_bench import PredictorSpec
from spared_bench.bounds import CountOrZero, NotNegative, Positive, Share, Size
from spared_bench.data import Slides
from spared_bench.errors import UsageError
from spared_bench.models import FeaturePredictor

SPEC = PredictorSpec(
    "feature-mlp",
    f"{__name__}:FeatureMLP",
    summary="A small network on colour features, or on those of a frozen backbone",
    licence="MIT",
    encoder="encoder",
    search={"lr": (1e-2, 1e-3, 1e-4)},
)


@dataclass
class FeatureMLP(FeaturePredictor):
    """Predict the expression of a spot from the features of its patch by a small network.

    Parameters
    ----------
    hidden : int
        Width of the hidden layers.
    depth : int
        How many there are; 0 for a linear head.
    dropout : float
        After every hidden layer.
    weight_decay : float
        Of AdamW.
    """

    name: ClassVar[str] = "feature-mlp"
    tiny: ClassVar[dict[str, Any]] = {"hidden": 32, "depth": 1, "dropout": 0.0}
    configurations: ClassVar[dict[str, dict[str, Any]]] = {"small": {"hidden": 64, "depth": 1}}

    lr: Positive = 1e-3
    hidden: Size = 512
    depth: CountOrZero = 2
    dropout: Share = 0.2
    weight_decay: NotNegative = 1e-2

    def check_parameters(self) -> None:
        """Refuse a network that cannot be.

        Raises
        ------
        UsageError
        """
        if self.depth < 0 or self.hidden < 1 or not 0 <= self.dropout < 1:
            raise UsageError(
                f"feature-mlp has depth={self.depth}, hidden={self.hidden} and"
                f" dropout={self.dropout}; expected a depth of 0 or more, hidden layers of 1 or"
                " more, and a dropout of 0 or more, below 1."
            )

    def build(self, width: int, n_genes: int) -> nn.Module:
        # (n_spots, width) -> (n_spots, n_genes)
        self.check_parameters()
        layers: list[nn.Module] = []
        for _ in range(self.depth):
            layers += [nn.Linear(width, self.hidden), nn.GELU(), nn.Dropout(self.dropout)]
            width = self.hidden
        return nn.Sequential(*layers, nn.Linear(width, n_genes))

    def start(self, network: Any, train: Slides) -> None:
        """Standardise, and let the first prediction be near the training mean of each gene."""
        super().start(network, train)
        with torch.no_grad():
            network.head[-1].bias.copy_(torch.from_numpy(train.target.mean(axis=0)))

    def optimizer(self, parameters: Iterable[nn.Parameter]) -> Optimizer:
        decay = self.weight_decay
        return torch.optim.AdamW(parameters, lr=self.lr, weight_decay=decay, fused=True)
