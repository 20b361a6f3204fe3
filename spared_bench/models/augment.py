"""From stored patches to what a network sees: the eight symmetries of the square, normalisation.

Flips and quarter turns move pixels and change none, so they act on the stored bytes, on the device,
each patch by its own draw (the published transforms turn a whole batch at once). Three fair coins,
for a horizontal flip, a vertical flip and a quarter turn, make the eight symmetries equally likely.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from spared_bench.errors import UsageError, did_you_mean
from spared_bench.models.moving import numbers_on, to_device

N_SYMMETRIES = 8
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
#: Mean and deviation by the name of the parameter ``normalisation``: ImageNet's; those of EGN's
#: authors, which SpaRED's BLEEP took over; none, from 0 to 1; and none, the bytes as they are.
NORMALISATIONS = {
    "imagenet": (IMAGENET_MEAN, IMAGENET_STD),
    "egn": ((0.5476, 0.5218, 0.6881), (0.2461, 0.2101, 0.1649)),
    "unit": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
    "raw": ((0.0, 0.0, 0.0), (1 / 255, 1 / 255, 1 / 255)),
}


def draw_symmetries(n_patches: int, generator: torch.Generator) -> Tensor:
    """Draw one symmetry per patch, (n_patches,), int64 in [0, 8), on the generator's device."""
    return torch.randint(N_SYMMETRIES, (n_patches,), generator=generator, device=generator.device)


def apply_symmetries(images: Tensor, codes: Tensor) -> Tensor:
    """Turn every patch by its own symmetry.

    Parameters
    ----------
    images : Tensor of shape (n_patches, size, size, channels)
    codes : Tensor of int64, of shape (n_patches,), on the CPU
        Bit 1 flips left and right, bit 2 up and down, bit 4 then turns by a quarter, anticlockwise.

    Returns
    -------
    Tensor of the shape, type and device of ``images``
    """
    turned = torch.empty_like(images)
    for code in range(N_SYMMETRIES):
        rows = to_device((codes == code).nonzero().squeeze(1), images.device)
        if len(rows):
            turned[rows] = symmetry(images[rows], code)
    return turned


def symmetry(images: Tensor, code: int) -> Tensor:
    """Turn all patches, (n_patches, size, size, channels), by one symmetry."""
    if code & 1:
        images = images.flip(2)
    if code & 2:
        images = images.flip(1)
    if code & 4:
        images = images.rot90(1, (1, 2))
    return images


def normalisation_of(name: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the mean and the deviation of a normalisation.

    Raises
    ------
    UsageError
        If there is none of this name.
    """
    if name not in NORMALISATIONS:
        raise UsageError(
            f"normalisation must be one of {', '.join(NORMALISATIONS)}; found {name!r}."
            f" {did_you_mean(name, list(NORMALISATIONS))}"
        )
    return NORMALISATIONS[name]


def normalise(
    images: Tensor,
    mean: Sequence[float] = IMAGENET_MEAN,
    std: Sequence[float] = IMAGENET_STD,
) -> Tensor:
    """Scale bytes to [0, 1], subtract the mean of each channel and divide by its deviation.

    Parameters
    ----------
    images : Tensor of uint8, of shape (n_patches, size, size, 3)
    mean, std : sequence of 3 floats
        ImageNet's by default.

    Returns
    -------
    Tensor of float32, of shape (n_patches, 3, size, size)
        Stored channels last, as the patches are: no copy, and the faster layout for convolutions.
    """
    scale = numbers_on([1 / (255 * s) for s in std], images.device)
    shift = numbers_on([-m / s for m, s in zip(mean, std, strict=True)], images.device)
    return torch.addcmul(shift, images.float(), scale).permute(0, 3, 1, 2)
