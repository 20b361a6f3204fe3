"""A slide that nobody has measured: an image, and where on it expression is wanted."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from spared_bench.data import SPATIAL
from spared_bench.errors import CoordinateError, ImageError, MissingFileError, UsageError
from spared_bench.readers import instead
from spared_bench.readers.anndata_spots import told_array
from spared_bench.readers.array_positions import array_from_pixels
from spared_bench.readers.coordinates import centres_of
from spared_bench.readers.lattice import lattice_kind, lattice_steps
from spared_bench.readers.positions import read_position_file
from spared_bench.readers.quoted import without_quotes
from spared_bench.readers.scale import PITCH_UM, check_um_per_px
from spared_bench.readers.tables import read_table
from spared_bench.readers.text import bare
from spared_bench.readers.tissue_column import under_tissue
from spared_bench.sources.pictures import refuse_preview
from spared_bench.whereabouts import no_file

if TYPE_CHECKING:
    from anndata import AnnData
    from pandas import DataFrame

#: The first of these that is there; R and pandas give the column of names of rows none.
_NAMED_BY = ("spot", "barcode", "")
#: What to call a column of a table, and how to have one used that says what is under tissue.
_CALLED, _USE_IT = "column {!r}", "if it is right, call it `in_tissue`"
_MOST_POINTS = 1_000_000  # of a grid; a capture area of Visium HD has 700,000 bins of 8 um


@dataclass(frozen=True)
class Spots:
    """Where on an image expression is wanted.

    Parameters
    ----------
    names : list of str
    centres : ndarray of float64, of shape (n_spots, 2)
        x and y in pixels of the image.
    array : ndarray of int64, of shape (n_spots, 2), optional
        Column and row in the array, where they are known.
    notes : list of str
        What was left out when they were read, or not used.
    """

    names: list[str]
    centres: np.ndarray
    array: np.ndarray | None = None
    notes: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.names)

    def subset(self, rows: np.ndarray) -> Spots:
        """Return some of them."""
        names = [str(name) for name in np.asarray(self.names, dtype=object)[rows]]
        array = None if self.array is None else self.array[rows]
        return replace(self, names=names, centres=self.centres[rows], array=array)


def require_image(path: Path) -> Path:
    """Return the path of an image; refuse a folder in its place, as Zarr is, and previews.

    Raises
    ------
    MissingFileError, ImageError
    """
    if path.is_dir():
        raise MissingFileError(
            f"{path} is a folder, and an image is read from one file. Name the one in it that is"
            " meant; an image in Zarr (OME-Zarr, SpatialData) is written as OME-TIFF first."
        )
    if not path.is_file():  # to open a pipe may wait for ever
        raise MissingFileError(f"There is no image at {str(path)!r}. {no_file(path)}")
    if path.suffix.casefold() == ".h5ad":
        raise ImageError(
            f"{path} is AnnData, and an image is asked for. In Python, `spared_bench.predict` takes"
            f" `anndata.read_h5ad({path.name!r})`; else name the image, and the places of its spots"
            " with `--spots`."
        )
    instead.require_image(path)
    refuse_preview(path)
    return path


def read_positions(path: Path, um_per_px: float = 0.0) -> Spots:
    """Read spots from a table with columns ``x`` and ``y``, in pixels of the image, maybe ``spot``.

    Or from Space Ranger's ``tissue_positions``. Of both, where a column ``in_tissue`` says so, the
    spots under tissue are taken, and columns ``array_row`` and ``array_col`` are their places in
    the array.

    Parameters
    ----------
    path : Path
    um_per_px : float
        What is said of the image; 0: nothing. The positions of Visium, whose distance is known,
        have to agree with it.

    Returns
    -------
    Spots
        Named by the column ``spot`` or ``barcode``, or R's names of rows; else ``spot_0``,
        ``spot_1``.

    Raises
    ------
    MissingFileError, CoordinateError
    ContractError
        If ``um_per_px`` contradicts the distance of Visium's spots.
    """
    if not path.is_file():
        raise MissingFileError(f"There is no file of positions at {str(path)!r}. {no_file(path)}")
    if "tissue_positions" in path.name:
        found = read_position_file(path)
        covered, notes = under_tissue(found, "", path, _CALLED, _USE_IT)
        table = found[covered]
        _refuse_other_scale(table, um_per_px, path)
        names = list(map(str, table.index))
        centres = table[["pxl_col_in_fullres", "pxl_row_in_fullres"]]
    else:
        try:
            table = read_table(path, ("x", "y"), CoordinateError, separator="")
        except CoordinateError as error:
            raise CoordinateError(
                f"{error} Expected a table with a header and the columns x and y, numbers in pixels"
                " of the image; a column spot may name them."
            ) from error
        return spots_of(table, path)
    return checked(Spots(names, centres.to_numpy(dtype=np.float64), notes=notes), table, path)


def spots_of(table: DataFrame, path: Path) -> Spots:
    """Return the spots of a table with columns ``x`` and ``y``, as ``read_positions`` does.

    Raises
    ------
    CoordinateError
    """
    covered, notes = under_tissue(table, "", path, _CALLED, _USE_IT)
    table = table[covered]
    named = [name for name in table.columns if str(name).casefold() in _NAMED_BY]
    named.sort(key=lambda name: _NAMED_BY.index(str(name).casefold()))
    names = [bare(str(name)) for name in table[named[0]]] if named else []
    names = without_quotes(names if any(names) else _names_of_rows(table))
    names = names or [f"spot_{row}" for row in np.flatnonzero(covered)]
    centres = table[["x", "y"]].to_numpy(dtype=np.float64)
    return checked(Spots(names, centres, notes=notes), table, path)


def spots_in_adata(adata: AnnData, path: Path) -> Spots:
    """Return the spots of an AnnData as its readers take them: those under tissue.

    Raises
    ------
    CoordinateError, CountsError
    """
    covered, notes = under_tissue(adata.obs, "", path, use_it=_USE_IT)
    names = without_quotes(list(map(str, adata.obs_names[covered])))
    found = Spots(names, centres_of(adata, path)[covered], notes=notes)
    return checked(found, adata.obs[covered], path, "obs[{!r}]")


def _names_of_rows(table: DataFrame) -> list[str]:
    """Return the index of a table that is made of names, as of barcodes; of numbers, nothing."""
    named = all(isinstance(name, str | bytes) for name in table.index)
    return [str(name) for name in table.index] if named else []


def checked(spots: Spots, table: DataFrame, path: Path, called: str = _CALLED) -> Spots:
    """Refuse no spots, and names that are not their own; add places in the array.

    Parameters
    ----------
    spots : Spots
    table : DataFrame
        Of which columns may tell these places.
    path : Path
    called : str
        What to call a column in messages, with its name for ``{}``.

    Raises
    ------
    CoordinateError
    """
    if not len(spots):
        raise CoordinateError(f"{path} has no spot. Expected at least one row, with x and y.")
    if len(set(spots.names)) < len(spots) or not all(spots.names):
        raise CoordinateError(
            f"{path} names a spot more than once, or not at all, in its column of names or its"
            " index. Give every spot its own name (in an AnnData, `obs_names_make_unique()` does),"
            " or leave the column out."
        )
    return replace(spots, array=told_array(table, path, called))


def _refuse_other_scale(positions: DataFrame, um_per_px: float, path: Path) -> None:
    """Refuse an image's scale that contradicts the positions of Visium."""
    array = positions[["array_col", "array_row"]].to_numpy()
    pixels = positions[["pxl_col_in_fullres", "pxl_row_in_fullres"]].to_numpy(dtype=np.float64)
    try:
        steps = lattice_steps(array, pixels)
    except CoordinateError:  # too few spots to tell
        return
    if lattice_kind(array, pixels, steps) == "hexagonal":
        pitch = 2 * steps[0]
        check_um_per_px(um_per_px, pitch / 2, PITCH_UM / pitch, path)


