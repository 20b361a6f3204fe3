"""Flow matching from a simple distribution to the expression of a slide, on frozen features.

In the manner of STFlow (Huang et al., Scalable Generation of Spatial Transcriptomics from Histology
Images via Whole-Slide Flow Matching, ICML 2025, arXiv 2506.05361). Theirs, and taken over as an
idea: the expression of all spots of a slide is made jointly, by a flow from a prior to the data; at
each step a network predicts the end of the flow from what the spots hold so far, from the features
of a frozen encoder, and from attention over neighbouring spots in which their half-made expression
takes part; and positions enter so that turning a slide changes nothing.

Not reproduced: their code and numbers; the zero-inflated negative binomial prior (here a normal one
around the training mean, as targets may be completed and batch corrected); frame averaging (here
distances alone); attention over a whole slide at once (here over the spots around each); drawing a
start at prediction (here the prior's mean, so that a prediction is repeatable and does not depend
on the order of the spots).
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
from spared_bench.models.precision import mixed
from spared_bench_plugins.networks.around import AroundBatch, AroundUnits, RelativeAttention

SPEC = PredictorSpec(
    "feature-flow",
    f"{__name__}:FeatureFlow",
    summary="Flow matching of a slide's expression, in the manner of STFlow, on frozen features",
    citation="after Huang et al., ICML 2025, arXiv 2506.05361",
    licence="MIT",
    scope="slide",
    encoder="encoder",
    search={"lr": (3e-3, 1e-3, 3e-4)},
)
_CHUNK = 1024  # spots whose next step is computed at a time
_LOWEST_SPREAD = 1e-3  # of a gene that is constant in training


class FlowNet(nn.Module):
    """Half-made expression, features and time to the end of the flow, of the middle of windows."""

    feature_mean: Tensor
    feature_scale: Tensor
    gene_mean: Tensor
    gene_spread: Tensor

    def __init__(
        self, inputs: int, n_genes: int, width: int, depth: int, heads: int, dropout: float
    ) -> None:
        super().__init__()
        self.register_buffer("feature_mean", torch.zeros(inputs))
        self.register_buffer("feature_scale", torch.ones(inputs))
        self.register_buffer("gene_mean", torch.zeros(n_genes))
        self.register_buffer("gene_spread", torch.ones(n_genes))
        self.of_image = nn.Sequential(nn.Linear(inputs, width), nn.GELU(), nn.Dropout(dropout))
        self.of_genes = nn.Linear(n_genes, width)
        self.of_time = nn.Sequential(nn.Linear(1, width), nn.GELU(), nn.Linear(width, width))
        self.blocks = nn.ModuleList(
            RelativeAttention(width, heads, dropout, by_distance=True) for _ in range(depth)
        )
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, n_genes)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, batch: AroundBatch, state: Tensor, time: Tensor) -> Tensor:
        """Return the standardised end of the flow of the spots, (n_spots, n_genes).

        Parameters
        ----------
        batch : AroundBatch
        state : Tensor of shape (n_seen, n_genes)
            What the seen spots hold, standardised.
        time : Tensor
            Of the flow, from 0 to 1: one number.
        """
        features = (batch.features - self.feature_mean) / self.feature_scale
        tokens = self.of_image(features) + self.of_genes(state) + self.of_time(time.view(1, 1))
        tokens = tokens[batch.around]
        for block in self.blocks:
            tokens = block(tokens, batch.offset, batch.there)
        found: Tensor = self.head(self.norm(tokens[:, 0]))
        return found


@dataclass
class FeatureFlow(FeaturePredictor):
    """Predict the expression of all spots of a slide jointly, by a flow from the training mean.

    Parameters
    ----------
    steps : int
        Of the flow at prediction.
    reach : float
        Of the window around a spot, in distances between neighbouring spots.
    most : int
        Neighbours in it, the nearest.
    hidden, depth, heads : int
        Width, blocks and heads of the network.
    dropout, weight_decay : float
    """

    name: ClassVar[str] = "feature-flow"
    tiny: ClassVar[dict[str, Any]] = {
        "hidden": 16, "depth": 1, "heads": 2, "dropout": 0.0, "steps": 2,
    }  # fmt: skip
    configurations: ClassVar[dict[str, dict[str, Any]]] = {"small": {"hidden": 64, "depth": 1}}

    lr: float = 1e-3
    steps: int = 5
    reach: float = 1.5
    most: int = 8
    hidden: int = 256
    depth: int = 2
    heads: int = 4
    dropout: float = 0.2
    weight_decay: float = 1e-2

    def build(self, width: int, n_genes: int) -> nn.Module:
        # AroundBatch, state and time -> (n_spots, n_genes)
        if self.heads < 1 or self.hidden < 1 or self.hidden % self.heads or self.steps < 1:
            raise UsageError(
                f"feature-flow has hidden={self.hidden}, heads={self.heads} and steps={self.steps};"
                " expected a width divisible by the heads, and a step or more."
            )
        return FlowNet(width, n_genes, self.hidden, self.depth, self.heads, self.dropout)

    def new_network(self, n_genes: int) -> nn.Module:
        """Return the network, which standardises by itself."""
        return self.build(self.width, n_genes)

    def start(self, network: Any, train: Slides) -> None:
        """Take mean and spread of features and genes from the training slides."""
        values = self._table(train).astype(np.float64)
        target = train.target.astype(np.float64)
        spread = np.maximum(target.std(axis=0), _LOWEST_SPREAD)
        scale = values.std(axis=0)
        scale[scale <= 1e-6 * np.abs(values.mean(axis=0))] = 1.0
        for name, found in (
            ("feature_mean", values.mean(axis=0)),
            ("feature_scale", np.where(scale > 0, scale, 1.0)),
            ("gene_mean", target.mean(axis=0)),
            ("gene_spread", spread),
        ):
            getattr(network, name).copy_(torch.from_numpy(found))

    def units(self, slides: Slides, device: str, resident: bool) -> AroundUnits:
        """Return spots with those around them, all of them on the device."""
        return AroundUnits(slides, self._table(slides), self.reach, self.most, device)

    def loss(self, network: Any, batch: AroundBatch) -> Tensor:
        """Return the MSE of the predicted end of the flow, at a time drawn for the step."""
        goal = (batch.target_seen - network.gene_mean) / network.gene_spread
        time = torch.rand((), device=goal.device)
        state = (1 - time) * torch.randn_like(goal) + time * goal
        wanted = (batch.target - network.gene_mean) / network.gene_spread
        return functional.mse_loss(network(batch, state, time), wanted)

    def predict_batch(self, network: Any, batch: AroundBatch) -> Tensor:
        """Return what one step of the flow makes of a batch, by which validation chooses."""
        none = network.gene_mean.new_zeros(len(batch.features), len(network.gene_mean))
        found = network(batch, none, none.new_zeros(()))
        return found * network.gene_spread + network.gene_mean

    def predict(self, slides: Slides, batch_size: int = _CHUNK) -> np.ndarray:
        """Let the flow of all spots run from the mean of the prior: (n_spots, n_genes), float32."""
        network: Any = self._fitted().eval()
        units = self.units(slides, self._device, resident=False)
        state = network.gene_mean.new_zeros(len(slides), len(network.gene_mean))
        rows = torch.arange(len(units)).split(batch_size)
        with torch.inference_mode(), mixed(network, self._device, self.precision):
            for step in range(self.steps):
                time = state.new_tensor(step / self.steps)
                ends = []
                for each in rows:
                    batch = units.batch(each)
                    ends.append(network(batch, state[batch.seen], time).float())
                # The straight way to the predicted end: at the last step, the end itself.
                state = state + (torch.cat(ends) - state) / (self.steps - step)
            found = state * network.gene_spread + network.gene_mean
        return found.float().cpu().numpy()

    def optimizer(self, parameters: Iterable[nn.Parameter]) -> Optimizer:
        decay = self.weight_decay
        return torch.optim.AdamW(parameters, lr=self.lr, weight_decay=decay, fused=True)
