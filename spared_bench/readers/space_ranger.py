"""The output folder of 10x Genomics' Space Ranger, versions 1 to 3, as Visium users have it.

::

    filtered_feature_bc_matrix.h5              or the folder filtered_feature_bc_matrix/ (mtx)
    spatial/tissue_positions.csv               with a header; before version 2 without one and
                                               named tissue_positions_list.csv
    spatial/scalefactors_json.json
    spatial/tissue_hires_image.png             or tissue_lowres_image.png
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from spared_bench.data import SPATIAL, validate_counts
from spared_bench.errors import ContractError, CoordinateError, MissingFileError
from spared_bench.readers.feature_matrix import FeatureMatrix, read_feature_matrix
from spared_bench.readers.genes import merge_duplicated_genes, without_version
from spared_bench.readers.lattice import lattice_steps
from spared_bench.readers.tables import read_table

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

_COLUMNS = (
    "barcode",
    "in_tissue",
    "array_row",
    "array_col",
    "pxl_row_in_fullres",
    "pxl_col_in_fullres",
)
_PITCH_UM = 100.0  # between neighbours in a row, whose array_col differs by 2


def read_space_ranger(folder: Path, image: Path | None = None) -> AnnData:
    """Read one Visium slide.

    Parameters
    ----------
    folder : Path
        As Space Ranger writes it (its ``outs``).
    image : Path, optional
        The full-resolution image that Space Ranger was given. Without it the hires image is
        used, else the lowres one, with ``image_scale`` from the scale factors.

    Returns
    -------
    AnnData
        A raw slide of the spots under tissue; gene ids without version as index, symbols in
        ``gene_name``. ``spot_diameter_px`` is Space Ranger's, which is wider than the 55 um that
        a spot measures (65 um in version 1).

    Raises
    ------
    MissingFileError
        If the counts or the scale factors are missing.
    CountsError
        If the counts are damaged or no raw counts.
    CoordinateError
        If the positions are missing or do not know a barcode of the counts.
    """
    counts = read_feature_matrix(folder)
    validate_counts(counts.matrix, f"The matrix of {folder}")
    factors = read_scale_factors(folder / "spatial" / "scalefactors_json.json")
    positions = read_positions(folder / "spatial")
    kept, positions, repairs = _under_tissue(counts.barcodes, positions, folder)
    slide, merged = _assemble(counts, kept, positions)
    array = positions[["array_col", "array_row"]].to_numpy()
    columns, _ = lattice_steps(array, slide.obsm[SPATIAL])
    path, scale = find_image(folder, factors) if image is None else (image, 1.0)
    slide.uns["slide"] = {
        "image_path": str(path or ""),
        "image_scale": scale,
        "spot_diameter_px": factors["spot_diameter_fullres"],
        "um_per_px": _PITCH_UM / (2 * columns),
        "repairs": [*repairs, *merged],
    }
    return slide


def read_positions(spatial: Path) -> pd.DataFrame:
    """Read the position file of either version, indexed by barcode."""
    with_header = spatial / "tissue_positions.csv"
    without_header = spatial / "tissue_positions_list.csv"
    if with_header.is_file() or not without_header.is_file():
        table = read_table(with_header, _COLUMNS[1:], CoordinateError, separator=",")
    else:
        table = read_table(
            without_header, _COLUMNS[1:], CoordinateError, separator=",", names=_COLUMNS
        )
    return table.set_index(table.columns[0])


def read_scale_factors(path: Path) -> dict[str, float]:
    """Read the scale factors; the spot diameter must be there."""
    if not path.is_file():
        raise MissingFileError(
            f"There are no scale factors at {path}, so the size of a spot is unknown. Copy the"
            " whole `spatial` folder of Space Ranger's output."
        )
    try:
        values: Any = json.loads(path.read_text())
        factors = {key: float(value) for key, value in values.items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise ContractError(f"The scale factors {path} cannot be read: {error}.") from error
    if "spot_diameter_fullres" not in factors:
        raise ContractError(f"{path} lacks 'spot_diameter_fullres'; found {sorted(factors)}.")
    return factors


def find_image(folder: Path, factors: dict[str, float]) -> tuple[Path | None, float]:
    """Return the larger of the images in the folder and its scale; ``None`` and 1 without one."""
    for size in ("hires", "lowres"):
        path = folder / "spatial" / f"tissue_{size}_image.png"
        key = f"tissue_{size}_scalef"
        if path.is_file():
            if key not in factors:
                raise ContractError(
                    f"The scale of {path} is unknown: scalefactors_json.json lacks {key!r}."
                )
            return path, factors[key]
    return None, 1.0


def _assemble(
    counts: FeatureMatrix, kept: np.ndarray, positions: pd.DataFrame
) -> tuple[AnnData, list[str]]:
    import pandas as pd
    from anndata import AnnData

    genes = without_version(counts.ids)
    matrix, ids, repairs = merge_duplicated_genes(counts.matrix[kept], genes)
    symbol_of = dict(zip(reversed(genes), reversed(counts.symbols), strict=True))
    slide = AnnData(
        matrix,
        obs=positions[["array_row", "array_col"]].astype(int),
        var=pd.DataFrame({"gene_name": [symbol_of[gene] for gene in ids]}, index=ids),
    )
    pixels = positions[["pxl_col_in_fullres", "pxl_row_in_fullres"]]
    slide.obsm[SPATIAL] = pixels.to_numpy(dtype=np.float64)
    return slide, repairs


def _under_tissue(
    barcodes: list[str], positions: pd.DataFrame, folder: Path
) -> tuple[np.ndarray, pd.DataFrame, list[str]]:
    """Return the rows of the counts under tissue, their positions, and what was left out."""
    unknown = [barcode for barcode in barcodes if barcode not in positions.index]
    if unknown:
        raise CoordinateError(
            f"{len(unknown)} of {len(barcodes)} barcodes of {folder} have no position:"
            f" {unknown[0]!r}, for example, while the positions name {positions.index[0]!r}. The"
            " counts and the `spatial` folder are of different slides."
        )
    found = positions.loc[barcodes]
    covered = found["in_tissue"].to_numpy() == 1
    if not covered.any():
        raise CoordinateError(
            f"No spot of {folder} is under tissue: in_tissue is 1 for none of its barcodes."
        )
    without_counts = int((positions["in_tissue"] == 1).sum() - covered.sum())
    left_out = {
        "Spots with counts but beside the tissue, dropped": int((~covered).sum()),
        "Positions under tissue but without counts, dropped": without_counts,
    }
    repairs = [f"{what}: {number}." for what, number in left_out.items() if number]
    return np.flatnonzero(covered), found[covered], repairs
