"""Differences, intervals and probabilities as people read them."""

from __future__ import annotations

import math

from spared_bench.leaderboard.text import NONE, difference, fixed


def signed(value: float) -> str:
    """Return a difference with its sign; a dash for nan."""
    return difference(value).replace("-", "−")


def interval(low: float, high: float) -> str:
    """Return an interval as people read it; a dash where there is none."""
    return NONE if math.isnan(low) else f"{signed(low)} to {signed(high)}"


def probability(p: float) -> str:
    """Return a p as people read it; a dash for nan."""
    if math.isnan(p):
        return NONE
    return "< 0.001" if p < 0.001 else fixed(p)
