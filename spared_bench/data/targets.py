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


#: Targets that are no function of one count and its spot's depth; made of the chosen genes' counts.
OF_MORE: tuple[str, ...] = ("log_share", "pearson_residuals")

#: What each target is, for people.
IN_WORDS: dict[str, str] = {
    "log2_tpm": "log2(1 + transcripts per million, gene lengths divided out, of the kept genes)",
    "tpm": "transcripts per million, gene lengths divided out, of the kept genes",
    "log1p_cp10k": "ln(1 + counts per 10,000 counts of the spot, of all its genes)",
    "log1p_cpm": "ln(1 + counts per million counts of the spot, of all its genes)",
    "cpm": "counts per million counts of the spot, of all its genes",
    "log1p_counts": "ln(1 + counts)",
    "counts": "counts as they are",
    "log_share": "ln of the share of (1 + counts) among the chosen genes",
    "pearson_residuals": "analytic Pearson residuals of counts, given the spot's total",
}


def depth_of(target: str) -> Depth:
    """Return what the counts of a spot are divided by, or set beside: its library, mostly."""
    return "library" if target in OF_MORE else TARGETS[target].depth
