"""One sample of HEST-1k or HEST-Benchmark: its h5ad, and the patches that come with it.

Jaume et al., NeurIPS 2024, arXiv 2406.16192. Counts and spot centres stand in the ``.h5ad``, whose
only reliable position is ``obsm["spatial"]`` (x, y in full-resolution pixels); patches of 112 µm in
an HDF5 file with a barcode each, in an order of their own and not for all spots. They are joined by
barcode: ``coords`` there has had two meanings. Spots without a patch are left out. Patches that its
library was asked to cut wider or narrower are as wide as their file says.

Of Xenium and Visium HD samples the spots are squares over which others have pooled; single cells
are not read.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from spared_bench.data import SPATIAL
from spared_bench.errors import ContractError, DataError, ImageError, MissingFileError
from spared_bench.processing.given import GIVEN, GIVEN_ROWS, GIVEN_UM
from spared_bench.readers.anndata_file import open_anndata
from spared_bench.readers.anndata_images import copies_of, image_in, library_of
from spared_bench.readers.anndata_spots import raw_slide_from
from spared_bench.readers.coordinates import number
from spared_bench.readers.hdf5_chunks import unwritten
from spared_bench.readers.instead import instead
from spared_bench.readers.lattice import nearest_px
from spared_bench.readers.scale import (
    agreed,
    check_apart,
    check_overlap,
    check_um_per_px,
    scale_by_copies,
)
from spared_bench.readers.tissue_column import not_used, tissue_columns
from spared_bench.unseen import clear

if TYPE_CHECKING:
    from anndata import AnnData

#: Of their distance: pseudo-spots of 100 um stand 58 um apart in a sample, and of some arrays the
#: diameter (110 um) and the distance (150 um) seem to be exchanged.
_WIDEST = 2.0
_PIXEL = "pixel_size_um_estimated"  # of the metadata
#: Side of HEST's patches in micrometres: 224 px at 0.5 µm/px.
PATCH_UM = 112.0
_ROUNDED = 0.02  # of it: what whole pixels of a slide make of it
_LIBRARY = "ST"  # whatever the technology
#: Columns of obs that are left over from elsewhere, or wrong for some technologies, as those that
#: tell of the tissue are, too.
_NOT_TRUSTED = ("array_row", "array_col")
_NOT_USED = "in HEST such a column can be left over; the patches say which spots count"


def read_hest(
    path: Path,
    patches: Path | None = None,
    *,
    metadata: Path | None = None,
    genes: Path | None = None,
    image: Path | None = None,
    um_per_px: float = 0.0,
    organism: str = "",
    exports: Path | None = None,
) -> AnnData:
    """Read one sample.

    Parameters
    ----------
    path : Path
        ``st/{id}.h5ad`` of HEST-1k, ``adata/{id}.h5ad`` of a task.
    patches : Path, optional
        ``patches/{id}.h5``; without it, all spots are kept and nothing can be predicted but from
        ``image``.
    metadata : Path, optional
        ``metadata/{id}.json``, of which ``pixel_size_um_estimated`` is read.
    genes : Path, optional
        A task's list (``{"genes": [...]}``), noted as ``uns["slide"]["listed_genes"]``.
    image : Path, optional
        The slide, ``wsis/{id}.tif``; else the thumbnail ``downscaled_fullres`` of the file is
        written into ``exports`` and shown.
    um_per_px : float
        Where there is no metadata; 0: as the file of patches says.
    organism : str
    exports : Path, optional
        A folder for the thumbnail; without it, there is none.

    Returns
    -------
    AnnData
        A raw slide (``spared_bench.data``), in the order of the patches.

    Raises
    ------
    MissingFileError, ContractError, CountsError, CoordinateError
        If a file is missing or damaged, or is no such sample; if the size of its spots and that of
        a pixel are those of no spot, if spots overlap, or if two tell another size of a pixel.
    ImageError
        If the patches do not match the spots, or the slide is of another size than the thumbnail
        says.
    """
    adata = open_anndata(path)
    tissue = adata.obs[tissue_columns(adata.obs)]
    adata.obs = adata.obs.drop(columns=[*_NOT_TRUSTED, *tissue], errors="ignore")
    slide, _ = raw_slide_from(adata, "X", path, organism)
    facts = library_of(adata, _LIBRARY, None, path)
    told_um = {"`um_per_px`": um_per_px, f"'{_PIXEL}' of {metadata}": _pixel_size(metadata)}
    scale = agreed(told_um)
    diameter = number(facts["scalefactors"].get("spot_diameter_fullres", 0))
    told: dict[str, Any] = {"image_path": "", "image_scale": 1.0}
    if patches is not None:
        order, scale, side = _patches(patches, list(map(str, slide.obs_names)), told_um)
        slide, tissue = slide[order].copy(), tissue.iloc[order]
        told |= {GIVEN: str(patches), GIVEN_ROWS: np.arange(len(order)), GIVEN_UM: side}
    slide.uns["slide"]["repairs"] += not_used(tissue, _NOT_USED)
    if not diameter > 0:
        raise ContractError(
            f"{path} does not say how large a spot is (uns['spatial']['ST']['scalefactors']"
            "['spot_diameter_fullres']). It is no sample of HEST, or a damaged one."
        )
    pitch = nearest_px(slide.obsm[SPATIAL])
    check_apart(slide.obsm[SPATIAL], pitch, path)
    check_overlap(diameter, pitch, path, "'spot_diameter_fullres'", _WIDEST)
    check_um_per_px(scale, diameter, 0.0, path)
    copies, untold = copies_of(facts)
    if image is not None:
        scale_by_copies(image, list(copies.values()), Path(f"{path}, uns['spatial']"))
        told["image_path"] = str(image)
    elif exports is not None:
        found, told["image_scale"], notes = image_in(facts, copies, path, path.stem, exports)
        told["image_path"] = str(found or "")
        slide.uns["slide"]["repairs"] += [*untold, *notes]
    slide.uns["slide"] |= told | {"spot_diameter_px": diameter, "um_per_px": scale}
    if genes is not None:
        slide.uns["slide"]["listed_genes"] = read_gene_list(genes)
    return slide


def _pixel_size(metadata: Path | None) -> float:
    """Return µm per pixel of the metadata; 0 where they do not know it, or there are none."""
    if metadata is None:
        return 0.0
    if not metadata.is_file():
        raise MissingFileError(f"There are no metadata at {metadata}. Fetch the sample again.")
    try:
        values = json.loads(metadata.read_text(encoding="utf-8-sig"))  # NaN stands there bare
        found = values[_PIXEL]
        found = float("no number" if isinstance(found, bool) else found)
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ContractError(
            f"{metadata} does not say `{_PIXEL}` as a number: {error}. Fetch it again."
        ) from error
    return found if math.isfinite(found) and found > 0 else 0.0


def _patches(
    path: Path, spots: list[str], told_um: Mapping[str, float]
) -> tuple[np.ndarray, float, float]:
    """Return rows of the slide in the file's order, µm per pixel, and a patch's side in µm."""
    import h5py

    if not path.is_file():
        raise MissingFileError(f"There are no patches at {path}. Fetch the sample again.")
    try:
        with h5py.File(path, "r") as file:
            images, names = file["img"], np.asarray(file["barcode"]).ravel()
            shape, kind, attributes = images.shape, images.dtype, dict(images.attrs)
            lacking = unwritten(images)
    except (OSError, KeyError) as error:
        raise ImageError(
            f"{path} is no file of patches: {' '.join(str(error).split())}."
            f" {instead(path) or 'Expected HDF5 with `img` and `barcode`; fetch it again.'}"
        ) from error
    if len(shape) != 4 or shape[1] != shape[2] or shape[3] != 3 or kind != np.uint8:
        raise ImageError(
            f"`img` of {path} is {shape} of {kind}; expected (n, side, side, 3) of uint8."
        )
    if lacking:
        raise ImageError(
            f"{path} has room for {shape[0]} patches of which some were never written, and would be"
            f" read as black: {lacking} of its chunks are not there. Whoever wrote it was"
            " interrupted; fetch it again."
        )
    # As the names of the sample's spots are cleared.
    barcodes = [clear(name.decode() if isinstance(name, bytes) else str(name)) for name in names]
    _check_barcodes(path, barcodes, shape[0], spots)
    place = {name: row for row, name in enumerate(spots)}
    order = np.array([place[name] for name in barcodes], dtype=np.int64)
    told_um = {**told_um, f"'pixel_size' of {path}": _size_of_pixel(attributes)}
    um_per_px = agreed(told_um) or _scale_of(attributes)
    if not um_per_px:
        raise ContractError(
            f"Neither metadata nor {path} says how many micrometres a pixel has. Put"
            " metadata/{id}.json beside it, or give `um_per_px`."
        )
    return order, um_per_px, _side_of(attributes)


def _check_barcodes(path: Path, barcodes: list[str], n: int, spots: list[str]) -> None:
    if len(barcodes) != n:
        raise ImageError(f"{path} holds {n} patches and {len(barcodes)} barcodes.")
    if not n:
        raise ImageError(f"{path} holds no patches. Fetch the sample again.")
    if len(set(barcodes)) != n:
        twice = next(name for name in barcodes if barcodes.count(name) > 1)
        raise ImageError(f"{path} has several patches of barcode {twice!r}; expected one each.")
    lacking = sorted(set(barcodes) - set(spots))
    if lacking:
        raise ImageError(
            f"{len(lacking)} of {n} patches in {path} are of barcodes that the sample does not"
            f" have ({lacking[0]!r} first; its own begin with {spots[0]!r}). The patches belong to"
            " another sample: check the names of the files."
        )


def _size_of_pixel(attributes: Mapping[str, Any]) -> float:
    """Return µm per pixel of the slide, where a file of patches tells it outright; 0: not said."""
    found = number(attributes.get("pixel_size", 0))
    return found if 0 < found < math.inf else 0.0


def _scale_of(attributes: Mapping[str, Any]) -> float:
    """Return the same by how many pixels of the slide 112 µm are; 0: not said."""
    side = float(attributes.get("patch_size", 0))
    return PATCH_UM / side if side > 0 else 0.0


def _side_of(attributes: Mapping[str, Any]) -> float:
    """Return the side of a patch in µm: HEST's, unless the file says that it was cut otherwise.

    Files of the benchmark say no µm, but how many pixels of the slide their 112 µm are.
    """
    side = float(attributes.get("patch_size_src", 0)) * _size_of_pixel(attributes)
    whole_pixels = abs(side - PATCH_UM) <= _ROUNDED * PATCH_UM
    return side if side > 0 and math.isfinite(side) and not whole_pixels else PATCH_UM


def read_gene_list(path: Path) -> list[str]:
    """Read the genes of a task, in their order.

    Raises
    ------
    MissingFileError, DataError
        If it is not there, or no list of different names.
    """
    if not path.is_file():
        raise MissingFileError(f"There is no list of genes at {path}. Fetch the task again.")
    try:
        genes = json.loads(path.read_text(encoding="utf-8-sig"))["genes"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(f'{path} is no list of genes: expected {{"genes": [...]}}.') from error
    sound = isinstance(genes, list) and genes and all(isinstance(gene, str) for gene in genes)
    if not sound or len(set(genes)) != len(genes):
        raise DataError(f"{path} must list different names of genes; found {str(genes)[:100]}.")
    return list(genes)
