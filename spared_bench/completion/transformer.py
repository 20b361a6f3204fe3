"""A transformer over the neighbours of a spot.

The layers are PyTorch's ``TransformerEncoderLayer`` in its defaults (post-norm, ReLU), with its
parameters, names and initial values; only how they are computed differs: absent neighbours are
left out of everything and cost next to nothing (on a GPU, which would have to be asked how many
there are, they are computed and looked at by nobody), the last layer may be asked for the centre
alone, and the wide block is ``completion.feed_forward``.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from spared_bench.completion.feed_forward import feed_forward, quick_dropout


class Slots:
    """Where in a batch of neighbourhoods there is a neighbour.

    Parameters
    ----------
    present : Tensor of bool, of shape (n_spots, n_slots)
        The first column, the centre, is True.
    pick : bool
        Whether only those that are there become tokens, or every slot.

    Attributes
    ----------
    places : Tensor of int64, of shape (n_tokens,), or None
        Of those that are there, among all slots of the batch one after the other; None where every
        slot is a token.
    centres : Tensor of int64, of shape (n_spots,)
        Which tokens the centres are.
    """

    def __init__(self, present: Tensor, pick: bool = True) -> None:
        self.present = present
        self.places: Tensor | None = None
        if not pick:
            self.centres = torch.arange(len(present), device=present.device) * present.shape[1]
            return
        self.places = present.flatten().nonzero()[:, 0]
        per_spot = present.sum(1)
        self.centres = per_spot.cumsum(0) - per_spot

    def gather(self, x: Tensor) -> Tensor:
        """(n_spots, n_slots, n) -> (n_tokens, n)."""
        tokens = x.flatten(0, 1)
        return tokens if self.places is None else tokens.index_select(0, self.places)

    def spread(self, tokens: Tensor) -> Tensor:
        """(n_tokens, n) -> (n_spots, n_slots, n), 0 where there is no neighbour."""
        if self.places is None:
            return tokens.view(*self.present.shape, -1) * self.present[..., None]
        everywhere = tokens.new_zeros(self.present.numel(), tokens.shape[1])
        spread = everywhere.index_copy(0, self.places, tokens)
        return spread.view(*self.present.shape, tokens.shape[1])


class EncoderLayer(nn.TransformerEncoderLayer):
    """One layer; attention is over the slots of a neighbourhood."""

    def __init__(
        self, width: int, n_heads: int, inner: int, dropout: float, low: bool = False
    ) -> None:
        super().__init__(width, n_heads, inner, dropout, batch_first=True)
        self.rate, self.low = dropout, low

    def forward(self, x: Tensor, slots: Slots, centre_only: bool = False) -> Tensor:  # type: ignore[override]
        """(n_tokens, width) -> the same, or (n_spots, width) for the centres."""
        asking = x[slots.centres] if centre_only else x
        x = self.norm1(asking + self._dropped(self._attend(asking, x, slots, centre_only)))
        inner = feed_forward(x, self.linear1, self.linear2, self.rate, self.training, self.low)
        return self.norm2(x + self._dropped(inner))

    def _attend(self, asking: Tensor, x: Tensor, slots: Slots, centre_only: bool) -> Tensor:
        attention, width = self.self_attn, x.shape[-1]
        weight, bias = attention.in_proj_weight, attention.in_proj_bias
        query = functional.linear(asking, weight[:width], bias[:width])
        seen = slots.spread(functional.linear(x, weight[width:], bias[width:]))
        key, value = seen.chunk(2, dim=-1)
        mixed = functional.scaled_dot_product_attention(
            self._heads(query[:, None] if centre_only else slots.spread(query)),
            self._heads(key),
            self._heads(value),
            attn_mask=slots.present[:, None, None, :],
            dropout_p=self.rate if self.training else 0.0,
        )
        mixed = mixed.transpose(1, 2).flatten(2)
        joined: Tensor = attention.out_proj(mixed[:, 0] if centre_only else slots.gather(mixed))
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
            0 where a slot is not present.
        """
        slots = Slots(present, pick=not x.is_cuda)
        with torch.autocast(x.device.type, torch.bfloat16, self.low and x.is_cuda):
            tokens = self.enter(slots.gather(x))
            for place, layer in enumerate(self.layers, start=1):
                tokens = layer(tokens, slots, centre_only and place == len(self.layers))
            out: Tensor = self.leave(tokens).float()
        return out if centre_only else slots.spread(out)
