"""A picture of every slide with its spots on it: what to look at before believing any number."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from spared_bench.data import SPATIAL
from spared_bench.errors import UnknownNameError
from spared_bench.reports.drawing import draw_spots, frame_spots, plain
from spared_bench.reports.own_style import in_own_style
from spared_bench.reports.saved_figures import save_figure
from spared_bench.words import counted

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LONGEST_PX = 1600  # of the image behind the spots
_WIDTH_IN = 8.0
_MARGIN_SPOTS = 3  # how far around the spots the picture reaches, in spot diameters


@in_own_style()
def draw_slides(
    slides: Mapping[str, AnnData], out: Path, colour: str | None = None, dataset: str = ""
) -> list[Path]:
    """Write one PNG per slide: its image, and its spots as circles of true size.

    Parameters
    ----------
    slides : mapping of str to AnnData
        Raw slides by id.
    out : Path
        The folder to write to; made if it is not there.
    colour : str, optional
        A gene, by symbol or id, whatever the case; total counts by default.
    dataset : str
        For the title and the names of the files.

    Returns
    -------
    list of Path
        ``<dataset>_<slide>[_<gene>].png``, in the order of ``slides``.

    Raises
    ------
    UnknownNameError
        If a slide does not have the gene.
    ImageError
        If an image cannot be read.
    """
    # All values first, so that an unknown gene leaves no half of the pictures behind.
    values = {slide_id: spot_values(slide, colour) for slide_id, slide in slides.items()}
    out.mkdir(parents=True, exist_ok=True)
    written = []
    for slide_id, slide in slides.items():
        parts = [dataset, slide_id, colour or ""]
        name = "_".join(_safe(part) for part in parts if part)
        title = " · ".join(plain(part) for part in (dataset, slide_id) if part)
        figure = draw_slide(slide, values[slide_id], title, colour or "total counts")
        written.append(out / f"{name}.png")
        save_figure(figure, written[-1], dpi=120, bbox_inches="tight")
    return written


def spot_values(slide: AnnData, colour: str | None) -> np.ndarray:
    """Return counts per spot, (n_spots,): of one gene, or in all."""
    if colour is None:
        return np.asarray(slide.X.sum(axis=1)).ravel()
    ids = [str(name) for name in slide.var_names]
    symbols = [str(name) for name in slide.var.get("gene_name", ids)]
    wanted = colour.casefold()
    chosen = [
        column
        for column, names in enumerate(zip(ids, symbols, strict=True))
        if wanted in (name.casefold() for name in names)
    ]
    if not chosen:
        raise _unknown_gene(colour, ids, symbols)
    # A symbol may stand for several ids; what a person sees under it is their sum.
    return np.asarray(slide.X[:, chosen].sum(axis=1)).ravel()


@in_own_style()
def draw_slide(slide: AnnData, values: np.ndarray, title: str, label: str) -> Figure:
    """Draw one slide; circles are as large as the spots, colours on a log scale of counts.

    The title is as ``plain`` makes it.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.colors import LogNorm
    from matplotlib.figure import Figure

    facts = slide.uns["slide"]
    centres = np.asarray(slide.obsm[SPATIAL]) * facts["image_scale"]
    diameter = facts["spot_diameter_px"] * facts["image_scale"]
    width, height = np.ptp(centres, axis=0) + 2 * _MARGIN_SPOTS * diameter

    size = (_WIDTH_IN, _WIDTH_IN * float(np.clip(height / width, 0.4, 2)) + 0.6)
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    _draw_image(axes, facts["image_path"], facts.get("modality") == "fluorescence")
    # A few almost empty spots would otherwise take most of the scale.
    lowest, highest = np.percentile(values + 1.0, (2, 100))
    scale = LogNorm(lowest, max(highest, 2 * lowest))
    circles = draw_spots(axes, centres, diameter, values + 1.0, norm=scale)
    circles.set(alpha=0.75, edgecolor="black", linewidth=0.3)
    frame_spots(axes, centres, _MARGIN_SPOTS * diameter)
    told = f"{counted(slide.n_obs, 'spot')}, {counted(slide.n_vars, 'gene')}"
    axes.set_title(f"{title}: {told}")
    bar = figure.colorbar(circles, ax=axes, fraction=0.04, pad=0.02, extend="min")
    bar.set_label(f"{plain(label)} + 1")
    return figure


def _draw_image(axes: Axes, path: str, fluorescence: bool) -> None:
    if not path:
        return
    from spared_bench.processing.images import read_reduced

    pixels, factor = read_reduced(path, _LONGEST_PX, fluorescence)
    height, width = pixels.shape[0] / factor, pixels.shape[1] / factor
    axes.imshow(pixels, extent=(0, width, height, 0), interpolation="antialiased")


def _unknown_gene(name: str, ids: list[str], symbols: list[str]) -> UnknownNameError:
    """Suggest the nearest names rather than listing thousands."""
    import difflib

    folded = {known.casefold(): known for known in (*ids, *symbols)}
    near = difflib.get_close_matches(name.casefold(), folded, n=5, cutoff=0.6)
    known = [folded[key] for key in near] or symbols[:5]
    return UnknownNameError(
        "gene", name, known, f"These are {len(known)} of {len(ids):,}; symbols and ids both work."
    )


def _safe(part: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-." else "_" for letter in part)
