"""A user's own slides as a dataset, described by a short YAML file instead of Python.

::

    name: my_tumours
    format: space_ranger            # or h5ad, legacy_st, spatialdata
    organism: human
    slides:
      T1: {path: T1/outs, patient: p1, image: T1/full.tif}
      T2: {path: T2/outs, patient: p2}
    split: {train: [T1], test: [T2]}

``spared-bench data add FILE`` reads every slide, and keeps the description, with absolute paths, as
``DATA_DIR/<name>/dataset.yaml``. There it is found from then on.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from spared_bench.errors import DataError, MissingFileError, PluginError, UsageError
from spared_bench.processing.given import GIVEN
from spared_bench.protocol import Processing
from spared_bench.specs import DatasetSpec, SlideInfo
from spared_bench.strict import explain, load_mapping

if TYPE_CHECKING:
    from anndata import AnnData

    from spared_bench.keys.fingerprints import Fingerprints

DESCRIPTION = "dataset.yaml"
#: The factory of every dataset that is described in YAML.
FACTORY = f"{__name__}:read_slide"
_IMAGES = "images"  # taken out of other files; made again when it is missing
_SPACE_RANGER = ("*filtered_feature_bc_matrix.h5", "filtered_feature_bc_matrix/*", "spatial/*")

_SLIDE_ID = re.compile(r"\w[\w.+-]{0,99}", re.ASCII)

#: Keys of a slide's entry that name files.
_FILES = ("path", "spots", "labels", "patches", "metadata", "genes")

Text = Annotated[str, Field(max_length=2_000)]
Size = Annotated[float, Field(ge=0, le=1e6)]


class _Described(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SlideEntry(_Described):
    """One slide.

    Parameters
    ----------
    path : str
        The folder that Space Ranger wrote, the ``.h5ad``, the ``.zarr``, or the table of counts.
    image : str
        The full-resolution image; for SpatialData, the name of an element.
    patient, section : str
    spots : str
        Legacy ST: the table of positions.
    labels : str
        Space Ranger and legacy ST: a table, separated by commas or tabs, whose first column names
        spots; ``label_column`` of the dataset is the one with their labels.
    layer : str
        AnnData and SpatialData: where the raw counts are.
    library : str
        AnnData: key of ``uns["spatial"]``.
    table, shapes : str
        SpatialData: names of elements.
    patches, metadata, genes : str
        HEST: the sample's patches (``.h5``), its metadata (``.json``) and its task's list of genes.
    spot_diameter_px, um_per_px : float
        Where the file does not say; 0: unknown. Of Space Ranger's layout, ``um_per_px`` is needed
        for arrays that are not Visium's only.
    step_um : float
        Legacy ST: from one array position to the next; 0: as ``read_legacy_st`` takes it.
    """

    path: Text
    image: Text = ""
    patient: Text = ""
    section: Text = ""
    spots: Text = ""
    labels: Text = ""
    layer: Text = ""
    library: Text = ""
    table: Text = ""
    shapes: Text = ""
    patches: Text = ""
    metadata: Text = ""
    genes: Text = ""
    spot_diameter_px: Size = 0.0
    um_per_px: Size = 0.0
    step_um: Size = 0.0


class Description(_Described):
    """A dataset, as a user describes it.

    ``slide_column`` splits one AnnData file into slides. ``donors_verified`` says that ``patient``
    of the slides, where it is left out the slide itself, is known to be the donor.
    ``label_column`` holds the labels of spots: a column of ``obs`` (AnnData, SpatialData) or of the
    slides' tables of ``labels``. ``classes`` says which there may be and in which order; left out,
    ``data add`` takes those that occur, sorted.
    """

    name: Text
    format: Literal["space_ranger", "h5ad", "legacy_st", "spatialdata", "hest"]
    organism: Annotated[str, StringConstraints(max_length=2_000, to_lower=True)]
    tissue: Text = ""
    technology: Text = ""
    summary: Text = ""
    citation: Text = ""
    licence: Text = ""
    slides: Annotated[dict[str, SlideEntry], Field(min_length=1, max_length=10_000)]
    slide_column: Text = ""
    label_column: Text = ""
    classes: Annotated[tuple[Text, ...], Field(max_length=1_000)] = ()
    split: dict[Literal["train", "val", "test"], tuple[str, ...]]
    allow_shared_donors: bool = False
    donors_verified: bool = False
    folds: dict[str, dict[str, tuple[str, ...]]] = {}
    parameters: dict[str, Any] = {}

    @model_validator(mode="after")
    def _check(self) -> Description:
        if self.slide_column and self.format != "h5ad":
            raise ValueError(
                f"`slide_column` is set, which format {self.format!r} does not use (it belongs to"
                " h5ad)"
            )
        self._check_labels()
        for slide_id, entry in self.slides.items():
            if not _SLIDE_ID.fullmatch(slide_id):
                raise ValueError(
                    f"{slide_id!r} cannot name a slide: files are named after it. Use up to 100"
                    " letters, digits and `_ . + -`, and begin with a letter or digit"
                )
            unused = [key for key in _ONLY if getattr(entry, key) and self.format not in _ONLY[key]]
            if unused:
                raise ValueError(
                    f"slide {slide_id!r} sets `{unused[0]}`, which format {self.format!r} does not"
                    f" use (it belongs to {', '.join(_ONLY[unused[0]])})"
                )
        return self

    def _check_labels(self) -> None:
        tables = [slide_id for slide_id, entry in self.slides.items() if entry.labels]
        if (tables or self.classes) and not self.label_column:
            named = (
                f"slide {tables[0]!r} names a table of `labels`" if tables else "`classes` is set"
            )
            raise ValueError(
                f"{named}, and no `label_column` says in which column the labels stand"
            )
        if self.label_column and self.format in _ONLY["labels"] and not tables:
            raise ValueError(
                f"`label_column` is set, and no slide names a table of `labels`, which format"
                f" {self.format!r} needs"
            )

    def spec(self) -> DatasetSpec:
        """Return the spec under which the dataset is registered.

        Raises
        ------
        PluginError, SplitError
            If name or split cannot be.
        """
        return DatasetSpec(
            name=self.name,
            factory=FACTORY,
            summary=self.summary or f"{len(self.slides)} slides of one's own ({self.format})",
            citation=self.citation,
            licence=self.licence,
            organism=self.organism,
            tissue=self.tissue,
            technology=self.technology,
            slides=tuple(SlideInfo(s, e.patient, e.section) for s, e in self.slides.items()),
            split={str(part): slides for part, slides in self.split.items()},
            parameters=self.parameters,
            allow_shared_donors=self.allow_shared_donors,
            donors_verified=self.donors_verified,
            folds=self.folds,
            classes=self.classes,
        )

    def below(self, folder: Path) -> Description:
        """Return the same with absolute paths, taken to be relative to a folder."""
        named = [*_FILES, *["image"] * (self.format != "spatialdata")]
        slides = {
            slide_id: entry.model_copy(
                update={
                    key: _absolute(getattr(entry, key), folder)
                    for key in named
                    if getattr(entry, key)
                }
            )
            for slide_id, entry in self.slides.items()
        }
        return self.model_copy(update={"slides": slides})


def _absolute(path: str, folder: Path) -> str:
    try:
        return str((folder / Path(path).expanduser()).resolve())
    except (RuntimeError, ValueError, OSError) as error:
        raise UsageError(f"{path!r} cannot be a path: {error}.") from error


_OF_HEST = ("patches", "metadata", "genes")
_ONLY: dict[str, tuple[str, ...]] = {
    "spots": ("legacy_st",),
    "labels": ("space_ranger", "legacy_st"),
    "layer": ("h5ad", "spatialdata"),
    "library": ("h5ad",),
    "table": ("spatialdata",),
    "shapes": ("spatialdata",),
    "patches": ("hest",),
    "metadata": ("hest",),
    "genes": ("hest",),
    "spot_diameter_px": ("h5ad",),
    "um_per_px": ("h5ad", "space_ranger", "spatialdata", "hest"),
    "step_um": ("legacy_st",),
}


def read_description(path: Path) -> Description:
    """Read and check a description; its paths become absolute.

    Raises
    ------
    MissingFileError
        If it is not there.
    UsageError
        If it is no such description; names the nearest known key.
    """
    from spared_bench.readers.text import read_text

    text = read_text(path, MissingFileError, "description")
    # Ids are what stands there: YAML takes `010` for 8 and `on` for True. Numbers and switches of
    # the model are read from their text; only `parameters` have no model.
    what = "description of a dataset"
    values = load_mapping(text, str(path), what, UsageError, typed=("parameters",))
    try:
        found = Description.model_validate(values).below(path.resolve().parent)
    except ValidationError as error:
        raise UsageError(f"{path}: {explain(error, Description)}") from error
    _refuse_one_slide_twice(found, path)
    Processing(from_dataset=True).for_dataset(found.spec())  # refuses unknown parameters
    return found


def _refuse_one_slide_twice(described: Description, path: Path) -> None:
    """Refuse two names for one slide, which could then be learned from and tested."""
    if described.slide_column:
        return
    seen: dict[tuple[str, ...], str] = {}
    for slide_id, entry in described.slides.items():
        same = seen.setdefault((entry.path, entry.table, entry.shapes), slide_id)
        if same != slide_id:
            raise UsageError(
                f"{path}: slides {same!r} and {slide_id!r} are both {entry.path}. Correct one"
                " `path`; an AnnData file of several slides needs `slide_column`."
            )


def add_description(path: Path, data_dir: Path, replace: bool = False) -> tuple[Description, Path]:
    """Check a description and its slides, and keep it where it is found from then on.

    Raises
    ------
    UsageError
        If a dataset of that name lies there already.
    DataError
        If a slide cannot be read, or breaks the contract of raw slides, or its image cannot be
        decoded under the spots, or it has a label that is no class.
    """
    from spared_bench.data import LABEL, validate_raw_slide
    from spared_bench.files import write_text

    described = read_description(path)
    folder = data_dir / described.name
    kept = folder / DESCRIPTION
    if kept.exists() and not replace:  # not the folder: a refused dataset may leave images in it
        raise UsageError(
            f"There is a dataset in {folder} already. Choose another `name`, or replace it with"
            " `--replace`."
        )
    found: set[str] = set()
    for slide_id in described.slides:
        try:
            slide = _read(described, folder, slide_id)
            validate_raw_slide(slide, slide_id, classes=described.classes)
            _decode_image(slide)
        except DataError as error:
            raise type(error)(f"Slide {slide_id!r} of {path}: {error}") from error
        found |= set(slide.obs.get(LABEL, ())) - {""}
    if described.label_column and not described.classes:
        if not found:
            raise UsageError(
                f"{path}: no spot has a label in column {described.label_column!r}. Name another"
                " `label_column`, or leave it out."
            )
        described = described.model_copy(update={"classes": tuple(sorted(found))})
    text = yaml.safe_dump(described.model_dump(mode="json", exclude_defaults=True), sort_keys=False)
    write_text(kept, text)
    return described, kept


def read_slide(folder: Path, slide_id: str) -> AnnData:
    """Read one slide of a described dataset: the factory of its spec."""
    return _read(read_description(folder / DESCRIPTION), folder, slide_id)


def _read(described: Description, folder: Path, slide_id: str) -> AnnData:
    """Read a slide, and refuse it if its spots are not on its image."""
    from spared_bench.processing.images import open_image
    from spared_bench.readers.scale import check_on_image

    slide = _read_file(described, folder, slide_id)
    if table := described.slides[slide_id].labels:
        from spared_bench.readers.labels import put_labels, read_labels

        labels = read_labels(Path(table), described.label_column)
        put_labels(slide, labels, f"The table {table}")
    facts = slide.uns["slide"]
    if facts["image_path"] and not facts.get(GIVEN):  # beside patches, it is only looked at
        columns = "the columns of the coordinates"
        check_on_image(slide, Path(facts["image_path"]), float(facts["image_scale"]), columns)
        facts["repairs"] = [*facts.get("repairs", ()), *open_image(facts["image_path"]).notes]
    return slide


def _decode_image(slide: AnnData) -> None:
    """Refuse an image of which a part under the spots cannot be decoded, before anything runs."""
    import numpy as np

    from spared_bench.data import SPATIAL
    from spared_bench.processing.images import decode_at

    facts = slide.uns["slide"]
    if facts["image_path"] and not facts.get(GIVEN):
        centres = np.asarray(slide.obsm[SPATIAL]) * float(facts["image_scale"])
        decode_at(facts["image_path"], centres)


def _read_file(described: Description, folder: Path, slide_id: str) -> AnnData:
    entry = described.slides[slide_id]
    path, image = Path(entry.path), Path(entry.image) if entry.image else None
    if image is not None and described.format != "spatialdata" and not image.is_file():
        raise MissingFileError(f"There is no image {image}, which the slide's entry names.")
    exports = folder / _IMAGES / slide_id  # files of several slides may have one name
    if described.format == "space_ranger":
        from spared_bench.readers.space_ranger import read_space_ranger

        return read_space_ranger(
            path, image, organism=described.organism, um_per_px=entry.um_per_px
        )
    if described.format == "legacy_st":
        from spared_bench.readers.legacy_st import read_legacy_st

        spots = Path(entry.spots) if entry.spots else None
        return read_legacy_st(path, spots, image, step_um=entry.step_um or None)
    if described.format == "spatialdata":
        from spared_bench.readers.spatial_data import read_spatialdata

        read = partial(
            read_spatialdata,
            table=entry.table,
            shapes=entry.shapes,
            organism=described.organism,
            label=described.label_column,
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
        exports=exports,
    )


def content(folder: Path, fingerprints: Fingerprints) -> dict[str, Any]:
    """Return what determines the slides of a described dataset: entries, and hashes of files."""
    described = read_description(folder / DESCRIPTION)
    return {
        "format": described.format,
        "slide_column": described.slide_column,
        "label_column": described.label_column,
        "slides": {
            slide_id: {
                # Where a file lies moves no number; what is in it does.
                key: _hash(Path(value), described.format, fingerprints)
                if key in _FILES or (key == "image" and described.format != "spatialdata")
                else value
                for key, value in entry.model_dump(exclude_defaults=True).items()
            }
            for slide_id, entry in described.slides.items()
        },
    }


def gone(folder: Path) -> list[str]:
    """Return a sentence for each file of a described dataset that is not there."""
    described = read_description(folder / DESCRIPTION)
    named = [*_FILES, *["image"] * (described.format != "spatialdata")]
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
        return fingerprints.of_folder(path)
    raise MissingFileError(
        f"{path}, which the description of the dataset names, is not there. Put it back, or add"
        " the dataset again with `spared-bench data add FILE --replace`."
    )


def described_spec(path: Path) -> DatasetSpec:
    """Return the spec of a kept description, which must carry the name of its folder."""
    found = read_description(path)
    if found.name != path.parent.name:
        raise PluginError(
            f"it describes dataset {found.name!r} in a folder named {path.parent.name!r}. Rename"
            " one of them."
        )
    return found.spec()
