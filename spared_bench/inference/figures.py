"""The picture of a prediction: some genes over the image of a slide."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from spared_bench.data import SPATIAL
from spared_bench.geometry import spacing
from spared_bench.reports.drawing import colour_limits, draw_spots, plain
from spared_bench.reports.own_style import in_own_style
from spared_bench.reports.saved_figures import save_figure

if TYPE_CHECKING:
    from anndata import AnnData


@in_own_style()
def draw_genes(prediction: AnnData, columns: Sequence[int], image: Path, path: Path) -> None:
    """Draw the predicted values of some genes over the image, and save a PNG."""
    from matplotlib.figure import Figure

    from spared_bench.processing.images import read_reduced

    pixels, factor = read_reduced(image, 1_500)
    places = np.asarray(prediction.obsm[SPATIAL]) * factor
    high, wide = pixels.shape[:2]
    across = min(len(columns), 4)
    down = -(-len(columns) // across)
    figure = Figure(figsize=(4.2 * across, 4 * down * high / wide + 0.4), layout="constrained")
    diameter = 0.8 * spacing(places)
    for number, column in enumerate(columns, start=1):
        axes = figure.add_subplot(down, across, number)
        axes.imshow(pixels.mean(axis=2), cmap="gray", vmin=0, vmax=255, alpha=0.5)
        values = np.asarray(prediction.X)[:, column]
        spots = draw_spots(axes, places, diameter, values, clim=colour_limits(values))
        figure.colorbar(spots, ax=axes, shrink=0.8)
        name = str(prediction.var["gene_name"].iloc[column])
        axes.set_title(plain(name), loc="left", fontweight="bold")
        axes.set_axis_off()
    save_figure(figure, path, dpi=130, metadata={"Software": None})


@in_own_style()
def draw_taken(
    pixels: np.ndarray,
    mask: np.ndarray,
    factor: float,
    centres: np.ndarray,
    taken: np.ndarray,
    path: Path,
) -> None:
    """Draw what was taken for tissue, and which points of a grid were, and save a PNG.

    Parameters
    ----------
    pixels : ndarray of uint8, of shape (height, width, 3)
    mask : ndarray of bool, of shape (height, width)
    factor : float
        Pixels of both per pixel of the image.
    centres : ndarray of shape (n_points, 2)
        In pixels of the image.
    taken : ndarray of bool, of shape (n_points,)
    path : Path
    """
    from matplotlib.figure import Figure

    high, wide = mask.shape
    figure = Figure(figsize=(8, 8 * high / wide + 0.4), layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(pixels)
    if mask.any() and not mask.all():
        axes.contour(mask, levels=[0.5], colors=["#1b7837"], linewidths=1.5)
    places = centres * factor
    size = max((0.3 * spacing(places) * 8 / wide * 72) ** 2, 0.5)
    for chosen, colour in ((~taken, "#d9d9d9"), (taken, "#1b7837")):
        axes.scatter(places[chosen, 0], places[chosen, 1], s=size, c=colour, linewidths=0)
    title = f"{int(taken.sum()):,} of {len(taken):,} grid points are taken; outlined: tissue"
    axes.set_title(title, loc="left")
    axes.set_axis_off()
    save_figure(figure, path, dpi=130, metadata={"Software": None})
