"""The report of a study of robustness: the drop of each method under each shift, and a ranking."""

from __future__ import annotations

import math
from collections.abc import Sequence

from spared_bench.leaderboard.text import NONE, score
from spared_bench.specs import MetricSpec
from spared_bench.studies.blocks import Section, Sentences, Table, Values, boxes
from spared_bench.studies.factors_report import gaps_of
from spared_bench.studies.model import Study
from spared_bench.studies.results import Collected, comparable, mean
from spared_bench.studies.robustness import Ranked, Shifted, drops_by_shift, ranked
from spared_bench.studies.text import signed


def sections_of(
    study: Study, collected: Collected, found: Sequence[Shifted], metric: MetricSpec
) -> list[Section]:
    """Return the sections of the page of a study of robustness."""
    rows = ranked(found, metric)
    sections = [
        _ranking(rows, metric),
        _matrix(found, rows, metric),
        *(_of_method(row, found, metric) for row in rows if math.isfinite(row.mean_drop)),
        Section("What this cannot say", (Sentences("", tuple(_limits(study))),)),
    ]
    gaps = [table for table in (gaps_of(collected), _shift_gaps(found)) if table]
    if gaps:
        sections.insert(0, Section("Gaps", tuple(gaps), "They enter nothing below."))
    return [section for section in sections if section.parts]


def _name(row: Ranked) -> str:
    return f"{row.method} ({row.completer})"


def _ranking(rows: Sequence[Ranked], metric: MetricSpec) -> Section:
    known = [row for row in rows if math.isfinite(row.mean_drop)]
    drops = [row.mean_drop for row in known]  # in their order: equal ones share the better rank
    table = Table(
        "",
        ("rank", "method", metric.title, "mean drop", "worst drop", "under"),
        tuple(
            (
                NONE if row.n_lacking else str(drops.index(row.mean_drop) + 1),
                _name(row),
                score(row.clean),
                signed(row.mean_drop),
                signed(row.worst_drop),
                row.worst_shift or NONE,
            )
            for row in known
        ),
        "Ranked by the mean drop over all shifts, the smallest first. A method that predicts little"
        " has little to lose: read the drop beside the score. One that lacks a drop which another"
        " has is not ranked, and its drops are those that are known.",
        (0, 2, 3, 4),
    )
    return Section("Ranking", (table,) if known else ())


def _matrix(found: Sequence[Shifted], rows: Sequence[Ranked], metric: MetricSpec) -> Section:
    shifts = list(dict.fromkeys(each.shift for each in found))
    known = [row for row in rows if math.isfinite(row.mean_drop)]
    drops = {
        _name(row): drops_by_shift(
            [
                each
                for each in found
                if (each.cell.method, each.cell.completer) == (row.method, row.completer)
            ],
            metric,
        )
        for row in known
    }
    names = [_name(row) for row in known]
    lines = [
        (shift, *(signed(drops[name].get(shift, math.nan)) for name in names)) for shift in shifts
    ]
    matrix = [("shift", *names), *lines]
    if len(names) > len(shifts):  # a page is longer than it is wide
        matrix = [("method", *shifts), *list(zip(*matrix, strict=True))[1:]]
    table = Table(
        "",
        matrix[0],
        tuple(matrix[1:]),
        f"Drop in {metric.title}: positive where the shift makes it worse. Mean over datasets and"
        " seeds.",
        tuple(range(1, len(matrix[0]))),
    )
    return Section("Drop by method and shift", (table,) if known else ())


def _of_method(row: Ranked, found: Sequence[Shifted], metric: MetricSpec) -> Section:
    mine = [
        each
        for each in found
        if (each.cell.method, each.cell.completer) == (row.method, row.completer)
    ]
    sign = -1.0 if metric.better == "lower" else 1.0
    values = []
    for shift in dict.fromkeys(each.shift for each in mine):
        genes: dict[tuple[str, str], list[float]] = {}
        marks = []
        for each in (each for each in mine if each.shift == shift):
            clean = each.cell.genes(metric.name)
            for gene, value in each.genes.items():
                if pair := comparable(clean.get(gene, math.nan), value, metric):
                    lost = sign * (pair[0] - pair[1])
                    genes.setdefault((each.cell.dataset, gene), []).append(lost)
            marks.append(each.drop(metric))
        values.append(Values(shift, [mean(v) for v in genes.values()] or marks, marks))
    plot = boxes(
        f"Drop in {metric.title} of each gene",
        "One value per gene and dataset; right of 0 the shift makes it worse. Red lines are the"
        " drops of the mean scores, one per dataset and seed.",
        values,
    )
    return Section(_name(row), (plot,))


def _shift_gaps(found: Sequence[Shifted]) -> Table | None:
    reasons: dict[str, list[str]] = {}
    for each in found:
        if each.gap:
            reasons.setdefault(each.gap, []).append(f"{each.cell.method} · {each.shift}")
    if not reasons:
        return None
    rows = tuple(
        (str(len(which)), "; ".join(which[:3]) + " …" * (len(which) > 3), why)
        for why, which in reasons.items()
    )
    return Table("Shifts without a score", ("shifts", "which", "why"), rows, numbers=(0,))


def _limits(study: Study) -> list[str]:
    return [
        *study.notes,
        "The shifts are computed, each alone and at a few strengths: a real scanner changes several"
        " things at once, and differently from place to place.",
        "Patches are changed after they were cut, so blur, resolution and JPEG act on the patch and"
        " not on the slide: a patch that was reduced from many pixels would feel less of them.",
        "Methods that see other views of the slide have these changed in the same way, each at its"
        " own resolution.",
    ]
