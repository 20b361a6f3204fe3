"""Pictures of registered sections: neighbours over each other in one frame, with their spots."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from spared_bench.data import SPATIAL
from spared_bench.registration import Registration
from spared_bench.reports.drawing import frame_spots, plain
from spared_bench.reports.own_style import in_own_style
from spared_bench.reports.saved_figures import save_figure

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes

_LONGEST_PX = 1200
_INK = ("#0891b2", "#dc2626")  # of the spots of the two sections, as on the images beside them
_FILL = (0.3, 0.6)  # told apart without colour vision, too


@in_own_style()
def draw_aligned(
    slides: Mapping[str, AnnData], found: Registration, out: Path, sample: str
) -> list[Path]:
    """Draw every section over the one that it was registered to, in the frame of the sample.

    Left: the outer section in one colour, the inner one in another, where they agree grey. Right:
    the spots of both, as circles of true size.

    Parameters
    ----------
    slides : mapping of str to AnnData
        Raw slides by id.
    found : Registration
    out : Path
        Folder, made if it is not there.
    sample : str
        For names and titles.

    Returns
    -------
    list of Path
        One PNG for each section but the middle one.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    out.mkdir(parents=True, exist_ok=True)
    written = []
    for name, aligned in found.sections.items():
        if name == found.reference:
            continue
        other = aligned.to if aligned.to != name else found.reference
        figure = Figure(figsize=(13, 6.4), layout="constrained")
        FigureCanvasAgg(figure)
        left, right = figure.subplots(1, 2, sharex=True, sharey=True)
        _draw_images(left, slides, found, (name, other))
        _draw_spots(right, slides, found, (name, other))
        quality = aligned.quality
        told = (
            f"Dice {quality.dice:.2f}, correlation {quality.correlation:.2f}, margin"
            f" {quality.margin:.2f}"
            if np.isfinite(quality.dice)
            else f"by {aligned.how}"
        )
        doubt = "" if quality.good else " · IN DOUBT"
        names = f"{plain(sample)}: {plain(name)} on {plain(other)}"
        figure.suptitle(f"{names} ({aligned.how}) · {told}{doubt}")
        written.append(out / f"{sample}_{name}_on_{other}.png")
        save_figure(figure, written[-1], dpi=90)
    return written


def _grey_in_frame(
    slide: AnnData, found: Registration, name: str, grid: np.ndarray
) -> np.ndarray | None:
    """Return the grey levels of a section at places in the frame, (height, width), in [0, 1]."""
    from scipy.ndimage import map_coordinates

    from spared_bench.processing.images import read_reduced

    facts = slide.uns["slide"]
    if not facts["image_path"]:
        return None
    fluorescence = facts.get("modality") == "fluorescence"
    pixels, factor = read_reduced(facts["image_path"], _LONGEST_PX, fluorescence)
    full = found.sections[name].unmoved(grid.reshape(-1, 2) / found.um_per_px)
    full = full.reshape(grid.shape)
    x, y = np.moveaxis(full * facts["image_scale"] * factor - 0.5, -1, 0)
    level = pixels.mean(axis=2) / 255
    return np.asarray(map_coordinates(level, [y, x], order=1, mode="nearest"))


def _draw_images(
    axes: Axes, slides: Mapping[str, AnnData], found: Registration, pair: tuple[str, str]
) -> None:
    places = [found.frame(name, np.asarray(slides[name].obsm[SPATIAL])) for name in pair]
    everything = np.concatenate(places)
    margin = 0.15 * np.ptp(everything, axis=0).max()
    low, high = everything.min(axis=0) - margin, everything.max(axis=0) + margin
    side = np.linspace(0, 1, 500)
    grid = np.stack(np.meshgrid(*(low[i] + side * (high[i] - low[i]) for i in (0, 1))), axis=-1)
    levels = [_grey_in_frame(slides[name], found, name, grid) for name in pair]
    first, second = (np.ones(grid.shape[:2]) if each is None else each for each in levels)
    # Red where the inner section alone is dark, blue-green where the outer one alone is.
    axes.imshow(
        np.stack([first, second, second], axis=-1),
        extent=(low[0], high[0], high[1], low[1]),
        interpolation="antialiased",
    )
    first_name, second_name = map(plain, pair)
    axes.set_title(
        f"dark in both: grey · in {first_name} alone: blue-green · in {second_name} alone: red"
    )


def _draw_spots(
    axes: Axes, slides: Mapping[str, AnnData], found: Registration, pair: tuple[str, str]
) -> None:
    from matplotlib.collections import EllipseCollection
    from matplotlib.colors import to_rgba

    for ink, fill, name in zip(_INK, _FILL, pair, strict=True):
        slide = slides[name]
        centres = found.frame(name, np.asarray(slide.obsm[SPATIAL]))
        stretch = np.sqrt(abs(np.linalg.det(found.sections[name].matrix[:2, :2])))
        diameter = slide.uns["slide"]["spot_diameter_px"] * stretch * found.um_per_px
        size = np.full(len(centres), diameter)
        circles = EllipseCollection(
            size, size, np.zeros(len(size)), units="xy", offsets=centres,
            offset_transform=axes.transData, facecolor=to_rgba(ink, fill), edgecolor=ink,
        )  # fmt: skip
        axes.add_collection(circles)
        axes.plot([], [], "o", color=ink, label=plain(name))
    everything = np.concatenate(
        [found.frame(name, np.asarray(slides[name].obsm[SPATIAL])) for name in pair]
    )
    frame_spots(axes, everything, 400.0 if found.um_per_px != 1 else 0.1 * np.ptp(everything))
    axes.legend(loc="lower right")
    axes.set_title("spots, of true size")
