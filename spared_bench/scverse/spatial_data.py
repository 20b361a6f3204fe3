"""AnnData with images to SpatialData and ``.zarr``, and back."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from spared_bench.data import SPATIAL
from spared_bench.errors import ContractError, MissingFileError, UsageError
from spared_bench.files import replacing
from spared_bench.whereabouts import whereabouts

if TYPE_CHECKING:
    from anndata import AnnData

_TABLE = "table"
_REGION, _SPOT = "region", "spot"
_KEPT = "spared_bench"


def to_spatialdata(adata: AnnData) -> Any:
    """Return a dataset or predictions as a ``spatialdata.SpatialData``.

    Each slide is a coordinate system of its name, in pixels of the full-resolution image, with the
    elements ``<slide>_hires`` and ``<slide>_lowres`` (images, where there are some) and
    ``<slide>_spots`` (circles). The table annotates the circles and keeps layers, names and scores.

    Parameters
    ----------
    adata : AnnData
        With ``uns["spatial"]``, such as ``spared_bench.load_dataset(...).adata`` or
        ``report.predictions()``, or some spots of one: slides of which it has none are left out.

    Raises
    ------
    UsageError
        If spatialdata is not installed.
    ContractError
        If it is no AnnData, if there is no ``uns["spatial"]``, or none of a slide, or if two slides
        would have the same name there.
    """
    sd, models, transformations = _library()
    _require_adata(adata)
    if SPATIAL not in adata.uns or "slide_id" not in adata.obs:
        raise ContractError(
            "This AnnData has no uns['spatial'] or obs['slide_id']. Take it from"
            " `spared_bench.load_dataset(name).adata` or `report.predictions()`."
        )
    slides = adata.obs["slide_id"].astype(str).to_numpy()
    if lacking := sorted(set(slides) - set(adata.uns[SPATIAL])):
        raise ContractError(
            f"The spots are of slides that uns['spatial'] does not have: {', '.join(lacking)}."
            " Leave these spots out, or add the slides' entries."
        )
    names = {slide: _safe(slide) for slide in adata.uns[SPATIAL] if slide in set(slides)}
    if len(set(names.values())) < len(names):
        raise ContractError(f"Slides {sorted(names)} cannot be told apart as names of elements.")
    images, shapes = {}, {}
    table = _plain(adata, names)
    table.obs[_REGION], table.obs[_SPOT] = "", -1
    for slide, name in names.items():
        here = np.flatnonzero(slides == slide)
        factors = adata.uns[SPATIAL][slide]["scalefactors"]
        circles = np.asarray(adata.obsm[SPATIAL], dtype=np.float64)[here]
        identity = {slide: transformations.Identity()}
        shapes[f"{name}_spots"] = models.ShapesModel.parse(
            circles,
            geometry=0,
            radius=float(factors["spot_diameter_fullres"]) / 2,
            transformations=identity,
        )
        table.obs.iloc[here, table.obs.columns.get_loc(_REGION)] = f"{name}_spots"
        table.obs.iloc[here, table.obs.columns.get_loc(_SPOT)] = np.arange(len(here))
        for kind, pixels in adata.uns[SPATIAL][slide]["images"].items():
            step = 1 / float(factors[f"tissue_{kind}_scalef"])
            scale = {slide: transformations.Scale([step, step], axes=("x", "y"))}
            images[f"{name}_{kind}"] = models.Image2DModel.parse(
                np.asarray(pixels), dims=("y", "x", "c"), transformations=scale
            )
    table.obs[_REGION] = table.obs[_REGION].astype("category")
    parsed = models.TableModel.parse(
        table, region=sorted(shapes), region_key=_REGION, instance_key=_SPOT
    )
    return sd.SpatialData(images=images, shapes=shapes, tables={_TABLE: parsed})


def from_spatialdata(data: Any) -> AnnData:
    """Return the AnnData that ``to_spatialdata`` was given, images included.

    Raises
    ------
    ContractError
        If it was not made by ``to_spatialdata``.
    """
    if _TABLE not in data.tables or _KEPT not in data.tables[_TABLE].uns:
        raise ContractError(
            "This SpatialData was not written by spared-bench: its table is missing, or says"
            " nothing of slides."
        )
    adata = data.tables[_TABLE].copy()
    told = adata.uns[_KEPT].pop("spatial_libraries")
    for slide, facts in told.items():
        facts["images"] = {
            kind: np.asarray(data.images[f"{_safe(slide)}_{kind}"].transpose("y", "x", "c").data)
            for kind in ("hires", "lowres")
            if f"{_safe(slide)}_{kind}" in data.images
        }
    adata.uns[SPATIAL] = told
    adata.uns.pop("spatialdata_attrs", None)
    adata.obs = adata.obs.drop(columns=[_REGION, _SPOT])
    return adata


def write(adata: AnnData, path: Path | str) -> Path:
    """Write a dataset or predictions as ``.h5ad``, or as a SpatialData ``.zarr``.

    Raises
    ------
    UsageError
        For another suffix, or a ``.zarr`` that is there already.
    ContractError
        As ``to_spatialdata``.
    """
    _require_adata(adata)
    path = Path(path)
    if path.suffix == ".h5ad":
        with replacing(path) as beside:
            adata.write_h5ad(beside)
    elif path.suffix == ".zarr":
        if path.exists():
            raise UsageError(f"{path} is there already. Name another folder, or remove it first.")
        path.parent.mkdir(parents=True, exist_ok=True)
        to_spatialdata(adata).write(path)
    else:
        raise UsageError(f"{path.name} is neither .h5ad nor .zarr. Name one of them.")
    return path


def read(path: Path | str) -> AnnData:
    """Read what ``write`` wrote.

    Raises
    ------
    MissingFileError, ContractError, UsageError
    """
    from anndata import read_h5ad

    path = Path(path)
    if not path.exists():
        raise MissingFileError(f"There is nothing at {path}. {whereabouts(path)}")
    try:
        if path.suffix == ".h5ad":
            return read_h5ad(path)
        if path.suffix == ".zarr":
            return from_spatialdata(_library()[0].read_zarr(path))
    except (OSError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise ContractError(
            f"{path} cannot be read: {str(error)[:300]}. Write it again."
        ) from error
    raise UsageError(f"{path.name} is neither .h5ad nor .zarr.")


def _require_adata(given: Any) -> None:
    from anndata import AnnData

    if not isinstance(given, AnnData):
        adata = " Give its `.adata`." if hasattr(given, "adata") else ""
        raise ContractError(f"Expected an AnnData, and found a {type(given).__name__}.{adata}")


def _plain(adata: AnnData, slides: Iterable[str]) -> AnnData:
    """Return a copy whose images are elements of their own."""
    table = adata.copy()
    told = table.uns.pop(SPATIAL)
    libraries = {
        slide: {part: dict(told[slide][part]) for part in ("scalefactors", "metadata")}
        for slide in slides
    }
    table.uns[_KEPT] = dict(table.uns.get(_KEPT, {})) | {"spatial_libraries": libraries}
    return table


def _safe(name: str) -> str:
    """Return a name of an element: letters, digits, ``_``, ``-`` and ``.``."""
    return re.sub(r"[^A-Za-z0-9_.-]", "-", name)


def _library() -> tuple[Any, Any, Any]:
    import warnings

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import spatialdata
            from spatialdata import models, transformations
    except ImportError as error:
        raise UsageError(
            "SpatialData needs the package spatialdata: `pip install spatialdata`."
        ) from error
    return spatialdata, models, transformations
