"""The report of a study of factors: box plots, differences, in and out of distribution, cost."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from spared_bench.leaderboard.text import NONE, duration, fixed, score
from spared_bench.leaderboard.text import count as short_count
from spared_bench.specs import MetricSpec
from spared_bench.studies.blocks import Section, Sentences, Table, Values, boxes
from spared_bench.studies.comparing import Difference, limits_of, omnibus
from spared_bench.studies.maps import gene_maps
from spared_bench.studies.model import Study
from spared_bench.studies.planning import StudyPlan
from spared_bench.studies.results import Collected, StudyCell, mean


def sections_of(
    plan: StudyPlan,
    collected: Collected,
    differences: Sequence[Difference],
    metric: MetricSpec,
) -> list[Section]:
    """Return the sections of the page of a study of factors."""
    study = plan.study
    found = []
    for factor in study.factors:
        for method in _methods_of(study, collected, factor):
            found.append(_factor_section(study, collected, differences, metric, factor, method))
    found += [
        _splits_section(study, collected, metric),
        _cost_section(study, collected),
        _maps_section(plan, collected, metric),
        Section(
            "What this cannot say",
            (Sentences("", tuple(_limits(study, collected, differences, metric))),),
        ),
    ]
    gaps = gaps_of(collected)
    if gaps:
        found.insert(0, Section("Gaps", (gaps,), "Cells without scores; they enter nothing below."))
    return [section for section in found if section.parts]


def _methods_of(study: Study, collected: Collected, factor: str) -> list[str]:
    """Return the methods that a factor is shown for; one of no name where it chooses the method."""
    levels = study.factors[factor]
    if any("method" in levels.assigned(label) for label in levels.levels):
        return [""]
    return collected.names("method")


def _factor_section(
    study: Study,
    collected: Collected,
    differences: Sequence[Difference],
    metric: MetricSpec,
    factor: str,
    method: str,
) -> Section:
    levels = study.factors[factor]
    # Of a design in which every level stands alone, the others are at their bases.
    single = study.design == "single" and len(study.factors) > 1
    cells = [
        cell
        for cell in collected.done
        if (not method or cell.method == method)
        and not (single and _others_varied(study, cell, factor))
    ]
    genes, slides = [], []
    for label in levels.levels:
        here = collected.of(cells, factor, label)
        is_base = label == levels.base_level
        by_gene = _means_by(here, lambda cell: cell.genes(metric.name))
        by_slide = _means_by(here, lambda cell: cell.slides(metric.name))
        slides.append(Values(label, by_slide, is_base=is_base))
        genes.append(Values(label, by_gene, marks=by_slide, is_base=is_base))
    parts: list[object] = []
    if any(row.values for row in genes):
        parts.append(
            boxes(
                f"{metric.title} of each gene",
                f"One value per gene and dataset, seeds averaged: the box is the middle half of the"
                f" genes, the number their median. Red lines are the tested slides"
                f" ({_n_slides(slides)}), each by the mean of its genes.",
                genes,
            )
        )
    elif any(row.values for row in slides):
        parts.append(
            boxes(
                f"{metric.title} of each slide",
                "One value per slide, seeds averaged.",
                [Values(row.label, row.values, row.values, row.is_base) for row in slides],
            )
        )
    mine = [
        each
        for each in differences
        if each.factor == factor and each.method in (method, "(as the level says)")
    ]
    if mine:
        parts.append(_differences(mine, metric))
        parts.append(Sentences("", tuple(_tests(study, collected, metric, factor, method, mine))))
    name = f"{factor} · {method}" if method else factor
    return Section(name, tuple(parts))


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
    return f"{number} slide{'s' * (number != 1)}"


def _differences(found: Sequence[Difference], metric: MetricSpec) -> Table:
    better = "higher is better" if metric.better != "lower" else "lower is better"
    rows = tuple(
        (
            f"{each.level} − {each.against}",
            signed(each.difference),
            interval(each.low, each.high),
            f"{each.better}/{each.n_blocks}",
            signed(each.gene_difference),
            interval(each.gene_low, each.gene_high),
            str(each.n_genes),
            probability(each.p),
        )
        for each in found
    )
    return Table(
        f"Paired differences in {metric.title} ({better})",
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
        "Pairs agree in everything but the level. Intervals are of means of slides, or of genes,"
        " drawn again with replacement; fewer than five slides are too few to draw from.",
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
            f"Whether the {asked.n_methods} levels differ at all, over {asked.n_datasets} slides:"
            f" Friedman's test, p = {probability(asked.p)}. It does not say which differ."
        )
    return told


def _splits_section(study: Study, collected: Collected, metric: MetricSpec) -> Section:
    """Set validation and test side by side, with the drop, where there are both."""
    rows = []
    for levels, method, cells in _by_levels(study, collected):
        both = [
            (cell.score(metric.name, "val"), cell.score(metric.name, "test"))
            for cell in cells
            if cell.split == "test"
        ]
        both = [pair for pair in both if all(map(math.isfinite, pair))]
        if not both:
            continue
        val, test = mean([pair[0] for pair in both]), mean([pair[1] for pair in both])
        rows.append((levels, method, score(val), score(test), signed(test - val), str(len(both))))
    if not rows:
        return Section("Validation and test")
    return Section(
        "Validation and test",
        (
            Table(
                "",
                ("level", "method", "validation", "test", "test − validation", "cells"),
                tuple(rows),
                "Checkpoints and searched parameters were chosen on the validation slides, so a"
                " part of the drop is that choice; the rest is what changes from these slides to"
                " the tested ones.",
                (2, 3, 4, 5),
            ),
        ),
        f"{metric.title}, mean over cells.",
    )


def _by_levels(study: Study, collected: Collected) -> list[tuple[str, str, list[StudyCell]]]:
    """Return the cells with scores by combination of levels and method, in their order."""
    found: dict[tuple[str, str], list[StudyCell]] = {}
    for cell in collected.done:
        name = ", ".join(
            cell.levels[factor] if len(study.factors) == 1 else f"{factor} {cell.levels[factor]}"
            for factor in study.factors
            if study.design == "full" or len(study.factors) == 1
            or cell.levels[factor] != study.factors[factor].base_level
        )  # fmt: skip
        found.setdefault((name or "base", cell.method), []).append(cell)
    return [(levels, method, cells) for (levels, method), cells in found.items()]


def _cost_section(study: Study, collected: Collected) -> Section:
    rows = []
    for levels, method, cells in _by_levels(study, collected):
        results = [cell.result for cell in cells if cell.result is not None]
        fit = [each.seconds.get("fit", math.nan) for each in results]
        predict = [each.seconds.get("predict", math.nan) for each in results]
        sizes = [each.n_parameters for each in results if each.n_parameters is not None]
        rows.append(
            (
                levels,
                method,
                duration(mean(fit)),
                duration(mean(predict)),
                str(sum(cell.trials for cell in cells)),
                short_count(max(sizes, default=None)),
            )
        )
    columns = ("level", "method", "a training", "a prediction", "trainings", "parameters")
    table = Table("", columns, tuple(rows), numbers=(2, 3, 4, 5))
    return Section(
        "Cost",
        (table,) if rows else (),
        "Mean time of a training on whatever machine it ran, which other work may have slowed down;"
        " trainings of searches are counted.",
    )


def _maps_section(plan: StudyPlan, collected: Collected, metric: MetricSpec) -> Section:
    study = plan.study
    parts: list[object] = []
    for factor, levels in study.factors.items():
        for method in _methods_of(study, collected, factor):
            for dataset in collected.names("dataset"):
                cells = [
                    cell
                    for cell in collected.done
                    if cell.dataset == dataset and (not method or cell.method == method)
                ]
                base = collected.of(cells, factor, levels.base_level)
                if base and len(parts) < 6:
                    best = _best(cells, base[0], metric)
                    made = gene_maps(plan, base[0], best, factor, metric)
                    parts += [made] if made else []
    return Section("The genes predicted best and worst", tuple(parts))


def _best(cells: Sequence[StudyCell], base: StudyCell, metric: MetricSpec) -> StudyCell:
    sign = -1.0 if metric.better == "lower" else 1.0
    alike = [cell for cell in cells if cell.seed == base.seed and cell.completer == base.completer]
    return max(
        alike,
        key=lambda cell: (
            sign * cell.score(metric.name) if math.isfinite(cell.score(metric.name)) else -math.inf
        ),
        default=base,
    )


def _limits(
    study: Study, collected: Collected, differences: Sequence[Difference], metric: MetricSpec
) -> list[str]:
    told = [*study.notes, *limits_of(collected, differences)]
    moved = _targets_varied(study)
    if moved and metric.per in ("entry",):
        told.append(
            f"{moved} change what is predicted, so {metric.title} of different levels is of"
            " different quantities and not to be compared; a correlation is."
        )
    return told


def _targets_varied(study: Study) -> str:
    """Name the factors whose levels change the target or its genes."""
    names = [
        name
        for name, factor in study.factors.items()
        if any(
            path.startswith("processing.")
            for label in factor.levels
            for path in factor.assigned(label)
        )
    ]
    return f"The levels of {', '.join(names)}" if names else ""


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


def signed(value: float) -> str:
    """Return a difference with its sign; a dash for nan."""
    return NONE if math.isnan(value) else f"{value:+z.3f}".replace("-", "−")


def interval(low: float, high: float) -> str:
    """Return an interval as people read it; a dash where there is none."""
    return NONE if math.isnan(low) else f"{signed(low)} to {signed(high)}"


def probability(p: float) -> str:
    """Return a p as people read it; a dash for nan."""
    if math.isnan(p):
        return NONE
    return "< 0.001" if p < 0.001 else fixed(p)
