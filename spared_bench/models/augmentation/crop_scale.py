"""A square part of the patch, enlarged to the whole."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from spared_bench.models.augmentation.drawing import require_range, uniform
from spared_bench.models.augmentation.resampling import resample
from spared_bench.models.moving import to_device


@dataclass(frozen=True)
class CropScale:
    """Cut a part of each patch, of its shape, and enlarge it to the patch's size.

    Parameters
    ----------
    side : (float, float)
        Between which shares of the patch's side that of the part lies; 0.5 to 1 as in DeepSpaCE.
        Nothing lies beyond a patch, so the part is never larger.
    """

    side: tuple[float, float] = (0.5, 1.0)

    def __post_init__(self) -> None:
        require_range("side", self.side, 0.01, 1.0)

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Cut and enlarge bytes, (n_patches, 3, size, size)."""
        size = torch.tensor(images.shape[-2:])
        share = uniform(len(images), *self.side, generator)
        parts = (share[:, None] * size).round().clamp(min=1).long()  # (n, 2): height, width
        free = size - parts + 1
        corners = (torch.rand(len(images), 2, generator=generator) * free).long()
        return crop(images, torch.minimum(corners, free - 1), parts)


def crop(images: Tensor, corners: Tensor, parts: Tensor) -> Tensor:
    """Enlarge a part of every patch to the whole, bilinearly.

    Parameters
    ----------
    images : Tensor of uint8, of shape (n_patches, 3, height, width)
    corners : Tensor of int64, of shape (n_patches, 2)
        Row and column of a part's first pixel.
    parts : Tensor of int64, of shape (n_patches, 2)
        Its height and width.
    """
    places = []
    for axis, length in enumerate(images.shape[-2:]):
        part = to_device(parts[:, axis : axis + 1], images.device)
        pixel = torch.arange(length, device=images.device)
        within = (pixel + 0.5) * (part / length) - 0.5
        # What lies beyond the part is not looked at, not even by half a pixel.
        places.append(
            torch.minimum(within.clamp(min=0), part - 1)
            + to_device(corners[:, axis : axis + 1], images.device)
        )
    return resample(images, places[1][:, None, :], places[0][:, :, None], "border")
