"""Patches without colour."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from spared_bench.models.augmentation.drawing import in_chunks, on_some, require_between

#: Of red, green and blue in what the eye takes for brightness (ITU-R BT.601).
_WEIGHTS = (0.2989, 0.587, 0.114)


@dataclass(frozen=True)
class Grey:
    """Take the colour from some patches.

    Parameters
    ----------
    p : float
        The share of patches; 0.1 as in Hist2ST's views.
    """

    p: float = 0.1

    def __post_init__(self) -> None:
        require_between("p", self.p, 0, 1)

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Take the colour from bytes, (n_patches, 3, size, size)."""
        return on_some(images, self.p, generator, lambda patches, rows: without_colour(patches))


def without_colour(images: Tensor) -> Tensor:
    """Give all three channels the brightness of bytes, (n, 3, height, width)."""
    return in_chunks(images, lambda x, part: luma(x).expand_as(x).clone())


def luma(images: Tensor) -> Tensor:
    """Return the brightness of float images: (n, 3, height, width) -> (n, 1, height, width)."""
    red, green, blue = images.split(1, dim=1)
    return (red * _WEIGHTS[0]).add_(green, alpha=_WEIGHTS[1]).add_(blue, alpha=_WEIGHTS[2])
