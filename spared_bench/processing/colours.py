"""What the bands of an image mean, and how they become red, green and blue of 8 bits.

Grey is repeated over the channels. A band is an opacity only where the file says so; the image is
then laid on white, the colour of an empty slide. Values of more than 8 bits are scaled by 255 over
the largest value that the file allows for, and truncated, as in the published library.

Of fluorescence images the first three stains are the colours, as in the published library, which
drops the last channel of an image that has not three; where there are fewer, the others are black.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_COLOURS = 3
#: Light passes most of a stained section: an image that leaves this part of its range empty was
#: stored in a wider type than it was measured in.
_DARK = 1 / 4
#: An opacity that is nowhere above this part of its range shows nothing: a mask of 0 and 1, say.
_FAINT = 1 / 16


@dataclass(frozen=True, eq=False)
class Colours:
    """The meaning of the bands of one image.

    Parameters
    ----------
    top : int
        The value of full intensity: 255, 65535, or what the file says.
    stated : bool
        Whether the file says so, rather than only its type.
    opacity : int, optional
        The band that is an opacity.
    premultiplied : bool
        Whether the colours are multiplied by the opacity already.
    inverted : bool
        Whether 0 is white (grey images only).
    palette : ndarray of uint8, of shape (n_values, 3), optional
        The colour of each value of a band.
    reduced : bool
        Whether the file has 16 bits, of which its reader took the upper eight.
    stains : bool
        Whether the bands are stains: any number of them, and none is an opacity.
    notes : tuple of str
        What was done that a user should know of, in sentences.
    """

    top: int
    stated: bool = False
    opacity: int | None = None
    premultiplied: bool = False
    inverted: bool = False
    palette: np.ndarray | None = None
    reduced: bool = False
    stains: bool = False
    notes: tuple[str, ...] = ()

    @property
    def plain(self) -> bool:
        """Whether three bands of 8 bits are the colours, with nothing to change or to doubt."""
        own = self.opacity is None and self.palette is None and not (self.inverted or self.stains)
        return own and self.top == 255 and (self.stated or not self.reduced)

    def to_rgb(self, pixels: np.ndarray) -> np.ndarray:
        """Turn (height, width, bands), uint8 or uint16, into (height, width, 3), uint8."""
        if self.palette is not None:
            return self.palette[pixels[..., 0]]
        if self.top != 255:
            pixels = (pixels / self.top * 255).astype(np.uint8)
        if self.stains:
            pixels = pixels[..., :_COLOURS]
            return np.pad(pixels, ((0, 0), (0, 0), (0, _COLOURS - pixels.shape[2])))
        first = pixels[..., : _COLOURS if pixels.shape[2] >= _COLOURS else 1]
        if self.inverted:
            first = 255 - first
        if self.opacity is not None:
            opacity = pixels[..., self.opacity, None] / 255
            below = first if self.premultiplied else first * opacity
            first = np.rint(np.minimum(below + 255 * (1 - opacity), 255)).astype(np.uint8)
        return np.repeat(first, 3, axis=2) if first.shape[2] == 1 else first

    def exceeded(self, pixels: np.ndarray) -> bool:
        """Return whether a value of a colour or an opacity is above ``top``."""
        if self.top >= np.iinfo(pixels.dtype).max:
            return False
        shown = pixels[..., : _COLOURS if pixels.shape[2] >= _COLOURS else 1]
        return bool(
            shown.max() > self.top
            or (self.opacity is not None and pixels[..., self.opacity].max() > self.top)
        )

    def dark(self, pixels: np.ndarray) -> bool:
        """Return whether all of a brightfield image could be of fewer bits than its type has."""
        if self.stated or self.stains or not (self.top > 255 or self.reduced):
            return False
        light = pixels[..., :_COLOURS] if self.opacity is None else pixels[..., : self.opacity]
        return bool(light.max() <= self.top * _DARK)

    def transparent(self, pixels: np.ndarray) -> bool:
        """Return whether nothing can be seen of an image."""
        if self.opacity is None:
            return False
        return bool(pixels[..., self.opacity].max() <= self.top * _FAINT)
