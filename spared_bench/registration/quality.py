"""How good a registration is, as numbers and as a flag with reasons.

The bounds were set on HER2+ patient C (C2, C3, C4: Dice 0.96 to 0.98, correlation 0.77 to 0.83,
margin 0.5) and two olfactory bulbs of different mice (0.92, 0.72, 0.37) against pairs of different
tissues (Dice up to 0.81, correlation up to 0.50, margin up to 0.17) and halves of sections (Dice
0.70): docs/sections.md has the table and its command.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from spared_bench.registration.pictures import Picture
from spared_bench.registration.search import Searched, moved

LEAST_DICE = 0.8
LEAST_CORRELATION = 0.5
LEAST_MARGIN = 0.15


@dataclass(frozen=True)
class Quality:
    """What speaks for a registration of two sections.

    Parameters
    ----------
    dice : float
        Of the tissues, in [0, 1].
    correlation : float
        Of grey levels smoothed to half a pitch, over both tissues, in [-1, 1]: where one has no
        tissue it counts as having the mean level of the other.
    score, runner_up : float
        Dice + correlation of the best turn and of the best that is far from it; nan where turns
        were not tried.
    reasons : tuple of str
        Why it is in doubt, a sentence each; none of a good one.
    """

    dice: float = float("nan")
    correlation: float = float("nan")
    score: float = float("nan")
    runner_up: float = float("nan")
    reasons: tuple[str, ...] = ()

    @property
    def margin(self) -> float:
        """By how much the best turn is better than the runner-up."""
        return self.score - self.runner_up

    @property
    def good(self) -> bool:
        """Whether nothing speaks against it."""
        return not self.reasons

    def as_dict(self) -> dict[str, Any]:
        """Return JSON-ready values; ``None`` where undefined."""
        values = {**asdict(self), "margin": self.margin, "good": self.good}
        values["reasons"] = list(self.reasons)
        return {
            name: None if isinstance(value, float) and not np.isfinite(value) else value
            for name, value in values.items()
        }


def quality_of(
    fixed: Picture,
    other: Picture,
    matrix: np.ndarray,
    searched: Searched | None = None,
    mirrored: float = float("-inf"),
) -> Quality:
    """Judge a matrix between the grids of two pictures.

    ``mirrored`` is the score of the best turn of the other picture's mirror image.
    """
    grey, tissue = moved(other, matrix)
    dice = float(2 * np.minimum(fixed.tissue, tissue).sum() / (fixed.tissue + tissue).sum())
    length = np.linalg.norm(fixed.grey) * np.linalg.norm(grey)
    correlation = float((fixed.grey * grey).sum() / length) if length > 0 else 0.0
    score, runner_up = (
        (searched.best.score, searched.runner_up.score) if searched else (float("nan"),) * 2
    )
    reasons = []
    if dice < LEAST_DICE:
        reasons.append(
            f"the tissues overlap by {dice:.2f} (Dice; {LEAST_DICE} or more is expected): half a"
            " section, a torn one, another tissue, or a wrong `um_per_px`"
        )
    if correlation < LEAST_CORRELATION:
        reasons.append(
            f"grey levels correlate by {correlation:.2f} ({LEAST_CORRELATION} or more is expected):"
            " another tissue, or a wrong turn"
        )
    if searched is not None and score - runner_up < LEAST_MARGIN:
        reasons.append(
            f"another turn scores nearly as high ({runner_up:.2f} beside {score:.2f}; a margin of"
            f" {LEAST_MARGIN} is expected): the turn may be wrong"
        )
    if mirrored - score >= LEAST_MARGIN:
        reasons.append(
            f"its mirror image scores higher ({mirrored:.2f} beside {score:.2f}): it was mounted"
            " the other way up, or its image is mirrored. Turn image and spots over, or give its"
            " transform by hand"
        )
    return Quality(dice, correlation, score, runner_up, tuple(reasons))
