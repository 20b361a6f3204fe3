"""Patches where the network is: on the device once and for all, or read as they are needed."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from spared_bench.data import Patches
from spared_bench.models.moving import to_device

#: Bytes of patches kept in memory on the CPU; above it the operating system's page cache serves
#: the memory map, which the workers of one machine share.
CPU_BUDGET = 1 << 30


def resident_budget(device: str) -> int:
    """Return how many bytes may stay on a device: 1 GiB, or half of a GPU's free memory."""
    if torch.device(device).type != "cuda":
        return CPU_BUDGET
    free, _ = torch.cuda.mem_get_info(device)
    return free // 2


class DevicePatches:
    """The bytes of some patches, by position, on a device.

    Parameters
    ----------
    patches : Patches
    device : str
    budget : int, optional
        Bytes that may stay on the device. A set that fits is copied there once; a larger one is
        read batch by batch from its memory map. What comes out is the same.
    """

    def __init__(self, patches: Patches, device: str, budget: int | None = None) -> None:
        self._patches = patches
        self._device = torch.device(device)
        self._resident: Tensor | None = None
        limit = resident_budget(device) if budget is None else budget
        if math.prod(patches.shape) <= limit:
            self._resident = self._read(np.arange(len(patches)))

    @property
    def resident(self) -> bool:
        """Whether all patches stay on the device."""
        return self._resident is not None

    def __len__(self) -> int:
        return len(self._patches)

    def __getitem__(self, rows: Tensor) -> Tensor:
        """Return patches as uint8, (n, size, size, 3), for positions that are on the CPU."""
        if self._resident is None:
            return self._read(rows.numpy())
        return self._resident[to_device(rows, self._device)]

    def _read(self, rows: np.ndarray) -> Tensor:
        return torch.from_numpy(self._patches[rows]).to(self._device)


def resized(images: Tensor, size: int) -> Tensor:
    """Resize images, (n, channels, side, side), bilinearly to the one size that a network takes."""
    if images.shape[-1] == size:
        return images
    return functional.interpolate(images, size=(size, size), mode="bilinear", antialias=True)
