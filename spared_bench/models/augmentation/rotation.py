"""Turns by any angle about the middle of the patch."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from spared_bench.errors import UsageError
from spared_bench.models.augmentation.drawing import require_between, uniform
from spared_bench.models.augmentation.resampling import resample
from spared_bench.models.moving import to_device

PADDINGS = ("reflection", "border", "zeros")


@dataclass(frozen=True)
class Rotation:
    """Turn each patch by an angle of its own.

    Parameters
    ----------
    degrees : float
        Angles lie evenly between minus this and this; 180, as HisToGene's code, is any angle.
    padding : {"reflection", "border", "zeros"}
        What the corners are filled with. Torchvision fills with zeros, which no tissue has.
    """

    degrees: float = 180.0
    padding: str = "reflection"

    def __post_init__(self) -> None:
        require_between("degrees", self.degrees, 0, 180)
        if self.padding not in PADDINGS:
            raise UsageError(
                f"padding of a rotation is {self.padding!r}; expected {', '.join(PADDINGS)}."
            )

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Turn bytes, (n_patches, 3, size, size), anticlockwise."""
        angles = uniform(len(images), -self.degrees, self.degrees, generator)
        return rotate(images, angles, self.padding)


def rotate(images: Tensor, angles: Tensor, padding: str = "reflection") -> Tensor:
    """Turn every patch by its own angle, in degrees, anticlockwise; bilinear."""
    height, width = images.shape[-2:]
    turn = to_device(angles * (math.pi / 180), images.device).view(-1, 1, 1)
    right = torch.arange(width, device=images.device) - (width - 1) / 2
    down = (torch.arange(height, device=images.device) - (height - 1) / 2)[:, None]
    cos, sin = turn.cos(), turn.sin()
    x = cos * right - sin * down + (width - 1) / 2
    y = sin * right + cos * down + (height - 1) / 2
    return resample(images, x, y, padding)
