"""The feed-forward block of a transformer, ``W2 dropout(relu(W1 x))``, made quick on a CPU.

It is nine tenths of the arithmetic of a narrow encoder with PyTorch's default width of 2048. What
PyTorch spends beside the products is what this file saves: dropout takes 16 random bits an entry
of a quick generator, ReLU, dropout and their derivatives share one stored array, and tokens go
through in blocks that stay in the cache.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

_BLOCK_BYTES = 5 << 20  # of inner units at a time, for the cache
_LEVELS = 1 << 16


class Kept:
    """Draws what dropout keeps, from a stream of its own that torch's random state begins.

    Parameters
    ----------
    p : float
        In [0, 1), the probability with which an entry is dropped, to 1 in 65,536.
    dtype : torch.dtype
        Of the factors.
    """

    def __init__(self, p: float, dtype: torch.dtype) -> None:
        self._bound, self._dtype = round(p * _LEVELS) - _LEVELS // 2, dtype
        self._bits = np.random.SFC64(int(torch.randint(1 << 62, ())))

    def factors(self, shape: torch.Size) -> Tensor:
        """Return 1 where an entry is kept and 0 where it is dropped, of this shape."""
        n = shape.numel()
        words = torch.from_numpy(self._bits.random_raw((n + 3) // 4).view(np.int16)[:n])
        # Into integers of the same width, which the processor compares many at a time.
        return torch.ge(words, self._bound, out=words).to(self._dtype).view(shape)


def quick_dropout(x: Tensor, p: float, training: bool) -> Tensor:
    """Return dropout of ``x``; on a CPU with fewer random bits, elsewhere PyTorch's."""
    if not training or p == 0 or x.device.type != "cpu":
        return functional.dropout(x, p, training)
    return x * Kept(p, x.dtype).factors(x.shape).mul_(1 / (1 - p))


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
        size = _block_size(first.out_features, x.dtype)
        blocks = [second(functional.relu_(first(block))) for block in x.split(size)]
        return torch.cat(blocks)
    return second(functional.dropout(functional.relu(first(x)), p, training))


def _block_size(inner: int, dtype: torch.dtype) -> int:
    return max(1, _BLOCK_BYTES // (inner * dtype.itemsize))


class _FeedForward(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor, p: float, dtype: Any
    ) -> Tensor:
        tokens, enter, shift = x.to(dtype), w1.to(dtype), b1.to(dtype)
        leave = (w2 / (1 - p)).to(dtype)  # what is kept counts for what is dropped
        ctx.p, ctx.size = p, _block_size(len(enter), dtype)
        kept = Kept(p, dtype) if p else None
        inner, out = [], []
        for block in tokens.split(ctx.size):
            hidden = torch.addmm(shift, block, enter.t()).relu_()
            if kept is not None:
                hidden.mul_(kept.factors(hidden.shape))
            inner.append(hidden)
            out.append(hidden @ leave.t())
        ctx.save_for_backward(tokens, enter, leave, *inner)
        return torch.cat(out).to(x.dtype) + b2

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        tokens, enter, leave, *inner = ctx.saved_tensors
        grad = grads[0]
        given, ones = grad.to(tokens.dtype), tokens.new_ones(1, ctx.size)
        to_w1, to_w2 = grad.new_zeros(enter.shape), grad.new_zeros(leave.shape)
        to_b1, to_x = grad.new_zeros(len(enter)), []
        blocks = zip(tokens.split(ctx.size), given.split(ctx.size), inner, strict=True)
        for block, above, hidden in blocks:
            to_w2 += above.t() @ hidden
            # Where hidden is not above 0, ReLU or dropout stopped it.
            back = torch.ops.aten.threshold_backward(above @ leave, hidden, 0)
            to_w1 += back.t() @ block
            to_b1 += (ones[:, : len(back)] @ back)[0]  # a sum, as a product
            to_x.append(back @ enter)
        scale = 1 / (1 - ctx.p)
        to_tokens = torch.cat(to_x).to(grad.dtype)
        return to_tokens, to_w1, to_b1, to_w2 * scale, grad.sum(0), None, None
