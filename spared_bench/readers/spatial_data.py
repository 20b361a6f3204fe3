"""A SpatialData object (``.zarr``): a table of counts, shapes for its spots, and an image.

Spots are equal circles, or equal squares, which bins of Visium HD are by default (spatialdata-io),
as shapes or as labels: pixels of a mask that hold the number of their bin.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from spared_bench.data import SPATIAL
from spared_bench.errors import (
    ContractError,
    CoordinateError,
    CountsError,
    ImageError,
    MissingFileError,
    did_you_mean,
    reason_of,
)
from spared_bench.processing.channels import names_opacity, order_of
from spared_bench.readers.anndata_file import check_scale
from spared_bench.readers.anndata_spots import check_sparse, raw_slide_from
from spared_bench.readers.images import keep_image
from spared_bench.readers.instead import instead
from spared_bench.readers.scale import ImageCopy, check_copies
from spared_bench.readers.spatial_systems import stretch_of, way_between
from spared_bench.readers.stamps import drop_older, stamp_of
from spared_bench.readers.zarr_counts import check_stored, told_unstored
from spared_bench.readers.zarr_pixels import decoded, refuse_unstored
from spared_bench.whereabouts import whereabouts

if TYPE_CHECKING:
    from anndata import AnnData

_MOST_CHANNELS = 4
_TOLERANCE = 0.02  # of radii of circles, and of sides and diagonals of squares
#: What ``spatialdata.rasterize_bins`` puts before the key of a table. The transformation of its
#: masks leads from the number of a row and a column to the middle of a bin; others', from an edge.
_OF_BINS, _TO_MIDDLE = "relabeled_", 0.5
#: As spatialdata-io calls the image of Space Ranger and its reduced copies.
_COPY = re.compile(r"(?P<slide>.*?)_?(?P<which>full|fullres|hires|lowres)(_image)?")


def read_spatialdata(
    path: Path,
    image: str = "",
    *,
    table: str = "",
    shapes: str = "",
    layer: str = "",
    um_per_px: float = 0.0,
    organism: str = "",
    label: str = "",
    tissue: str = "",
    exports: Path,
) -> AnnData:
    """Read one slide.

    Parameters
    ----------
    path : Path
        The ``.zarr`` folder.
    image, table, shapes : str
        Names of the elements; where a kind has one element only, that is taken. By default the
        shapes are those that the table annotates, which may be labels.
    layer : str
        Where the raw counts are in the table; ``X`` by default.
    um_per_px : float
        Of the image; 0: by the lattice of Visium, whose spots are 100 um apart, or of Visium HD,
        whose bins tell their side by their names; else unknown.
    organism : str
        ``"human"`` or ``"mouse"``, whose genes are read where the table has several genomes.
    label : str
        The column of the table's ``obs`` that holds the labels of spots; empty for none.
    tissue : str
        The one that is 1 or true for spots under tissue; by default ``in_tissue``.
    exports : Path
        A folder for the image, which is written there as TIFF.

    Returns
    -------
    AnnData
        A raw slide (``spared_bench.data``), in pixels of the image. A square is as wide as its
        side.

    Raises
    ------
    MissingFileError, ContractError
        If the object is missing, cannot be read, lacks an element, or tells of several scales.
    CoordinateError
        If the spots are neither equal circles nor equal squares, or overlap; if the way from the
        shapes to the image is not told, told twice, or stretches spots.
    ImageError
        If it is not clear what the values or channels of the image mean, or if it and reduced
        copies of it are not of one size where the shapes lie.
    CountsError
        If the values are no raw counts, or chunks of a sparse matrix are not there.
    """
    sdata = _open(path)
    table = _pick(sdata.tables, table, "table", path)
    counts = sdata.tables[table]
    check_sparse(counts, path)
    columns = (label, tissue or "in_tissue", "array_row", "array_col")
    unstored = check_stored(path / "tables" / table, layer, path)
    unstored += told_unstored(path / "tables" / table, columns)
    attributes = counts.uns.get("spatialdata_attrs", {})
    shapes = shapes or _annotated(sdata, attributes)
    labelled = shapes in sdata.labels and shapes not in sdata.shapes
    shapes = shapes if labelled else _pick(sdata.shapes, shapes, "shapes", path)
    if attributes.get("region_key") in counts.obs:
        here = (counts.obs[attributes["region_key"]].astype(str) == shapes).to_numpy()
        counts = counts[here].copy()
    image = _pick(sdata.images, image, "image", path) if image or len(sdata.images) else ""
    picture = sdata.images[image] if image else None
    element = sdata.labels[shapes] if labelled else sdata.shapes[shapes]
    centres, diameter = _spots(sdata, element, picture, counts, attributes, path)
    check_copies(_copies(sdata, element, image, path), path)
    counts.obsm[SPATIAL] = centres
    slide, made = raw_slide_from(counts, layer, path, organism, label, tissue)
    um_per_px = check_scale(slide, diameter, um_per_px, path, from_pixels=made)
    slide.uns["slide"]["repairs"] += unstored
    slide.uns["slide"] |= {
        "image_path": "",
        "image_scale": 1.0,
        "spot_diameter_px": diameter,
        "um_per_px": um_per_px,
    }
    if picture is not None:
        found, notes = _export(picture, image, centres, diameter, path, exports)
        slide.uns["slide"]["repairs"] += notes
        slide.uns["slide"]["image_path"] = str(found)
    return slide


def _export(
    picture: Any, image: str, centres: np.ndarray, diameter: float, path: Path, exports: Path
) -> tuple[Path, list[str]]:
    """Write the image as TIFF, unless it is there; return where, and what was changed."""
    # A change inside the folder leaves the folder's own time alone.
    folder = path / "images" / image
    stamp = stamp_of(folder if folder.is_dir() else path)
    pixels, opacity = _pixels(picture, path)
    chunks = dict(zip(_largest(picture).dims, _largest(picture).data.chunks, strict=True))
    refuse_unstored(pixels, (chunks["y"], chunks["x"]), centres, diameter, path)
    found, notes = keep_image(pixels, exports, f"{path.stem}_{image}_{stamp}", path, opacity)
    drop_older(found)
    return found, notes


def _open(path: Path) -> Any:
    if not path.is_dir():
        raise MissingFileError(
            f"There is no SpatialData object (.zarr folder) at {path}."
            f" {whereabouts(path) or instead(path) or 'It is a file, and a folder is read.'}"
        )
    import spatialdata

    try:
        return spatialdata.read_zarr(path)
    except Exception as error:  # of any of the formats inside it
        raise ContractError(
            f"{path} cannot be read as a SpatialData object: {reason_of(error)}. It is damaged,"
            " incomplete, written by another version of spatialdata, or has a table that AnnData"
            " wrote (`adata.write_zarr`): write that with `sdata.write_element(NAME)`."
        ) from error


def _pick(elements: Any, name: str, kind: str, path: Path) -> str:
    known = list(map(str, elements.keys()))
    if name and name not in known:
        raise ContractError(
            f"{path} has no {kind} {name!r}. {did_you_mean(name, known)} It has:"
            f" {', '.join(known) or 'none'}."
        )
    if not known:
        raise ContractError(
            f"{path} holds no {kind}, or is no whole SpatialData object, which has tables of counts"
            " and shapes of spots: name the folder that `sdata.write` made. AnnData is read from a"
            " file: `anndata.read_zarr(...).write_h5ad(...)`, and `format: h5ad`."
        )
    if not name and len(known) != 1:
        raise ContractError(
            f"{path} has {len(known)} elements of kind {kind}: {', '.join(known)}. Name"
            f" one with `{kind}: ...` in the slide's entry."
        )
    return name or known[0]


def _annotated(sdata: Any, attributes: Any) -> str:
    """Return the only element that the table tells of; empty where there is none, or several."""
    told = np.atleast_1d(attributes.get("region", ""))
    found = [str(name) for name in told if name in {*sdata.shapes, *sdata.labels}]
    return found[0] if len(found) == 1 else ""


def _spots(
    sdata: Any, element: Any, picture: Any, counts: AnnData, attributes: Any, path: Path
) -> tuple[np.ndarray, float]:
    """Return the centre of each spot of the table, (n_spots, 2), and their width, in pixels.

    Without an image, as the shapes have them.
    """
    key = attributes.get("instance_key", "")
    names = list(counts.obs.get(key, counts.obs_names))
    matrix = np.eye(3)
    if picture is not None:
        size = _largest(picture).sizes["x"], _largest(picture).sizes["y"]
        matrix = way_between(sdata, element, picture, size, path)
    if hasattr(element, "geometry"):
        _refuse_unknown(names, element.index, path)
        middles, width = _measured(element.loc[names] if names else element, path)
    else:
        middles, width = _measured_labels(element, names, path)
        if str(key).startswith(_OF_BINS):
            middles -= _TO_MIDDLE
    if not names:
        raise CountsError(
            f"The table of {path} has no row for these shapes: it annotates"
            f" {attributes.get('region', 'none')}. Name its shapes, or another table."
        )
    points = np.column_stack([middles, np.ones(len(middles))])
    return (points @ matrix.T)[:, :2], width * stretch_of(matrix)


def _copies(sdata: Any, element: Any, image: str, path: Path) -> list[ImageCopy]:
    """Return an image and its reduced copies, by their names; those without a way are left out."""
    of_slide = _COPY.fullmatch(image)
    if not of_slide:
        return []
    copies = []
    for name, picture in sdata.images.items():
        found = _COPY.fullmatch(str(name))
        if not found or found["slide"] != of_slide["slide"]:
            continue
        width, height = _largest(picture).sizes["x"], _largest(picture).sizes["y"]
        try:
            way = way_between(sdata, element, picture, (width, height), path)
        except CoordinateError:
            continue
        copies.append(ImageCopy(found["which"], width, height, stretch_of(way)))
    return copies


def _refuse_unknown(names: list[Any], known: Any, path: Path) -> None:
    """Refuse spots without a shape, or with several: ``known`` are the names of the shapes."""
    shapes = Counter(known)
    if unknown := [name for name in names if name not in shapes]:
        like = f" Its shapes are called like {next(iter(shapes))!r}." if shapes else ""
        raise CoordinateError(
            f"{len(unknown)} of {len(names)} spots of the table of {path} have no shape:"
            f" {unknown[0]!r}, for example.{like}"
        )
    if twice := [name for name in names if shapes[name] > 1]:
        raise CoordinateError(
            f"{len(twice)} of {len(names)} spots of the table of {path} have several shapes:"
            f" {twice[0]!r}, for example. Which of them is meant is not guessed; keep one."
        )


def _measured_labels(element: Any, names: list[Any], path: Path) -> tuple[np.ndarray, float]:
    """Return the middle of each label, (n_spots, 2), and the width of all, in the mask's pixels."""
    plane = decoded(_largest(element).transpose("y", "x").data, path)
    try:
        wanted = np.array(names, dtype=np.int64)
    except (TypeError, ValueError, OverflowError) as error:
        raise CoordinateError(
            f"The spots of the table of {path} are labels of a mask, and {names[0]!r} is no number"
            " of one."
        ) from error
    order, place = np.unique(wanted, return_inverse=True)
    rows, columns = np.nonzero(np.isin(plane, order) & (plane > 0))
    which = np.searchsorted(order, plane[rows, columns])
    area = np.bincount(which, minlength=len(order))
    _refuse_unknown(wanted.tolist(), order[area > 0].tolist(), path)
    ends = []
    for at in (columns, rows):
        first, last = np.full(len(order), at.max(initial=0)), np.zeros(len(order), dtype=np.int64)
        np.minimum.at(first, which, at)
        np.maximum.at(last, which, at + 1)
        ends.append((first, last))
    sides = np.array([last - first for first, last in ends])
    if len(order) and not ((sides == sides[0, 0]).all() and (area == sides[0, 0] ** 2).all()):
        raise CoordinateError(
            f"The labels of {path} are {area.min()} to {area.max()} px large, or no squares;"
            " expected equal squares, which bins are. Bin cells into spots first."
        )
    middles = np.column_stack([(first + last) / 2 for first, last in ends])
    return middles[place], float(sides[0, 0]) if len(order) else 0.0