def grid(width: int, height: int, step: float) -> Spots:
    """Return the points of a square grid over an image, half a step from its edge.

    Raises
    ------
    UsageError
        If there is no point on the image, or more than a million.
    """
    if not step > 0 or width * height / step**2 > _MOST_POINTS or step / 2 >= min(width, height):
        raise UsageError(
            f"A grid of {step:.4g} px over an image of {width} x {height} px has no point on it, or"
            f" more than {_MOST_POINTS:,}. Check the step and the micrometres per pixel."
        )
    across, down = np.arange(step / 2, width, step), np.arange(step / 2, height, step)
    array = np.stack([each.ravel() for each in np.mgrid[: len(down), : len(across)][::-1]], axis=1)
    centres = np.stack([across[array[:, 0]], down[array[:, 1]]], axis=1)
    return Spots([f"grid_{i}" for i in range(len(centres))], centres, array)


def check_diameter(diameter: float, width: int, height: int) -> None:
    """Raise UsageError where a spot is no pixel wide, or wider than the image."""
    if not 1 <= diameter <= max(width, height):
        raise UsageError(
            f"A spot would be {diameter:.4g} px wide on an image of {width} x {height} px. Expected"
            " a pixel at least and the image at most: check `--um-per-px`, or give the width with"
            " `--spot-diameter-px`."
        )


def make_slide(
    image: Path,
    spots: Spots,
    diameter: float,
    um_per_px: float = 0.0,
    scale: float = 1.0,
    name: str = "",
) -> AnnData:
    """Return a new slide without expression: what ``cut_slide`` and a predictor look at.

    ``um_per_px`` is needed by methods that look at windows in micrometres; 0: unknown. Places in
    the array that are not known are made from pixels. Where the image is a copy of another size,
    all else is in pixels of the full resolution, of which the image has ``scale``. A slide without
    a ``name`` has that of its image.
    """
    import pandas as pd
    from anndata import AnnData

    array = array_from_pixels(spots.centres) if spots.array is None else spots.array
    slide = AnnData(
        obs=pd.DataFrame(
            {
                "slide_id": name or image.stem,
                "patient_id": name or image.stem,
                "split": "test",
                "array_row": array[:, 1],
                "array_col": array[:, 0],
            },
            index=pd.Index(spots.names, dtype=str),
        ),
        obsm={SPATIAL: spots.centres},
    )
    facts = {"image_path": str(image), "image_scale": scale, "spot_diameter_px": diameter}
    slide.uns["slide"] = facts | {"um_per_px": um_per_px}
    return slide
