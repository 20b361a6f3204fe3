"""Parigi et al. 2022, the supplementary files of GEO series GSE169749, all in one folder.

::

    GSM..._V19S23-097_<slide>_tissue_positions_list.csv
    GSM..._V19S23-097_<slide>_scalefactors_json.json
    GSM..._V19S23-097_<slide>_normalized_data.tsv     genes x spots, symbols x barcodes
    GSM..._V19S23-097_<slide>_<region>_rotated.tif    16 bits

The values are normalised, and raw counts are not published: the dataset declares it
(``DatasetSpec.raw_counts``). Spots are matched to coordinates by barcode. The published library
trusts their order instead.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from spared_bench.errors import CountsError, ImageError, MissingFileError

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData


def read_slide(folder: Path, slide_id: str) -> AnnData:
    """Read one slide of normalised values.

    Raises
    ------
    MissingFileError, ImageError
        If one of the four files is missing.
    CountsError
        If the values are damaged.
    CoordinateError
        If a barcode has no position, or a spot is not on the image.
    """
    from spared_bench.data import SPATIAL
    from spared_bench.readers.positions import (
        read_position_file,
        read_scale_factors,
        under_tissue,
    )
    from spared_bench.readers.scale import check_on_image
    from spared_bench.readers.space_ranger import pixel_size

    def file(end: str, error: type = MissingFileError) -> Path:
        from spared_bench_plugins.datasets.spared.lookup import only

        return only(folder.glob(f"GSM*_{slide_id}_{end}"), end, folder, error)

    values = read_values(file("normalized_data.tsv"))
    positions = read_position_file(file("tissue_positions_list.csv"))
    factors = read_scale_factors(file("scalefactors_json.json"))
    barcodes = [str(name).partition("_")[0] for name in values.columns]
    kept, positions, repairs = under_tissue(barcodes, positions, folder)
    slide = _assemble(values.iloc[:, kept], positions)
    pixels = positions[["pxl_col_in_fullres", "pxl_row_in_fullres"]]
    slide.obsm[SPATIAL] = pixels.to_numpy(dtype=np.float64)
    image = file("*_rotated.tif", ImageError)
    slide.uns["slide"] = {
        "image_path": str(image),
        "image_scale": 1.0,
        "spot_diameter_px": factors["spot_diameter_fullres"],
        "um_per_px": pixel_size(slide, folder),
        "repairs": [*repairs, "Values are normalised by the source; raw counts are not published."],
    }
    check_on_image(slide, image, 1.0)
    return slide


def read_values(path: Path) -> pd.DataFrame:
    """Read the table of genes x spots, (n_genes, n_spots)."""
    import pandas as pd

    try:
        table = pd.read_csv(path, sep="\t", index_col=0)
        values = table.to_numpy(dtype=np.float64)
    except (ValueError, OSError) as error:
        raise CountsError(
            f"The values {path} cannot be read: {error}. Fetch them again."
        ) from error
    if not np.isfinite(values).all() or (values < 0).any():
        raise CountsError(f"The values {path} are not all finite and positive. Fetch them again.")
    return table


def _assemble(values: pd.DataFrame, positions: pd.DataFrame) -> AnnData:
    import pandas as pd
    from anndata import AnnData
    from scipy.sparse import csr_matrix

    once = ~values.index.duplicated(keep=False)
    names = values.index[once].astype(str)
    return AnnData(
        csr_matrix(values.to_numpy(dtype=np.float32)[once].T),
        obs=positions[["array_row", "array_col"]].astype(int),
        var=pd.DataFrame({"gene_name": names}, index=names),
    )
