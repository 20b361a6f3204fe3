"""Brightness, contrast, saturation and hue, as torchvision defines them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from spared_bench.models.augmentation.drawing import (
    in_chunks,
    per_patch,
    require_between,
    uniform,
)
from spared_bench.models.augmentation.grey import luma


@dataclass(frozen=True)
class ColourJitter:
    """Change the colours of each patch by factors of its own, always in this order.

    Parameters
    ----------
    brightness, contrast, saturation : float
        Factors lie evenly between 1 minus this, but not below 0, and 1 plus this; 0.5 as in
        HisToGene's code.
    hue : float
        Hues move by a share of the circle between minus this and this; up to 0.5.
    """

    brightness: float = 0.5
    contrast: float = 0.5
    saturation: float = 0.5
    hue: float = 0.0

    def __post_init__(self) -> None:
        for name in ("brightness", "contrast", "saturation"):
            require_between(name, getattr(self, name), 0, 10)
        require_between("hue", self.hue, 0, 0.5)

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Change bytes, (n_patches, 3, size, size)."""
        widths = self.brightness, self.contrast, self.saturation
        bright, contrast, saturation = (
            uniform(len(images), max(0, 1 - width), 1 + width, generator) for width in widths
        )
        turns = uniform(len(images), -self.hue, self.hue, generator) if self.hue else None
        return jitter(images, bright, contrast, saturation, turns)


def jitter(
    images: Tensor,
    brightness: Tensor,
    contrast: Tensor,
    saturation: Tensor,
    hue: Tensor | None = None,
) -> Tensor:
    """Change the colours of every patch by its own factors, each (n_patches,), on the CPU.

    Values are rounded to bytes once, at the end; torchvision cuts them off after every step.
    """
    given = (brightness, contrast, saturation, *([] if hue is None else [hue]))
    bright, contrasts, saturations, *turns = (per_patch(each, images.device) for each in given)

    def change(x: Tensor, part: slice) -> Tensor:
        x = x.mul_(bright[part]).clamp_(0, 255)
        middle = luma(x).mean(dim=(1, 2, 3), keepdim=True)
        x = x.sub_(middle).mul_(contrasts[part]).add_(middle).clamp_(0, 255)
        grey = luma(x)
        x = x.sub_(grey).mul_(saturations[part]).add_(grey).clamp_(0, 255)
        return turn_hue(x, turns[0][part]) if turns else x

    return in_chunks(images, change)


def turn_hue(images: Tensor, turns: Tensor) -> Tensor:
    """Turn the hue of float images, (n, 3, height, width), by shares of the circle, (n, 1, 1, 1).

    Value and saturation stay as they are.
    """
    high, low = images.amax(dim=1, keepdim=True), images.amin(dim=1, keepdim=True)
    spread = high - low
    red, green, blue = images.split(1, dim=1)
    safe = torch.where(spread > 0, spread, 1.0)
    sector = torch.where(
        high == red,
        (green - blue) / safe,
        torch.where(high == green, 2 + (blue - red) / safe, 4 + (red - green) / safe),
    )
    sector = sector + 6 * turns  # in sixths of the circle
    # A channel falls from the highest value to the lowest as the hue leaves its own sector.
    offsets = torch.tensor([5.0, 3.0, 1.0], device=images.device).view(1, 3, 1, 1)
    k = (offsets + sector) % 6
    return high - spread * torch.minimum(k, 4 - k).clamp(0, 1)
