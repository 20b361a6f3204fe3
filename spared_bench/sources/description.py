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

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from spared_bench.errors import MissingFileError, PluginError, SplitError, UsageError
from spared_bench.protocol import Processing
from spared_bench.sources.alike import refuse_alike
from spared_bench.sources.formats import Format, check_format, check_organism
from spared_bench.specs import DatasetSpec, SlideInfo
from spared_bench.specs.files import SLIDE_ID
from spared_bench.strict import load_mapping, plain_digits
from spared_bench.validated import explain
from spared_bench.words import counted

DESCRIPTION = "dataset.yaml"
#: The factory of every dataset that is described in YAML.
FACTORY = "spared_bench.sources.described:read_slide"
_SHORT = "A description is a short YAML file, in which files of data are named."

#: Keys of a slide's entry that name files, beside ``image``.
FILES = ("path", "spots", "labels", "patches", "metadata", "genes")

#: What programs write for a value that is missing; two such donors would be one.
_NOT_TOLD = {"nan", ".nan", "none", "na", "n/a", "<na>"}


def _require_told(name: str) -> str:
    if name.strip().casefold() in _NOT_TOLD:
        raise ValueError(f"{name!r} stands for what is not known, and names nobody: leave it out")
    return name


Text = Annotated[str, Field(max_length=2_000)]
Whose = Annotated[Text, AfterValidator(_require_told)]
Size = Annotated[float, BeforeValidator(plain_digits), Field(ge=0, le=1e6)]
Order = Annotated[int, BeforeValidator(plain_digits)]


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
    sample : str
        The block of tissue that it was cut from; the patient, where it is left out.
    order : int
        Its place along z among the sections of the sample.
    thickness_um : float
        From this section to the next one; 0: unknown.
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

    path: Annotated[Text, Field(min_length=1)]
    image: Text = ""
    patient: Whose = ""
    section: Text = ""
    sample: Whose = ""
    order: Order | None = None
    thickness_um: Size = 0.0
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
    ``tissue_column`` of ``obs`` (AnnData, SpatialData) is 1 or true for spots under tissue; left
    out, that is ``in_tissue``.
    """

    name: Text
    format: Annotated[Format, BeforeValidator(check_format)]
    organism: Annotated[
        str, StringConstraints(max_length=2_000, to_lower=True), AfterValidator(check_organism)
    ]
    tissue: Text = ""
    technology: Text = ""
    summary: Text = ""
    citation: Text = ""
    licence: Text = ""
    slides: Annotated[dict[str, SlideEntry], Field(min_length=1, max_length=10_000)]
    slide_column: Text = ""
    label_column: Text = ""
    tissue_column: Text = ""
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
        if self.tissue_column and self.format not in _ONLY["layer"]:
            raise ValueError(
                f"`tissue_column` is set, which format {self.format!r} does not use (it belongs to"
                f" {', '.join(_ONLY['layer'])})"
            )
        self._check_labels()
        self._check_samples()
        for slide_id, entry in self.slides.items():
            if not SLIDE_ID.fullmatch(slide_id):
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

    def _check_samples(self) -> None:
        """Refuse a block of tissue of two donors, or with two sections in one place."""
        refuse_alike(self.slides, "slides")  # for some file systems, A1 and a1 are one
        entries = self.slides.items()
        refuse_alike((entry.patient or slide_id for slide_id, entry in entries), "donors")
        refuse_alike((entry.sample for entry in self.slides.values()), "samples")
        donors: dict[str, tuple[str, str]] = {}
        orders: dict[tuple[str, int], str] = {}
        for slide_id, entry in self.slides.items():
            sample = entry.sample or entry.patient or slide_id
            donor, first = donors.setdefault(sample, (entry.patient, slide_id))
            if entry.sample and donor != entry.patient:
                raise ValueError(
                    f"slides {first!r} and {slide_id!r} are of sample {sample!r}, and of the"
                    f" patients {donor or 'none'} and {entry.patient or 'none'}: a block of tissue"
                    " is one donor's"
                )
            if entry.order is None:
                continue
            other = orders.setdefault((sample, entry.order), slide_id)
            if other != slide_id:
                raise ValueError(
                    f"slides {other!r} and {slide_id!r} both have `order: {entry.order}` in sample"
                    f" {sample!r}: each section has its own place"
                )

    def _check_labels(self) -> None:
        refuse_alike(self.classes, "classes")
        tables = [slide_id for slide_id, entry in self.slides.items() if entry.labels]
        if self.label_column and self.format == "hest":
            raise ValueError(
                "`label_column` is set, which format 'hest' does not use: it reads no labels (all"
                " others do)"
            )
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
            summary=self.summary
            or f"{counted(len(self.slides), 'slide')} of one's own ({self.format})",
            citation=self.citation,
            licence=self.licence,
            organism=self.organism,
            tissue=self.tissue,
            technology=self.technology,
            slides=tuple(
                SlideInfo(s, e.patient, e.section, e.order, e.sample, e.thickness_um)
                for s, e in self.slides.items()
            ),
            split={str(part): slides for part, slides in self.split.items()},
            parameters=self.parameters,
            allow_shared_donors=self.allow_shared_donors,
            donors_verified=self.donors_verified,
            folds=self.folds,
            classes=self.classes,
        )

    @property
    def idle_slides(self) -> tuple[str, ...]:
        """Slides that are neither learned from nor tested, by the split or by any fold."""
        used = {slide for slides in self.split.values() for slide in slides}
        for folds in self.folds.values():
            used |= {slide for slides in folds.values() for slide in slides}
        return tuple(slide for slide in self.slides if slide not in used)

    def below(self, folder: Path) -> Description:
        """Return the same with absolute paths, taken to be relative to a folder."""
        named = [*FILES, *["image"] * (self.format != "spatialdata")]
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
    SplitError
        If donors are learned from and tested, and nobody allowed that.
    """
    from spared_bench.readers.text import read_text

    try:
        text = read_text(path, MissingFileError, "description")
    except MissingFileError as error:
        raise MissingFileError(" ".join(filter(None, [str(error), _instead(path)]))) from error
    # Ids are what stands there: YAML takes `010` for 8 and `on` for True. Numbers and switches of
    # the model are read from their text; only `parameters` have no model.
    what = "description of a dataset"
    values = load_mapping(text, str(path), what, UsageError, typed=("parameters",))
    try:
        found = Description.model_validate(values).below(path.resolve().parent)
    except ValidationError as error:
        raise UsageError(f"{path}: {explain(error, Description)}") from error
    _refuse_one_slide_twice(found, path)
    Processing(from_dataset=True).for_dataset(_sound_spec(found, path))  # and its parameters
    return found


def _instead(path: Path) -> str:
    """Say so where a file of data stands in the place of its description."""
    from spared_bench.sources.what_it_is import what_it_is

    what = what_it_is(path, "")
    return f"{what} {_SHORT}".strip() if what or path.is_file() else ""


def _sound_spec(described: Description, path: Path) -> DatasetSpec:
    """Return the spec of a description; what it cannot be is told of the file, not of a plugin."""
    try:
        return described.spec()
    except (PluginError, SplitError) as error:
        told = str(error).removeprefix(f"DatasetSpec(name={described.name!r}): ")
        told = told.replace("Rename the plugin.", "Choose another `name`.")
        kind = SplitError if isinstance(error, SplitError) else UsageError
        raise kind(f"{path}: {told}") from error


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
