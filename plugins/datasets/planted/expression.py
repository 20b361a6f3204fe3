"""A generated tissue in which it is known what the image says of each gene.

Every slide is a hexagonal lattice of spots on an image painted from four smooth random fields
(``spared_bench_plugins.datasets.planted.painting``). Genes are of three kinds:

*planted*     The log-mean follows one field, averaged over the spot, up to a smooth residual that
              the image does not show. ``strength`` is the Pearson correlation with the field that
              is left after counting noise.
*unplanted*   As smooth, but unrelated to the image.
*background*  The same mean everywhere. They hold most of the counts, so that dividing by a spot's
              total carries next to nothing of a planted gene into an unplanted one.

Residuals and unplanted genes are made orthogonal, on every slide, to the fields and to their
products: two smooth maps of 300 spots correlate by chance, and a score of an unplanted gene that is
far from 0 should mean a leak. Slides are of different donors, who differ a little in stain. All of
it follows from the name of the slide.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from itertools import combinations_with_replacement
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from spared_bench_plugins.datasets.planted import painting

if TYPE_CHECKING:
    from anndata import AnnData

STRENGTHS = (0.9, 0.6, 0.3)
N_UNPLANTED = 8
N_BACKGROUND = 400

_LOG_SPREAD = 0.6  # standard deviation of a smooth gene's log-mean
_MEAN_COUNT, _BACKGROUND_COUNT = 80.0, 25.0
_DISPERSION = 0.01  # variance = mean + dispersion * mean^2
_DEPTH_SPREAD = 0.2  # standard deviation of a spot's log-depth, the same for all genes


@dataclass(frozen=True)
class PlantedGene:
    """What is true of a gene.

    Parameters
    ----------
    name : str
        Says the rest: ``planted_eosin_0.6_b``, ``unplanted_03``, ``background_017``.
    kind : {"planted", "unplanted", "background"}
    field : str
        The field that it follows; empty unless planted.
    strength : float
        Pearson correlation, without its sign, of log-expression and field; 0 unless planted.
    sign : int
        1 if it rises with the field, -1 if it falls.
    """

    name: str
    kind: str
    field: str = ""
    strength: float = 0.0
    sign: int = 1


def planted_genes() -> list[PlantedGene]:
    """Return every gene in the order of the columns: 24 planted, 8 unplanted, 400 background."""
    planted = [
        PlantedGene(f"planted_{field}_{strength}_{twin}", "planted", field, strength, sign)
        for strength in STRENGTHS
        for field in painting.FIELDS
        for twin, sign in (("a", 1), ("b", -1))  # one up, one down: totals stay level
    ]
    unplanted = [PlantedGene(f"unplanted_{i:02d}", "unplanted") for i in range(N_UNPLANTED)]
    background = [PlantedGene(f"background_{i:03d}", "background") for i in range(N_BACKGROUND)]
    return [*planted, *unplanted, *background]


def read_slide(folder: Path, slide_id: str) -> AnnData:
    """Generate one slide; its image is written to ``folder`` unless it is there already.

    Parameters
    ----------
    folder : Path
        Where images may be written; made if it is not there.
    slide_id : str
        ``P1`` to ``P4``; any other name gives another donor.
    """
    import pandas as pd
    from anndata import AnnData
    from scipy import sparse

    tissue, rng = _draw(slide_id)
    counts = draw_counts(rng, tissue)
    image = painting.ensure_image(tissue, folder, slide_id)

    names = [gene.name for gene in planted_genes()]
    spots = {"array_row": tissue.array[:, 1], "array_col": tissue.array[:, 0]}
    slide = AnnData(
        sparse.csr_matrix(counts),
        obs=pd.DataFrame(spots, index=[f"{x}x{y}" for x, y in tissue.array]),
        var=pd.DataFrame({"gene_name": names}, index=names),
    )
    slide.obsm["spatial"] = tissue.centres
    slide.uns["slide"] = {
        "image_path": str(image),
        "image_scale": 1.0,
        "spot_diameter_px": painting.SPOT_PX,
        "um_per_px": painting.UM_PER_PX,
        "repairs": [],
    }
    return slide


def visible_fields(slide_id: str) -> np.ndarray:
    """Return what the image shows at each spot of a slide: (n_spots, 4), as ``FIELDS``."""
    return _draw(slide_id)[0].field_means()


def draw_counts(rng: np.random.Generator, tissue: painting.Tissue) -> np.ndarray:
    """Draw the counts of one slide: (n_spots, n_genes), float32, whole numbers."""
    visible = tissue.field_means()
    columns = [_standardised(column) for column in visible.T]
    products = [a * b for a, b in combinations_with_replacement(columns, 2)]
    hidden_from = np.column_stack([np.ones(len(visible)), *columns, *products])

    genes = planted_genes()
    smooth = [gene for gene in genes if gene.kind != "background"]
    residuals = tissue.smooth_maps(rng, len(smooth))
    fitted, *_ = np.linalg.lstsq(hidden_from, residuals, rcond=None)
    residuals -= hidden_from @ fitted

    log_mean = np.zeros((len(visible), len(genes)))
    for column, gene in enumerate(smooth):
        shown = gene.strength / _reliability()
        follows = columns[painting.FIELDS.index(gene.field)] if gene.field else 0
        rest = _standardised(residuals[:, column]) * np.sqrt(1 - shown**2)
        log_mean[:, column] = _LOG_SPREAD * (gene.sign * shown * follows + rest)
    base = [_BACKGROUND_COUNT if gene.kind == "background" else _MEAN_COUNT for gene in genes]
    depth = rng.normal(scale=_DEPTH_SPREAD, size=(len(visible), 1))
    mean = np.array(base) * np.exp(log_mean + depth)
    shape = 1 / _DISPERSION
    return rng.negative_binomial(shape, shape / (shape + mean)).astype(np.float32)


def _draw(slide_id: str) -> tuple[painting.Tissue, np.random.Generator]:
    rng = np.random.default_rng(zlib.crc32(f"planted {slide_id}".encode()))
    return painting.draw_tissue(rng), rng


def _reliability() -> float:
    """Return the correlation of a smooth gene's log-expression with its log-mean.

    To first order the logarithm of a count has the variance 1 / mean + dispersion; the mean of
    1 / mean over a log-normal field is exp(spread^2 / 2) / median.
    """
    noise = np.exp(_LOG_SPREAD**2 / 2) / _MEAN_COUNT + _DISPERSION
    return float(np.sqrt(_LOG_SPREAD**2 / (_LOG_SPREAD**2 + noise)))


def _standardised(values: np.ndarray) -> np.ndarray:
    return (values - values.mean()) / values.std()
