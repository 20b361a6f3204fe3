"""The report of a study of factors: box plots, differences, in and out of distribution, cost."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

from spared_bench.specs import MetricSpec
from spared_bench.studies.blocks import (
    Boxes,
    Section,
    Sentences,
    Spread,
    Table,
    Values,
    boxes,
    spreads,
)
from spared_bench.studies.comparing import (
    Difference,
    in_other_units,
    limits_of,
    methods_of,
    of_other_genes,
    omnibus,
)
from spared_bench.studies.in_short import in_short
from spared_bench.studies.levels_report import cost_section, maps_section, splits_section
from spared_bench.studies.model import Study
from spared_bench.studies.planning import StudyPlan
from spared_bench.studies.results import Collected, StudyCell, mean
from spared_bench.studies.text import interval, probability, signed
from spared_bench.words import counted

_MOST_MARKS = 12  # slides that are drawn one by one; more have a box of their own


def sections_of(
    plan: StudyPlan,
    collected: Collected,
    differences: Sequence[Difference],
    metric: MetricSpec,
) -> list[Section]:
    """Return the sections of the page of a study of factors."""
    study = plan.study
    apart = in_other_units(study, metric)
    judged = [each for each in differences if each.factor not in apart]
    short = in_short(judged, metric, of_other_genes(study, collected))
    short += [
        f"{factor}: its levels change what is predicted, so {metric.title} of different levels is"
        " of different quantities and none is called the best. Compare by a correlation."
        for factor in apart
    ]
    found = [Section("In short", (Sentences("", tuple(short)),) if short else ())]
    for factor in study.factors:
        for method in methods_of(study, collected, factor):
            found.append(_factor_section(study, collected, differences, metric, factor, method))
    found += [
        splits_section(study, collected, metric),
        cost_section(study, collected),
        maps_section(plan, collected, metric),
        Section(
            "What this cannot say",
            (Sentences("", tuple(_limits(study, collected, differences, metric))),),
        ),
    ]
    gaps = gaps_of(collected)
    if gaps:
        found.insert(0, Section("Gaps", (gaps,), "Cells without scores; they enter nothing below."))
    return [section for section in found if section.parts]


def _factor_section(
    study: Study,
    collected: Collected,
    differences: Sequence[Difference],
    metric: MetricSpec,
    factor: str,
    method: str,
) -> Section:
    genes, slides = _values_of_levels(study, collected, metric, factor, method)
    parts = _box_plots(metric, genes, slides)
    mine = [
        each
        for each in differences
        if each.factor == factor and each.method in (method, "(as the level says)")
    ]
    if any(math.isfinite(each.difference) for each in mine):
        parts.append(_drawn(mine, metric))
    if mine:
        parts.append(_differences(mine, metric))
        parts.append(Sentences("", tuple(_tests(study, collected, metric, factor, method, mine))))
    name = f"{factor} · {method}" if method else factor
    return Section(name, tuple(parts))


def _values_of_levels(
    study: Study, collected: Collected, metric: MetricSpec, factor: str, method: str
) -> tuple[list[Values], list[Values]]:
    """Return a row of values for each level: of its genes, marked by slides, and of its slides."""
    levels = study.factors[factor]
    # Of a design in which every level stands alone, the others are at their bases.
    single = study.design == "single" and len(study.factors) > 1
    cells = [
        cell
        for cell in collected.cells
        if (not method or cell.method == method)
        and not (single and _others_varied(study, cell, factor))
    ]
    genes, slides = [], []
    for label in levels.levels:
        wanted = collected.of(cells, factor, label)
        here = [cell for cell in wanted if cell.result is not None]
        note = f"{len(here)} of {counted(len(wanted), 'cell')}" if here != wanted else ""
        is_base = label == levels.base_level
        by_gene = _means_by(here, lambda cell: cell.genes(metric.name))
        by_slide = _means_by(here, lambda cell: cell.slides(metric.name))
        slides.append(Values(label, by_slide, is_base=is_base, note=note))
        genes.append(Values(label, by_gene, marks=by_slide, is_base=is_base, note=note))
    return genes, slides


def _box_plots(
    metric: MetricSpec, genes: Sequence[Values], slides: Sequence[Values]
) -> list[object]:
    """Draw genes with slides as marks; slides by themselves where that would be too many marks."""
    found: list[object] = []
    crowded = max((len(row.values) for row in slides), default=0) > _MOST_MARKS
    if any(row.values for row in genes):
        lines = (
            f" Red lines are the tested slides ({_n_slides(slides)}), each by the mean of its"
            " genes."
        )
        found.append(
            boxes(
                f"{metric.title} of each gene",
                "One value per gene and dataset, seeds averaged: the box is the middle half of the"
                f" genes, the number their median.{'' if crowded else lines}",
                [replace(row, marks=()) for row in genes] if crowded else genes,
            )
        )
    if any(row.values for row in slides) and (crowded or not found):
        found.append(
            boxes(
                f"{metric.title} of each slide",
                f"One value per slide ({_n_slides(slides)}), seeds averaged.",
                [replace(row, marks=() if crowded else row.values) for row in slides],
            )
        )
    return found


def _others_varied(study: Study, cell: StudyCell, factor: str) -> bool:
    return any(
        cell.levels[name] != other.base_level
        for name, other in study.factors.items()
        if name != factor
    )


def _means_by(cells: Iterable[StudyCell], of: object) -> list[float]:
    """Return the mean over seeds of what each cell has by name, dataset by dataset."""
    found: dict[tuple[str, str], list[float]] = {}
    for cell in cells:
        for name, value in of(cell).items():  # type: ignore[operator]
            found.setdefault((cell.dataset, name), []).append(value)
    return [mean(values) for values in found.values()]


def _n_slides(rows: Sequence[Values]) -> str:
    number = max((len(row.values) for row in rows), default=0)
    return counted(number, "slide")


def _drawn(found: Sequence[Difference], metric: MetricSpec) -> Boxes:
    side = "Right" if metric.better != "lower" else "Left"
    judged = all(each.better is not None for each in found)
    return spreads(
        f"Paired differences in {metric.title} from the base",
        "The thick line and the number are the mean over slides; the box is the 95 % interval of"
        " the mean over genes, the thin line that of the mean over slides, where there are five or"
        f" more. Red lines are slides.{f' {side} of 0 the level is better.' if judged else ''}",
        [
            Spread(
                each.level
                if each.against == found[0].against
                else f"{each.level} − {each.against}",
                each.difference,
                (each.gene_low, each.gene_high),
                (each.low, each.high),
                each.of_blocks if len(each.of_blocks) <= _MOST_MARKS else (),
                each.n_blocks,
                signed(each.difference),
            )
            for each in found
        ],
    )


def _differences(found: Sequence[Difference], metric: MetricSpec) -> Table:
    better = "higher is better" if metric.better != "lower" else "lower is better"
    judged = all(each.better is not None for each in found)
    rows = tuple(
        (
            f"{each.level} − {each.against}",
            signed(each.difference),
            interval(each.low, each.high),
            "–" if each.better is None else f"{each.better}/{each.n_blocks}",
            signed(each.gene_difference),
            interval(each.gene_low, each.gene_high),
            str(each.n_genes),
            probability(each.p),
        )
        for each in found
    )
    return Table(
        f"Paired differences in {metric.title} ({better if judged else 'of different quantities'})",
        (
            "level − base",
            "over slides",
            "95 % over slides",
            "better on",
            "over genes",
            "95 % over genes",
            "genes",
            "p",
        ),
        rows,
        "Pairs agree in everything but the level. Intervals are Student's, of the mean over slides"
        " or genes; fewer than five slides are too few for one.",
        (1, 2, 3, 4, 5, 6, 7),
    )


def _tests(
    study: Study,
    collected: Collected,
    metric: MetricSpec,
    factor: str,
    method: str,
    found: Sequence[Difference],
) -> list[str]:
    told = list(dict.fromkeys(each.says for each in found if each.says))
    asked = omnibus(study, collected, metric, factor, method)
    if asked is not None and math.isfinite(asked.p):
        told.append(
            f"Whether the {asked.n_methods} levels differ at all, over"
            f" {counted(asked.n_datasets, 'slide')}: Friedman's test,"
            f" p = {probability(asked.p)}. It does not say which differ."
        )
    return told


def _limits(
    study: Study, collected: Collected, differences: Sequence[Difference], metric: MetricSpec
) -> list[str]:
    told = [*study.notes, *limits_of(collected, differences)]
    if uneven := _unevenly_there(study, collected):
        told.append(
            f"Of the levels of {', '.join(uneven)}, not all have the same cells. Their boxes, the"
            " validation beside the test and the cost are of the cells that each has, and say"
            " nothing of which is better; paired differences are of cells that both have."
        )
    if apart := in_other_units(study, metric):
        told.append(
            f"The levels of {', '.join(apart)} change what is predicted, so {metric.title} of"
            " different levels is of different quantities and not to be compared; a correlation is."
        )
    return told


def _unevenly_there(study: Study, collected: Collected) -> list[str]:
    """Return the factors of whose levels, as far as they have scores, one lacks other cells."""
    found = []
    for factor, levels in study.factors.items():
        selected = {path for label in levels.levels for path in levels.assigned(label)}
        kept = [each for each in ("dataset", "completer", "method", "seed") if each not in selected]
        there = {cell.levels[factor] for cell in collected.done}
        lacking: dict[str, set[object]] = {label: set() for label in there}
        for cell in collected.gaps:
            if (label := cell.levels[factor]) in there:
                others = tuple(each for name, each in cell.levels.items() if name != factor)
                lacking[label].add((others, *(getattr(cell, each) for each in kept)))
        if len(set(map(frozenset, lacking.values()))) > 1:
            found.append(factor)
    return found


def gaps_of(collected: Collected) -> Table | None:
    """Return the cells without scores by their reason; ``None`` without any."""
    if not collected.gaps:
        return None
    reasons: dict[str, list[StudyCell]] = {}
    for cell in collected.gaps:
        reasons.setdefault(cell.gap, []).append(cell)
    rows = tuple(
        (
            str(len(cells)),
            "; ".join(each.label for each in cells[:4]) + (" …" * (len(cells) > 4)),
            why,
        )
        for why, cells in reasons.items()
    )
    return Table("", ("cells", "which", "why"), rows, numbers=(0,))
