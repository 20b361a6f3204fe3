"""The colour spaces of RandStainNA, for batches of patches, in the units of its source.

LAB and HSV are those of OpenCV's bytes, which the source works in: L times 2.55, a and b plus 128;
hue from 0 to 180, saturation and value from 0 to 255. HED is scikit-image's ``rgb2hed``. Unlike in
the source, nothing is rounded to bytes on the way.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Protocol

import torch
from torch import Tensor

from spared_bench.models.augmentation.hed_jitter import _STAINS
from spared_bench.models.augmentation.mixing import mixed
from spared_bench.models.moving import to_device

_DARKEST = 1e-6  # as scikit-image has it: black has a density, too
_WHITE = torch.tensor([0.95047, 1.0, 1.08883], dtype=torch.float64)  # D65, 2 degrees
_XYZ = torch.tensor(
    [
        [0.412453, 0.357580, 0.180423],
        [0.212671, 0.715160, 0.072169],
        [0.019334, 0.119193, 0.950227],
    ],
    dtype=torch.float64,
)
#: L, a and b in the units of bytes, of the three roots: a matrix and an offset.
_LAB = torch.tensor(
    [[0.0, 116 * 2.55, 0.0], [500.0, -500.0, 0.0], [0.0, 200.0, -200.0]], dtype=torch.float64
)
_LAB_OFFSET = torch.tensor([-16 * 2.55, 128.0, 128.0], dtype=torch.float64)
_STEPS = 1 << 16  # of the tables of a function


class ColourSpace(Protocol):
    """A colour space: there and back.

    Attributes
    ----------
    bounded : bool
        Whether the source cuts channels to 0 to 255.
    """

    bounded: bool

    def channels(self, images: Tensor) -> Tensor:
        """Return the channels of colours from 0 to 255, float32; both (n, 3, height, width)."""
        ...

    def colours(self, channels: Tensor) -> Tensor:
        """Return colours from 0 to 255, float32, of channels; both (n, 3, height, width)."""
        ...


class Lab:
    """CIELAB under D65, as bytes hold it."""

    bounded = True

    def channels(self, images: Tensor) -> Tensor:
        """Return L, a and b."""
        light = _looked_up(images, _light_of_bytes())
        roots = _evenly(_mixed(light, _XYZ / _WHITE[:, None]), 0.0, 1.01, _root)
        return _mixed(roots, _LAB, _LAB_OFFSET)

    def colours(self, channels: Tensor) -> Tensor:
        """Return colours; what no screen shows is cut."""
        back = torch.linalg.inv(_LAB)
        roots = _mixed(channels, back, -(back @ _LAB_OFFSET))
        roots[:, 2].clamp_(min=0)  # as scikit-image has it
        light = _mixed(_evenly(roots, -0.5, 1.7, _cube), torch.linalg.inv(_XYZ) * _WHITE)
        return _evenly(light, 0.0, 1.0, _byte_of_light)


class Hsv:
    """Hue in half degrees, saturation and value."""

    bounded = True

    def channels(self, images: Tensor) -> Tensor:
        """Return hue, saturation and value; a grey has hue 0."""
        value, least = images.amax(dim=1), images.amin(dim=1)
        span = value - least
        red, green, blue = images.unbind(dim=1)
        # Of a third of the circle each, as a sum: choosing pixel by pixel is slower.
        in_red = (value == red).float()
        in_green = (value == green).float().mul_(1 - in_red)
        hue = (green - blue).mul_(in_red) + (blue - red + 2 * span).mul_(in_green)
        hue += (red - green + 4 * span).mul_(1 - in_red - in_green)
        hue = hue.mul_(30 / span.clamp(min=1)).remainder_(180)
        saturation = span.mul_(255 / value.clamp(min=1))
        return torch.stack([hue, saturation, value], dim=1)

    def colours(self, channels: Tensor) -> Tensor:
        """Return colours; a hue beyond 180 goes round."""
        hue, saturation, value = channels.unbind(dim=1)
        found = torch.empty_like(channels)
        depth = value * saturation / 255
        for at, shift in enumerate((5.0, 3.0, 1.0)):  # red, green, blue
            turned = (hue / 30).add_(shift).remainder_(6)
            found[:, at] = value - depth * torch.minimum(turned, 4 - turned).clamp_(0, 1)
        return found


class Hed:
    """Amounts of haematoxylin, eosin and DAB, none below 0, in units of the density of black."""

    bounded = False

    def channels(self, images: Tensor) -> Tensor:
        """Return the amounts."""
        bytes_ = torch.arange(256, dtype=torch.float64)
        density = (bytes_ / 255).clamp(min=_DARKEST).log() / math.log(_DARKEST)
        return _mixed(_looked_up(images, density), torch.linalg.inv(_STAINS).T).clamp_(min=0)

    def colours(self, channels: Tensor) -> Tensor:
        """Return colours, stretched to the range of bytes in each patch, as the source does."""
        colours = _mixed(channels, math.log(_DARKEST) * _STAINS.T).exp_().clamp_(0, 1)
        low = colours.amin(dim=(1, 2, 3), keepdim=True)
        span = colours.amax(dim=(1, 2, 3), keepdim=True) - low
        return (colours - low).mul_(255 / span.clamp(min=1e-6))


SPACES: dict[str, ColourSpace] = {"lab": Lab(), "hsv": Hsv(), "hed": Hed()}


def _looked_up(images: Tensor, table: Tensor) -> Tensor:
    """Return what a table has for every byte, (n, 3, height, width), float32."""
    there = to_device(table.float(), images.device)
    return there.index_select(0, images.int().flatten()).view_as(images)


def _evenly(values: Tensor, low: float, high: float, of: Callable[[Tensor], Tensor]) -> Tensor:
    """Return a function of values that are cut to a range, from a table of it, in place of them.

    Many times as fast as powers and choices pixel by pixel, and off by less than half a byte.
    """
    table = _table(low, high, of, values.device)
    at = values.sub_(low).mul_(_STEPS / (high - low)).round_().clamp_(0, _STEPS).int()
    return table.index_select(0, at.flatten()).view_as(values)


@cache
def _table(low: float, high: float, of: Callable[[Tensor], Tensor], device: torch.device) -> Tensor:
    return of(torch.linspace(low, high, _STEPS + 1, dtype=torch.float64)).float().to(device)


def _mixed(values: Tensor, matrix: Tensor, offset: Tensor | None = None) -> Tensor:
    """Return a matrix times the channels of each pixel, plus an offset."""
    rows = to_device(matrix.float(), values.device).expand(len(values), 3, 3)
    return mixed(values, rows, None if offset is None else to_device(offset.float(), values.device))


def _light_of_bytes() -> Tensor:
    """Return the light of every byte of sRGB, (256,)."""
    shares = torch.arange(256, dtype=torch.float64) / 255
    return torch.where(shares > 0.04045, ((shares + 0.055) / 1.055) ** 2.4, shares / 12.92)


def _byte_of_light(light: Tensor) -> Tensor:
    """Return the value of sRGB, 0 to 255."""
    bright = 1.055 * light.clamp(min=0.0031308) ** (1 / 2.4) - 0.055
    return 255 * torch.where(light > 0.0031308, bright, 12.92 * light)


def _root(light: Tensor) -> Tensor:
    """Return CIELAB's root of light relative to white."""
    return torch.where(light > 0.008856, light ** (1 / 3), 7.787 * light + 16 / 116)


def _cube(root: Tensor) -> Tensor:
    """Return the light of which it is the root."""
    return torch.where(root > 0.2068966, root**3, (root - 16 / 116) / 7.787)
