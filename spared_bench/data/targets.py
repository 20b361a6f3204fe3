"""The targets that a protocol may name: what counts are divided by, and of which logarithm."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

Depth = Literal["library", "length", "none"]


@dataclass(frozen=True)
class TargetScale:
    """How counts become a target: ``log(1 + counts * per / depth) / log(base)``.

    Parameters
    ----------
    per : float
        What the depth of a spot is made to be.
    depth : {"library", "length", "none"}
        All counts of a spot; its counts per base of gene length; or 1.
    base : float
        Of the logarithm; 0 where none is taken.
    """

    per: float
    depth: Depth
    base: float


TARGETS: dict[str, TargetScale] = {
    "log2_tpm": TargetScale(1e6, "length", 2.0),
    "tpm": TargetScale(1e6, "length", 0.0),
    "log1p_cp10k": TargetScale(1e4, "library", math.e),
    "log1p_cpm": TargetScale(1e6, "library", math.e),
    "cpm": TargetScale(1e6, "library", 0.0),
    "log1p_counts": TargetScale(1.0, "none", math.e),
    "counts": TargetScale(1.0, "none", 0.0),
}
