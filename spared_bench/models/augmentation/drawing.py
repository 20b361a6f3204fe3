"""Draws for every patch of a batch, and work on a part of it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from spared_bench.errors import UsageError
from spared_bench.models.moving import to_device

#: Values that are worked on at once: what a CPU's cache holds, and what a GPU is busy with.
_ON_CPU, _ON_GPU = 1 << 19, 1 << 26


def uniform(n: int, low: float, high: float, generator: torch.Generator) -> Tensor:
    """Draw a number in [low, high) for every patch, (n,), float32, on the CPU."""
    return low + (high - low) * torch.rand(n, generator=generator)


def on_some(
    images: Tensor, p: float, generator: torch.Generator, change: Callable[[Tensor, Tensor], Tensor]
) -> Tensor:
    """Change each patch with probability ``p``, and leave the others as they are.

    Parameters
    ----------
    images : Tensor of shape (n_patches, 3, size, size)
    p : float
    generator : torch.Generator
    change : callable
        ``(patches, rows) -> patches``; the rows, on the CPU, say which of ``images`` they are.
    """
    rows = (torch.rand(len(images), generator=generator) < p).nonzero().squeeze(1)
    if len(rows) == len(images):
        return change(images, rows)
    changed = images.clone()
    if len(rows):
        here = to_device(rows, images.device)
        changed[here] = change(images[here], rows)
    return changed


def in_chunks(images: Tensor, change: Callable[[Tensor, slice], Tensor]) -> Tensor:
    """Change some patches at a time, so that what lies between stays in the processor's cache.

    Parameters
    ----------
    images : Tensor of uint8, of shape (n_patches, 3, size, size)
    change : callable
        ``(patches as float32, which of them) -> patches`` with values from 0 to 255, which are
        rounded and cut to bytes.
    """
    at_once = _ON_CPU if images.device.type == "cpu" else _ON_GPU
    step = max(1, at_once // max(1, images[0].numel() if len(images) else 1))
    changed = torch.empty_like(images)
    for start in range(0, len(images), step):
        part = slice(start, start + step)
        floats = images[part].to(torch.float32, memory_format=torch.contiguous_format)
        changed[part] = change(floats, part).round_().clamp_(0, 255)
    return changed


def per_patch(values: Tensor, device: torch.device) -> Tensor:
    """Shape one number per patch, (n,), so that it meets images, (n, 1, 1, 1), on their device."""
    return to_device(values, device).view(-1, 1, 1, 1)


def require_between(name: str, value: float, low: float, high: float) -> None:
    """Refuse a parameter out of its range.

    Raises
    ------
    UsageError
    """
    if isinstance(value, bool) or not low <= value <= high:
        raise UsageError(f"{name} of an augmentation is {value}; expected {low} to {high}.")


def require_range(name: str, value: tuple[float, float], low: float, high: float) -> None:
    """Refuse a range that is none, or that leaves another.

    Raises
    ------
    UsageError
    """
    switches = any(isinstance(each, bool) for each in value)
    if switches or len(value) != 2 or not low <= value[0] <= value[1] <= high:
        raise UsageError(
            f"{name} of an augmentation is {list(value)}; expected two numbers from {low} to"
            f" {high}, the smaller first."
        )
