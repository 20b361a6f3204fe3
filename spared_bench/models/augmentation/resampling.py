"""Patches looked at through other coordinates, with bilinear interpolation."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from spared_bench.models.augmentation.drawing import in_chunks


def resample(images: Tensor, x: Tensor, y: Tensor, padding: str = "reflection") -> Tensor:
    """Take every pixel from another place of its patch.

    Parameters
    ----------
    images : Tensor of uint8, of shape (n_patches, 3, height, width)
    x, y : Tensor of float32, (n_patches, height, width) or what is broadcast to it
        Columns and rows; a pixel's centre is a whole number.
    padding : {"reflection", "border", "zeros"}
        What lies beyond the edge; reflected at the outer edge of the last pixel.
    """
    height, width = images.shape[-2:]

    def change(patches: Tensor, part: slice) -> Tensor:
        shape = len(patches), height, width
        across = ((2 * x[part] + 1) / width - 1).expand(shape)
        down = ((2 * y[part] + 1) / height - 1).expand(shape)
        grid = torch.stack([across, down], dim=3)
        return functional.grid_sample(patches, grid, "bilinear", padding, align_corners=False)

    return in_chunks(images, change)
