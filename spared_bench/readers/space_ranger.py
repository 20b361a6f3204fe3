"""The output folder of 10x Genomics' Space Ranger, as users of Visium and Visium HD have it.

::

    filtered_feature_bc_matrix.h5              or the folder filtered_feature_bc_matrix/ (mtx)
    spatial/tissue_positions.csv               with a header; before version 2 without one and
                                               named tissue_positions_list.csv; of Visium HD,
                                               tissue_positions.parquet
    spatial/scalefactors_json.json
    spatial/tissue_hires_image.png             or tissue_lowres_image.png

Visium HD has such a folder for each size of bins: ``outs/binned_outputs/square_008um``.

Archives of papers move these files about; the arguments of ``read_space_ranger`` say where to.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from spared_bench.data import SPATIAL, validate_counts
from spared_bench.errors import ContractError, CoordinateError, ImageError, MissingFileError
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
_TOLERANCE = 0.02  # of sizes: the hires image is rounded to whole pixels
_PITCH_UM = 100.0  # between neighbours in a row, whose array_col differs by 2


def read_space_ranger(
    folder: Path,
    image: Path | None = None,
    *,
    spatial: Path | None = None,
    hires: Path | None = None,
    rescaled: bool = False,
) -> AnnData:
    """Read one Visium slide.

    Parameters
    ----------
    folder : Path
        As Space Ranger writes it (its ``outs``).
    image : Path, optional
        The full-resolution image that Space Ranger was given. Without it the hires image is
        used, else the lowres one, with ``image_scale`` from the scale factors.
    spatial : Path, optional
        Where the positions and scale factors are, if not in the folder's ``spatial``.
    hires : Path, optional
        The hires image, if not ``tissue_hires_image.png`` in there.
    rescaled : bool
        Whether ``image`` may have another size than the one that Space Ranger was given. Its scale
        is then deduced from the hires image, whose own scale is known.

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
        If the positions are missing, do not know a barcode of the counts, do not lie on Visium's
        lattice, or not on the image.
    ImageError
        If the size of the image is not that of the slide.
    """
    spatial = spatial or folder / "spatial"
    counts = read_feature_matrix(folder)
    validate_counts(counts.matrix, f"The matrix of {folder}")
    factors = read_scale_factors(spatial / "scalefactors_json.json")
    everywhere = read_positions(spatial)
    kept, positions, repairs = under_tissue(counts.barcodes, everywhere, folder)
    slide, merged = _assemble(counts, kept, positions)
    hires = hires or spatial / "tissue_hires_image.png"
    if image is None:
        path, scale = find_image(spatial, factors)
    else:
        path, scale = image, full_image_scale(image, hires, factors, rescaled)
    slide.uns["slide"] = {
        "image_path": str(path or ""),
        "image_scale": scale,
        "spot_diameter_px": factors["spot_diameter_fullres"],
        "um_per_px": pixel_size(slide, spatial, factors.get("bin_size_um", 0.0), everywhere),
        "repairs": [*repairs, *merged],
    }
    if path is not None:
        check_on_image(slide, path, scale)
    return slide


def pixel_size(
    slide: AnnData, where: Path, bin_um: float = 0.0, everywhere: pd.DataFrame | None = None
) -> float:
    """Return the um per full-resolution pixel of a Visium slide from the pitch of its lattice.

    Parameters
    ----------
    slide : AnnData
    where : Path
        For the message.
    bin_um : float
        The side of a bin of Visium HD, whose lattice is square; 0 for Visium's, which is hexagonal.
    everywhere : DataFrame, optional
        All positions of the array, where those of the slide may be too few.

    Raises
    ------
    CoordinateError
        If rows and columns are not as far apart as on such a lattice, which they are not when the
        columns of the table have been mixed up.
    """
    axes, pixels = ["array_col", "array_row"], ["pxl_col_in_fullres", "pxl_row_in_fullres"]
    try:
        columns, rows = lattice_steps(slide.obs[axes].to_numpy(), slide.obsm[SPATIAL])
    except CoordinateError:
        if everywhere is None:
            raise
        columns, rows = lattice_steps(everywhere[axes].to_numpy(), everywhere[pixels].to_numpy())
    ratio = 1.0 if bin_um else 3**0.5
    if not 0.8 < rows / (columns * ratio) < 1.25:
        raise CoordinateError(
            f"The spots of {where} do not lie on Visium's lattice: a step of array_row is"
            f" {rows:.3g} px long and one of array_col {columns:.3g} px; expected a ratio of"
            f" {ratio:.3g}, found {rows / columns:.3g}. The columns array_row and array_col are"
            " swapped, or the table is of another technology."
        )
    return (bin_um or _PITCH_UM / 2) / columns


def check_on_image(
    slide: AnnData,
    image: Path,
    scale: float,
    columns: str = "pxl_row_in_fullres and pxl_col_in_fullres",
) -> None:
    """Refuse a slide whose spots are not on its image; see whether swapping x and y would help."""
    from spared_bench.processing.images import image_size

    size = np.array(image_size(image), dtype=np.float64)
    centres = slide.obsm[SPATIAL] * scale
    outside = ((centres < 0) | (centres > size)).any(axis=1)
    if not outside.any():
        return
    turned = ((centres >= 0) & (centres <= size[::-1])).all()
    hint = (
        f"With x and y exchanged all of them fit: swap {columns}."
        if turned
        else "The image is of another slide, or its scale is wrong."
    )
    x, y = centres[np.flatnonzero(outside)[0]]
    raise CoordinateError(
        f"{int(outside.sum())} of {len(centres)} spots lie outside the image {image}, which is"
        f" {size[0]:.0f} x {size[1]:.0f} pixels: one is at x={x:.1f}, y={y:.1f}. {hint}"
    )


def full_image_scale(
    image: Path, hires: Path, factors: dict[str, float], rescaled: bool = False
) -> float:
    """Return the pixels of ``image`` per full-resolution pixel.

    The hires image is the full-resolution one times ``tissue_hires_scalef``, so its size says how
    large the latter was.

    Parameters
    ----------
    image, hires : Path
        Without the hires image nothing can be compared, and the scale is taken to be 1.
    factors : dict
        From ``read_scale_factors``.
    rescaled : bool
        Whether a scale other than 1 is to be expected.

    Raises
    ------
    ImageError
        If the image has another shape than the slide; another size, unless it is rescaled.
    MissingFileError, ContractError
        If it is rescaled, and the hires image or its factor is missing.
    """
    from spared_bench.processing.images import image_size

    if not hires.is_file() and not rescaled:
        return 1.0
    if not hires.is_file():
        raise MissingFileError(
            f"The scale of {image} is unknown without the hires image {hires}. Fetch the dataset"
            " again, or copy it there."
        )
    if "tissue_hires_scalef" not in factors:
        raise ContractError(
            f"The scale of {hires} is unknown: scalefactors_json.json lacks 'tissue_hires_scalef'."
        )
    found = np.array(image_size(image), dtype=np.float64)
    expected = np.array(image_size(hires), dtype=np.float64) / factors["tissue_hires_scalef"]
    across, down = found / expected
    same_shape = abs(across / down - 1) < _TOLERANCE
    if same_shape and rescaled:
        return float((across + down) / 2)
    if same_shape and abs(across - 1) < _TOLERANCE:
        return 1.0
    raise ImageError(
        f"The image {image} is {found[0]:.0f} x {found[1]:.0f} pixels, but the slide was measured"
        f" on one of {expected[0]:.0f} x {expected[1]:.0f}, by its hires image and"
        " 'tissue_hires_scalef'. It is the image of another slide, turned, cropped or rescaled."
    )


def read_positions(spatial: Path) -> pd.DataFrame:
    """Read the position file of whichever version, indexed by barcode."""
    with_header = spatial / "tissue_positions.csv"
    without_header = spatial / "tissue_positions_list.csv"
    packed = with_header.with_suffix(".parquet")
    if packed.is_file() and not with_header.is_file():
        return _by_barcode(read_table(packed, _COLUMNS[1:], CoordinateError), packed)
    if with_header.is_file() or not without_header.is_file():
        return read_position_file(with_header, header=True)
    return read_position_file(without_header, header=False)


def read_position_file(path: Path, header: bool) -> pd.DataFrame:
    """Read one position file, indexed by barcode.

    Raises
    ------
    CoordinateError
        If it is not there, or of the other version: with a header where none belongs.
    """
    names = None if header else _COLUMNS
    if path.is_file():
        with path.open(encoding="utf-8", errors="replace") as file:
            first = file.readline().split(",")
        if ("in_tissue" in first) != header and len(first) == len(_COLUMNS):
            has, wants = ("no header", "one") if header else ("a header", "none")
            other = "tissue_positions_list.csv" if header else "tissue_positions.csv"
            raise CoordinateError(
                f"The position table {path} has {has}, where a file of this name has {wants}: it is"
                f" of {'an older' if header else 'a newer'} version of Space Ranger. Rename it to"
                f" {other}."
            )
    table = read_table(path, _COLUMNS[1:], CoordinateError, separator=",", names=names)
    return _by_barcode(table, path)


def _by_barcode(table: pd.DataFrame, path: Path) -> pd.DataFrame:
    barcodes = table["barcode" if "barcode" in table else table.columns[0]].astype(str)
    if barcodes.duplicated().any():
        raise CoordinateError(
            f"The position table {path} names barcode {barcodes[barcodes.duplicated()].iloc[0]!r}"
            " more than once, so its place is unknown. Copy the file again from Space Ranger's"
            " output, one slide a folder."
        )
    return table.set_index(barcodes)


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


def find_image(spatial: Path, factors: dict[str, float]) -> tuple[Path | None, float]:
    """Return the larger of the images in the folder and its scale; ``None`` and 1 without one."""
    for size in ("hires", "lowres"):
        path = spatial / f"tissue_{size}_image.png"
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


def under_tissue(
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
