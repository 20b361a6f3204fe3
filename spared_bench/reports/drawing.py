"""Spots as they lie on a slide: circles of true size, with y pointing down as in the image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from spared_bench.harmless import harmless

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import EllipseCollection

UNMEASURED = "#d5d8dc"
_MOST_LETTERS = 60  # of a name: figures are as wide as it takes


def draw_spots(
    axes: Axes,
    centres: np.ndarray,
    diameter: float,
    values: np.ndarray | None = None,
    **style: Any,
) -> EllipseCollection:
    """Add circles whose size is in the unit of the coordinates, whatever the figure's size.

    Parameters
    ----------
    axes : Axes
    centres : ndarray of shape (n_spots, 2)
    diameter : float
        In the unit of the centres.
    values : ndarray of shape (n_spots,), optional
        Shown as colours; nan, and spots without values, are pale.
    **style
        What ``EllipseCollection.set`` takes: ``clim``, ``edgecolor``, ...

    Returns
    -------
    EllipseCollection
        To be given to ``Figure.colorbar``.
    """
    from matplotlib import colormaps
    from matplotlib.collections import EllipseCollection

    size = np.full(len(centres), float(diameter))
    circles = EllipseCollection(
        size, size, np.zeros(len(size)), units="xy", offsets=centres, transOffset=axes.transData
    )
    circles.set(facecolor=UNMEASURED, linewidth=0)
    if values is not None:
        colours = colormaps["viridis"].with_extremes(bad=UNMEASURED)
        circles.set(array=np.ma.masked_invalid(values), cmap=colours)
    circles.set(**style)
    axes.add_collection(circles)
    return circles


def frame_spots(axes: Axes, centres: np.ndarray, margin: float) -> None:
    """Show the spots and a margin around them at one scale for x and y, without axes.

    Parameters
    ----------
    axes : Axes
    centres : ndarray of shape (n_spots, 2)
    margin : float
        In the unit of the centres.
    """
    left, top = centres.min(axis=0) - margin
    right, bottom = centres.max(axis=0) + margin
    axes.set(xlim=(left, right), ylim=(bottom, top), aspect="equal", xticks=[], yticks=[])
    for side in axes.spines.values():
        side.set_visible(False)


def colour_limits(values: np.ndarray) -> tuple[float, float]:
    """Return the 2nd and the 98th percentile of what is finite, apart even where all are equal."""
    values = values[np.isfinite(values)]
    if not values.size:
        return 0.0, 1.0
    low, high = np.percentile(values, [2, 98])
    margin = 0.5 if high - low <= 1e-9 * max(1.0, abs(high)) else 0.0
    return float(low - margin), float(high + margin)


def plain(text: str) -> str:
    """Return a stranger's name as matplotlib draws it, cut where it is long.

    A dollar sign in it is no formula, and what has no picture is shown as such.
    """
    shown = " ".join(harmless(text).split())
    cut = shown if len(shown) <= _MOST_LETTERS else f"{shown[: _MOST_LETTERS - 1]}…"
    return cut.replace("$", r"\$")
