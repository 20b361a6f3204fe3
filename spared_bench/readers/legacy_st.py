"""The first generation of Spatial Transcriptomics: a counts table, a spot table and an image.

*Counts*: TSV, gzipped or not, spots as rows named ``<x>x<y>`` (``10x21``, or adjusted and then
not whole: ``16.92x9.015``), genes as columns.

*Spots*: TSV with the columns ``x y`` (position in the array), ``new_x new_y`` (the same, adjusted
to where the spot really is), ``pixel_x pixel_y`` (centre in the full-resolution image) and
``selected`` (1 under tissue).

The convention of these data is an image cut at the centres of the outermost of 33 x 35 spots, so
``pixel_x = (new_x - 1) * width / 32`` and ``pixel_y = (new_y - 1) * height / 34``. Where a spot
table follows it, the width of the full-resolution image is known from the table alone, and an
image of another width is used as the reduced copy that it is.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from spared_bench.data import SPATIAL, validate_counts
from spared_bench.errors import CoordinateError, ImageError
from spared_bench.readers.features import choose_genes
from spared_bench.readers.genes import merge_duplicated_genes, without_version
from spared_bench.readers.lattice import lattice_steps, nearest_px
from spared_bench.readers.scale import check_overlap
from spared_bench.readers.tables import as_flags, parse_position, read_counts_table, read_table

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData
    from scipy.sparse import csr_matrix

_COLUMNS = ("x", "y", "new_x", "new_y", "pixel_x", "pixel_y")
_STEP_UM, _STAGGERED_UM = 200.0, 150 / 2**0.5
_STEPS = (32, 34)  # between the outermost of 33 columns and 35 rows of spots
_TOLERANCE = 0.02  # of shapes: reduced images are rounded to whole pixels


def read_legacy_st(
    counts: Path,
    spots: Path | pd.DataFrame | None,
    image: Path | None,
    *,
    step_um: float | None = None,
    spot_diameter_um: float = 100.0,
    image_scale: float | None = None,
    organism: str = "",
) -> AnnData:
    """Read one slide.

    Parameters
    ----------
    counts : Path
        The counts table.
    spots : Path, DataFrame or None
        The spot table, or where it is; ``None`` where the positions are in the names of the
        counts' rows and follow the convention above, which needs the image.
    image : Path or None
        The image; ``None`` leaves ``image_path`` empty.
    step_um : float, optional
        Micrometres from one array position to the next. By default 200, and in a staggered array,
        where every other position is empty, 150 / sqrt(2): its nearest neighbours, one step away
        along both axes, are taken to be 150 apart.
    spot_diameter_um : float
    image_scale : float, optional
        Pixels of ``image`` per full-resolution pixel; deduced where the table follows the
        convention, else 1.
    organism : str
        ``"human"`` or ``"mouse"``, whose genes are read where the table has several genomes.

    Returns
    -------
    AnnData
        A raw slide; ``uns["slide"]["repairs"]`` says in sentences what was dropped or merged.

    Raises
    ------
    MissingFileError, CountsError
        If the counts are missing, or no raw counts, or of several genomes of which none is the
        organism's.
    CoordinateError
        If the spot table is missing, lacks a column, has columns exchanged, or has no position for
        over half the counts.
    ImageError
        If the size of the image is needed and cannot be read, or is not that of the slide.
    """
    matrix, names, genes = read_counts_table(counts)
    validate_counts(matrix, f"The counts table {counts}")
    if spots is None:
        table = _positions_by_convention(names, counts, image)
    elif isinstance(spots, Path):
        table = read_table(spots, _COLUMNS, CoordinateError)
    else:
        table = spots
    source = str(spots) if isinstance(spots, Path) else "the table of positions"
    if isinstance(spots, Path):
        _check_axes(table, source)
    kept, rows, left_out = _join(names, table, counts, source)
    whole, table = table, table.iloc[rows]
    chosen = choose_genes(genes, genes, str(counts), organism=organism)
    slide, merged = _assemble(matrix[kept][:, chosen.columns], chosen.ids, table)
    if image_scale is None:
        image_scale = _scale_of(image, table) if image is not None and spots is not None else 1.0
    steps = _steps(table, whole)
    if not 0.8 < steps[0] / steps[1] < 1.25:
        raise CoordinateError(
            f"x and y of {source} are not in one scale: a step of the array, which is square, is"
            f" {steps[0]:.3g} px long in x and {steps[1]:.3g} px in y. One of the two was scaled,"
            " or the pixels are of another array."
        )
    um_per_px = (step_um or _default_step(table)) / float(np.sqrt(np.prod(steps)))
    pitch = nearest_px(slide.obsm[SPATIAL])
    check_overlap(spot_diameter_um / um_per_px, pitch, counts, "`step_um`")
    slide.uns["slide"] = {
        "image_path": str(image or ""),
        "image_scale": image_scale,
        "spot_diameter_px": spot_diameter_um / um_per_px,
        "um_per_px": um_per_px,
        "repairs": [*left_out, *chosen.repairs, *merged],
    }
    return slide


def _steps(table: pd.DataFrame, whole: pd.DataFrame) -> tuple[float, float]:
    """Return the pixels of a step, from all positions where the spots used are too few."""
    array, pixels = ["x", "y"], ["pixel_x", "pixel_y"]
    try:
        return lattice_steps(table[array].to_numpy(), table[pixels].to_numpy())
    except CoordinateError:
        return lattice_steps(whole[array].to_numpy(), whole[pixels].to_numpy())


def _check_axes(table: pd.DataFrame, source: str) -> None:
    """Refuse a table whose pixels run along the other axis of the array, as when mixed up."""
    array = table[["x", "y"]].to_numpy(dtype=np.float64)
    pixels = table[["pixel_x", "pixel_y"]].to_numpy(dtype=np.float64)
    # One row for x and one for y: how pixel_x and pixel_y grow with it.
    growth = np.abs(np.linalg.lstsq(array - array.mean(axis=0), pixels, rcond=None)[0])
    if growth[0, 0] < growth[1, 0] and growth[1, 1] < growth[0, 1]:
        raise CoordinateError(
            f"In {source}, pixel_x grows with y and pixel_y with x: columns are swapped. Exchange x"
            " and y (new_x and new_y, too), or pixel_x and pixel_y."
        )


def _default_step(table: pd.DataFrame) -> float:
    parities = (table["x"] + table["y"]).round().astype(int) % 2
    return _STAGGERED_UM if len(table) > 1 and parities.nunique() == 1 else _STEP_UM


def _assemble(
    matrix: csr_matrix, genes: list[str], table: pd.DataFrame
) -> tuple[AnnData, list[str]]:
    import pandas as pd
    from anndata import AnnData

    matrix, names, repairs = merge_duplicated_genes(matrix, without_version(genes))
    spots = pd.DataFrame(
        {
            "array_row": table["y"].round().to_numpy(dtype=int),
            "array_col": table["x"].round().to_numpy(dtype=int),
        },
        index=[f"{x:g}x{y:g}" for x, y in zip(table["x"], table["y"], strict=True)],
    )
    slide = AnnData(matrix, obs=spots, var=pd.DataFrame({"gene_name": names}, index=names))
    slide.obsm[SPATIAL] = table[["pixel_x", "pixel_y"]].to_numpy(dtype=np.float64)
    return slide, repairs


def _join(
    names: list[str], table: pd.DataFrame, counts: Path, spots: str
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Pair rows of the counts with rows of the spot table.

    Returns the rows of the counts, the rows of the table, in the order of the counts, and what
    was left out. Names are whole array positions, or the adjusted ones; what fits more is used.
    """
    wanted = [parse_position(name) for name in names]
    pairs: dict[int, int] = {}
    for x, y in (("x", "y"), ("new_x", "new_y")):
        positions = zip(table[x].astype(float), table[y].astype(float), strict=True)
        row_of = {position: row for row, position in enumerate(positions)}
        found = {row: row_of[spot] for row, spot in enumerate(wanted) if spot in row_of}
        pairs = max(pairs, found, key=len)
    lacking = len(names) - len(pairs)
    if lacking * 2 > len(names):
        first = next(name for row, name in enumerate(names) if row not in pairs)
        raise CoordinateError(
            f"{lacking} of {len(names)} spots of {counts} have no position in {spots}: {first!r},"
            f" for example. The table has {len(table)} positions. Its columns x and y must hold"
            " the numbers in the names of the counts; are these files of the same section?"
        )
    selected = np.full(len(table), True)
    if "selected" in table:
        selected = as_flags(table["selected"], f"Column 'selected' of {spots}", CoordinateError)
    used = {row: spot for row, spot in pairs.items() if selected[spot]}
    left_out = {
        "Spots with counts but no position, dropped": lacking,
        "Spots with counts but beside the tissue, dropped": len(pairs) - len(used),
        "Positions under tissue but without counts, dropped": int(np.sum(selected)) - len(used),
    }
    repairs = [f"{what}: {number}." for what, number in left_out.items() if number]
    if not used:
        raise CoordinateError(
            f"No spot of {counts} is under tissue: `selected` is 1 nowhere in {spots} where there"
            " are counts. Check that column."
        )
    return np.array(list(used)), np.array(list(used.values())), repairs


