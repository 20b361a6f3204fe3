"""A masked graph auto-encoder: what a careful modern method makes of the same information.

A rival that needs no single-cell reference. Like GraphMAE (Hou et al., KDD 2022) it is trained to
restore what was hidden from it and from its neighbours; like SIGN (Frasca et al., 2020,
arXiv:2004.11198) it averages over the rings of neighbours first and learns a perceptron on the
averages, which is quick and does not oversmooth. What it does otherwise than SpaCKLE: genes are
standardised, unmeasured entries are told apart from zeros, the loss is on hidden entries alone, and
the hidden part varies from little to most, since that is what it will meet.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from spared_bench import CompleterSpec
from spared_bench.bounds import Part, Share, Size
from spared_bench.completion.masking import hiding_probabilities
from spared_bench.completion.spots import Neighbourhoods, SpotUnits
from spared_bench.completion.torch_completer import TorchCompleter
from spared_bench.data import Slides
from spared_bench.models.units import Units

SPEC = CompleterSpec(
    "graph-mae",
    f"{__name__}:GraphMAE",
    summary="Masked graph auto-encoder on averages over the rings of neighbours",
    citation="After Hou et al., GraphMAE, KDD 2022, and Frasca et al., arXiv:2004.11198",
)

_FIRST_RING = 1.3  # in lattice units; sqrt(2), a square lattice's diagonal, is beyond


class RingPerceptron(nn.Module):
    """Averages over the spot and its two rings, then a residual perceptron.

    Parameters
    ----------
    n_genes, width : int
    dropout : float

    Attributes
    ----------
    slots : Tensor
        The spot and all neighbours that one had in training, of which those that are seen are a
        share: by the widest of the slides at hand, a spot would depend on others that are completed
        with it. 0: these, as before it was kept.
    """

    mean: Tensor
    spread: Tensor
    slots: Tensor

    def __init__(self, n_genes: int, width: int, dropout: float) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(n_genes))
        self.register_buffer("spread", torch.ones(n_genes))
        self.register_buffer("slots", torch.zeros(()))
        self.enter = nn.Linear(6 * n_genes, width)
        self.inner = nn.Sequential(
            nn.LayerNorm(width), nn.GELU(), nn.Dropout(dropout), nn.Linear(width, width)
        )
        self.leave = nn.Sequential(
            nn.LayerNorm(width), nn.GELU(), nn.Dropout(dropout), nn.Linear(width, n_genes)
        )

    def forward(self, values: Tensor, seen: Tensor, distance: Tensor) -> Tensor:
        """Return the centres' expression.

        Parameters
        ----------
        values : Tensor of shape (n_spots, n_slots, n_genes)
        seen : Tensor of bool, of that shape
            Where values may be looked at.
        distance : Tensor of shape (n_spots, n_slots)
            Infinite where there is no neighbour.

        Returns
        -------
        Tensor of shape (n_spots, n_genes)
        """
        scaled = (values - self.mean) / self.spread * seen
        rings = (distance == 0, (distance > 0) & (distance < _FIRST_RING), distance >= _FIRST_RING)
        rings = (*rings[:2], rings[2] & distance.isfinite())
        sizes = [ring.sum(1).to(values.dtype)[:, None, None] for ring in rings]
        # In the second ring, neighbours that are not there count as not seen.
        slots = torch.where(self.slots > 0, self.slots, distance.shape[1])
        sizes[2] = torch.maximum(slots - sizes[0] - sizes[1], sizes[2])
        parts = []
        for ring, size in zip(rings, sizes, strict=True):
            weight = ring.to(values.dtype)[:, None]
            total, number = weight @ scaled, weight @ seen.to(values.dtype)
            parts += [total / number.clamp_min(1), number / size.clamp_min(1)]
        x = self.enter(torch.cat([part.squeeze(1) for part in parts], dim=1))
        out: Tensor = self.leave(x + self.inner(x))
        return self.mean + self.spread * out

    def _load_from_state_dict(self, state: dict[str, Any], prefix: str, *rest: Any) -> None:
        state.setdefault(f"{prefix}slots", self.slots)
        super()._load_from_state_dict(state, prefix, *rest)


@dataclass
class GraphMAE(TorchCompleter):
    """Complete a spot from the averages of its surroundings.

    Parameters
    ----------
    width : int
        Of the perceptron.
    dropout : float
    highest_rate : float
        Between ``mask_rate / 3`` and this lies the part of the entries that is hidden in training.
    """

    name: ClassVar[str] = "graph-mae"
    tiny: ClassVar[dict[str, Any]] = {"width": 16}

    width: Size = 512
    dropout: Share = 0.2
    highest_rate: Part = 0.7

    def build(self, n_genes: int) -> nn.Module:
        """Return the network."""
        return RingPerceptron(n_genes, self.width, self.dropout)

    def prepare(self, network: nn.Module, train: Slides) -> nn.Module:
        """Give it mean and deviation of what was measured of each gene, and how wide rings are."""
        values = np.where(train.mask, train.target, np.nan).astype(np.float64)
        empty = ~train.mask.any(axis=0)
        values[:, empty] = 0
        assert isinstance(network, RingPerceptron)
        network.mean.copy_(torch.from_numpy(np.nanmean(values, axis=0)))
        spread = np.nanstd(values, axis=0)
        network.slots.fill_(self.table(train).index.shape[1])
        network.spread.copy_(torch.from_numpy(np.where(spread > 1e-6, spread, 1.0)))
        return network

    def training_units(self, train: Slides, device: str) -> Units:
        """Return spots of which a varying part is hidden."""
        expressed = train.mask.mean(axis=0)
        rates = np.linspace(self.mask_rate / 3, self.highest_rate, 7)
        chances = np.stack([hiding_probabilities(expressed, rate=rate) for rate in rates])
        table = self.table(train)
        return SpotUnits(train.target, train.mask, table, device, probabilities=chances)

    def loss(self, network: nn.Module, batch: Neighbourhoods) -> Tensor:
        """Mean squared error at the hidden entries of the centres."""
        error = self.predict_batch(network, batch) - batch.target
        hidden = batch.mask
        return (error.square() * hidden).sum() / hidden.sum().clamp_min(1)

    def predict_batch(self, network: nn.Module, batch: Neighbourhoods) -> Tensor:
        """Return what it makes of the centres, (n_spots, n_genes)."""
        seen = batch.measured & ~batch.hidden & batch.present[..., None]
        distance = torch.where(batch.present, batch.distance, torch.inf)
        out: Tensor = network(batch.values, seen, distance)
        return out
