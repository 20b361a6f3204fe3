"""Gaussian noise, independent from pixel to pixel."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from spared_bench.models.augmentation.drawing import (
    in_chunks,
    per_patch,
    require_range,
    uniform,
)

_HIGHEST = 2**63 - 1


@dataclass(frozen=True)
class Noise:
    """Add noise to each patch, of a strength of its own.

    Parameters
    ----------
    sigma : (float, float)
        Between which standard deviations that of a patch lies, as shares of the range of bytes.
    """

    sigma: tuple[float, float] = (0.0, 0.1)

    def __post_init__(self) -> None:
        require_range("sigma", self.sigma, 0.0, 1.0)

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Add noise to bytes, (n_patches, 3, size, size)."""
        strength = per_patch(255 * uniform(len(images), *self.sigma, generator), images.device)
        own = generator
        if images.device.type != "cpu":
            # Millions of numbers are drawn where they are needed, from a seed of the generator.
            seed = int(torch.randint(_HIGHEST, (), generator=generator))
            own = torch.Generator(images.device).manual_seed(seed)

        def change(patches: Tensor, part: slice) -> Tensor:
            drawn = torch.empty_like(patches).normal_(generator=own)
            return patches.addcmul_(drawn, strength[part])

        return in_chunks(images, change)
