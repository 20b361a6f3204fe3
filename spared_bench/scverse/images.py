"""``uns["spatial"]``: images and scale factors of each slide, as scanpy and squidpy plot them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from spared_bench.bench import Bench
from spared_bench.data import SPATIAL
from spared_bench.errors import ImageError
from spared_bench.processing.images import image_size, read_reduced
from spared_bench.trials.raw_slides import read_raw_slides

if TYPE_CHECKING:
    from anndata import AnnData

#: Longest sides in pixels, as Space Ranger writes them.
HIRES, LOWRES = 2_000, 600
_MANY = 8  # slides, of which more share the memory that so many would take
#: Of ``metadata``: pixels of the image that was read per full-resolution pixel, which the sizes of
#: the images, being whole numbers, tell less exactly.
IMAGE_SCALE = "image_scale"
LIBRARY = "slide_id"  # of ``obs``: which slide a spot is of


def with_images(bench: Bench, name: str, adata: AnnData) -> AnnData:
    """Return a prepared dataset with ``uns["spatial"][slide]``; its arrays are shared, not copied.

    Parameters
    ----------
    bench : Bench
    name : str
        The dataset.
    adata : AnnData
        Prepared, or some of its spots.

    Returns
    -------
    AnnData
        ``uns["spatial"][slide]`` has ``images`` (``hires``, ``lowres``: uint8, (height, width, 3);
        absent for a slide without an image), ``scalefactors`` (pixels of each per full-resolution
        pixel, and ``spot_diameter_fullres``) and ``metadata``. ``obsm["spatial"]`` stays in pixels
        of the full-resolution image. Of more than eight slides, ``hires`` is smaller, so that all
        take the memory of eight. Where an image cannot be read, ``metadata["image_error"]`` says
        why.
    """
    from anndata import AnnData

    present = list(dict.fromkeys(adata.obs[LIBRARY].astype(str)))
    uns = dict(adata.uns) | {SPATIAL: spatial_of(read_raw_slides(bench, name, present), present)}
    shared = AnnData(
        adata.X,
        obs=adata.obs.copy(),
        var=adata.var.copy(),
        uns=uns,
        obsm=dict(adata.obsm),
        layers=dict(adata.layers),
    )
    shared.obs[LIBRARY] = shared.obs[LIBRARY].astype("category")
    return shared


def spatial_of(slides: Mapping[str, AnnData], names: Iterable[str]) -> dict[str, Any]:
    """Return ``uns["spatial"]`` of these raw slides."""
    wanted = list(names)
    most = HIRES if len(wanted) <= _MANY else int(HIRES * (_MANY / len(wanted)) ** 0.5)
    return {name: _library(slides[name].uns["slide"], max(most, LOWRES)) for name in wanted}


def _library(facts: Mapping[str, Any], largest: int) -> dict[str, Any]:
    path, scale = str(facts["image_path"]), float(facts["image_scale"])
    factors: dict[str, float] = {"spot_diameter_fullres": float(facts["spot_diameter_px"])}
    images: dict[str, np.ndarray] = {}
    metadata: dict[str, Any] = {
        "um_per_px": float(facts["um_per_px"]),
        "source_image_path": path,
        IMAGE_SCALE: scale,
    }
    try:
        if path:
            _read(path, scale, facts.get("modality", "H&E") != "H&E", largest, images, factors)
    except ImageError as error:
        metadata["image_error"] = str(error)
    return {"images": images, "scalefactors": factors, "metadata": metadata}


def _read(
    path: str,
    scale: float,
    fluorescent: bool,
    largest: int,
    images: dict[str, np.ndarray],
    factors: dict[str, float],
) -> None:
    """Read an image at both sizes."""
    longest = max(image_size(path))
    for kind, most in (("hires", largest), ("lowres", LOWRES)):
        if kind == "lowres" and longest <= LOWRES:
            images[kind], factor = images["hires"], factors["tissue_hires_scalef"] / scale
        else:
            images[kind], factor = read_reduced(path, most, fluorescent)
        factors[f"tissue_{kind}_scalef"] = factor * scale
