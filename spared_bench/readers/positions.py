"""The position table and the scale factors of Space Ranger, of whichever version."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from spared_bench.errors import ContractError, CoordinateError, MissingFileError
from spared_bench.readers.nearby import nearby, packed, packed_beside
from spared_bench.readers.tables import read_table
from spared_bench.readers.text import bare, fields_of, lines_of, read_text

if TYPE_CHECKING:
    import pandas as pd

_COLUMNS = (
    "barcode",
    "in_tissue",
    "array_row",
    "array_col",
    "pxl_row_in_fullres",
    "pxl_col_in_fullres",
)
_FACTOR = re.compile(r"spot_diameter_fullres|tissue_\w+_scalef|bin_size_um|microns_per_pixel")
_SUFFIX = re.compile(r"-\d+$")


def read_positions(spatial: Path) -> pd.DataFrame:
    """Read the position file of whichever version, indexed by barcode.

    Raises
    ------
    CoordinateError
        If there is none, or there are two that say different things.
    """
    names = ("tissue_positions.csv", "tissue_positions.parquet", "tissue_positions_list.csv")
    paths = [packed(spatial / name) for name in names]
    found = [path for path in paths if path.is_file()]
    if not found:
        hint = nearby(paths[0], "*tissue_positions*", "*positions*.csv*")
        hint = hint or packed_beside(spatial.parent, "spatial")
        raise CoordinateError(
            f"There is no position table at {paths[0]}, so the spots have no coordinates."
            f" {hint or 'Copy the whole `spatial` folder of Space Ranger.'}"
        )
    table = read_position_file(found[0])
    for other in found[1:]:
        _require_the_same(table, found[0], other)
    return table


def _require_the_same(table: pd.DataFrame, path: Path, other: Path) -> None:
    """Refuse a second position table that is not the first in the form of another version."""
    copy = read_position_file(other)
    names = [name for name in _COLUMNS[1:] if name in table and name in copy]
    if len(copy) == len(table) and table.index.isin(copy.index).all():
        apart = np.abs(copy.loc[table.index, names].to_numpy(float) - table[names].to_numpy(float))
        odd = np.argwhere(apart >= 1)  # later versions keep parts of pixels
        if not len(odd):
            return
        row, column = odd[0]
        barcode, name = table.index[row], names[column]
        told = (
            f"{name} of {barcode} is {table[name].iloc[row]:g} in one and"
            f" {copy.loc[barcode, name]:g} in the other"
        )
    else:
        told = f"one has {len(table)} spots and the other {len(copy)}, not all of the same names"
    raise CoordinateError(
        f"{path} and {other.name} beside it contradict each other: {told}. Move the one away that"
        " is not meant."
    )


def read_position_file(path: Path) -> pd.DataFrame:
    """Read one position file, indexed by barcode; with a header or without, which it shows itself.

    Raises
    ------
    CoordinateError
        If it is not there, lacks a column, or names a barcode twice.
    """
    separator, names = ",", None
    if path.is_file() and path.suffix != ".parquet":
        separator, names = _form(path)
    table = read_table(
        path,
        _COLUMNS[2:],
        CoordinateError,
        separator=separator,
        names=names,
        flags=("in_tissue",),
    )
    if not len(table):
        raise CoordinateError(
            f"The position table {path} has a header and no rows. Copy it again from Space"
            " Ranger's output."
        )
    for column in ("array_row", "array_col"):
        odd = table[column][table[column] % 1 != 0]
        if len(odd):
            raise CoordinateError(
                f"{path}: column {column!r} holds {odd.iloc[0]} in {len(odd)} of {len(table)} rows;"
                " expected whole numbers, the place in the array. Are columns exchanged?"
            )
    names = [str(name).casefold() for name in table.columns]
    place = next((names.index(name) for name in ("barcode", "barcodes") if name in names), 0)
    barcodes = table.iloc[:, place].astype(str).map(bare)
    if barcodes.duplicated().any():
        raise CoordinateError(
            f"The position table {path} names barcode {barcodes[barcodes.duplicated()].iloc[0]!r}"
            " more than once, so its place is unknown. Copy the file again from Space Ranger's"
            " output, one slide a folder."
        )
    return table.set_index(barcodes)


def _form(path: Path) -> tuple[str, Sequence[str] | None]:
    """Return the separator of a position table, and names for its columns if it has no header."""
    lines = lines_of(read_text(path, CoordinateError, "position table"))
    if not lines:
        raise CoordinateError(f"The position table {path} is empty. Copy it again.")
    separator = max(",\t;", key=lines[0].count)
    first = [name.casefold() for name in fields_of(lines[0], separator)]
    if set(first) & set(_COLUMNS):
        return separator, None
    if len(first) != len(_COLUMNS) or any(letter.isalpha() for letter in first[-1]):
        raise CoordinateError(
            f"The position table {path} begins with {lines[0][:100]!r}: {len(first)} columns and no"
            f" header that is known; expected the columns {', '.join(_COLUMNS)}, between commas,"
            " tabs or semicolons."
        )
    return separator, _COLUMNS


def under_tissue(
    barcodes: list[str], positions: pd.DataFrame, folder: Path
) -> tuple[np.ndarray, pd.DataFrame, list[str]]:
    """Return the rows of the counts under tissue, their positions, and what was left out.

    Raises
    ------
    CoordinateError
        If over half of the barcodes have no position, or none is under tissue.
    """
    rows, repairs = _rows_of(barcodes, positions)
    lacking = np.flatnonzero(rows < 0)
    if len(lacking) * 2 > len(barcodes):
        raise CoordinateError(
            f"{len(lacking)} of {len(barcodes)} barcodes of {folder} have no position:"
            f" {barcodes[lacking[0]]!r}, for example, while the positions name"
            f" {positions.index[0]!r}. The counts and the `spatial` folder are of different slides,"
            " or the barcodes in one of them were renamed: they must be the same in both."
        )
    placed = np.flatnonzero(rows >= 0)
    found = positions.iloc[rows[placed]].set_axis([barcodes[row] for row in placed], axis=0)
    covered = found["in_tissue"].to_numpy() == 1
    if not covered.any():
        raise CoordinateError(
            f"No spot of {folder} is under tissue: in_tissue is 1 for none of its barcodes."
        )
    without_counts = int((positions["in_tissue"] == 1).sum() - covered.sum())
    left_out = {
        "Spots with counts but no position, dropped": len(lacking),
        "Spots with counts but beside the tissue, dropped": int((~covered).sum()),
        "Positions under tissue but without counts, dropped": without_counts,
    }
    repairs += [f"{what}: {number}." for what, number in left_out.items() if number]
    return placed[covered], found[covered], repairs


def _rows_of(barcodes: list[str], positions: pd.DataFrame) -> tuple[np.ndarray, list[str]]:
    """Return the row of each barcode's position, -1 where it has none."""
    import pandas as pd

    rows = positions.index.get_indexer(pd.Index(barcodes))
    if (rows >= 0).any():
        return rows, []
    plain = [_SUFFIX.sub("", barcode) for barcode in barcodes]
    places = pd.Index([_SUFFIX.sub("", barcode) for barcode in positions.index])
    # Where both have a suffix, another one means another slide.
    one_lacks_it = plain == barcodes or list(places) == list(positions.index)
    unique = places.is_unique and len(set(plain)) == len(plain)
    if not one_lacks_it or not unique:
        return rows, []
    without = places.get_indexer(pd.Index(plain))
    if not (without >= 0).any():
        return rows, []
    which = "counts" if plain == barcodes else "positions"
    return without, [f"Barcodes of the {which} lack the suffix of the others, such as '-1'."]


