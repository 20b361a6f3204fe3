"""How a patch is resampled to the micrometres per pixel that an encoder was trained at."""

from __future__ import annotations

import math
from dataclasses import dataclass

from spared_bench.specs import EncoderSpec

_MOST_PX = 1024  # a wider patch is shown smaller, however large its micrometres


@dataclass(frozen=True)
class Framing:
    """What becomes of a patch before a network sees it.

    Parameters
    ----------
    side : int
        Pixels that the whole patch is resized to.
    crop : int
        Of the middle square that is then taken; 0: none.
    um_per_px : float
        Of the resized patch; 0 where the patch's own is unknown.
    """

    side: int
    crop: int
    um_per_px: float


def framing(spec: EncoderSpec, size: int, um_per_px: float) -> Framing:
    """Say how a patch is resampled to what an encoder was trained at.

    A patch of known scale is resampled to the nearest of the encoder's µm per pixel, rounded to
    what its network takes. Where that is ``size`` within half a step, where the network takes one
    size alone, or where either scale is unknown, the encoder's own resizing and cropping holds.

    Parameters
    ----------
    spec : EncoderSpec
    size : int
        Side of the patch in pixels.
    um_per_px : float
        Of the patch; 0: unknown.
    """
    usual = spec.resize or spec.size
    if spec.multiple == 1 and not spec.um_per_px and not spec.resize:
        return Framing(size, 0, max(um_per_px, 0.0))
    plain = Framing(usual, spec.crop or (spec.size if usual != spec.size else 0), 0.0)
    if um_per_px > 0:
        plain = Framing(plain.side, plain.crop, um_per_px * size / plain.side)
    if not (um_per_px > 0 and spec.um_per_px and spec.multiple):
        return plain
    wanted = min(spec.um_per_px, key=lambda um: abs(math.log(um / um_per_px)))
    exact = size * um_per_px / wanted
    if abs(exact - spec.size) <= spec.multiple / 2:
        return plain
    steps = max(1, round(exact / spec.multiple))
    side = min(steps, max(1, _MOST_PX // spec.multiple)) * spec.multiple
    return Framing(side, 0, um_per_px * size / side)
