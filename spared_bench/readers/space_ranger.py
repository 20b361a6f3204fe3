"""The output folder of 10x Genomics' Space Ranger, as users of Visium and Visium HD have it.

::

    filtered_feature_bc_matrix.h5              or the folder filtered_feature_bc_matrix/ (mtx)
    spatial/tissue_positions.csv               with a header; before version 2 without one and
                                               named tissue_positions_list.csv; of Visium HD,
                                               tissue_positions.parquet
    spatial/scalefactors_json.json
    spatial/tissue_hires_image.png             or tissue_lowres_image.png

Visium HD has such a folder for each size of bins: ``outs/binned_outputs/square_008um``.

Makers of other arrays (microfluidic ones, for example) write this layout, too: their square grid is
recognised, and the size of a pixel must then be given.

Archives of papers move these files about; the arguments of ``read_space_ranger`` say where to.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from spared_bench.data import SPATIAL
from spared_bench.data.raw_counts import require_counts
from spared_bench.errors import ContractError, CoordinateError, MissingFileError
from spared_bench.readers.feature_matrix import FeatureMatrix, read_feature_matrix
from spared_bench.readers.genes import merge_duplicated_genes, without_version
from spared_bench.readers.lattice import check_in_place, lattice_kind, lattice_steps, nearest_px
from spared_bench.readers.nearby import packed
from spared_bench.readers.positions import read_positions, read_scale_factors, under_tissue
from spared_bench.readers.scale import (
    PITCH_UM,
    ImageCopy,
    check_apart,
    check_copies,
    check_microns,
    check_on_image,
    check_um_per_px,
    check_visium,
    scale_by_copies,
)
from spared_bench.readers.square_grid import scale_of_grid

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

_FACTORS, _MOST_TOLD = "scalefactors_json.json", 10
_AXES = ["array_col", "array_row"]
#: Space Ranger writes PNG; people convert.
_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff")
_PIXELS = ["pxl_col_in_fullres", "pxl_row_in_fullres"]


def read_space_ranger(
    folder: Path,
    image: Path | None = None,
    *,
    spatial: Path | None = None,
    hires: Path | None = None,
    rescaled: bool = False,
    organism: str = "",
    um_per_px: float = 0.0,
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
    organism : str
        ``"human"`` or ``"mouse"``, whose genes are read where the matrix has several genomes.
    um_per_px : float
        Of the full-resolution image, for an array that is not Visium's; 0: by the lattice.

    Returns
    -------
    AnnData
        A raw slide of the spots under tissue; gene ids without version as index, symbols in
        ``gene_name``. ``spot_diameter_px`` is Space Ranger's, which is wider than the 55 um that
        a spot measures (65 um in version 1).

    Raises
    ------
    MissingFileError
        If the counts or the scale factors are missing, or are those of several slides.
    CountsError
        If the counts are damaged, no raw counts, or of several genomes of which none is meant.
    CoordinateError
        If the positions are missing, do not know most barcodes of the counts, do not lie on a
        lattice, or not on the image.
    ContractError
        If the size of a spot, the pitch of the lattice and the size of a pixel contradict.
    ImageError
        If the size of the image is not that of the slide, or its copies contradict each other.
    """
    spatial = spatial or folder / "spatial"
    _refuse_aggregate(folder, spatial)
    counts = read_feature_matrix(folder, organism)
    require_counts(counts.matrix, counts.barcodes, counts.ids, f"The matrix of {folder}")
    factors = read_scale_factors(spatial / _FACTORS)
    everywhere = read_positions(spatial)
    kept, positions, left_out = under_tissue(counts.barcodes, everywhere, folder)
    slide, merged = _assemble(counts, kept, positions)
    copies = find_copies(spatial, factors, hires)
    check_copies(list(copies.values()), spatial)
    if image is None:
        path, scale = find_image(spatial, factors, hires)
    else:
        _check_known(image, spatial, hires, copies, rescaled)
        path, scale = image, scale_by_copies(image, list(copies.values()), spatial, rescaled)
    um_of_pixel, other = _scale_of_array(slide, spatial, factors, everywhere, um_per_px)
    slide.uns["slide"] = {
        "image_path": str(path or ""),
        "image_scale": scale,
        "spot_diameter_px": factors["spot_diameter_fullres"],
        "um_per_px": um_of_pixel,
        "repairs": [
            *counts.repairs,
            *left_out,
            *merged,
            *other,
            *(_unused_images(spatial) if path is None else []),
        ],
    }
    if path is not None:
        check_on_image(slide, path, scale)
    return slide


def _refuse_aggregate(folder: Path, spatial: Path) -> None:
    """Refuse what `spaceranger aggr` makes: counts of several slides, each with its own positions.

    By default it also leaves out reads of the deeper ones.
    """
    marks = [folder / "aggregation.csv", *sorted(folder.glob("aggr_tissue_positions*"))]
    found = next((path for path in marks if path.is_file()), None)
    if found is None or packed(spatial / _FACTORS).is_file():
        return
    parts = sorted(path.parent.name for path in spatial.glob(f"*/{_FACTORS}"))
    more = ", ..." if len(parts) > _MOST_TOLD else ""
    slides = f" ({', '.join(parts[:_MOST_TOLD])}{more})" if parts else ""
    raise MissingFileError(
        f"{folder} holds counts of several slides{slides}, which `spaceranger aggr` put together,"
        f" as {found.name} tells. Name the `outs` of each of them, which `spaceranger count` wrote:"
        " one entry for a slide."
    )


