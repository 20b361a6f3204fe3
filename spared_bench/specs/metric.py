"""What a metric says about itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from spared_bench.specs.base import Spec

Direction = Literal["lower", "higher"]
Unit = Literal["entry", "gene", "spot"]


@dataclass(frozen=True)
class MetricSpec(Spec):
    """A metric: ``(truth, prediction, mask) -> array``.

    Parameters
    ----------
    per : {"entry", "gene", "spot"}
        What one value stands for: all measured entries (a scalar), a column, or a row.
    better : {"lower", "higher"}
        Which direction is better.
    label : str
        How the leaderboard writes it.
    """

    kind: ClassVar[str] = "metric"

    per: Unit = "gene"
    better: Direction = "higher"
    label: str = ""
