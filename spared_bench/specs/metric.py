"""What a metric says about itself."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

from spared_bench.errors import PluginError
from spared_bench.specs.base import Spec

Direction = Literal["lower", "higher", "nearest"]
Unit = Literal["entry", "gene", "spot", "class"]
Given = Literal["expression", "variance", "classes", "tissue"]
Genes = Literal["all", "variable", "spatial"]
Undefined = Literal["left_out", "correlation", "determination"]


@dataclass(frozen=True)
class MetricSpec(Spec):
    """A metric: ``(truth, prediction, mask) -> array``.

    All that the benchmark needs to know of it: nothing else names a metric, but the protocol.

    Parameters
    ----------
    per : {"entry", "gene", "spot", "class"}
        What one value stands for: all measured entries (a scalar), a column, a row, or a class.
    better : {"lower", "higher", "nearest"}
        Which direction is better; ``"nearest"``: which is nearer to ``goal``.
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
    given : {"expression", "variance", "classes", "tissue"}
        What it is computed from. ``"variance"``: called with the predicted variance as a fourth
        argument; ``"classes"``: called as ``metric(labels, probabilities)``, labels being columns
        and -1 without one. It is undefined for methods that predict no such thing. ``"tissue"``:
        called with a ``spared_bench.metrics.tissue.Tissue`` as a fourth argument: slides, places,
        names of genes and labels of spots.
    genes : {"all", "variable", "spatial"}
        Which of the scored genes it is of: all, or those that vary most, or those that lie in
        patterns, on the measured training slides (``spared_bench.processing.gene_choice``). It is
        called with their columns alone.
    goal : float
        The value of a perfect prediction, where it lies between the bounds (``better="nearest"``):
        0.9 of the share of the truth within an interval of 90 %.

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
    given: Given = "expression"
    goal: float = math.nan
    genes: Genes = "all"

    def __post_init__(self) -> None:
        super().__post_init__()
        label = f"MetricSpec(name={self.name!r})"
        words = {"per": Unit, "better": Direction, "undefined": Undefined, "given": Given}
        words["genes"] = Genes
        for name, known in words.items():
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
        self._check_kind(label)

    def _check_kind(self, label: str) -> None:
        if (self.better == "nearest") != math.isfinite(self.goal):
            raise PluginError(
                f"{label}: `goal` is the perfect value of a metric with `better='nearest'`, which"
                f" needs one, and of no other; found better {self.better!r}, goal {self.goal!r}."
            )
        if self.better == "nearest" and not self.bounds[0] <= self.goal <= self.bounds[1]:
            raise PluginError(f"{label}: goal {self.goal!r} is not between {self.bounds!r}.")
        if self.given != "classes" and self.per == "class":
            raise PluginError(f"{label}: a value per class needs `given='classes'`.")
        if self.given == "classes" and self.per not in ("class", "entry"):
            raise PluginError(
                f"{label}: a metric of classes has one value per class, or one of all (`per` is"
                f" {self.per!r}; expected 'class' or 'entry')."
            )
        if self.given != "expression" and self.undefined != "left_out":
            raise PluginError(
                f"{label}: undefined values of a metric of a variance, of classes or of tissue are"
                f" left out; found {self.undefined!r}."
            )
        if self.genes != "all" and self.given == "classes":
            raise PluginError(
                f"{label}: a metric of classes is of spots and of no genes; found genes"
                f" {self.genes!r}."
            )

    @property
    def title(self) -> str:
        """How people read it."""
        return self.label or self.name

    @property
    def perfect(self) -> float:
        """The value of a perfect prediction; infinite where there is no such value."""
        if self.better == "nearest":
            return self.goal
        return self.bounds[1] if self.better == "higher" else self.bounds[0]


def _are_bounds(values: object) -> bool:
    return (
        isinstance(values, tuple | list)
        and len(values) == 2
        and all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)
        and values[0] < values[1]
    )
