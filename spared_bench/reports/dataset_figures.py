"""Figures of a dataset page: what a curator wants to see before any method runs."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from spared_bench.geometry import spacing
from spared_bench.reports.drawing import (
    UNMEASURED,
    colour_limits,
    draw_spots,
    frame_spots,
    plain,
)
from spared_bench.reports.own_style import in_own_style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURS = {"train": "#3d6d8c", "val": "#c98a2b", "test": "#a0453a", "": "#8a9097"}
_DPI = 110
MAP_SLIDES, MAP_GENES, PATCHES_PER_SPLIT = 6, 4, 14


@in_own_style()
def as_data_uri(figure: Figure, photographic: bool = False) -> str:
    """Return a figure as ``data:`` URI: PNG, or JPEG where it is mostly a photograph."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure)
    form = "jpeg" if photographic else "png"
    options: dict[str, Any] = {"pil_kwargs": {"quality": 85}} if photographic else {}
    buffer = io.BytesIO()
    figure.savefig(buffer, format=form, dpi=_DPI, bbox_inches="tight", **options)
    return f"data:image/{form};base64,{base64.b64encode(buffer.getvalue()).decode()}"


@in_own_style()
def spots_per_slide(slides: Sequence[tuple[str, str, int, int | None]]) -> Figure:
    """Bars of the spots of each slide, coloured by split: read, and kept where that is known.

    Grey is what was dropped. Where nobody knows what is kept, nothing counts as dropped.

    Parameters
    ----------
    slides : sequence of (slide id, split, spots read, spots kept or None)
    """
    figure, axes = _figure(8, max(1.2, 0.24 * len(slides) + 0.7))
    for place, (_, split, read, kept) in enumerate(slides):
        if kept is not None:
            axes.barh(place, read, color=UNMEASURED, height=0.72)
        axes.barh(place, read if kept is None else kept, color=COLOURS[split], height=0.72)
    axes.set_yticks(range(len(slides)), [plain(slide_id) for slide_id, *_ in slides])
    axes.invert_yaxis()
    prepared = any(kept is not None for *_, kept in slides)
    axes.set_xlabel("spots (grey: dropped)" if prepared else "spots as read")
    _legend(axes, {split for _, split, _, _ in slides})
    return figure


