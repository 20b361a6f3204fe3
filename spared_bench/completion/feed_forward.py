"""The feed-forward block of a transformer, ``W2 dropout(relu(W1 x))``, made quick on a CPU.

It is nine tenths of the arithmetic of a narrow encoder with PyTorch's default width of 2048. What
PyTorch spends beside the products is what this file saves: dropout takes 16 random bits an entry
and not a whole draw, ReLU, dropout and their derivatives share one stored array, and tokens go
through in blocks that stay in the cache.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

_BLOCK = 640  # tokens; times 2048 units in float32: 5 MB
_LEVELS = 1 << 16


def dropped(shape: torch.Size, p: float, device: torch.device) -> Tensor:
    """Draw where to drop: True with probability ``p`` to 1 in 65,536, from torch's random state."""
    n = shape.numel()
    words = torch.empty((n + 3) // 4, dtype=torch.int64, device=device)
    words.random_(-(2**63), None)
    return words.view(torch.int16)[:n].view(shape) < round(p * _LEVELS) - _LEVELS // 2


def quick_dropout(x: Tensor, p: float, training: bool) -> Tensor:
    """Return dropout of ``x``; on a CPU with fewer random bits, elsewhere PyTorch's."""
    if not training or p == 0 or x.device.type != "cpu":
        return functional.dropout(x, p, training)
    return x.masked_fill(dropped(x.shape, p, x.device), 0.0) * (1 / (1 - p))


def feed_forward(
    x: Tensor, first: nn.Linear, second: nn.Linear, p: float, training: bool, low: bool
) -> Tensor:
    """Apply the block to tokens.

    Parameters
    ----------
    x : Tensor of shape (n_tokens, width)
    first, second : nn.Linear
        width to inner width, and back.
    p : float
        Dropout between them.
    training : bool
    low : bool
        Products in bfloat16 on a CPU, sums of gradients in float32.
    """
    if x.device.type == "cpu" and training:
        dtype = torch.bfloat16 if low else x.dtype
        weights = first.weight, first.bias, second.weight, second.bias
        result: Tensor = _FeedForward.apply(x, *weights, p, dtype)
        return result
    if x.device.type == "cpu":
        blocks = [second(functional.relu_(first(block))) for block in x.split(_BLOCK)]
        return torch.cat(blocks)
    return second(functional.dropout(functional.relu(first(x)), p, training))


class _FeedForward(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor, p: float, dtype: Any
    ) -> Tensor:
        tokens, enter, shift = x.to(dtype), w1.to(dtype), b1.to(dtype)
        leave = (w2 / (1 - p)).to(dtype)  # what is kept counts for what is dropped
        inner, out = [], []
        for block in tokens.split(_BLOCK):
            hidden = torch.addmm(shift, block, enter.t()).relu_()
            hidden.masked_fill_(dropped(hidden.shape, p, hidden.device), 0.0)
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
        blocks = zip(tokens.split(_BLOCK), given.split(_BLOCK), inner, strict=True)
        for block, above, hidden in blocks:
            to_w2 += above.t() @ hidden
            # Where hidden is not above 0, ReLU or dropout stopped it.
            back = torch.ops.aten.threshold_backward(above @ leave, hidden, 0)
            to_w1 += back.t() @ block
            to_b1 += back.sum(0, dtype=grad.dtype)
            to_x.append(back @ enter)
        scale = 1 / (1 - ctx.p)
        to_tokens = torch.cat(to_x).to(grad.dtype)
        return to_tokens, to_w1, to_b1, to_w2 * scale, grad.sum(0), None, None
