"""SpaCKLE as its published code computes it, so that the difference can be shown.

From the code of the SpaRED benchmark (Mejia et al., MICCAI 2024), which differs from the paper:

- the encoder is fed (batch, 19, genes) and takes its first axis as the sequence, so attention runs
  over the *batch*, for each of the 19 slots apart: a spot does not see its own neighbours;
- the width is the number of genes, not 128;
- neighbours are the 18 nearest spots by pixel over all slides of a split, mixing the slides, in the
  order of their rows;
- an entry of a gene is hidden with the rate 0.3 over the share of spots that have it, and this
  share is of all splits, taken when genes were filtered (the paper speaks of 30 %);
- validation masks are drawn anew each time, so the lowest validation error is partly luck.

It differs from the code where that would lose spots: batches at the end of a split are kept, not
dropped. The number of steps is the protocol's (published: 10,000, its pipeline: 1,000), and the
splits are completed one at a time, so that no test spot enters a batch of training spots.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, get_args

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from spared_bench import CompleterSpec
from spared_bench.bounds import Count, CountOrZero, Share, Size, require_heads
from spared_bench.completion.masking import hiding_probabilities
from spared_bench.completion.neighbourhoods import NeighbourTable, nearest_points
from spared_bench.completion.spots import Neighbourhoods, SpotUnits
from spared_bench.completion.torch_completer import TorchCompleter
from spared_bench.completion.transformer import NeighbourhoodTransformer
from spared_bench.data import Slides
from spared_bench.errors import UsageError
from spared_bench.interfaces import Context
from spared_bench.models.units import Units

SPEC = CompleterSpec(
    "spackle-released",
    f"{__name__}:SpaCKLEReleased",
    summary="What SpaCKLE's published code computes: attention over the batch",
    citation="Mejia et al., SpaRED, MICCAI 2024",
)

RatesFrom = Literal["fitted", "train"]


class BatchTransformer(NeighbourhoodTransformer):
    """Genes to width, an encoder whose sequence is the batch, width to genes."""

    def forward(
        self, x: Tensor, present: Tensor | None = None, centre_only: bool = False
    ) -> Tensor:
        """(n_spots, n_slots, n_genes) -> the same; every spot sees that slot of all others.

        Slots do not meet, so the centre alone costs a part of the whole; absent ones are unknown.
        """
        slots = (x[:, :1] if centre_only else x).transpose(0, 1)
        everyone = torch.ones(slots.shape[:2], dtype=torch.bool, device=x.device)
        out = super().forward(slots, everyone).transpose(0, 1)
        return out[:, 0] if centre_only else out


@dataclass
class SpaCKLEReleased(TorchCompleter):
    """Complete a spot from itself and from the other spots of its batch.

    Parameters
    ----------
    width : int
        Of the encoder; 0: the number of genes.
    n_layers, n_heads, inner : int
    dropout : float
    n_neighbours : int
    rates_from : {"fitted", "train"}
        Which spots the shares behind the mask rates are of: those that chose the genes, which are
        all splits under ``fit_on: all``, as released; or those of the training slides.
    low_precision : bool
        Products of the feed-forward blocks in bfloat16 (on a GPU: all products).
    """

    name: ClassVar[str] = "spackle-released"
    replayable: ClassVar[bool] = True
    tiny: ClassVar[dict[str, Any]] = {"inner": 16, "n_neighbours": 4}

    width: CountOrZero = 0
    n_layers: Size = 2
    n_heads: Size = 1
    inner: Size = 2048
    dropout: Share = 0.1
    n_neighbours: Count = 18
    rates_from: RatesFrom = "fitted"
    low_precision: bool = False

    def check_parameters(self) -> None:
        """Refuse what cannot be: no neighbours, heads that share no width, weights of no file."""
        super().check_parameters()
        if self.width:  # else it is the number of genes, which is not known yet
            require_heads(self.name, self.width, self.n_heads)
        if self.n_neighbours < 1:
            raise UsageError(f"n_neighbours={self.n_neighbours}; expected 1 or more.")

    def build(self, n_genes: int) -> nn.Module:
        """Return the network."""
        sizes = self.width or n_genes, self.n_layers, self.n_heads, self.inner
        return BatchTransformer(n_genes, *sizes, self.dropout, self.low_precision)

    def table(self, slides: Slides) -> NeighbourTable:
        """Return the nearest spots by pixel, whatever their slide, in the order of their rows."""
        index, distance = nearest_points(slides.coordinates, self.n_neighbours)
        order = np.argsort(np.where(np.arange(index.shape[1]) == 0, -1, index), axis=1)
        index, distance = (np.take_along_axis(each, order, axis=1) for each in (index, distance))
        return NeighbourTable(index, np.ones(index.shape, dtype=bool), distance.astype(np.float32))

    def expressed(self, train: Slides) -> np.ndarray:
        """Return in which share of the spots each gene is seen, (n_genes,)."""
        if self.rates_from not in get_args(RatesFrom):
            raise UsageError(
                f"rates_from must be one of {', '.join(get_args(RatesFrom))}; found"
                f" {self.rates_from!r}."
            )
        return train.expressed_fraction if self.rates_from == "fitted" else super().expressed(train)

    def validation_units(self, val: Slides, expressed: np.ndarray, context: Context) -> Units:
        """Return spots whose entries are hidden anew at every validation."""
        chances = hiding_probabilities(expressed, rate=self.mask_rate)
        table = self.table(val)
        return SpotUnits(val.prefilled, val.mask, table, context.device, probabilities=chances)

    def loss(self, network: nn.Module, batch: Neighbourhoods) -> Tensor:
        """Mean squared error on everything, the median filter's values included."""
        return functional.mse_loss(network(self._visible(batch)), batch.values)

    def predict_batch(self, network: nn.Module, batch: Neighbourhoods) -> Tensor:
        """Return what it makes of the centres, (n_spots, n_genes)."""
        out: Tensor = network(self._visible(batch), centre_only=True)
        return out

    def _visible(self, batch: Neighbourhoods) -> Tensor:
        return torch.where(batch.hidden, 0.0, batch.values)
