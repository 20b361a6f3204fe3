"""SpaCKLE's network as it was computed before, for ``benchmarks/spackle.py`` to compare with.

Every slot goes through every layer, whether a neighbour is there or not; dropout draws from
PyTorch's generator into bool masks; blocks are of 640 tokens in any precision.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

_BLOCK = 640


def dropped(shape: torch.Size, p: float) -> Tensor:
    n = shape.numel()
    words = torch.empty((n + 3) // 4, dtype=torch.int64)
    words.random_(-(2**63), None)
    return words.view(torch.int16)[:n].view(shape) < round(p * 65536) - 32768


class FeedForward(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor, p: float, dtype: Any
    ) -> Tensor:
        tokens, enter, shift = x.to(dtype), w1.to(dtype), b1.to(dtype)
        leave = (w2 / (1 - p)).to(dtype)
        inner, out = [], []
        for block in tokens.split(_BLOCK):
            hidden = torch.addmm(shift, block, enter.t()).relu_()
            hidden.masked_fill_(dropped(hidden.shape, p), 0.0)
            inner.append(hidden)
            out.append(hidden @ leave.t())
        ctx.save_for_backward(tokens, enter, leave, *inner)
        ctx.p = p
        return torch.cat(out).to(x.dtype) + b2

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        tokens, enter, leave, *inner = ctx.saved_tensors
        grad = grads[0]
        given = grad.to(tokens.dtype)
        to_w1, to_w2 = grad.new_zeros(enter.shape), grad.new_zeros(leave.shape)
        to_b1, to_x = grad.new_zeros(len(enter)), []
        for block, above, hidden in zip(
            tokens.split(_BLOCK), given.split(_BLOCK), inner, strict=True
        ):
            to_w2 += above.t() @ hidden
            back = torch.ops.aten.threshold_backward(above @ leave, hidden, 0)
            to_w1 += back.t() @ block
            to_b1 += back.sum(0, dtype=grad.dtype)
            to_x.append(back @ enter)
        to_tokens = torch.cat(to_x).to(grad.dtype)
        return to_tokens, to_w1, to_b1, to_w2 / (1 - ctx.p), grad.sum(0), None, None


class Layer(nn.TransformerEncoderLayer):
    def __init__(self, width: int, n_heads: int, inner: int, p: float, low: bool) -> None:
        super().__init__(width, n_heads, inner, p, batch_first=True)
        self.rate, self.dtype = p, torch.bfloat16 if low else torch.float32

    def forward(self, x: Tensor, present: Tensor) -> Tensor:  # type: ignore[override]
        x = self.norm1(x + self._drop(self._attend(x, present)))
        weights = self.linear1.weight, self.linear1.bias, self.linear2.weight, self.linear2.bias
        inner = FeedForward.apply(x.flatten(0, 1), *weights, self.rate, self.dtype)
        out: Tensor = self.norm2(x + self._drop(inner.view(x.shape)))
        return out

    def _drop(self, x: Tensor) -> Tensor:
        return x.masked_fill(dropped(x.shape, self.rate), 0.0) * (1 / (1 - self.rate))

    def _attend(self, x: Tensor, present: Tensor) -> Tensor:
        attention = self.self_attn
        joined = functional.linear(x, attention.in_proj_weight, attention.in_proj_bias)
        query, key, value = (
            each.unflatten(2, (attention.num_heads, -1)).transpose(1, 2)
            for each in joined.chunk(3, dim=-1)
        )
        mask = present[:, None, None, :]
        mixed = functional.scaled_dot_product_attention(
            query, key, value, attn_mask=mask, dropout_p=self.rate
        )
        out: Tensor = attention.out_proj(mixed.transpose(1, 2).flatten(2))
        return out


class EarlierNetwork(nn.Module):
    """The network in training, with the names of today's weights."""

    def __init__(self, n_genes: int, settings: Any) -> None:
        super().__init__()
        sizes = settings.width, settings.n_heads, settings.inner, settings.dropout
        self.enter = nn.Linear(n_genes, settings.width)
        self.layers = nn.ModuleList(
            Layer(*sizes, settings.low_precision) for _ in range(settings.n_layers)
        )
        self.leave = nn.Linear(settings.width, n_genes)

    def forward(self, x: Tensor, present: Tensor) -> Tensor:
        """(n_spots, n_slots, n_genes) -> the same."""
        x = self.enter(x)
        for layer in self.layers:
            x = layer(x, present)
        out: Tensor = self.leave(x)
        return out
