"""HER2-positive breast tumours of eight patients (Andersson et al. 2021), first-generation ST.

Reads the layout of github.com/almaan/her2st, wherever it lies::

    data/ST-cnts/<section>.tsv.gz
    data/ST-spotfiles/<section>_selection.tsv
    data/ST-imgs/<patient>/<section>/<one file, of any name>
    app/www/imgs/<section>_HE_image_dark.png      reduced; used where the image is not there
    data/ST-pat/lbl/<section>_labeled_coordinates.tsv     a pathologist's labels of eight sections

The table of labels names spots by their adjusted positions, ``x`` and ``y``, which round to those
of the array. Its ``pixel_x`` and ``pixel_y`` belong to an image of another size.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from spared_bench import DatasetSpec, RemoteFile, SlideInfo
from spared_bench.errors import ContractError, ImageError

if TYPE_CHECKING:
    from anndata import AnnData

_IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff")

#: ``undetermined`` is a label as well: the pathologist looked, and could not tell.
_CLASSES = (
    "adipose tissue",
    "breast glands",
    "cancer in situ",
    "connective tissue",
    "immune infiltrate",
    "invasive cancer",
    "undetermined",
)
_PATIENTS = {"A": 6, "B": 6, "C": 6, "D": 6, "E": 3, "F": 3, "G": 3, "H": 3}
_COMMIT = "85df7411b987a7dec3feff9718b869a7a82091ec"
_CITATION = (
    "Andersson et al., Spatial deconvolution of HER2-positive breast cancer delineates"
    " tumor-associated cell type interactions, Nat. Commun. 12, 6012 (2021),"
    " doi:10.1038/s41467-021-26271-2"
)


def _sections(patients: str) -> tuple[str, ...]:
    return tuple(f"{p}{i + 1}" for p in patients for i in range(_PATIENTS[p]))


HER2ST = DatasetSpec(
    name="her2st",
    factory=f"{__name__}:read_section",
    summary="HER2+ breast tumours: 36 sections of eight patients",
    citation=_CITATION,
    licence="CC-BY-4.0",
    organism="human",
    tissue="breast cancer",
    technology="spatial transcriptomics (200 um)",
    slides=tuple(SlideInfo(s, s[0], s[1:], order=int(s[1:])) for s in _sections("ABCDEFGH")),
    # By patient: consecutive sections of one tumour are near copies. The patients with six
    # sections all train; of those with three, the last two by letter are kept for choices and test.
    donors_verified=True,
    split={"train": _sections("ABCDEF"), "val": _sections("G"), "test": _sections("H")},
    folds={
        "patient": {p: _sections(p) for p in _PATIENTS},
        "loso": {s: (s,) for s in _sections("ABCDEFGH")},
    },
    files=(
        RemoteFile(
            f"https://github.com/almaan/her2st/archive/{_COMMIT}.zip",
            unpack=True,
        ),
    ),
    classes=_CLASSES,
)

HER2ST_DEMO = DatasetSpec(
    name="her2st_demo",
    factory=f"{__name__}:read_section",
    summary="HER2+ breast tumour: three sections of one patient, images at a quarter of the width",
    citation=_CITATION,
    licence="CC-BY-4.0",
    organism="human",
    tissue="breast cancer",
    technology="spatial transcriptomics (200 um)",
    slides=tuple(SlideInfo(s, "C", s[1:], order=int(s[1:])) for s in ("C2", "C3", "C4")),
    donors_verified=True,
    split={"train": ("C2", "C3"), "test": ("C4",)},
    allow_shared_donors=True,  # enough for a demonstration, and shown as tier B
    folder="spared_bench_plugins.datasets.embedded.her2st",
)


def read_section(folder: Path, slide_id: str) -> AnnData:
    """Read one section, e.g. ``"C2"``, with its labels; see ``read_legacy_st`` for the errors.

    Raises
    ------
    ImageError
        If the section has no image, or several.
    """
    from spared_bench.readers.labels import put_labels
    from spared_bench.readers.legacy_st import read_legacy_st

    slide = read_legacy_st(
        folder / "data" / "ST-cnts" / f"{slide_id}.tsv.gz",
        folder / "data" / "ST-spotfiles" / f"{slide_id}_selection.tsv",
        find_image(folder, slide_id),
    )
    labels = folder / "data" / "ST-pat" / "lbl" / f"{slide_id}_labeled_coordinates.tsv"
    if labels.is_file():
        put_labels(slide, _labels(labels), f"The table {labels}")
    return slide


def _labels(path: Path) -> dict[str, str]:
    """Return the label of each spot by its name, ``<x>x<y>``."""
    from spared_bench.readers.labels import as_labels, label_table

    table = label_table(path, ["x", "y", "label"])
    try:
        places = table[["x", "y"]].astype(float).round().astype(int)
    except (ValueError, OverflowError) as error:
        raise ContractError(f"{path}: x and y must be numbers: {error}.") from error
    names = [f"{x}x{y}" for x, y in zip(places["x"], places["y"], strict=True)]
    return as_labels(names, table["label"], path)


def find_image(folder: Path, slide_id: str) -> Path:
    """Return the image of a section: the only file in its folder, else the viewer's copy."""
    own = folder / "data" / "ST-imgs" / slide_id[0] / slide_id
    found = sorted(
        path
        for path in (own.iterdir() if own.is_dir() else ())
        if path.suffix.lower() in _IMAGE_SUFFIXES and not path.name.startswith(".")
    )
    if len(found) > 1:
        raise ImageError(
            f"Section {slide_id} has {len(found)} images in {own}: {[path.name for path in found]}."
            " Expected one; move the others away."
        )
    if found:
        return found[0]
    viewer = folder / "app" / "www" / "imgs" / f"{slide_id}_HE_image_dark.png"
    if viewer.is_file():
        return viewer
    raise ImageError(
        f"Section {slide_id} has no image: looked for a file in {own} and for {viewer}. Put the"
        " image there, or fetch the dataset again."
    )
