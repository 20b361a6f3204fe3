"""A transformer over the neighbours of a spot.

The layers are PyTorch's ``TransformerEncoderLayer`` in its defaults (post-norm, ReLU), with its
parameters, names and initial values; only how they are computed differs: absent neighbours are
masked, the last layer may be asked for the centre alone, and the wide block is
``completion.feed_forward``.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from spared_bench.completion.feed_forward import feed_forward, quick_dropout


class EncoderLayer(nn.TransformerEncoderLayer):
    """One layer; attention is over the slots of a neighbourhood."""

    def __init__(
        self, width: int, n_heads: int, inner: int, dropout: float, low: bool = False
    ) -> None:
        super().__init__(width, n_heads, inner, dropout, batch_first=True)
        self.rate, self.low = dropout, low

    def forward(self, x: Tensor, present: Tensor, centre_only: bool = False) -> Tensor:  # type: ignore[override]
        """(n_spots, n_slots, width) -> the same, or (n_spots, 1, width) for the centre."""
        asking = x[:, :1] if centre_only else x
        x = self.norm1(asking + self._dropped(self._attend(asking, x, present)))
        inner = feed_forward(
            x.flatten(0, 1), self.linear1, self.linear2, self.rate, self.training, self.low
        )
        return self.norm2(x + self._dropped(inner.view(x.shape)))

    def _attend(self, asking: Tensor, x: Tensor, present: Tensor) -> Tensor:
        attention, width = self.self_attn, x.shape[-1]
        weight, bias = attention.in_proj_weight, attention.in_proj_bias
        query = functional.linear(asking, weight[:width], bias[:width])
        key, value = functional.linear(x, weight[width:], bias[width:]).chunk(2, dim=-1)
        mixed = functional.scaled_dot_product_attention(
            self._heads(query),
            self._heads(key),
            self._heads(value),
            attn_mask=present[:, None, None, :],
            dropout_p=self.rate if self.training else 0.0,
        )
        joined: Tensor = attention.out_proj(mixed.transpose(1, 2).flatten(2))
        return joined

    def _heads(self, x: Tensor) -> Tensor:
        return x.unflatten(2, (self.self_attn.num_heads, -1)).transpose(1, 2)

    def _dropped(self, x: Tensor) -> Tensor:
        return quick_dropout(x, self.rate, self.training)


class NeighbourhoodTransformer(nn.Module):
    """Genes to width, layers of attention among the slots of a neighbourhood, width to genes.

    Parameters
    ----------
    n_genes, width, n_layers, n_heads, inner : int
        ``inner`` is the width of the feed-forward block.
    dropout : float
    low : bool
        Where the device has it, products in bfloat16; weights stay float32.
    """

    def __init__(
        self,
        n_genes: int,
        width: int,
        n_layers: int,
        n_heads: int,
        inner: int,
        dropout: float,
        low: bool = False,
    ) -> None:
        super().__init__()
        self.enter = nn.Linear(n_genes, width)
        self.layers = nn.ModuleList(
            EncoderLayer(width, n_heads, inner, dropout, low) for _ in range(n_layers)
        )
        self.leave = nn.Linear(width, n_genes)
        self.low = low

    def forward(self, x: Tensor, present: Tensor, centre_only: bool = False) -> Tensor:
        """Return what it makes of every slot, or of the centre.

        Parameters
        ----------
        x : Tensor of shape (n_spots, n_slots, n_genes)
        present : Tensor of bool, of shape (n_spots, n_slots)
            False for slots that nothing may be learnt from; the centre is always present.
        centre_only : bool

        Returns
        -------
        Tensor of shape (n_spots, n_slots, n_genes), or (n_spots, n_genes) for the centre
        """
        with torch.autocast(x.device.type, torch.bfloat16, self.low and x.is_cuda):
            x = self.enter(x)
            for place, layer in enumerate(self.layers, start=1):
                x = layer(x, present, centre_only and place == len(self.layers))
            out: Tensor = self.leave(x)
        return (out[:, 0] if centre_only else out).float()