def _scale_of_array(
    slide: AnnData,
    spatial: Path,
    factors: dict[str, float],
    everywhere: pd.DataFrame,
    given: float,
) -> tuple[float, list[str]]:
    """Return the um per pixel, once all that tells of scale agrees; and what is to be recorded."""
    diameter, bin_um = factors["spot_diameter_fullres"], factors.get("bin_size_um", 0.0)
    centres = everywhere[_PIXELS].to_numpy(dtype=np.float64)
    nearest = nearest_px(centres)
    check_apart(centres, nearest, spatial)
    found = pixel_size(slide, spatial, bin_um, everywhere)
    if not found:
        return scale_of_grid(factors, given, nearest, spatial)
    check_um_per_px(given, diameter, found, spatial)
    pitch_um = bin_um or PITCH_UM
    check_visium(diameter, pitch_um / found, spatial, "'spot_diameter_fullres'", pitch_um)
    check_microns(factors.get("microns_per_pixel", 0.0), found, spatial)
    return found, []


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

    Returns
    -------
    float
        0, unknown, for a square grid that is not Visium HD's.

    Raises
    ------
    CoordinateError
        If rows and columns are not as far apart as on such a lattice, which they are not when the
        columns of the table have been mixed up.
    """
    array, pixels = slide.obs[_AXES].to_numpy(), slide.obsm[SPATIAL]
    try:
        steps = lattice_steps(array, pixels)
    except CoordinateError:
        if everywhere is None:
            raise
        array, pixels = everywhere[_AXES].to_numpy(), everywhere[_PIXELS].to_numpy()
        steps = lattice_steps(array, pixels)
    around = None if everywhere is None else everywhere[_PIXELS].to_numpy()
    kind = lattice_kind(array, pixels, steps, around)
    if kind == "other" or (bin_um and kind != "square"):
        ratio = 1.0 if bin_um else 3**0.5
        columns, rows = steps
        raise CoordinateError(
            f"The spots of {where} do not lie on Visium's lattice: a step of array_row is"
            f" {rows:.3g} px long and one of array_col {columns:.3g} px; expected a ratio of"
            f" {ratio:.3g}, found {rows / columns:.3g}. The columns array_row and array_col are"
            " swapped, array_col does not count half distances, or the table is of another"
            " technology (a square grid is read where they count its columns and rows one by one)."
        )
    check_in_place(array, pixels, where)
    return (bin_um or (PITCH_UM / 2 if kind == "hexagonal" else 0.0)) / steps[0]


def find_copies(
    spatial: Path, factors: dict[str, float], hires: Path | None = None
) -> dict[str, ImageCopy]:
    """Return the sizes and factors of the hires and the lowres image, of those that have both."""
    from spared_bench.processing.images import image_size

    found = {}
    for size, path in _images_in(spatial, hires).items():
        factor = factors.get(f"tissue_{size}_scalef")
        if path.is_file() and factor:
            found[size] = ImageCopy(size, *image_size(path), factor)
    return found


def find_image(
    spatial: Path, factors: dict[str, float], hires: Path | None = None
) -> tuple[Path | None, float]:
    """Return the larger of the images in the folder and its scale; ``None`` and 1 without one."""
    for size, path in _images_in(spatial, hires).items():
        key = f"tissue_{size}_scalef"
        if path.is_file():
            if key not in factors:
                raise ContractError(
                    f"The scale of {path} is unknown: scalefactors_json.json lacks {key!r}, a"
                    " positive number."
                )
            return path, factors[key]
    return None, 1.0


def _images_in(spatial: Path, hires: Path | None) -> dict[str, Path]:
    names = {size: f"tissue_{size}_image" for size in ("hires", "lowres")}
    found = {
        size: next(
            (path for suffix in _SUFFIXES if (path := spatial / f"{name}{suffix}").is_file()),
            spatial / f"{name}.png",
        )
        for size, name in names.items()
    }
    return found | ({"hires": hires} if hires else {})


def _unused_images(spatial: Path) -> list[str]:
    """Say which files beside the positions look like images, where none of them was used."""
    names = sorted(path.name for path in spatial.glob("*image*"))
    names += sorted(f"../{path.name}" for path in spatial.parent.glob("*tissue_*image*"))
    if not names:
        return []
    return [
        f"No image was used: none is called tissue_hires_image.png (or .jpg, .tif) or"
        f" tissue_lowres_image.png; there are {', '.join(names[:5])}."
    ]


def _check_known(
    image: Path, spatial: Path, hires: Path | None, copies: dict[str, ImageCopy], rescaled: bool
) -> None:
    """Refuse an image whose scale cannot be known, by a hires image that is not there or not told.

    The lowres image is too coarse to deduce a scale from.
    """
    path = _images_in(spatial, hires)["hires"]
    if rescaled and not path.is_file():
        raise MissingFileError(
            f"The scale of {image} is unknown without the hires image {path}. Fetch the dataset"
            " again, or copy it there."
        )
    if path.is_file() and "hires" not in copies:
        raise ContractError(
            f"The scale of {path} is unknown: scalefactors_json.json lacks 'tissue_hires_scalef',"
            " a positive number."
        )


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
    pixels = positions[_PIXELS]
    slide.obsm[SPATIAL] = pixels.to_numpy(dtype=np.float64)
    return slide, repairs
