"""Images and scale factors in ``uns["spatial"]`` of an AnnData file, as squidpy writes them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from spared_bench.errors import ContractError, did_you_mean
from spared_bench.processing.channels import is_stain
from spared_bench.readers.anndata_spots import lacking_array
from spared_bench.readers.coordinates import number
from spared_bench.readers.images import keep_image
from spared_bench.readers.scale import ImageCopy
from spared_bench.readers.stamps import drop_older, stamp_of

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

_OF_A_LIBRARY, _WHOLE = ("images", "scalefactors"), "fullres"
_DEEPEST, _SMALLEST_PX = 4, 32
_SHARED, _MOST_TOLD = 0.05, 10  # of spots whose place in the array is another's, too; of slides
_CHANCE = 0.001  # that a column of no slides tells all spots at shared places apart
#: Words in names of pictures that show what was found in a section.
_FOUND = {
    "cells", "label", "labels", "mask", "masks", "nuclei", "outline", "outlines", "seg",
    "segmentation", "segmented",
}  # fmt: skip
#: In those of a second image, and of Space Ranger's pictures with marks on them, or of a CytAssist.
_FLUORESCENCE = {"if", "immunofluorescence", "fluorescence"}
_OTHERS = {"aligned", "cytassist", "detected", "fiducials"}


def library_of(
    adata: AnnData,
    library: str,
    rows: tuple[str, str] | None,
    path: Path,
    others: Collection[str] = (),
) -> Mapping[str, Any]:
    """Return the images and scale factors of one library; empty ones where the file has none.

    Nor has it any of a slide where all are called as other slides are.
    """
    libraries = libraries_in(adata.uns.get("spatial", {}))
    if not library and of_others(adata.uns, others):
        libraries = {}
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
    return facts_of(chosen, path)


def of_others(uns: Mapping[str, Any], others: Collection[str]) -> list[str]:
    """Say so where each library of a file is called as another slide in it is.

    Who joins slides may keep those of the first one only.
    """
    libraries = list(map(str, libraries_in(uns.get("spatial", {}))))
    if not libraries or not set(libraries) <= set(others):
        return []
    return [
        f"Images and scale factors of the file are called {', '.join(libraries)}, as other slides"
        " in it, and were not used. If they are of this slide, too, write"
        f" `library: {libraries[0]}` in its entry; else give its `image` and `spot_diameter_px`."
    ]


def libraries_in(found: Any) -> Mapping[str, Any]:
    """Return the libraries of ``uns["spatial"]`` by name, without what others write beside them.

    CELLxGENE writes ``is_single``; who has one library only may leave its name out.
    """
    if not isinstance(found, Mapping):
        return {}
    if isinstance(found.get("scalefactors"), Mapping):
        return {"": found}
    libraries = {name: each for name, each in found.items() if isinstance(each, Mapping)}
    return libraries or found


def facts_of(library: Any, path: Path) -> Mapping[str, Any]:
    """Return the images, scale factors and metadata of a library; empty ones that it lacks."""
    return {key: _mapping(_mapping(library, path).get(key, {}), path) for key in _OF_A_LIBRARY}


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
    if column := _column_of_arrays(adata.obs):
        found = sorted(adata.obs[column].astype(str).unique())
        raise ContractError(
            f"{path} holds several slides: spots share places of the array (array_row, array_col),"
            f" but none of one value of obs[{column!r}], which is {', '.join(found[:_MOST_TOLD])}."
            f" Write `slide_column: {column}` in the description, and an entry for each of them."
        )


def _column_of_arrays(obs: pd.DataFrame) -> str:
    """Return the column by whose values no place of the array is that of two spots; "" for none.

    Only where places are shared without it, and by so many spots that no column of clusters or
    counts does so by chance; of several such columns, the one of fewest values.
    """
    if lacking_array(obs):
        return ""
    places = obs[["array_row", "array_col"]].astype(str)
    if not places.duplicated(keep=False).mean() > _SHARED:
        return ""
    n_shared = int(places.duplicated().sum())
    apart = [
        (values.nunique(), str(name))
        for name, values in obs.astype(str).items()
        if not places.assign(value=values).duplicated().any()
        and _chance_of_difference(values) ** n_shared < _CHANCE
    ]
    return min(apart, default=(0, ""))[1]


def _chance_of_difference(values: pd.Series) -> float:
    """Return the chance that two spots have different values."""
    return 1.0 - float((values.value_counts(normalize=True, dropna=False) ** 2).sum())


def copies_of(facts: Mapping[str, Any]) -> tuple[dict[str, ImageCopy], list[str]]:
    """Return the images of a library that have a factor, and a sentence about each other one.

    An image called ``x`` has the factor ``tissue_x_scalef``: ``hires`` and ``lowres`` of Space
    Ranger, ``downscaled_fullres`` of HEST-1k, and what others call theirs. ``fullres`` of CELLxGENE
    is the full-resolution image and has none. Masks and stains, by their names, are not used.
    """
    copies, untold = {}, []
    for key, value in facts["images"].items():
        name, shape = str(key), np.shape(value)
        if len(shape) not in (2, 3):
            untold.append(f"The image {name!r} of the file is no array of pixels and was not used.")
            continue
        if what := _instead(name):
            untold.append(
                f"The image {name!r} of the file, {shape[1]} x {shape[0]} px, was not used: its"
                f" name says that it is {what}. If it is the H&E image, give it another name."
            )
            continue
        whole = float(name == _WHOLE)  # where nothing else is said
        factor = number(facts["scalefactors"].get(f"tissue_{name}_scalef", whole))
        if 0 < factor < np.inf:
            copies[name] = ImageCopy(name, shape[1], shape[0], factor)
        else:
            untold.append(
                f"The image {name!r} of the file, {shape[1]} x {shape[0]} px, was not used: its"
                f" scale is unknown ('tissue_{name}_scalef' is no positive number, or missing)."
            )
    return copies, untold


def _instead(name: str) -> str:
    """Return what a picture shows by its name, if that is no H&E; empty where it may be."""
    words = set(re.split(r"[\W_]+", name.casefold()))
    if is_stain(name) or words & _FLUORESCENCE:
        return "a stain of fluorescence"
    if words & _OTHERS:
        return "of a CytAssist, or has marks drawn on it"
    return "a mask or a segmentation" if words & _FOUND else ""


def elsewhere(uns: Mapping[str, Any]) -> list[str]:
    """Return a sentence about each image of a file that stands where squidpy puts none."""
    return [
        f"The file holds what may be an image, {found.shape[1]} x {found.shape[0]} px, in"
        f" uns{''.join(f'[{key!r}]' for key in place)}, which was not used: expected"
        " uns['spatial'][library]['images'], with a factor in its 'scalefactors'."
        for place, found in _arrays(uns, ())
        if (place[0], *place[-2:-1]) != ("spatial", "images") and _may_be_image(found)
    ]


def _arrays(found: Any, place: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], np.ndarray]]:
    if isinstance(found, np.ndarray):
        yield place, found
    elif isinstance(found, Mapping) and len(place) < _DEEPEST:
        for key, value in found.items():
            yield from _arrays(value, (*place, str(key)))


def _may_be_image(found: np.ndarray) -> bool:
    sized = found.ndim == 3 and min(found.shape[:2]) >= _SMALLEST_PX and found.shape[2] in (3, 4)
    return sized and found.dtype.kind in "uif"


def image_in(
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
