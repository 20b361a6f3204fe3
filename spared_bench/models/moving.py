"""From the CPU to a device, without waiting for what the device is doing."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import torch
from torch import Tensor


def to_device(values: Tensor, device: torch.device | str) -> Tensor:
    """Copy a small tensor to a device.

    ``Tensor.to`` returns when a GPU has done all that it was told before, so that it idles while
    the next work is prepared: positions, draws and constants of a step would stop it ten times.
    Here those of the CPU lie in memory that it reads by itself, when their turn comes.
    """
    if torch.device(device).type != "cuda" or values.device.type != "cpu":
        return values.to(device)
    return values.pin_memory().to(device, non_blocking=True)


def numbers_on(values: Sequence[float], device: torch.device | str) -> Tensor:
    """Return numbers as float32, (n,), on a device, to which they are copied once.

    They are shared: nobody may write to them.
    """
    return _numbers_on(tuple(values), str(device))


@cache
def _numbers_on(values: tuple[float, ...], device: str) -> Tensor:
    return torch.tensor(values, device=device)
