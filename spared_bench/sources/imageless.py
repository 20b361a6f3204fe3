"""Slides without an image: which are known from a description alone, and what a user is told."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from spared_bench.errors import ImageError
from spared_bench.sources.description import DESCRIPTION, FACTORY, Description, SlideEntry
from spared_bench.specs import DatasetSpec


def described_without_image(described: Description) -> list[str]:
    """Return the slides of a description that certainly have no image; no slide is read.

    Others may still have none: of an image in a file, it may not be told how large it is.
    """
    return [
        slide_id
        for slide_id, entry in described.slides.items()
        if not (entry.image or entry.patches) and _is_without(described.format, entry)
    ]


def _is_without(form: str, entry: SlideEntry) -> bool:
    if form == "space_ranger":
        return not any((Path(entry.path) / "spatial").glob("tissue_*_image.*"))
    if form == "spatialdata":
        return not any(path.is_dir() for path in (Path(entry.path) / "images").glob("*"))
    return form == "legacy_st" or not _may_hold_image(Path(entry.path))


def _may_hold_image(path: Path) -> bool:
    """Whether an AnnData file has anything among the images of ``uns["spatial"]``."""
    import h5py

    try:
        with h5py.File(path) as file:
            libraries = file["uns/spatial"].values() if "uns/spatial" in file else ()
            return any(len(each.get("images", ())) for each in libraries)
    except (OSError, AttributeError, TypeError):  # it is no such file, which its reader tells
        return True


def no_images(spec: DatasetSpec, folder: Path, without: Sequence[str]) -> ImageError:
    """Return the error of a dataset of which some slides have no image.

    Parameters
    ----------
    spec : DatasetSpec
    folder : Path
        Of its raw files.
    without : sequence of str
        Those slides.
    """
    told = ", ".join(without[:5]) + (", ..." if len(without) > 5 else "")
    advice = f"Add the images to {folder}"
    if spec.factory == FACTORY:
        advice = (
            "Name them in the slides' entries of its description (`image: FILE`; kept as"
            f" {folder / DESCRIPTION}; of SpatialData, write them into it, as `sdata.images`), and"
            " add it with `spared-bench data add FILE --replace`"
        )
    return ImageError(
        f"Slides {told} of dataset {spec.name!r} have no image ({len(without)} of"
        f" {len(spec.slides)}), so no patches can be cut, which this method looks at. {advice}; or"
        " take a method that looks at none: without images the dataset can be prepared and"
        " completed (`spared-bench complete`)."
    )