def _largest(picture: Any) -> Any:
    """Return the plane of the largest scale, where an element has several."""
    if not hasattr(picture, "dims") or "scale0" in getattr(picture, "children", {}):
        return next(iter(picture["scale0"].values()))
    return picture


def _measured(shapes: Any, path: Path) -> tuple[np.ndarray, float]:
    """Return the middle of each shape, (n_spots, 2), and the width of all, in their own units."""
    from shapely import get_coordinates

    kinds = set(shapes.geom_type)
    if kinds == {"Point"} and "radius" in shapes:
        radii = shapes["radius"].to_numpy(dtype=np.float64)
        radius = float(np.median(radii)) if len(radii) else 0.0
        if not (abs(radii - radius) <= _TOLERANCE * radius).all():
            raise CoordinateError(
                f"The circles of {path} have radii from {radii.min():.4g} to {radii.max():.4g};"
                " expected equal ones, which spots have. Bin cells into spots first."
            )
        return get_coordinates(shapes.geometry), 2 * radius
    corners = get_coordinates(shapes.geometry)
    if kinds == {"Polygon"} and len(corners) == 5 * len(shapes):  # the first stands twice
        corners = corners.reshape(-1, 5, 2)
        sides = np.linalg.norm(np.diff(corners, axis=1), axis=2)
        across = np.linalg.norm(corners[:, :2] - corners[:, 2:4], axis=2)
        width = float(np.median(sides))
        slack = _TOLERANCE * width
        if (abs(sides - width) < slack).all() and (abs(across - width * 2**0.5) < slack).all():
            return corners[:, :4].mean(axis=1), width
    found = ", ".join(sorted(map(str, kinds)))
    raise CoordinateError(
        f"The shapes of {path} are {found}{'' if 'Point' not in kinds else ' without a radius'};"
        " expected circles or equal squares, which spots are. Bin cells into spots first; bins of"
        " Visium HD become circles by `bins_as_squares=False` of spatialdata_io.visium_hd."
    )


def _pixels(picture: Any, path: Path) -> tuple[np.ndarray, bool]:
    """Return an image element as (height, width, channels), and whether the last is an opacity.

    At its largest scale, and in the order red, green, blue, where its channels have these names.
    """
    picture = _largest(picture)
    if set(picture.dims) != {"y", "x", "c"}:
        raise ImageError(
            f"The image of {path} has the dimensions {', '.join(map(str, picture.dims))}; expected"
            " c, y and x. Choose one plane of it."
        )
    pixels = decoded(picture.transpose("y", "x", "c").data, path)
    names = [str(name) for name in picture.coords.get("c", np.arange(0)).data]
    if not names or len(names) > _MOST_CHANNELS:
        return pixels, False
    order = order_of(names, f"the image of {path}")
    return pixels[..., order], names_opacity(names)