def _positions_by_convention(names: list[str], counts: Path, image: Path | None) -> pd.DataFrame:
    import pandas as pd

    from spared_bench.processing.images import image_size

    if image is None:
        raise CoordinateError(
            f"The positions of {counts} are not known in pixels: there is neither a spot table nor"
            " an image. Give the spot table, or the image that is cut at the outer spots."
        )
    width, height = image_size(image)
    positions = [parse_position(name) for name in names]
    table = pd.DataFrame(positions, columns=["new_x", "new_y"])
    table["x"], table["y"] = table["new_x"], table["new_y"]
    table["pixel_x"] = (table["new_x"] - 1) * width / _STEPS[0]
    table["pixel_y"] = (table["new_y"] - 1) * height / _STEPS[1]
    return table


def _scale_of(image: Path, table: pd.DataFrame) -> float:
    """Return pixels of the image per pixel of the table; 1 where the convention does not hold."""
    from spared_bench.processing.images import image_size

    width, height = _side(table, "x", _STEPS[0]), _side(table, "y", _STEPS[1])
    if not width:
        return 1.0
    found = image_size(image)
    if height and abs(found[0] / width / (found[1] / height) - 1) > _TOLERANCE:
        if (table[["pixel_x", "pixel_y"]].max() <= found).all():
            return 1.0  # followed by chance
        raise ImageError(
            f"The image {image} is {found[0]} x {found[1]} pixels, but its table of positions was"
            f" made on one of {width:.0f} x {height:.0f}, or a copy of that shape. It is the image"
            " of another slide, turned or cropped."
        )
    # The table is rounded to hundredths of a pixel, hence an image of full width to 0.99999996.
    return round(found[0] / width, 6)


def _side(table: pd.DataFrame, axis: str, n_steps: int) -> float:
    """Return the width or height of the image that a table was made on; 0 if it does not say."""
    inner = table[table[f"new_{axis}"] > 2]
    sides = inner[f"pixel_{axis}"] / (inner[f"new_{axis}"] - 1) * n_steps
    if sides.empty or (sides / sides.median() - 1).abs().max() > 0.01:
        return 0.0
    return float(sides.median())
