"""Channels that are sums of channels: colours from stains, and back."""

from __future__ import annotations

import torch
from torch import Tensor


def mixed(values: Tensor, matrices: Tensor, offset: Tensor | None = None) -> Tensor:
    """Return a matrix times the three channels of each pixel, plus an offset.

    Parameters
    ----------
    values : Tensor of float32, of shape (n, 3, height, width)
    matrices : Tensor of float32, of shape (n, 3, 3)
    offset : Tensor of float32, of shape (3,) or (n, 3), optional

    Returns
    -------
    Tensor of float32, of shape (n, 3, height, width)
    """
    if values.is_cuda:
        return _sums(values, matrices, offset)
    flat = values.flatten(2)
    if offset is None:
        return torch.bmm(matrices, flat).view_as(values)
    return torch.baddbmm(offset[..., None], matrices, flat).view_as(values)


def _sums(values: Tensor, matrices: Tensor, offset: Tensor | None) -> Tensor:
    # A GPU's products of such narrow matrices take twice as long as three sums.
    weights = matrices.permute(1, 2, 0)[..., None, None]  # (3, 3, n, 1, 1)
    starts = None if offset is None else offset.expand(len(values), 3).T[..., None, None]
    first, *others = values.unbind(dim=1)
    found = torch.empty_like(values)
    for at, out in enumerate(found.unbind(dim=1)):
        if starts is None:
            torch.mul(first, weights[at, 0], out=out)
        else:
            torch.addcmul(starts[at], first, weights[at, 0], out=out)
        for other, weight in zip(others, weights[at, 1:], strict=True):
            out.addcmul_(other, weight)
    return found
