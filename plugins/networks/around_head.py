"""What heads on frozen features share that look at the spots around each spot."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from spared_bench.bounds import CountOrZero, NotNegative, Positive, Share, Size
from spared_bench.data import Slides
from spared_bench.errors import UsageError
from spared_bench.models import FeaturePredictor
from spared_bench.models.features import Standardising
from spared_bench_plugins.networks.around import AroundBatch, AroundUnits, RelativeAttention


class AroundNet(Standardising):
    """Tokens of the spots of windows, attention among them, and a line from the middle to genes.

    A subclass makes what else goes into a token, then calls ``look_around``.

    Parameters
    ----------
    inputs : int
        Features of a spot.
    width : int
        Of a token.
    dropout : float
    """

    def __init__(self, inputs: int, width: int, dropout: float) -> None:
        super().__init__(inputs)
        self.embed = nn.Sequential(nn.Linear(inputs, width), nn.GELU(), nn.Dropout(dropout))

    def look_around(
        self, n_genes: int, width: int, depth: int, heads: int, dropout: float, by_distance: bool
    ) -> None:
        """Add the blocks of attention (``RelativeAttention``) and the head."""
        self.blocks = nn.ModuleList(
            RelativeAttention(width, heads, dropout, by_distance) for _ in range(depth)
        )
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, n_genes)

    def tokens(self, batch: AroundBatch) -> Tensor:
        """Return what the features of the seen spots say, (n_seen, width)."""
        found: Tensor = self.embed(self.standardised(batch.features))
        return found

    def read(self, tokens: Tensor, batch: AroundBatch) -> Tensor:
        """Return what tokens, (n_seen, width), say of the middle of each window: (n, n_genes)."""
        tokens = tokens[batch.around]
        for block in self.blocks:
            tokens = block(tokens, batch.offset, batch.there)
        found: Tensor = self.head(self.norm(tokens[:, 0]))
        return found


@dataclass
class AroundHead(FeaturePredictor):
    """A head whose ``build`` returns an ``AroundNet``.

    Parameters
    ----------
    reach : float
        Of the window around a spot, in distances between neighbouring spots.
    most : int
        Neighbours in it, the nearest.
    hidden, depth, heads : int
        Width, blocks and heads of the network.
    dropout, weight_decay : float
    """

    name: ClassVar[str]

    lr: Positive = 1e-3
    reach: NotNegative = 2.0
    most: CountOrZero = 18
    hidden: Size = 256
    depth: CountOrZero = 2
    heads: Size = 4
    dropout: Share = 0.2
    weight_decay: NotNegative = 1e-2

    def check_parameters(self) -> None:
        """Refuse a network that cannot be, and windows that hold nothing.

        Raises
        ------
        UsageError
        """
        if self.heads < 1 or self.hidden < 1 or self.hidden % self.heads or self.depth < 0:
            raise UsageError(
                f"{self.name} has hidden={self.hidden}, heads={self.heads} and depth={self.depth};"
                " expected a width divisible by the heads, and a depth of 0 or more."
            )
        if not self.reach >= 0 or self.most < 0 or not 0 <= self.dropout < 1:
            raise UsageError(
                f"{self.name} has reach={self.reach}, most={self.most} and dropout={self.dropout};"
                " expected a reach and a number of neighbours of 0 or more, and a dropout of 0 or"
                " more, below 1."
            )

    def new_network(self, n_genes: int) -> nn.Module:
        """Return the network, which standardises by itself."""
        return self.build(self.width, n_genes)

    def units(self, slides: Slides, device: str, resident: bool) -> AroundUnits:
        """Return spots with those around them, all of them on the device."""
        return AroundUnits(slides, self._table(slides), self.reach, self.most, device)

    def optimizer(self, parameters: Iterable[nn.Parameter]) -> Optimizer:
        """Return AdamW with the weight decay of the fields."""
        decay = self.weight_decay
        return torch.optim.AdamW(parameters, lr=self.lr, weight_decay=decay, fused=True)
