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

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from spared_bench import PredictorSpec
from spared_bench.bounds import Count, CountOrZero, NotNegative
from spared_bench.data import Slides
from spared_bench.errors import UsageError
from spared_bench.models.precision import mixed
from spared_bench_plugins.networks.around import AroundBatch
from spared_bench_plugins.networks.around_head import AroundHead, AroundNet

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


class FlowNet(AroundNet):
    """Half-made expression, features and time to the end of the flow, of the middle of windows."""

    gene_mean: Tensor
    gene_spread: Tensor

    def __init__(
        self, inputs: int, n_genes: int, width: int, depth: int, heads: int, dropout: float
    ) -> None:
        super().__init__(inputs, width, dropout)
        self.register_buffer("gene_mean", torch.zeros(n_genes))
        self.register_buffer("gene_spread", torch.ones(n_genes))
        self.of_genes = nn.Linear(n_genes, width)
        self.of_time = nn.Sequential(nn.Linear(1, width), nn.GELU(), nn.Linear(width, width))
        self.look_around(n_genes, width, depth, heads, dropout, by_distance=True)
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
        tokens = self.tokens(batch) + self.of_genes(state) + self.of_time(time.view(1, 1))
        return self.read(tokens, batch)


@dataclass
class FeatureFlow(AroundHead):
    """Predict the expression of all spots of a slide jointly, by a flow from the training mean.

    Its other parameters are those of ``AroundHead``.

    Parameters
    ----------
    steps : int
        Of the flow at prediction.
    """

    name: ClassVar[str] = "feature-flow"
    tiny: ClassVar[dict[str, Any]] = {
        "hidden": 16, "depth": 1, "heads": 2, "dropout": 0.0, "steps": 2,
    }  # fmt: skip
    configurations: ClassVar[dict[str, dict[str, Any]]] = {"small": {"hidden": 64, "depth": 1}}

    steps: Count = 5
    reach: NotNegative = 1.5
    most: CountOrZero = 8

    def check_parameters(self) -> None:
        """Refuse a network or a flow that cannot be.

        Raises
        ------
        UsageError
        """
        super().check_parameters()
        if self.steps < 1:
            raise UsageError(f"feature-flow has steps={self.steps}; expected a step or more.")

    def build(self, width: int, n_genes: int) -> nn.Module:
        # AroundBatch, state and time -> (n_spots, n_genes)
        self.check_parameters()
        return FlowNet(width, n_genes, self.hidden, self.depth, self.heads, self.dropout)

    def start(self, network: Any, train: Slides) -> None:
        """Take mean and spread of features and genes from the training slides."""
        super().start(network, train)
        target = train.target.astype(np.float64)
        network.gene_mean.copy_(torch.from_numpy(target.mean(axis=0)))
        spread = np.maximum(target.std(axis=0), _LOWEST_SPREAD)
        network.gene_spread.copy_(torch.from_numpy(spread))

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