def read_scale_factors(path: Path) -> dict[str, float]:
    """Read the scale factors that are of use; the spot diameter must be there.

    Raises
    ------
    MissingFileError, ContractError
        If the file is missing or damaged, or one of these factors is no positive number.
    """
    if not packed(path).is_file():
        hint = nearby(path, "*scalefactors*") or packed_beside(path.parent.parent, "spatial")
        raise MissingFileError(
            f"There are no scale factors at {path}, so the size of a spot is unknown."
            f" {hint or 'Copy the whole `spatial` folder of Space Ranger.'}"
        )
    path = packed(path)
    try:
        values: Any = json.loads(read_text(path, ContractError, "file of scale factors"))
    except (ValueError, RecursionError) as error:
        raise ContractError(f"The scale factors {path} cannot be read: {error}.") from error
    if not isinstance(values, dict):
        raise ContractError(
            f"The scale factors {path} cannot be read: expected a JSON object, found"
            f" {type(values).__name__}."
        )
    used = {key: value for key, value in values.items() if _FACTOR.fullmatch(key)}
    if "spot_diameter_fullres" not in used:
        raise ContractError(f"{path} lacks 'spot_diameter_fullres'; found {sorted(values)}.")
    return {
        key: number
        for key, value in used.items()
        # An image without a factor is refused if it is used, and an odd factor is none.
        if (number := _factor(value, key, path, needed=not key.startswith("tissue_")))
    }


def _factor(value: Any, key: str, path: Path, needed: bool) -> float:
    if isinstance(value, list) and len(value) == 1:  # as R writes numbers
        value = value[0]
    try:
        number = float("nan" if isinstance(value, bool) else value)
    except (TypeError, ValueError, OverflowError):
        number = float("nan")
    if not 0 < number < float("inf"):
        if not needed:
            return 0.0
        raise ContractError(
            f"{path}: {key!r} is {json.dumps(value)[:100]}; expected a positive number. Copy the"
            " file again from Space Ranger's output."
        )
    return number
