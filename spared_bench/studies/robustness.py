"""How much trained methods lose when the tested images change; nothing is trained again.

Each method is trained once, as the protocol says. The saved network then predicts the same tested
spots from changed patches, and is scored by the study's metric (``shifted_scores``).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from spared_bench.bench import Bench
from spared_bench.specs import MetricSpec
from spared_bench.studies.results import Collected, StudyCell, mean
from spared_bench.studies.shifted_scores import scores_of
from spared_bench.studies.shifts import Shift, chosen_shifts


@dataclass(frozen=True)
class Shifted:
    """What one trained method comes to on changed images.

    Parameters
    ----------
    cell : StudyCell
    shift : str
    clean, score : float
        Without and with the shift; nan where there is none.
    genes : dict of str to float
        Score of each gene with the shift.
    gap : str
        Why there is no score.
    """

    cell: StudyCell
    shift: str
    clean: float = math.nan
    score: float = math.nan
    genes: Mapping[str, float] = field(default_factory=dict)
    gap: str = ""

    def drop(self, metric: MetricSpec) -> float:
        """How much is lost, positive where the shift makes it worse; nan where not known."""
        lost = self.clean - self.score
        return -lost if metric.better == "lower" else lost


def shift_all(
    bench: Bench,
    collected: Collected,
    names: tuple[str, ...],
    metric: MetricSpec,
    log: Callable[[str], None],
) -> list[Shifted]:
    """Apply every shift to every trained cell of a study.

    Parameters
    ----------
    bench : Bench
    collected : Collected
    names : tuple of str
        Of shifts or their kinds; all where empty.
    metric : MetricSpec
    log : callable
        Told of each method as it is begun.
    """
    shifts = chosen_shifts(names)
    found: list[Shifted] = []
    for cell in collected.done:
        assert cell.result is not None
        log(f"{cell.method} on {cell.dataset}, seed {cell.seed}: {len(shifts)} shifts")
        made = scores_of(bench, cell.result, shifts, metric)
        found += [_shifted(cell, shift, metric, made[shift.name]) for shift in shifts]
    return found


def _shifted(
    cell: StudyCell, shift: Shift, metric: MetricSpec, made: Mapping[str, Any] | str
) -> Shifted:
    clean = cell.score(metric.name)
    if isinstance(made, str):
        return Shifted(cell, shift.name, clean, gap=made)
    return Shifted(
        cell,
        shift.name,
        clean,
        math.nan if made["score"] is None else float(made["score"]),
        {gene: math.nan if v is None else float(v) for gene, v in made["genes"].items()},
    )


@dataclass(frozen=True)
class Ranked:
    """One method by what it loses.

    Parameters
    ----------
    method, completer : str
    clean : float
        Mean score without a shift.
    mean_drop, worst_drop : float
        Over shifts; of the mean over datasets and seeds.
    worst_shift : str
    n_lacking : int
        Drops that another method has, of a dataset, seed and shift, and this one lacks. It has no
        rank then: what is not known may be its worst.
    """

    method: str
    completer: str
    clean: float
    mean_drop: float
    worst_drop: float
    worst_shift: str
    n_lacking: int = 0


def ranked(found: Iterable[Shifted], metric: MetricSpec) -> list[Ranked]:
    """Rank methods by their mean drop, the smallest first; those that lack one come last."""
    by_method: dict[tuple[str, str], list[Shifted]] = {}
    for each in found:
        by_method.setdefault((each.cell.method, each.cell.completer), []).append(each)
    known = {name: _known(parts, metric) for name, parts in by_method.items()}
    wanted = set().union(*known.values())
    rows = [
        replace(_ranked(name, parts, metric), n_lacking=len(wanted - known[name]))
        for name, parts in by_method.items()
    ]
    return sorted(
        rows,
        key=lambda row: (
            row.n_lacking > 0,
            math.isnan(row.mean_drop),
            row.mean_drop,
            row.method,
        ),
    )


def _known(parts: Iterable[Shifted], metric: MetricSpec) -> set[tuple[str, int, str]]:
    """Return dataset, seed and shift of the drops that are known."""
    return {
        (each.cell.dataset, each.cell.seed, each.shift)
        for each in parts
        if math.isfinite(each.drop(metric))
    }


def _ranked(name: tuple[str, str], parts: list[Shifted], metric: MetricSpec) -> Ranked:
    drops = drops_by_shift(parts, metric)
    known = {shift: value for shift, value in drops.items() if math.isfinite(value)}
    worst = max(known, key=lambda shift: known[shift], default="")
    return Ranked(
        *name,
        mean([each.clean for each in parts]),
        mean(list(known.values())),
        known.get(worst, math.nan),
        worst,
    )


def drops_by_shift(parts: Iterable[Shifted], metric: MetricSpec) -> dict[str, float]:
    """Return the mean drop over datasets and seeds by shift."""
    found: dict[str, list[float]] = {}
    for each in parts:
        found.setdefault(each.shift, []).append(each.drop(metric))
    return {shift: mean(values) for shift, values in found.items()}
