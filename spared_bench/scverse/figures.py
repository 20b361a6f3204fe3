"""A gene on a slide: the tissue, what was measured, what was predicted, as a figure."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

from spared_bench.data import MASK, SPATIAL
from spared_bench.data.gene_columns import gene_columns, of_several
from spared_bench.errors import UnknownNameError, UsageError
from spared_bench.metrics.pearson import pearson_gene
from spared_bench.scverse.predictions import MEASURED, PREDICTED, VARIANCE

if TYPE_CHECKING:
    from anndata import AnnData


class ShownFigure(Figure):
    """A figure that a notebook shows; one of matplotlib only after ``pyplot`` has drawn there."""

    def _repr_png_(self) -> bytes:
        with BytesIO() as file:
            self.savefig(file, format="png")
            return file.getvalue()


def show_gene(predictions: AnnData, gene: str = "", slide: str = "") -> Figure:
    """Draw a gene: tissue, measured, predicted, and the deviation where it was predicted.

    Parameters
    ----------
    predictions : AnnData
        Of ``predictions_of``.
    gene : str
        Id or symbol; by default the one whose prediction has the highest correlation with what was
        measured.
    slide : str
        The first by default.

    Returns
    -------
    matplotlib.figure.Figure
        Measured and predicted have one scale of colours each, from their 2nd to 98th percentile.

    Raises
    ------
    UnknownNameError
        For a gene or slide that is not there.
    UsageError
        For a symbol that several genes have.
    """
    from spared_bench.reports.drawing import plain

    column = _column(predictions, gene)
    slides = list(dict.fromkeys(predictions.obs["slide_id"].astype(str)))
    if slide and slide not in slides:
        raise UnknownNameError("slide", slide, slides)
    slide = slide or slides[0]
    part = predictions[(predictions.obs["slide_id"].astype(str) == slide).to_numpy()]
    library = part.uns.get(SPATIAL, {}).get(slide, {"images": {}, "scalefactors": {}})
    pixels = library["images"].get("hires")
    seen = np.asarray(part.layers[MASK][:, column], dtype=bool)
    every = np.ones_like(seen)
    panels: list[tuple[str, np.ndarray, np.ndarray]] = [
        ("measured", np.asarray(part.layers[MEASURED][:, column]), seen),
        ("predicted", np.asarray(part.layers[PREDICTED][:, column]), every),
    ]
    if VARIANCE in part.layers:
        deviation = np.sqrt(np.asarray(part.layers[VARIANCE][:, column]))
        panels.append(("standard deviation", deviation, every))
    n_panels = len(panels) + (pixels is not None)
    figure = ShownFigure(figsize=(4.3 * n_panels, 4.1), layout="constrained")
    symbol = str(part.var["gene_name"].iloc[column])
    told = part.uns["spared_bench"]
    title = f"{plain(symbol)} on {plain(slide)}: {plain(told['predictor'])}{_score(part, column)}"
    figure.suptitle(title)
    _draw(figure, part, library, pixels, panels, n_panels)
    return figure


def _draw(
    figure: Figure,
    part: AnnData,
    library: dict[str, Any],
    pixels: np.ndarray | None,
    panels: list[tuple[str, np.ndarray, np.ndarray]],
    n_panels: int,
) -> None:
    from spared_bench.geometry import spacing
    from spared_bench.reports.drawing import colour_limits, draw_spots, frame_spots

    places = np.asarray(part.obsm[SPATIAL], dtype=np.float64)
    pitch = spacing(places)
    at = 1
    if pixels is not None:
        axes = figure.add_subplot(1, n_panels, at)
        step = 1 / float(library["scalefactors"]["tissue_hires_scalef"])
        height, width = pixels.shape[:2]
        axes.imshow(pixels, extent=(0, width * step, height * step, 0))
        frame_spots(axes, places, pitch)
        axes.set_title("tissue", loc="left")
        at += 1
    for what, values, seen in panels:
        axes = figure.add_subplot(1, n_panels, at)
        if seen.any():
            spots = draw_spots(
                axes, places[seen], 0.9 * pitch, values[seen], clim=colour_limits(values[seen])
            )
            figure.colorbar(spots, ax=axes, shrink=0.75, pad=0.01, aspect=28)
        frame_spots(axes, places, pitch)
        axes.set_title(what, loc="left")
        at += 1


def _column(predictions: AnnData, gene: str) -> int:
    symbols = list(map(str, predictions.var["gene_name"]))
    ids = list(map(str, predictions.var_names))
    if not gene:
        return _best_predicted(predictions)
    found = gene_columns([gene], ids, symbols)
    if unclear := of_several(found, ids):
        raise UsageError(f"The gene {unclear}")
    if not found[gene]:
        raise UnknownNameError("predicted gene", gene, symbols)
    return found[gene][0]


def _best_predicted(predictions: AnnData) -> int:
    """Return the gene of the highest correlation, whatever the protocol's metrics are."""
    layers = predictions.layers
    found = pearson_gene(layers[MEASURED], layers[PREDICTED], layers[MASK])
    return int(np.nanargmax(found)) if np.isfinite(found).any() else 0


def _score(part: AnnData, column: int) -> str:
    if "pcc-gene" not in part.var:
        return ""
    score = float(part.var["pcc-gene"].iloc[column])
    return f", PCC {score:.2f} over all slides" if np.isfinite(score) else ", PCC undefined"
