"""An AnnData file with Visium-like conventions, as scanpy and squidpy write it.

Counts are whole numbers in ``X``, or in a layer that the user names. Spot centres, in pixels of the
full-resolution image, stand in ``obsm["spatial"]`` as (x, y); the size of a spot and the images in
``uns["spatial"][library]``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from spared_bench.data import LABEL, SPATIAL
from spared_bench.errors import (
    ContractError,
    CoordinateError,
    CountsError,
    MissingFileError,
    did_you_mean,
)
from spared_bench.readers.features import choose_genes
from spared_bench.readers.genes import merge_duplicated_genes, without_version
from spared_bench.readers.images import keep_image
from spared_bench.readers.labels import labels_of_column
from spared_bench.readers.lattice import lattice_kind, lattice_steps
from spared_bench.readers.scale import (
    PITCH_UM,
    ImageCopy,
    check_copies,
    check_overlap,
    check_um_per_px,
    check_visium,
    nearest_px,
    scale_by_copies,
)
from spared_bench.readers.stamps import drop_older, stamp_of
from spared_bench.readers.tables import as_flags

if TYPE_CHECKING:
    from anndata import AnnData
    from scipy.sparse import csr_matrix

_OF_A_LIBRARY = ("images", "scalefactors")


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
        Full-resolution pixels; 0: as the file says.
    um_per_px : float
        0: unknown.
    organism : str
        ``"human"`` or ``"mouse"``, whose genes are read where the file has several genomes.
    label : str
        The column of ``obs`` that holds the labels of spots; empty for none.
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
    if rows is not None:
        adata = _rows_of(adata, *rows, path)
    slide = raw_slide_from(adata, layer, path, organism, label)
    facts = _library(adata, library, rows, path)
    told = _numbers([facts["scalefactors"].get("spot_diameter_fullres", 0)])
    diameter = spot_diameter_px or float(told[0])
    if not diameter > 0:
        raise ContractError(
            f"{path} does not say how large a spot is (uns['spatial'][...]['scalefactors']"
            "['spot_diameter_fullres']). Write `spot_diameter_px: ...` in the slide's entry."
        )
    made = "array_row" not in adata.obs or "array_col" not in adata.obs
    check_scale(slide, diameter, um_per_px, path, from_pixels=made)
    copies, untold = _copies(facts)
    where = Path(f"{path}, uns['spatial']")
    check_copies(list(copies.values()), where)
    if image is not None:
        found: Path | None = image
        scale = scale_by_copies(image, list(copies.values()), where)
    else:
        part = [rows[1]] if rows else []
        name = "_".join([path.stem, *part, *([library] if library else [])])
        found, scale, notes = _image_in(facts, copies, path, name, exports)
        slide.uns["slide"]["repairs"] += [*untold, *notes]
    slide.uns["slide"] |= {
        "image_path": str(found or ""),
        "image_scale": scale,
        "spot_diameter_px": diameter,
        "um_per_px": um_per_px,
    }
    return slide


def open_anndata(path: Path) -> AnnData:
    """Read an ``.h5ad``; damage is told as such."""
    from anndata import read_h5ad

    if not path.is_file():
        raise MissingFileError(f"There is no AnnData file at {path}. Check its path.")
    try:
        return read_h5ad(path)
    except (OSError, KeyError, ValueError, TypeError, AttributeError) as error:
        reason = " ".join(str(error).split())[:300]
        raise ContractError(
            f"{path} cannot be read as AnnData: {reason}. It is damaged, incomplete or of another"
            " format; write it again with `adata.write_h5ad`."
        ) from error


def check_scale(
    slide: AnnData, diameter: float, um_per_px: float, path: Path, *, from_pixels: bool = False
) -> None:
    """Refuse a slide whose spots, their distances and its pixels contradict each other.

    Parameters
    ----------
    slide : AnnData
    diameter, um_per_px : float
        In full-resolution pixels, and of one; a size of 0 is unknown.
    path : Path
        For the message.
    from_pixels : bool
        Whether array positions were made from pixels, so that they tell of no array.

    Raises
    ------
    CoordinateError, ContractError
    """
    centres, told = slide.obsm[SPATIAL], "the diameter that is told"
    kind, columns = "other", 0.0
    if not from_pixels:
        array = slide.obs[["array_col", "array_row"]].to_numpy()
        try:
            steps = lattice_steps(array, centres)
        except CoordinateError:  # too few spots to tell
            steps = (0.0, 0.0)
        if steps[0]:
            kind, columns = lattice_kind(array, centres, steps), steps[0]
    pitch = 2 * columns if kind == "hexagonal" else nearest_px(centres)
    check_overlap(diameter, pitch, path, "`spot_diameter_px`")
    if kind == "hexagonal":
        check_visium(diameter, pitch, path, told, PITCH_UM)
    check_um_per_px(um_per_px, diameter, PITCH_UM / pitch if kind == "hexagonal" else 0.0, path)


def raw_slide_from(
    adata: AnnData, layer: str, path: Path, organism: str = "", label: str = ""
) -> AnnData:
    """Return counts, genes, labels, array positions and centres; ``uns["slide"]``: the repairs."""
    import pandas as pd
    from anndata import AnnData as Slide

    adata, repairs = _under_tissue(adata, path)
    centres = _centres(adata, path)
    matrix, var = _counts(adata, layer, path)
    chosen = choose_genes(
        _gene_ids(var),
        list(map(str, var.index)),
        str(path),
        kinds=var["feature_types"].tolist() if "feature_types" in var else None,
        genomes=var["genome"].tolist() if "genome" in var else None,
        organism=organism,
    )
    matrix, ids = matrix[:, chosen.columns], without_version(chosen.ids)
    matrix, genes, merged = merge_duplicated_genes(matrix, ids)
    repairs += [*chosen.repairs, *merged]
    symbol_of = dict(zip(reversed(ids), reversed(chosen.symbols), strict=True))
    slide = Slide(
        matrix,
        obs=pd.DataFrame(index=adata.obs_names.astype(str)),
        var=pd.DataFrame({"gene_name": [symbol_of[gene] for gene in genes]}, index=genes),
    )
    if label:
        slide.obs[LABEL] = labels_of_column(adata.obs, label, path)
    slide.obsm[SPATIAL] = centres
    repairs += _place_in_array(slide, adata, path)
    slide.uns["slide"] = {"repairs": repairs}
    return slide


def _under_tissue(adata: AnnData, path: Path) -> tuple[AnnData, list[str]]:
    """Leave out spots beside the tissue, where ``obs["in_tissue"]`` tells them."""
    if "in_tissue" not in adata.obs or not adata.n_obs:
        return adata, []
    covered = as_flags(adata.obs["in_tissue"], f"obs['in_tissue'] of {path}", CoordinateError)
    if covered.all():
        return adata, []
    if not covered.any():
        raise CoordinateError(
            f"No spot of {path} is under tissue: obs['in_tissue'] is 1 or true for none of"
            f" {adata.n_obs}. Correct that column, or remove it if all of them are."
        )
    return adata[covered], [f"Spots beside the tissue, dropped: {int((~covered).sum())}."]


def _centres(adata: AnnData, path: Path) -> np.ndarray:
    """Return the centres of the spots, (n_spots, 2), float64."""
    if SPATIAL not in adata.obsm or np.asarray(adata.obsm[SPATIAL]).shape[1:] != (2,):
        raise CoordinateError(
            f"{path} has no spot coordinates: obsm['spatial'] must be (n_spots, 2), x and y in"
            f" full-resolution pixels; found obsm keys {sorted(adata.obsm.keys())}."
        )
    if not adata.n_obs:
        raise CountsError(f"{path} holds no spots. Check which rows were kept when it was written.")
    centres = _numbers(adata.obsm[SPATIAL])
    if not np.isfinite(centres).all():
        raise CoordinateError(
            f"obsm['spatial'] of {path} holds nan or infinite coordinates, or no numbers, for"
            f" {int((~np.isfinite(centres)).any(axis=1).sum())} of {adata.n_obs} spots. Remove"
            " these spots, or correct them."
        )
    return centres


def _numbers(values: Any) -> np.ndarray:
    """Return values as float64, nan where they are no numbers."""
    import pandas as pd

    flat = pd.to_numeric(pd.Series(np.ravel(np.asarray(values))), errors="coerce")
    return flat.to_numpy(dtype=np.float64, na_value=np.nan).reshape(np.shape(values))


def _gene_ids(var: Any) -> list[str]:
    """Return the id of every gene; its name in the index where it has none."""
    column = next((name for name in ("gene_ids", "gene_id") if name in var), None)
    if column is None:
        return list(map(str, var.index))
    known = var[column].notna() & (var[column].astype(str) != "")
    return list(map(str, np.where(known, var[column], var.index)))


def _place_in_array(slide: AnnData, adata: AnnData, path: Path) -> list[str]:
    """Take array positions over, or make them from pixels."""
    if {"array_row", "array_col"} <= set(adata.obs):
        for name in ("array_row", "array_col"):
            positions = _numbers(adata.obs[name])
            if not np.isfinite(positions).all():
                odd = adata.obs[name].to_numpy()[~np.isfinite(positions)][0]
                raise CoordinateError(
                    f"obs[{name!r}] of {path} holds {odd!s}; expected whole numbers. Correct it, or"
                    " remove array_row and array_col: they are then made from pixels."
                )
            slide.obs[name] = np.rint(positions).astype(np.int64)
        return []
    centres = slide.obsm[SPATIAL]
    # In half distances, so that the rows of a hexagonal lattice do not fall together.
    half = max(nearest_px(centres) / 2, 1e-9) if len(centres) > 1 else 1.0
    steps = np.rint((centres - centres.min(axis=0)) / half).astype(np.int64)
    slide.obs["array_col"], slide.obs["array_row"] = steps[:, 0], steps[:, 1]
    return ["Array positions were not in the file and were made from pixels."]


def _counts(adata: AnnData, layer: str, path: Path) -> tuple[csr_matrix, Any]:
    from scipy.sparse import csr_matrix

    choices = {name: (values, adata.var) for name, values in adata.layers.items()}
    if adata.raw is not None:
        choices["raw"] = (adata.raw.X, adata.raw.var)
    if layer and layer != "X":
        if layer not in choices:
            raise CountsError(
                f"{path} has no layer {layer!r}. {did_you_mean(layer, choices)} It has:"
                f" X{''.join(f', {name}' for name in choices)}."
            )
        values, var = choices[layer]
        if not _whole(values):
            raise CountsError(f"Layer {layer!r} of {path} holds {_kind(values)}, no raw counts.")
        return csr_matrix(values, dtype=np.float32), var
    if adata.X is not None and _whole(adata.X):
        return csr_matrix(adata.X, dtype=np.float32), adata.var
    good = [name for name, (values, _) in choices.items() if _whole(values)]
    found = _kind(adata.X) if adata.X is not None else "nothing"
    if good:
        advice = f"Raw counts are in {good[0]!r}: write `layer: {good[0]}` in the slide's entry."
    else:
        others = f" (nor do {', '.join(choices)})" if choices else ""
        advice = f"It does not hold raw counts{others}: use the file from before normalisation."
    raise CountsError(f"X of {path} holds {found}, but raw counts are needed. {advice}")


def _values(matrix: Any) -> np.ndarray:
    return np.asarray(matrix.data if hasattr(matrix, "tocsr") else matrix)


def _whole(matrix: Any) -> bool:
    values = _values(matrix)
    if values.dtype.kind not in "iufb":
        return False
    return bool(np.isfinite(values).all() and (values >= 0).all() and (values % 1 == 0).all())


def _kind(matrix: Any) -> str:
    """Say what a matrix that holds no counts looks like."""
    values = _values(matrix)
    if values.dtype.kind not in "iufb":
        return f"values of type {values.dtype}"
    if not np.isfinite(values).all():
        return "nan or infinite values"
    low, high = float(values.min()), float(values.max())
    if low < 0:
        return f"negative values (down to {low:.3g}), so it is scaled or centred"
    like = "is log-normalised" if high < 25 else "is normalised"
    return f"fractions (up to {high:.3g}), so it {like}"


def _library(
    adata: AnnData, library: str, rows: tuple[str, str] | None, path: Path
) -> Mapping[str, Any]:
    """Return the images and scale factors of one library; empty ones where the file has none."""
    libraries = adata.uns.get("spatial", {})
    libraries = libraries if isinstance(libraries, Mapping) else {}
    if library and library not in libraries:
        raise ContractError(
            f"{path} has no library {library!r}. {did_you_mean(library, libraries)} It has:"
            f" {', '.join(map(str, libraries)) or 'none'}."
        )
    if rows is None:
        _refuse_several(adata, set(map(str, libraries)), path)
    elif rows[1] in libraries:
        library = library or rows[1]
    if not library and len(libraries) > 1:
        raise ContractError(
            f"{path} has {len(libraries)} libraries in uns['spatial']: {', '.join(libraries)}."
            " Write `library: ...` in the slide's entry."
        )
    chosen = libraries[library] if library else next(iter(libraries.values()), {})
    return {key: _mapping(_mapping(chosen, path).get(key, {}), path) for key in _OF_A_LIBRARY}


def _mapping(found: Any, path: Path) -> Mapping[str, Any]:
    if not isinstance(found, Mapping):
        raise ContractError(
            f"uns['spatial'] of {path} is not as squidpy writes it: expected {{library:"
            f" {{'images': ..., 'scalefactors': ...}}}}, found {type(found).__name__} in there."
        )
    return found


def _refuse_several(adata: AnnData, libraries: set[str], path: Path) -> None:
    """Refuse to take a file for one slide, if a column says which library each spot is of."""
    for column in adata.obs:
        values = adata.obs[column]
        if values.dtype.kind in "iufb" or len(libraries) < 2:
            continue
        found = sorted(libraries & set(values.astype(str).unique()))
        if len(found) > 1:
            raise ContractError(
                f"{path} holds several slides: obs[{column!r}] is {', '.join(found)}. Write"
                f" `slide_column: {column}` in the description, and an entry for each of them."
            )


def _copies(facts: Mapping[str, Any]) -> tuple[dict[str, ImageCopy], list[str]]:
    """Return the images of a library that have a factor, and a sentence about each other one.

    An image called ``x`` has the factor ``tissue_x_scalef``: ``hires`` and ``lowres`` of Space
    Ranger, ``downscaled_fullres`` of HEST-1k, and what others call theirs.
    """
    copies, untold = {}, []
    for key, value in facts["images"].items():
        name, shape = str(key), np.shape(value)
        if len(shape) not in (2, 3):
            untold.append(f"The image {name!r} of the file is no array of pixels and was not used.")
            continue
        factor = _numbers([facts["scalefactors"].get(f"tissue_{name}_scalef", 0)]).ravel()[0]
        if 0 < factor < np.inf:
            copies[name] = ImageCopy(name, shape[1], shape[0], float(factor))
        else:
            untold.append(
                f"The image {name!r} of the file, {shape[1]} x {shape[0]} px, was not used: its"
                f" scale is unknown ('tissue_{name}_scalef' is no positive number, or missing)."
            )
    return copies, untold


def _image_in(
    facts: Mapping[str, Any],
    copies: Mapping[str, ImageCopy],
    path: Path,
    name: str,
    exports: Path | None,
) -> tuple[Path | None, float, list[str]]:
    """Take the largest image of known scale out of the file; ``None`` where it has none."""
    if not copies or exports is None:
        return None, 1.0, []
    largest = max(copies.values(), key=lambda copy: copy.width * copy.height)
    pixels = np.asarray(facts["images"][largest.name])
    name = f"{name}_{largest.name}"
    found, notes = keep_image(pixels, exports, f"{name}_{stamp_of(path)}", path)
    drop_older(found)
    return found, largest.factor, notes


def _rows_of(adata: AnnData, column: str, value: str, path: Path) -> AnnData:
    if column not in adata.obs:
        raise ContractError(
            f"{path} has no obs column {column!r}. {did_you_mean(column, adata.obs.columns)} It"
            f" has: {', '.join(map(str, adata.obs.columns))}."
        )
    here = (adata.obs[column].astype(str) == value).to_numpy()
    if not here.any():
        known = sorted(adata.obs[column].astype(str).unique())
        raise ContractError(
            f"obs[{column!r}] of {path} is nowhere {value!r}. {did_you_mean(value, known)} It is:"
            f" {', '.join(known[:10])}."
        )
    return adata[here].copy()