@in_own_style()
def missing_shares(slides: Sequence[str], shares: Mapping[str, np.ndarray]) -> Figure:
    """Points of the share of unmeasured entries of each slide, at each stage."""
    figure, axes = _figure(8, max(1.2, 0.24 * len(slides) + 0.7))
    marks = dict(zip(shares, "os^D", strict=False))
    for stage, values in shares.items():
        axes.plot(values, range(len(slides)), marks[stage], label=stage, markersize=6, alpha=0.85)
    axes.set_yticks(range(len(slides)), [plain(slide_id) for slide_id in slides])
    axes.set_ylim(len(slides) - 0.4, -0.6)
    axes.set_xlim(-0.02, 1.02)
    axes.set_xlabel("share of entries (spot, gene) without a count")
    axes.legend(frameon=False, fontsize=9, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


@in_own_style()
def expression_fractions(overall: np.ndarray, smallest: np.ndarray, kept: np.ndarray) -> Figure:
    """Curve of the share of spots in which each gene is seen, the chosen genes marked."""
    figure, axes = _figure(8, 3.2)
    order = np.argsort(-overall, kind="stable")
    rank = np.arange(1, len(order) + 1)
    axes.plot(rank, smallest[order], ",", color="#b9bec4", rasterized=True)
    axes.plot(rank, overall[order], color="#4d555d", linewidth=1.4, label="all spots")
    axes.plot([], [], "o", color="#b9bec4", markersize=3, label="slide where it is smallest")
    here = kept[order]
    axes.plot(
        rank[here], overall[order][here], "|", color=COLOURS["test"], markersize=9, label="chosen"
    )
    axes.set_xscale("log")
    axes.set_ylim(-0.02, 1.02)
    axes.set_xlabel("genes, by share of all spots")
    axes.set_ylabel("share of spots with a count")
    axes.legend(frameon=False, fontsize=9)
    return figure


@in_own_style()
def gene_maps(
    slides: Sequence[tuple[str, np.ndarray]],
    values: Sequence[np.ndarray],
    masks: Sequence[np.ndarray],
    genes: Sequence[str],
) -> Figure:
    """Maps of some genes on some slides, one row a gene; unmeasured spots are pale.

    Parameters
    ----------
    slides : sequence of (slide id, centres of shape (n_spots, 2))
    values, masks : sequence of ndarray of shape (n_spots, n_genes), one per slide
    genes : sequence of str
    """
    from matplotlib.figure import Figure

    shape = (len(genes), len(slides))
    wide, high = np.max([np.ptp(centres, axis=0) for _, centres in slides], axis=0)
    width = 1.9 * float(np.clip(wide / max(high, 1e-9), 0.5, 1.6))
    figure = Figure(
        figsize=(width * len(slides) + 0.9, 1.9 * len(genes) + 0.3), layout="constrained"
    )
    axes = figure.subplots(*shape, squeeze=False)
    for row, gene in enumerate(genes):
        seen = np.concatenate([v[m[:, row], row] for v, m in zip(values, masks, strict=True)])
        limits = colour_limits(seen)
        for column, (slide_id, centres) in enumerate(slides):
            cell = axes[row][column]
            shown = np.where(masks[column][:, row], values[column][:, row], np.nan)
            pitch = spacing(centres)
            drawn = draw_spots(cell, centres, 0.9 * pitch, shown, clim=limits)
            frame_spots(cell, centres, pitch)
            if row == 0:
                cell.set_title(plain(slide_id), fontsize=9)
            if column == 0:
                cell.set_ylabel(plain(gene), fontsize=9)
        figure.colorbar(drawn, ax=list(axes[row]), fraction=0.03, pad=0.01)
    return figure


@in_own_style()
def patch_sheet(patches: Mapping[str, np.ndarray]) -> Figure:
    """Sampled patches, one row a split: each value is (n, size, size, 3), uint8."""
    columns = max(len(rows) for rows in patches.values())
    figure, axes = _figure(0.82 * columns + 0.6, 0.92 * len(patches))
    side = 100
    for row, (split, sample) in enumerate(patches.items()):
        for column, patch in enumerate(sample):
            left, top = column * (side + 6), row * (side + 6)
            axes.imshow(patch, extent=(left, left + side, top + side, top))
        axes.text(-8, row * (side + 6) + side / 2, split, ha="right", va="center", fontsize=10)
    axes.set_xlim(0, columns * (side + 6))
    axes.set_ylim(len(patches) * (side + 6), 0)
    axes.axis("off")
    return figure


@in_own_style()
def mean_against_variance(moments: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> Figure:
    """Mean against variance of the target of each gene, a colour per split."""
    figure, axes = _figure(5.2, 3.6)
    for split, (mean, variance) in moments.items():
        axes.plot(mean, variance, "o", color=COLOURS[split], markersize=3.5, alpha=0.7, label=split)
    axes.set_xlabel("mean of a gene, measured entries")
    axes.set_ylabel("variance")
    axes.legend(frameon=False, fontsize=9)
    return figure


def _figure(width: float, height: float) -> tuple[Figure, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.add_subplot()
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.tick_params(labelsize=9)
    return figure, axes


def _legend(axes: Any, splits: set[str]) -> None:
    from matplotlib.patches import Patch

    handles = [Patch(color=COLOURS[s], label=s) for s in ("train", "val", "test") if s in splits]
    if handles:
        axes.legend(
            handles=handles,
            frameon=False,
            fontsize=9,
            loc="center left",
            bbox_to_anchor=(1.0, 0.5),
        )
