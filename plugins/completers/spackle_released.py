"""SpaCKLE as its published code computes it, so that the difference can be shown.

From the code of the SpaRED benchmark (Mejia et al., MICCAI 2024), which differs from the paper:

- the encoder is fed (batch, 19, genes) and takes its first axis as the sequence, so attention runs
  over the *batch*, for each of the 19 slots apart: a spot does not see its own neighbours;
- the width is the number of genes, not 128;
- neighbours are the 18 nearest spots by pixel over all slides of a split, mixing the slides, in the
  order of their rows;
- in training, unmeasured entries show the median filter's values; in use they are zero;
- validation masks are drawn anew each time, so the lowest validation error is partly luck.

It differs from the code where that would lose spots: batches at the end of a split are kept, not
dropped. The number of steps is the protocol's (published: 10,000, its pipeline: 1,000), and the
splits are completed one at a time, so that no test spot enters a batch of training spots.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from spared_bench.completion.masking import hiding_probabilities
from spared_bench.completion.neighbourhoods import NeighbourTable, nearest_points
from spared_bench.completion.spots import Neighbourhoods, SpotUnits
from spared_bench.completion.torch_completer import TorchCompleter
from spared_bench.data import Slides
from spared_bench.interfaces import Context
from spared_bench.models.units import Units


class BatchTransformer(nn.Module):
    """Genes to width, an encoder whose sequence is the batch, width to genes.

    Parameters
    ----------
    n_genes, width, n_layers, n_heads, inner : int
    dropout : float
    """

    def __init__(
        self, n_genes: int, width: int, n_layers: int, n_heads: int, inner: int, dropout: float
    ) -> None:
        super().__init__()
        self.enter = nn.Linear(n_genes, width)
        layer = nn.TransformerEncoderLayer(width, n_heads, inner, dropout)  # not batch_first
        self.encoder = nn.TransformerEncoder(layer, n_layers, enable_nested_tensor=False)
        self.leave = nn.Linear(width, n_genes)

    def forward(self, x: Tensor) -> Tensor:
        """(n_spots, n_slots, n_genes) -> the same; every spot sees that slot of all others."""
        out: Tensor = self.leave(self.encoder(self.enter(x)))
        return out


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
    """

    name: ClassVar[str] = "spackle-released"
    tiny: ClassVar[dict[str, Any]] = {"inner": 16, "n_neighbours": 4}

    width: int = 0
    n_layers: int = 2
    n_heads: int = 1
    inner: int = 2048
    dropout: float = 0.1
    n_neighbours: int = 18

    def build(self, n_genes: int) -> nn.Module:
        """Return the network."""
        sizes = self.width or n_genes, self.n_layers, self.n_heads, self.inner
        return BatchTransformer(n_genes, *sizes, self.dropout)

    def table(self, slides: Slides) -> NeighbourTable:
        """Return the nearest spots by pixel, whatever their slide, in the order of their rows."""
        index, distance = nearest_points(slides.coordinates, self.n_neighbours)
        order = np.argsort(np.where(np.arange(index.shape[1]) == 0, -1, index), axis=1)
        index, distance = (np.take_along_axis(each, order, axis=1) for each in (index, distance))
        return NeighbourTable(index, np.ones(index.shape, dtype=bool), distance.astype(np.float32))

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
        out: Tensor = network(self._visible(batch))
        return out[:, 0]

    def _visible(self, batch: Neighbourhoods) -> Tensor:
        return torch.where(batch.hidden, 0.0, batch.values)
