"""Gaussian blur, as of a slide out of focus."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from spared_bench.models.augmentation.drawing import (
    in_chunks,
    on_some,
    require_between,
    require_range,
    uniform,
)
from spared_bench.models.moving import to_device

_REACH = 3  # standard deviations to each side that a kernel holds


@dataclass(frozen=True)
class Blur:
    """Blur some patches, each with a width of its own.

    Parameters
    ----------
    p : float
        The share of patches.
    sigma : (float, float)
        Between which standard deviations the kernel's lies, in pixels.
    """

    p: float = 0.5
    sigma: tuple[float, float] = (0.1, 2.0)

    def __post_init__(self) -> None:
        require_between("p", self.p, 0, 1)
        require_range("sigma", self.sigma, 1e-3, 50.0)

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Blur bytes, (n_patches, 3, size, size)."""
        sigmas = uniform(len(images), *self.sigma, generator)
        radius = min(math.ceil(_REACH * self.sigma[1]), min(images.shape[-2:]) - 1)
        return on_some(
            images, self.p, generator, lambda patches, rows: blurred(patches, sigmas[rows], radius)
        )


def blurred(images: Tensor, sigmas: Tensor, radius: int) -> Tensor:
    """Blur every patch by its own standard deviation.

    Parameters
    ----------
    images : Tensor of uint8, of shape (n_patches, 3, height, width)
    sigmas : Tensor of shape (n_patches,)
        In pixels, on the CPU.
    radius : int
        Pixels to each side that a kernel holds; below the side of a patch, at whose edge the image
        is mirrored about the last pixel.
    """
    steps = torch.arange(-radius, radius + 1)
    weights = torch.exp(-0.5 * (steps / sigmas[:, None]) ** 2)
    weights = to_device(weights / weights.sum(dim=1, keepdim=True), images.device)

    def change(patches: Tensor, part: slice) -> Tensor:
        n, channels, height, width = patches.shape
        # Each channel of each patch is a group of its own in one convolution.
        kernels = weights[part].repeat_interleave(channels, dim=0)
        x = functional.pad(patches, (radius,) * 4, mode="reflect")
        x = x.view(1, n * channels, *x.shape[-2:])
        x = functional.conv2d(x, kernels[:, None, None, :], groups=n * channels)
        x = functional.conv2d(x, kernels[:, None, :, None], groups=n * channels)
        return x.view(n, channels, height, width)

    return in_chunks(images, change)
