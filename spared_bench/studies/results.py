"""What the store has of a study: one entry per cell of every variant, or why there is none."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from spared_bench.planning.plan import Plan
from spared_bench.planning.stored import stored_results, stored_scores
from spared_bench.results import IMPORTED, TrialResult
from spared_bench.specs import MetricSpec
from spared_bench.studies.planning import Group, StudyPlan
from spared_bench.studies.variants import Place, Variant

NOT_RUN = "it was not run yet"


@dataclass(frozen=True)
class StudyCell:
    """One cell of one variant.

    Parameters
    ----------
    levels : dict of factor to label
    dataset, completer, method : str
    seed : int
    result : TrialResult or None
        With its scores; ``None`` for a gap.
    gap : str
        Why there is no result.
    trained : tuple of str
        Keys of the trainings that it took, those of its search, which seeds share, included.
    """

    levels: dict[str, str]
    dataset: str
    completer: str
    method: str
    seed: int
    result: TrialResult | None = None
    gap: str = ""
    trained: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """For people."""
        levels = ", ".join(f"{factor} = {label}" for factor, label in self.levels.items())
        place = f"{self.dataset} · {self.completer} · {self.method} · seed {self.seed}"
        return f"{levels} · {place}" if levels else place

    @property
    def split(self) -> str:
        """The split that is compared."""
        return str(self.result.facts.get("evaluation_split", "test")) if self.result else ""

    @property
    def is_imported(self) -> bool:
        """Whether its result came with ``store import``, or was made of what did."""
        return self.result is not None and IMPORTED in self.result.facts

    def score(self, metric: str, split: str = "") -> float:
        """Return its mean on a split, the one that is compared by default; nan for a gap."""
        if self.result is None:
            return math.nan
        found = self.result.scores.get(split or self.split, {}).get(metric, math.nan)
        return float(found)

    def slides(self, metric: str, split: str = "") -> dict[str, float]:
        """Return its score on each slide of a split."""
        if self.result is None:
            return {}
        scores = self.result.slide_scores.get(split or self.split, {})
        return {slide: float(each.get(metric, math.nan)) for slide, each in scores.items()}

    def genes(self, metric: str) -> dict[str, float]:
        """Return its score of each gene by id; empty for a metric without one."""
        if self.result is None or metric not in self.result.gene_scores:
            return {}
        return dict(zip(self.result.genes, self.result.gene_scores[metric], strict=True))


@dataclass(frozen=True)
class Collected:
    """All cells of a study.

    Parameters
    ----------
    cells : list of StudyCell
        Variant by variant, the base first.
    """

    cells: list[StudyCell] = field(default_factory=list)

    @property
    def done(self) -> list[StudyCell]:
        """Those with scores."""
        return [cell for cell in self.cells if cell.result is not None]

    @property
    def gaps(self) -> list[StudyCell]:
        """Those without."""
        return [cell for cell in self.cells if cell.result is None]

    @property
    def imported(self) -> list[StudyCell]:
        """Those whose results came with ``store import``, or were made of what did."""
        return [cell for cell in self.cells if cell.is_imported]

    def names(self, what: str) -> list[str]:
        """Return the datasets, completers or methods, each once, in their order."""
        return list(dict.fromkeys(getattr(cell, what) for cell in self.cells))

    def of(self, cells: Iterable[StudyCell], factor: str, label: str) -> list[StudyCell]:
        """Return those of some cells at one level of a factor."""
        return [cell for cell in cells if cell.levels.get(factor) == label]


def collect(plan: StudyPlan, stopped: Mapping[str, str] | None = None) -> Collected:
    """Read all that the store has of a study; nothing is made.

    Parameters
    ----------
    plan : StudyPlan
    stopped : mapping of str to str, optional
        Groups that could not be begun, by label, and why.
    """
    why = stopped or {}
    return Collected(
        [cell for group in plan.groups for cell in _of_group(group, why.get(group.label, NOT_RUN))]
    )


def _of_group(group: Group, not_run: str) -> list[StudyCell]:
    found = _outcomes(group.plan)
    reasons = group.plan.left_out
    cells = []
    for variant in group.variants:
        for place in variant.places:
            if place in found:
                result, reason, trained = found[place]
                reason = not_run if reason == NOT_RUN else reason
                cells.append(_cell(variant, place, result, reason, trained))
                continue
            gap = group.plan.unavailable.get(place[0], "")
            gap = gap or next((why for why in reasons if repr(place[2]) in why), not_run)
            cells.append(_cell(variant, place, None, gap, ()))
    return cells


def _outcomes(plan: Plan) -> dict[Place, tuple[TrialResult | None, str, tuple[str, ...]]]:
    """Return the result of every cell of a plan, or why it has none."""
    results = stored_results(plan)
    found: dict[Place, tuple[TrialResult | None, str, tuple[str, ...]]] = {}
    for cell in plan.cells:
        place = (cell.dataset, cell.completer, cell.predictor, cell.seed)
        job = cell.chosen(results)
        if job is None or job.key not in results:
            found[place] = (None, NOT_RUN, ())
            continue
        trained = tuple(dict.fromkeys([*cell.searched(results), job.key]))
        result = results[job.key]
        scores = stored_scores(plan, job) if result.ok else None
        if result.ok and scores is None:
            found[place] = (None, "its predictions are not scored yet", trained)
            continue
        scored = result if scores is None else result.scored(scores)
        if not scored.ok:
            found[place] = (None, f"{scored.status}: {scored.message}", trained)
        else:
            found[place] = (scored, "", trained)
    return found


def _cell(
    variant: Variant,
    place: Place,
    result: TrialResult | None,
    gap: str,
    trained: tuple[str, ...],
) -> StudyCell:
    dataset, completer, method, seed = place
    return StudyCell(dict(variant.levels), dataset, completer, method, seed, result, gap, trained)


def mean(values: Sequence[float]) -> float:
    """Return the mean of what is finite; nan of nothing."""
    finite = [value for value in values if math.isfinite(value)]
    return math.fsum(finite) / len(finite) if finite else math.nan


def comparable(one: float, other: float, metric: MetricSpec) -> tuple[float, float] | None:
    """Return two scores of a gene as they are compared; ``None`` where they cannot be.

    A correlation that is undefined on one side alone is one of a constant prediction and counts 0,
    as in the strict means; undefined on both sides, nothing can be said of the gene.
    """
    known = [math.isfinite(value) for value in (one, other)]
    if all(known):
        return one, other
    if metric.undefined != "correlation" or not any(known):
        return None
    return (one, 0.0) if known[0] else (0.0, other)
