"""What a report says of each level: validation beside test, cost, and maps of genes."""

from __future__ import annotations

import math
from collections.abc import Sequence

from spared_bench.errors import CorruptEntryError
from spared_bench.leaderboard.text import count as short_count
from spared_bench.leaderboard.text import duration, score
from spared_bench.specs import MetricSpec
from spared_bench.studies.blocks import Section, Sentences, Table
from spared_bench.studies.comparing import methods_of
from spared_bench.studies.maps import gene_maps
from spared_bench.studies.model import Study
from spared_bench.studies.planning import StudyPlan
from spared_bench.studies.results import Collected, StudyCell, mean
from spared_bench.studies.text import signed


def splits_section(study: Study, collected: Collected, metric: MetricSpec) -> Section:
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
            if cell.levels[factor] != cell.method  # which has a column of its own
            and (
                study.design == "full" or len(study.factors) == 1
                or cell.levels[factor] != study.factors[factor].base_level
            )
        )  # fmt: skip
        found.setdefault((name or "base", cell.method), []).append(cell)
    return [(levels, method, cells) for (levels, method), cells in found.items()]


def cost_section(study: Study, collected: Collected) -> Section:
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
                str(len({key for cell in cells for key in cell.trained})),
                short_count(max(sizes, default=None)),
            )
        )
    columns = ("level", "method", "a training", "a prediction", "trainings", "parameters")
    table = Table("", columns, tuple(rows), numbers=(2, 3, 4, 5))
    return Section(
        "Cost",
        (table,) if rows else (),
        "Mean time of a training on whatever machine it ran, which other work may have slowed down;"
        " trainings of searches, which seeds share, are counted once.",
    )


def maps_section(plan: StudyPlan, collected: Collected, metric: MetricSpec) -> Section:
    study = plan.study
    parts: list[object] = []
    for factor, levels in study.factors.items():
        for method in methods_of(study, collected, factor):
            for dataset in collected.names("dataset"):
                cells = [
                    cell
                    for cell in collected.done
                    if cell.dataset == dataset and (not method or cell.method == method)
                ]
                base = collected.of(cells, factor, levels.base_level)
                if base and len(parts) < 6:
                    best = best_level(cells, base[0], factor, metric)
                    try:
                        made = gene_maps(plan, base[0], best, factor, metric)
                    except CorruptEntryError as error:  # which ends no report
                        parts.append(Sentences("", (str(error),), notice=True))
                    else:
                        parts += [made] if made else []
    return Section("The genes predicted best and worst", tuple(parts))


def best_level(
    cells: Sequence[StudyCell], base: StudyCell, factor: str, metric: MetricSpec
) -> StudyCell:
    """Return the best of the cells that differ from a base in nothing but the level of a factor."""

    def rest(cell: StudyCell) -> tuple[object, ...]:
        others = {name: label for name, label in cell.levels.items() if name != factor}
        return others, cell.seed, cell.completer

    sign = -1.0 if metric.better == "lower" else 1.0
    alike = [cell for cell in cells if rest(cell) == rest(base)]
    return max(
        alike,
        key=lambda cell: (
            sign * cell.score(metric.name) if math.isfinite(cell.score(metric.name)) else -math.inf
        ),
        default=base,
    )
