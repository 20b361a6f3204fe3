"""SpaCKLE: a transformer over a spot and its two rings of neighbours.

Mejia et al., SpaRED, MICCAI 2024, as the paper describes it: the spot and its 2-hop neighbours on
the lattice of its own slide, attention among them, width 128, two layers, one head, linear
adapters, 30 % of the matrix hidden, mean squared error on the whole matrix, Adam at 1e-3.
``spackle_released`` is what the published code computes.

The input is the median-completed matrix, and the mask does not fall on what the median filter
filled (equation 2 and the sentence after it): so in training and validation its values are seen,
and in use the mask marks the missing entries, which are then zeros (equation 4). A network that is
to read a gap as zero is thus trained on medians; ``show_medians: false`` shows zeros from the
start, which is not in the paper.

Where the paper leaves a choice: neighbours that are not there are masked out of the attention and
of the loss, and the validation masks are drawn once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from spared_bench import CompleterSpec
from spared_bench.bounds import Share, Size, require_heads
from spared_bench.completion.spots import Neighbourhoods
from spared_bench.completion.torch_completer import TorchCompleter
from spared_bench.completion.transformer import NeighbourhoodTransformer

SPEC = CompleterSpec(
    "spackle",
    f"{__name__}:SpaCKLE",
    summary="Transformer over a spot and its two rings of neighbours, as the paper says",
    citation="Mejia et al., SpaRED, MICCAI 2024",
)


@dataclass
class SpaCKLE(TorchCompleter):
    """Complete a spot from the whole expression of its neighbourhood.

    Parameters
    ----------
    width, n_layers, n_heads, inner : int
        Of the encoder; ``inner`` is PyTorch's default for the feed-forward block.
    dropout : float
        PyTorch's default.
    show_medians : bool
        In training, what is unmeasured holds the median filter's values, as in the paper, and not
        zeros, as in use.
    low_precision : bool
        Products of the feed-forward blocks in bfloat16 (on a GPU: all products).
    """

    name: ClassVar[str] = "spackle"
    replayable: ClassVar[bool] = True
    tiny: ClassVar[dict[str, Any]] = {"width": 8, "inner": 16}
    #: ``hidden-medians``: gaps are zeros in training, too (ours).
    configurations: ClassVar[dict[str, dict[str, Any]]] = {
        "hidden-medians": {"show_medians": False},
    }

    width: Size = 128
    n_layers: Size = 2
    n_heads: Size = 1
    inner: Size = 2048
    dropout: Share = 0.1
    show_medians: bool = True
    low_precision: bool = False

    def check_parameters(self) -> None:
        """Refuse a width that the heads cannot share, and weights that are no file."""
        super().check_parameters()
        require_heads(self.name, self.width, self.n_heads)

    def build(self, n_genes: int) -> nn.Module:
        """Return the network: (n_spots, n_slots, n_genes) -> the same."""
        sizes = self.width, self.n_layers, self.n_heads, self.inner
        return NeighbourhoodTransformer(n_genes, *sizes, self.dropout, self.low_precision)

    def loss(self, network: nn.Module, batch: Neighbourhoods) -> Tensor:
        """Mean squared error on the whole matrix of every spot, hidden or not, slots present."""
        error = network(self._visible(batch), batch.present) - batch.values
        there = batch.present[..., None]
        return (error.square() * there).sum() / (there.sum() * error.shape[-1])

    def predict_batch(self, network: nn.Module, batch: Neighbourhoods) -> Tensor:
        """Return what it makes of the centres, (n_spots, n_genes)."""
        out: Tensor = network(self._visible(batch), batch.present, centre_only=True)
        return out

    def _visible(self, batch: Neighbourhoods) -> Tensor:
        # In use, `values` is the target, which is 0 at unmeasured entries anyway.
        unseen = batch.hidden if self.show_medians else batch.hidden | ~batch.measured
        return torch.where(unseen, 0.0, batch.values)
