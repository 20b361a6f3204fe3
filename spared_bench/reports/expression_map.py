"""Figures of a trial: measured beside predicted expression, spot by spot."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from spared_bench.geometry import spacing
from spared_bench.reports.drawing import colour_limits, draw_spots, frame_spots, plain
from spared_bench.reports.own_style import in_own_style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 150
_GAP = 0.08  # between slides, as a share of the larger slide side
_OUTLINE = "#b4b8bd"  # of a spot without a measurement


@in_own_style()
def expression_map(
    path: Path,
    coordinates: np.ndarray,
    slide_ids: Sequence[str] | np.ndarray,
    truth: np.ndarray,
    prediction: np.ndarray,
    mask: np.ndarray,
    genes: Sequence[str],
    scores: np.ndarray,
) -> None:
    """Draw the best and the worst gene, measured beside predicted, and save a PNG.

    Slides stand side by side at one scale. Each map has its own colour scale, from the 2nd to the
    98th percentile, because a prediction that is right in pattern is often too flat. Spots without
    a measurement are hollow among the measured ones. Where no gene has a score (a constant
    prediction has no correlation), the gene that varies most is drawn, and said to have none.

    Parameters
    ----------
    path : Path
        The PNG.
    coordinates : ndarray of shape (n_spots, 2)
        Spot centres (x, y), y pointing down, in any unit that is the same for all slides.
    slide_ids : sequence of str, of length n_spots
    truth, prediction : ndarray of shape (n_spots, n_genes)
    mask : ndarray of bool, of shape (n_spots, n_genes)
        True where measured.
    genes : sequence of str
        Symbols, in the order of the columns.
    scores : ndarray of shape (n_genes,)
        Pearson correlation of each gene; nan where undefined.
    """
    from matplotlib.figure import Figure

    places, labels = _side_by_side(np.asarray(coordinates, float), np.asarray(slide_ids))
    chosen = _choose(np.asarray(scores, float), truth, mask)
    wide, high = np.ptp(places, axis=0) + spacing(places)
    width = 4.6 * float(np.clip(wide / high, 0.6, 2.6))
    figure = Figure(figsize=(2 * width + 1.6, 4.4 * len(chosen) + 0.3), layout="constrained")
    for row, (gene, role) in enumerate(chosen):
        seen = np.asarray(mask[:, gene], bool)
        left = figure.add_subplot(len(chosen), 2, 2 * row + 1)
        right = figure.add_subplot(len(chosen), 2, 2 * row + 2)
        title = f"{plain(genes[gene])}, {role}: {_score(scores[gene])}"
        left.set_title(title, loc="left", fontweight="bold")
        _draw(figure, left, places, truth[:, gene], seen, "measured")
        _draw(figure, right, places, prediction[:, gene], np.ones_like(seen), "predicted")
        for axes in (left, right):
            _label_slides(axes, labels)
    figure.savefig(path, dpi=DPI, format="png", metadata={"Software": None})


def _choose(scores: np.ndarray, truth: np.ndarray, mask: np.ndarray) -> list[tuple[int, str]]:
    """Return one or two (column, role)."""
    if np.isfinite(scores).any():
        best, worst = int(np.nanargmax(scores)), int(np.nanargmin(scores))
        return [(best, "best gene")] + ([(worst, "worst gene")] if worst != best else [])
    n_seen = np.maximum(mask.sum(axis=0), 1)
    mean = np.where(mask, truth, 0).sum(axis=0) / n_seen
    variance = np.where(mask, (truth - mean) ** 2, 0).sum(axis=0) / n_seen
    return [(int(np.argmax(variance)), "most variable gene")]


def _score(score: float) -> str:
    return f"PCC {score:.2f}" if math.isfinite(score) else "PCC undefined"


def _side_by_side(
    coordinates: np.ndarray, slide_ids: np.ndarray
) -> tuple[np.ndarray, list[tuple[str, float, float]]]:
    """Shift slides next to each other; return the places and (slide, x, y) of the labels."""
    names = list(dict.fromkeys(map(str, slide_ids)))
    of_slide = {name: np.asarray(slide_ids).astype(str) == name for name in names}
    sides = np.array([np.ptp(coordinates[of_slide[name]], axis=0) for name in names])
    gap = max(_GAP * float(sides.max(initial=0)), 2 * spacing(coordinates[of_slide[names[0]]]))
    per_row = math.ceil(math.sqrt(len(names))) if len(names) > 3 else len(names)
    places = np.empty_like(coordinates)
    labels, corner, row_height = [], np.zeros(2), 0.0
    for number, name in enumerate(names):
        if number and number % per_row == 0:
            corner, row_height = np.array([0.0, corner[1] + row_height + 1.5 * gap]), 0.0
        here = of_slide[name]
        places[here] = coordinates[here] - coordinates[here].min(axis=0) + corner
        labels.append((name, float(corner[0]), float(corner[1] - 0.5 * gap)))
        corner = corner + np.array([sides[number, 0] + gap, 0.0])
        row_height = max(row_height, float(sides[number, 1]))
    return places, labels if len(names) > 1 else []


def _draw(
    figure: Figure, axes: Axes, places: np.ndarray, values: np.ndarray, seen: np.ndarray, what: str
) -> None:
    pitch = spacing(places)
    hollow = draw_spots(axes, places[~seen], 0.7 * pitch)
    hollow.set(facecolor="none", edgecolor=_OUTLINE, linewidth=0.4)
    limits = colour_limits(values[seen])
    spots = draw_spots(axes, places[seen], 0.9 * pitch, values[seen], clim=limits)
    colours = figure.colorbar(spots, ax=axes, shrink=0.75, pad=0.01, aspect=28)
    colours.set_label(what)
    colours.outline.set_visible(False)
    frame_spots(axes, places, pitch)


def _label_slides(axes: Axes, labels: list[tuple[str, float, float]]) -> None:
    for name, x, y in labels:
        axes.text(x, y, plain(name), fontsize=8, color="#555b61", clip_on=False)
    if labels:
        bottom, top = axes.get_ylim()
        axes.set_ylim(bottom, top - 0.05 * (bottom - top))  # y points down: room for the labels
