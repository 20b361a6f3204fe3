"""Breast tumours of 23 patients, 68 sections, first-generation ST (He et al. 2020).

The split is that of SEPAL (Mejia et al., ICCV Workshops 2023), as the code of SpaRED has it: 15, 4
and 4 patients. Reads the archive of Mendeley Data, record 29ntw7sh4r version 5, as it unpacks::

    metadata.csv              one row per section: patient, replicate, and the names of its files in
                              the columns count_matrix, spot_coordinates, histology_image
    <count_matrix>            spots x genes, Ensembl ids; rows named <x>x<y>; TSV, gzipped or not
    <spot_coordinates>        CSV, gzipped or not: the same names, then x and y in pixels
    <histology_image>         JPEG

Each named file is looked for beside ``metadata.csv`` and in a folder named like its column.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from spared_bench import DatasetSpec, RemoteFile, SlideInfo
from spared_bench.errors import CoordinateError, MissingFileError

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

_TRAIN = {
    "BC23287": "C1 C2 D1",
    "BC23450": "D2 E1 E2",
    "BC23944": "D2 E1 E2",
    "BC24220": "D2 E1 E2",
    "BC23567": "D2 E1 E2",
    "BC23810": "D2 E1 E2",
    "BC23903": "C1 C2 D1",
    "BC24044": "D2 E1 E2",
    "BC24105": "C1 C2 D1",
    "BC23269": "C1 C2 D1",
    "BC23272": "D2 E1 E2",
    "BC23277": "D2 E1 E2",
    "BC23895": "C1 C2 D1",
    "BC23377": "C1 C2 D1",
    "BC23803": "D2 E1 E2",
}
_VAL = {
    "BC23901": "C2 D1",
    "BC24223": "D2 E1 E2",
    "BC23270": "D2 E1 E2",
    "BC23209": "C1 C2 D1",
}
_TEST = {
    "BC23268": "C1 C2 D1",
    "BC23506": "C1 C2 D1",
    "BC23508": "D2 E1 E2",
    "BC23288": "D2 E1 E2",
}
_FILES = ("count_matrix", "spot_coordinates", "histology_image")
_COLUMNS = ("patient", "replicate", *_FILES)


def _sections(patients: dict[str, str]) -> tuple[str, ...]:
    return tuple(f"{patient}_{s}" for patient, all_of in patients.items() for s in all_of.split())


_ALL = _TRAIN | _VAL | _TEST

STNET = DatasetSpec(
    name="stnet",
    factory=f"{__name__}:read_section",
    summary="breast tumours: 68 sections of 23 patients",
    citation=(
        "He et al., Integrating spatial gene expression and breast tumour morphology via deep"
        " learning, Nat. Biomed. Eng. 4, 827-834 (2020), doi:10.1038/s41551-020-0578-x"
    ),
    organism="human",
    tissue="breast cancer",
    technology="spatial transcriptomics (200 um)",
    slides=tuple(
        SlideInfo(f"{patient}_{section}", patient, section, order=at, thickness_um=16.0)
        for patient, all_of in _ALL.items()
        for at, section in enumerate(all_of.split(), 1)
    ),
    donors_verified=True,
    split={"train": _sections(_TRAIN), "val": _sections(_VAL), "test": _sections(_TEST)},
    folds={"patient": {p: _sections({p: s}) for p, s in _ALL.items()}},
    files=(
        RemoteFile(
            "https://prod-dcd-datasets-cache-zipfiles.s3.eu-west-1.amazonaws.com/29ntw7sh4r-5.zip",
            unpack=True,
        ),
    ),
)


def read_section(folder: Path, slide_id: str) -> AnnData:
    """Read one section, e.g. ``"BC23209_C1"``; see ``read_legacy_st`` for the errors.

    Raises
    ------
    MissingFileError
        If a file is missing, or ``metadata.csv`` does not name it.
    """
    from spared_bench.readers.legacy_st import read_legacy_st

    counts, spots, image = (_find(folder, slide_id, column) for column in _FILES)
    return read_legacy_st(counts, _positions(spots), image, image_scale=1.0)


def _positions(path: Path) -> pd.DataFrame:
    """Read pixels by spot name into the columns of a spot table."""
    import pandas as pd

    from spared_bench.readers.tables import parse_position

    try:
        table = pd.read_csv(path, index_col=0)
    except (ValueError, OSError, EOFError) as error:
        raise CoordinateError(f"The positions {path} cannot be read: {error}.") from error
    places = [parse_position(str(name)) for name in table.index]
    numbers = table.select_dtypes("number")
    if numbers.shape[1] != 2 or None in places or not len(table):
        raise CoordinateError(
            f"{path} holds columns {list(table.columns)} by {str(table.index[:1].tolist())[1:-1]};"
            " expected two columns of pixels, x and y, by spots named '<x>x<y>' as in '10x21'."
        )
    out = pd.DataFrame(places, columns=["x", "y"])
    out[["new_x", "new_y"]] = out[["x", "y"]]
    out[["pixel_x", "pixel_y"]] = numbers.to_numpy(dtype=float)
    return out


def _find(folder: Path, slide_id: str, column: str) -> Path:
    name = _named(folder / "metadata.csv", slide_id, column)
    names = (name, name.removesuffix(".gz"))
    tried = [place / each for place in (folder, folder / column) for each in names]
    for path in tried:
        if path.is_file():
            return path
    raise MissingFileError(
        f"The {column.replace('_', ' ')} of section {slide_id} is missing: looked for"
        f" {' and '.join(map(str, tried[::2]))}. `spared-bench data fetch stnet` downloads it."
    )


def _named(metadata: Path, slide_id: str, column: str) -> str:
    """Return the name of a file of a section."""
    import pandas as pd

    if not metadata.is_file():
        raise MissingFileError(
            f"There is no {metadata}, which names the files of each section."
            " `spared-bench data fetch stnet` downloads it."
        )
    table = pd.read_csv(metadata, dtype=str)
    lacking = [name for name in _COLUMNS if name not in table]
    if lacking:
        raise MissingFileError(f"{metadata} lacks columns {lacking}; found {list(table.columns)}.")
    patient, replicate = slide_id.split("_")
    rows = table[(table["patient"] == patient) & (table["replicate"] == replicate)]
    if len(rows) != 1:
        raise MissingFileError(
            f"{metadata} has {len(rows)} rows of patient {patient}, replicate {replicate};"
            " expected one."
        )
    return Path(str(rows[column].iloc[0])).name
