"""An AnnData file with Visium-like conventions, as scanpy and squidpy write it.

Counts are whole numbers in ``X``, or in a layer that the user names. Spot centres, in pixels of the
full-resolution image, stand in ``obsm["spatial"]`` as (x, y); the size of a spot and the images in
``uns["spatial"][library]``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spared_bench.data import SPATIAL
from spared_bench.errors import (
    ContractError,
    CoordinateError,
    MissingFileError,
    did_you_mean,
    reason_of,
)
from spared_bench.readers.anndata_images import (
    copies_of,
    elsewhere,
    image_in,
    library_of,
    of_others,
)
from spared_bench.readers.anndata_spots import check_sparse, raw_slide_from
from spared_bench.readers.coordinates import number
from spared_bench.readers.filled_places import require_places
from spared_bench.readers.hdf5_chunks import unwritten_part
from spared_bench.readers.instead import instead
from spared_bench.readers.lattice import check_in_place, lattice_kind, lattice_steps, nearest_px
from spared_bench.readers.scale import (
    PITCH_UM,
    agreed,
    check_apart,
    check_copies,
    check_microns,
    check_overlap,
    check_stretched,
    check_um_per_px,
    check_visium,
    is_speck,
    scale_by_copies,
)
from spared_bench.whereabouts import whereabouts

if TYPE_CHECKING:
    from anndata import AnnData

_BIN = re.compile(r"s_(\d{3})um_\d{5}_\d{5}")  # s_008um_00123_00045-1
_USUAL_SPOT = 0.55  # of the distance to the next, on Visium


def read_anndata(
    path: Path,
    image: Path | None = None,
    *,
    layer: str = "",
    library: str = "",
    rows: tuple[str, str] | None = None,
    spot_diameter_px: float = 0.0,
    um_per_px: float = 0.0,
    organism: str = "",
    label: str = "",
    tissue: str = "",
    exports: Path | None = None,
) -> AnnData:
    """Read one slide.

    Parameters
    ----------
    path : Path
        ``.h5ad``.
    image : Path, optional
        The full-resolution image; without it, the largest in the file is used.
    layer : str
        Where the raw counts are: a layer, ``"raw"``, or ``X`` by default.
    library : str
        Key of ``uns["spatial"]``, where it has several.
    rows : tuple of str, optional
        A column of ``obs`` and its value on this slide, for a file of several slides.
    spot_diameter_px : float
        Full-resolution pixels; 0: as the file says. Where neither says it, and there is no image,
        55 % of the distance to the next spot.
    um_per_px : float
        0: by the lattice of Visium, whose spots are 100 um apart, or of Visium HD, whose bins
        tell their side by their names; else as the file says; else unknown.
    organism : str
        ``"human"`` or ``"mouse"``, whose genes are read where the file has several genomes.
    label : str
        The column of ``obs`` that holds the labels of spots; empty for none.
    tissue : str
        The column of ``obs`` that is 1 or true for spots under tissue; by default ``in_tissue``.
    exports : Path, optional
        A folder for an image that is taken out of the file.

    Returns
    -------
    AnnData
        A raw slide (``spared_bench.data``).

    Raises
    ------
    MissingFileError, ContractError
        If the file is missing, damaged, lacks what a slide needs, or tells of several scales.
    CountsError
        If the values are no raw counts; says which layer of the file holds some.
    CoordinateError
        If the spots have no coordinates, overlap, or are not known to be under tissue.
    ImageError
        If it is not clear what the values or channels of its image mean, or the image is not of
        the size that the images in the file tell of.
    """
    adata = open_anndata(path)
    others: list[str] = []
    if rows is not None:
        adata, others = _rows_of(adata, *rows, path)
    slide, made = raw_slide_from(adata, layer, path, organism, label, tissue)
    facts = library_of(adata, library, rows, path, others)
    slide.uns["slide"]["repairs"] += [] if library else of_others(adata.uns, others)
    told = _length(facts["scalefactors"].get("spot_diameter_fullres", 0))
    diameter = spot_diameter_px or told
    if spot_diameter_px and told and is_speck(told, nearest_px(slide.obsm[SPATIAL])):
        slide.uns["slide"]["repairs"].append(
            f"The file says that a spot is {told:.3g} px wide, which is a speck: `spot_diameter_px`"
            " was taken."
        )
        told = 0.0
    copies, untold = copies_of(facts)
    if not diameter > 0:
        diameter = _without_size(slide, path, image is not None or bool(copies))
    told_um = _length(facts["scalefactors"].get("microns_per_pixel", 0))
    um_per_px = check_scale(slide, diameter, um_per_px, path, from_pixels=made, told_um=told_um)
    sizes = {"`spot_diameter_px`": spot_diameter_px, f"'spot_diameter_fullres' of {path}": told}
    agreed(sizes, slack=0.25)  # Space Ranger has had 55 and 65 um
    where = Path(f"{path}, uns['spatial']")
    check_copies(list(copies.values()), where)
    if image is not None:
        found: Path | None = image
        scale = scale_by_copies(image, list(copies.values()), where)
    else:
        part = [rows[1]] if rows else []
        name = "_".join([path.stem, *part, *([library] if library else [])])
        found, scale, notes = image_in(facts, copies, path, name, exports)
        slide.uns["slide"]["repairs"] += [*untold, *elsewhere(adata.uns), *notes]
    slide.uns["slide"] |= {
        "image_path": str(found or ""),
        "image_scale": scale,
        "spot_diameter_px": diameter,
        "um_per_px": um_per_px,
    }
    return slide


def open_anndata(path: Path) -> AnnData:
    """Read an ``.h5ad``; damage is told as such."""
    import h5py
    from anndata import read_h5ad

    if path.is_dir():
        raise MissingFileError(
            f"{path} is a folder, and AnnData is read from a file (.h5ad). If it is SpatialData,"
            " write `format: spatialdata`; of AnnData in Zarr, make a file:"
            " `anndata.read_zarr(...).write_h5ad(...)`."
        )
    if not path.is_file():
        raise MissingFileError(f"There is no AnnData file at {path}. {whereabouts(path)}")
    try:
        with h5py.File(path) as file:
            if not {"obs", "var"} <= set(file):
                held = ", ".join(file) or "nothing"
                raise ValueError(f"it holds {held}; expected X, obs and var")
        adata = read_h5ad(path)
        if lacking := unwritten_part(path):
            raise ValueError(f"parts of {lacking} were never written, and would be read as 0")
    except MemoryError:
        raise
    except Exception as error:  # of any of the formats inside it
        advice = instead(path) or (
            "It is damaged, incomplete, of another format, or of a later version of anndata; write"
            " it again with `adata.write_h5ad`."
        )
        told = f"{path} cannot be read as AnnData: {reason_of(error)}. {advice}"
        raise ContractError(told) from error
    check_sparse(adata, path)
    return adata


def _side_of_bins(names: Iterable[str]) -> float:
    """Return the um that names of Visium HD tell of their bins' side; 0 for other names.

    Who pools bins gives them other names, and may leave their first size in the scale factors.
    """
    found = {match and match[1] for match in map(_BIN.search, names)}
    side = found.pop() if len(found) == 1 else None
    return float(side) if side else 0.0


def _length(value: Any) -> float:
    """Return a factor that is a positive number; 0 for another, which tells nothing."""
    found = number(value)
    return found if 0 < found < float("inf") else 0.0


def check_scale(
    slide: AnnData,
    diameter: float,
    um_per_px: float,
    path: Path,
    *,
    from_pixels: bool = False,
    told_um: float = 0.0,
) -> float:
    """Refuse a slide whose spots, their distances and its pixels contradict each other.

    Return the um per pixel: as given, else by the lattice of Visium or Visium HD, else as told,
    else 0.

    Parameters
    ----------
    slide : AnnData
    diameter, um_per_px : float
        In full-resolution pixels, and of one; a size of 0 is unknown.
    path : Path
        For the message.
    from_pixels : bool
        Whether array positions were made from pixels, so that they tell of no array.
    told_um : float
        The um per pixel that the slide says; 0 is unknown.

    Raises
    ------
    CoordinateError, ContractError
    """
    centres, told = slide.obsm[SPATIAL], "the diameter that is told"
    kind, columns, nearest = "other", 0.0, nearest_px(centres)
    check_apart(centres, nearest, path)
    require_places(centres, slide.obs_names)
    if not from_pixels:
        array = slide.obs[["array_col", "array_row"]].to_numpy()
        try:
            steps = lattice_steps(array, centres)
        except CoordinateError:  # too few spots to tell
            steps = (0.0, 0.0)
        if steps[0]:
            kind, columns = lattice_kind(array, centres, steps), steps[0]
        if kind == "hexagonal":
            check_in_place(array, centres, path)
        elif kind == "other":
            check_stretched(array, steps, path)
    pitch = 2 * columns if kind == "hexagonal" else nearest
    check_overlap(diameter, pitch, path, "`spot_diameter_px`")
    side_um = _side_of_bins(slide.obs_names) if kind == "square" else 0.0
    pitch_um = PITCH_UM if kind == "hexagonal" else side_um
    if pitch_um:
        check_visium(diameter, pitch, path, told, pitch_um)
    by_lattice = pitch_um / (columns if kind == "square" else pitch) if pitch_um else 0.0
    check_um_per_px(um_per_px, diameter, by_lattice, path)
    check_microns(told_um, by_lattice, path)
    if not by_lattice:
        told_by = {"`um_per_px`": um_per_px, f"'microns_per_pixel' of {path}": told_um}
        um_per_px = agreed(told_by)
        check_um_per_px(um_per_px, diameter, 0.0, path)
    return um_per_px or by_lattice


def _without_size(slide: AnnData, path: Path, has_image: bool) -> float:
    """Return a usual diameter and record it; refuse where patches would be cut by it."""
    usual = _USUAL_SPOT * nearest_px(slide.obsm[SPATIAL])
    if has_image or not usual > 0:
        hint = f", which is about {usual:.3g} on Visium" if usual > 0 else ""
        raise ContractError(
            f"{path} does not say how large a spot is (uns['spatial'][...]['scalefactors']"
            "['spot_diameter_fullres']), by which patches are cut from the image. Write"
            f" `spot_diameter_px: ...` in the slide's entry: full-resolution pixels{hint}."
        )
    slide.uns["slide"]["repairs"].append(
        f"The file does not say how large a spot is: {usual:.4g} px, {_USUAL_SPOT:.0%} of the"
        " distance to the next, as on Visium. Without an image no score depends on it."
    )
    return usual


def _rows_of(adata: AnnData, column: str, value: str, path: Path) -> tuple[AnnData, list[str]]:
    """Return the rows of one slide, and what the others are called."""
    if column not in adata.obs:
        raise ContractError(
            f"{path} has no obs column {column!r}. {did_you_mean(column, adata.obs.columns)} It"
            f" has: {', '.join(map(str, adata.obs.columns))}."
        )
    values = adata.obs[column].astype(str)
    here = (values == value).to_numpy()
    known = sorted(values.unique())
    if not here.any():
        raise ContractError(
            f"obs[{column!r}] of {path} is nowhere {value!r}. {did_you_mean(value, known)} It is:"
            f" {', '.join(known[:10])}."
        )
    return adata[here].copy(), [name for name in known if name != value]
