"""Maps of the genes that the base predicts best and worst, beside those of the best level."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from spared_bench.data import MASK, SPATIAL, TARGET
from spared_bench.errors import CorruptEntryError
from spared_bench.geometry import spacing
from spared_bench.leaderboard.maps import UNREADABLE
from spared_bench.reports.dataset_figures import as_data_uri
from spared_bench.reports.drawing import colour_limits, draw_spots, frame_spots
from spared_bench.reports.own_style import in_own_style
from spared_bench.specs import MetricSpec
from spared_bench.store.predictions import reason_of
from spared_bench.store.trials import PREDICTIONS, TRIALS
from spared_bench.studies.blocks import Picture, Pictures
from spared_bench.studies.planning import StudyPlan
from spared_bench.studies.results import StudyCell
from spared_bench.trials.products import prepared_table

_MAPPED = "pcc-gene"


def gene_maps(
    plan: StudyPlan, base: StudyCell, best: StudyCell, factor: str, metric: MetricSpec
) -> Pictures | None:
    """Draw the best and the worst gene of a base, measured and predicted, on one tested slide.

    Parameters
    ----------
    plan : StudyPlan
    base, best : StudyCell
        Of one dataset; the base, and the level that is best.
    factor : str
        Whose levels these are.
    metric : MetricSpec
        By which the genes are chosen, where it has a value per gene; else by their correlation.

    Returns
    -------
    Pictures or None
        ``None`` where no gene of the base has a score, or predictions are gone.

    Raises
    ------
    CorruptEntryError
        If what was predicted, or the dataset, cannot be read.
    """
    scores = base.genes(metric.name) or base.genes(_MAPPED)
    sign = -1.0 if base.genes(metric.name) and metric.better == "lower" else 1.0
    ranked = sorted(
        (gene for gene, value in scores.items() if math.isfinite(value)),
        key=lambda gene: -sign * scores[gene],
    )
    if not ranked:
        return None
    name = metric.title if base.genes(metric.name) else "PCC"
    pictures: list[Picture] = []
    for gene, role in ((ranked[0], "best"), (ranked[-1], "worst")):
        pictures += _of_gene(plan, base, best, factor, gene, role, name, metric)
    if not pictures:
        return None
    most = "lowest" if metric.better == "lower" else "highest"
    predicted = f"predicted by the base, and by the level of the {most} mean {metric.title}"
    if best is base:
        predicted = f"and predicted by the base, which has the {most} mean {metric.title}"
    return Pictures(
        f"{base.dataset}, {base.method}",
        tuple(pictures),
        f"The genes that the base predicts best and worst: measured, {predicted}. Each map has its"
        " own colours, from the 2nd to the 98th percentile.",
        columns=3,
    )


def _of_gene(
    plan: StudyPlan,
    base: StudyCell,
    best: StudyCell,
    factor: str,
    gene: str,
    role: str,
    metric_title: str,
    metric: MetricSpec,
) -> list[Picture]:
    measured = _measured(plan, base, gene)
    if measured is None:
        return []
    places, truth, mask, slide, symbol = measured
    pictures = [
        Picture(
            _map(places, np.where(mask, truth, np.nan)),
            f"{symbol}, the {role} gene: measured on {slide}",
            begins_row=True,
        )
    ]
    cells = [base] if best is base else [base, best]
    for cell in cells:
        found = _predicted(plan, cell, gene, slide)
        if found is None:
            continue
        value = (cell.genes(metric.name) or cell.genes(_MAPPED)).get(gene, math.nan)
        told = f"{metric_title} {value:.2f}" if math.isfinite(value) else "no score"
        label = cell.levels.get(factor, cell.method)
        pictures.append(Picture(_map(found[0], found[1]), f"{symbol}, {label}: {told}"))
    return pictures


def _measured(
    plan: StudyPlan, cell: StudyCell, gene: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray, str, str] | None:
    """Return centres, values, mask, slide and symbol of a gene on the first tested slide."""
    bench = _bench_of(plan, cell)
    with _readable(f"The prepared dataset {cell.dataset!r}"):
        table = prepared_table(bench, cell.dataset)
    if gene not in table.var_names:
        return None
    tested = table.obs["split"].to_numpy() == cell.split
    slide = str(table.obs["slide_id"].to_numpy()[tested][0])
    here = tested & (table.obs["slide_id"].to_numpy(dtype=str) == slide)
    column = int(table.var_names.get_loc(gene))
    return (
        np.asarray(table.obsm[SPATIAL])[here],
        np.asarray(table.layers[TARGET])[here, column],
        np.asarray(table.layers[MASK], dtype=bool)[here, column],
        slide,
        str(table.var["gene_name"].iloc[column]),
    )


def _predicted(
    plan: StudyPlan, cell: StudyCell, gene: str, slide: str
) -> tuple[np.ndarray, np.ndarray] | None:
    bench = _bench_of(plan, cell)
    table = prepared_table(bench, cell.dataset)
    assert cell.result is not None
    entry = bench.workspace.store.open(TRIALS, cell.result.key)
    if entry is None or gene not in table.var_names:
        return None
    with (
        _readable(f"What trial {entry.key[:12]} ({cell.dataset}, {cell.method}) predicted"),
        np.load(entry.folder / PREDICTIONS, allow_pickle=False) as file,
    ):
        values = file[f"{cell.split}_prediction"][:, int(table.var_names.get_loc(gene))]
    tested = table.obs["split"].to_numpy() == cell.split
    of_slide = table.obs["slide_id"].to_numpy(dtype=str)[tested] == slide
    return np.asarray(table.obsm[SPATIAL])[tested][of_slide], values[of_slide]


@contextmanager
def _readable(what: str) -> Iterator[None]:
    try:
        yield
    except UNREADABLE as error:
        raise CorruptEntryError(
            f"{what} cannot be read, so no map is drawn of it: {reason_of(error)}."
            " `spared-bench store verify --repair` takes damaged entries away."
        ) from error


def _bench_of(plan: StudyPlan, cell: StudyCell):  # type: ignore[no-untyped-def]
    for group in plan.groups:
        if any(dict(variant.levels) == cell.levels for variant in group.variants):
            return group.plan.bench
    raise AssertionError("a cell belongs to a variant of its plan")


@in_own_style()
def _map(places: np.ndarray, values: Sequence[float] | np.ndarray) -> str:
    from matplotlib.figure import Figure

    values = np.asarray(values, dtype=np.float64)
    wide, high = np.ptp(places, axis=0) + spacing(places)
    ratio = float(np.clip(high / wide, 0.5, 1.6))
    figure = Figure(figsize=(3.2, 3.2 * ratio + 0.1), layout="constrained")
    axes = figure.add_subplot()
    pitch = spacing(places)
    limits = colour_limits(values)
    spots = draw_spots(axes, places, 0.92 * pitch, values, clim=limits)
    colours = figure.colorbar(spots, ax=axes, shrink=0.8, pad=0.02, aspect=24)
    colours.outline.set_visible(False)
    colours.ax.tick_params(labelsize=7)
    frame_spots(axes, places, pitch)
    return as_data_uri(figure)
