"""The slides of a described dataset, read by what its description says; and what determines them.

What a description may say: ``sources.description``.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from spared_bench.data import SPATIAL
from spared_bench.data.raw_counts import require_counts
from spared_bench.errors import CountsError, MissingFileError
from spared_bench.processing.given import GIVEN
from spared_bench.sources.description import (
    DESCRIPTION,
    FILES,
    Description,
    SlideEntry,
    read_description,
)

if TYPE_CHECKING:
    from anndata import AnnData

    from spared_bench.keys.fingerprints import Fingerprints

_IMAGES = "images"  # taken out of other files; made again when it is missing
#: What says where a section lies in its sample, and moves nothing of what is read of it.
_OF_A_SAMPLE = ("sample", "order", "thickness_um")
_OF_HEST = ("patches", "metadata", "genes")
_SPACE_RANGER = ("*filtered_feature_bc_matrix.h5", "filtered_feature_bc_matrix/*", "spatial/*")


def read_slide(folder: Path, slide_id: str) -> AnnData:
    """Read one slide of a described dataset: the factory of its spec."""
    return read(read_description(folder / DESCRIPTION), folder, slide_id)


def read(described: Description, folder: Path, slide_id: str) -> AnnData:
    """Read a slide, and refuse it if its spots are not on its image."""
    from spared_bench.processing.images import open_image
    from spared_bench.processing.pixel_size import other_size
    from spared_bench.readers.few_bits import refuse_few_bits
    from spared_bench.readers.scale import check_on_image

    slide = _read_file(described, folder, slide_id)
    where = f"X of slide {slide_id!r} ({described.slides[slide_id].path})"
    require_counts(slide.X, slide.obs_names, slide.var_names, where)
    if not slide.X.count_nonzero():
        raise CountsError(
            f"No count of slide {slide_id!r} ({described.slides[slide_id].path}) is above 0. Give"
            " the file, or the layer, that holds the counts."
        )
    if table := described.slides[slide_id].labels:
        from spared_bench.readers.labels import put_labels, read_labels

        labels = read_labels(Path(table), described.label_column)
        if described.format == "legacy_st":
            from spared_bench.readers.legacy_tables import as_positions

            counts = Path(described.slides[slide_id].path)
            labels = dict(zip(as_positions([*labels], counts), labels.values(), strict=True))
        put_labels(slide, labels, f"The table {table}")
    facts = slide.uns["slide"]
    if facts["image_path"] and not facts.get(GIVEN):  # beside patches, it is only looked at
        columns = "the columns of the coordinates"
        image, scale = Path(facts["image_path"]), float(facts["image_scale"])
        check_on_image(slide, image, scale, columns)
        refuse_few_bits(image, np.asarray(slide.obsm[SPATIAL]) * scale)
        facts["repairs"] = [
            *facts.get("repairs", ()),
            *_sharing_image(described, slide_id),
            *open_image(image).notes,
            *other_size(image, float(facts["um_per_px"]) / scale),
        ]
    return slide


def _sharing_image(described: Description, slide_id: str) -> list[str]:
    """Say which other slides the description gives the image of one, as of a scan of several."""
    entries = described.slides
    image = described.format != "spatialdata" and entries[slide_id].image
    others = [repr(name) for name in entries if name != slide_id and entries[name].image == image]
    if not image or not others:
        return []
    return [f"Its image is that of {' and '.join(others)}, too, where spots lie elsewhere on it."]


def _read_file(described: Description, folder: Path, slide_id: str) -> AnnData:
    entry = described.slides[slide_id]
    _refuse_folders(described.format, slide_id, entry)
    path, image = Path(entry.path), Path(entry.image) if entry.image else None
    if image is not None and described.format != "spatialdata" and not image.is_file():
        from spared_bench.whereabouts import whereabouts

        raise MissingFileError(
            f"There is no image {image}, which the entry of slide {slide_id!r} of dataset"
            f" {described.name!r} names. {whereabouts(image)} Put it there, or correct `image` (or"
            " leave it out) and add the dataset with `spared-bench data add FILE` (with"
            " `--replace`, if it is there)."
        )
    if image is not None and image.is_file():
        from spared_bench.readers.instead import require_image

        require_image(image)
    exports = folder / _IMAGES / slide_id  # files of several slides may have one name
    if described.format == "space_ranger":
        from spared_bench.readers.space_ranger import read_space_ranger

        return read_space_ranger(
            path, image, organism=described.organism, um_per_px=entry.um_per_px
        )
    if described.format == "legacy_st":
        from spared_bench.readers.legacy_checks import check_tables, require_table
        from spared_bench.readers.legacy_st import read_legacy_st
        from spared_bench.readers.legacy_tables import between_tabs

        where = Path(entry.spots) if entry.spots else None
        with between_tabs(path, where) as (counts, spots, between), np.errstate(over="ignore"):
            notes = [*between, *check_tables(counts, spots)]
            try:
                slide = read_legacy_st(
                    counts,
                    spots,
                    image,
                    step_um=entry.step_um or None,
                    organism=described.organism,
                )
            except CountsError:
                require_table(counts)
                raise
        slide.uns["slide"]["repairs"] = [*notes, *slide.uns["slide"]["repairs"]]
        return slide
    if described.format == "spatialdata":
        from spared_bench.readers.spatial_data import read_spatialdata

        read = partial(
            read_spatialdata,
            table=entry.table,
            shapes=entry.shapes,
            organism=described.organism,
            label=described.label_column,
            tissue=described.tissue_column,
        )
        return read(
            path, entry.image, layer=entry.layer, um_per_px=entry.um_per_px, exports=exports
        )
    if described.format == "hest":
        from spared_bench.readers.hest import read_hest

        files = {key: Path(getattr(entry, key)) for key in _OF_HEST if getattr(entry, key)}
        return read_hest(
            path,
            **files,
            image=image,
            um_per_px=entry.um_per_px,
            organism=described.organism,
            exports=None if image else exports,
        )
    from spared_bench.readers.anndata_file import read_anndata

    column = described.slide_column
    return read_anndata(
        path,
        image,
        layer=entry.layer,
        library=entry.library,
        rows=(column, slide_id) if column else None,
        spot_diameter_px=entry.spot_diameter_px,
        um_per_px=entry.um_per_px,
        organism=described.organism,
        label=described.label_column,
        tissue=described.tissue_column,
        exports=exports,
    )


def _refuse_folders(form: str, slide_id: str, entry: SlideEntry) -> None:
    """Refuse a folder where a file is read, as an image in Zarr is one."""
    files = {*FILES, "image"} - {"path"}  # of which each reader says what it may be
    files -= {"image"} if form == "spatialdata" else set()  # an element
    for key in sorted(files | ({"path"} if form == "legacy_st" else set())):
        value = getattr(entry, key)
        if value and Path(value).is_dir():
            hint = " An image in Zarr is written as OME-TIFF first." if key == "image" else ""
            raise MissingFileError(
                f"{value}, which `{key}` of slide {slide_id!r} names, is a folder, and a file is"
                f" read. Name the one in it that is meant.{hint}"
            )


def content(folder: Path, fingerprints: Fingerprints) -> dict[str, Any]:
    """Return what determines the slides of a described dataset: entries, and hashes of files."""
    described = read_description(folder / DESCRIPTION)
    return {
        "format": described.format,
        "slide_column": described.slide_column,
        "label_column": described.label_column,
        "tissue_column": described.tissue_column,
        "slides": {
            slide_id: {
                # Where a file lies moves no number; what is in it does.
                key: _hash(Path(value), described.format, fingerprints)
                if key in FILES or (key == "image" and described.format != "spatialdata")
                else value
                for key, value in entry.model_dump(exclude_defaults=True).items()
                if key not in _OF_A_SAMPLE
            }
            for slide_id, entry in described.slides.items()
        },
    }


def gone(folder: Path) -> list[str]:
    """Return a sentence for each file of a described dataset that is not there."""
    described = read_description(folder / DESCRIPTION)
    named = [*FILES, *["image"] * (described.format != "spatialdata")]
    return [
        f"{value}, of slide {slide_id!r}: it is gone."
        for slide_id, entry in described.slides.items()
        for value in filter(None, (getattr(entry, key) for key in named))
        if not Path(value).exists()
    ]


def _hash(path: Path, form: str, fingerprints: Fingerprints) -> Any:
    if path.is_file():
        return fingerprints.of_file(path)
    if form == "space_ranger" and path.is_dir():
        files = sorted(file for pattern in _SPACE_RANGER for file in path.glob(pattern))
        return {
            file.relative_to(path).as_posix(): fingerprints.of_file(file)
            for file in files
            if file.is_file()
        }
    if path.is_dir():
        return fingerprints.of_folder(path, hidden=True)
    raise MissingFileError(
        f"{path}, which the description of the dataset names, is not there. Put it back, or add"
        " the dataset again with `spared-bench data add FILE --replace`."
    )
