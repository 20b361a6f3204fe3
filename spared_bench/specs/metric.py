"""What a metric says about itself."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

from spared_bench.errors import PluginError
from spared_bench.specs.base import Spec

Direction = Literal["lower", "higher"]
Unit = Literal["entry", "gene", "spot"]
Undefined = Literal["left_out", "correlation", "determination"]


@dataclass(frozen=True)
class MetricSpec(Spec):
    """A metric: ``(truth, prediction, mask) -> array``.

    All that the benchmark needs to know of it: nothing else names a metric, but the protocol.

    Parameters
    ----------
    per : {"entry", "gene", "spot"}
        What one value stands for: all measured entries (a scalar), a column, or a row.
    better : {"lower", "higher"}
        Which direction is better.
    label : str
        How the leaderboard writes it; the name where empty.
    bounds : tuple of float
        The lowest and the highest possible value. The one on the better side is what a perfect
        prediction reaches; the distance from it is the error that the leaderboard normalises. A
        metric without an end on that side is ranked by its value.
    undefined : {"left_out", "correlation", "determination"}
        How undefined values enter a mean (``spared_bench.metrics.summary``): not at all, or as
        those of a correlation, for which a constant prediction of what varies counts 0, or as
        those of a coefficient of determination.

    Raises
    ------
    PluginError
        For a word that is none of these, or bounds that hold no value between them.
    """

    kind: ClassVar[str] = "metric"

    per: Unit = "gene"
    better: Direction = "higher"
    label: str = ""
    bounds: tuple[float, float] = (-math.inf, math.inf)
    undefined: Undefined = "left_out"

    def __post_init__(self) -> None:
        super().__post_init__()
        label = f"MetricSpec(name={self.name!r})"
        for name, known in (("per", Unit), ("better", Direction), ("undefined", Undefined)):
            if getattr(self, name) not in get_args(known):
                raise PluginError(
                    f"{label}: {name} {getattr(self, name)!r} is none of"
                    f" {', '.join(get_args(known))}."
                )
        if not isinstance(self.label, str):
            raise PluginError(f"{label}: label must be a text, found {self.label!r}.")
        if not _are_bounds(self.bounds):
            raise PluginError(
                f"{label}: bounds must be the lowest and the highest possible value, such as"
                f" (-1.0, 1.0) or (0.0, math.inf); found {self.bounds!r}."
            )

    @property
    def title(self) -> str:
        """How people read it."""
        return self.label or self.name

    @property
    def perfect(self) -> float:
        """The value of a perfect prediction; infinite where there is no such value."""
        return self.bounds[1] if self.better == "higher" else self.bounds[0]


def _are_bounds(values: object) -> bool:
    return (
        isinstance(values, tuple | list)
        and len(values) == 2
        and all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)
        and values[0] < values[1]
    )
