"""Figures of what a method predicts beside its means: how sure it is, and classes of spots."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from spared_bench.metrics.uncertainty import LEVELS
from spared_bench.reports.drawing import plain
from spared_bench.reports.expression_map import DPI
from spared_bench.reports.own_style import in_own_style


@in_own_style()
def calibration_figure(path: Path, observed: np.ndarray, sharpness: float) -> None:
    """Draw how much of the truth lies in each predicted interval, and save a PNG.

    Parameters
    ----------
    path : Path
        The PNG.
    observed : ndarray of shape (n_levels,)
        From ``metrics.uncertainty.calibration_curve``, of its ``LEVELS``.
    sharpness : float
        Mean predicted standard deviation.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.6, 4.6), layout="constrained")
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], color="#b4b8bd", linestyle="--", label="as predicted")
    axes.plot(LEVELS, observed, color="#4477aa", marker="o", markersize=4, label="measured")
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    axes.set_xlabel("central interval of the prediction")
    axes.set_ylabel("share of measured entries within it")
    axes.set_title(f"Calibration; mean sd {sharpness:.3g}", loc="left", fontweight="bold")
    axes.legend(frameon=False, loc="upper left")
    axes.text(0.97, 0.05, "below the line: too sure", ha="right", fontsize=8, color="#555b61")
    figure.savefig(path, dpi=DPI, format="png", metadata={"Software": None})


@in_own_style()
def confusion_figure(path: Path, table: np.ndarray, classes: Sequence[str]) -> None:
    """Draw a table of confusion, coloured by the share of each label's spots, and save a PNG.

    Parameters
    ----------
    path : Path
        The PNG.
    table : ndarray of int, of shape (n_classes, n_classes)
        Spots by label (rows) and predicted class (columns).
    classes : sequence of str
    """
    from matplotlib.figure import Figure

    present = np.maximum(table.sum(axis=1, keepdims=True), 1)
    side = 2.2 + 0.55 * len(classes)
    figure = Figure(figsize=(side, side), layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(table / present, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.ndindex(*table.shape):
        dark = table[row, column] > 0.5 * present[row, 0]
        colour = "white" if dark else "#333333"
        text = str(table[row, column])
        axes.text(column, row, text, ha="center", va="center", fontsize=8, color=colour)
    places = range(len(classes))
    names = list(map(plain, classes))
    axes.set_xticks(places, names, rotation=60, ha="right")
    axes.set_yticks(places, names)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("label")
    figure.savefig(path, dpi=DPI, format="png", metadata={"Software": None})
