"""Which spots are under tissue, where a column of a table tells it.

``in_tissue`` is believed, however it is written. Another column whose name and values say the same
may be a mask of one's own, or of something else: all spots are kept, and what it says is recorded.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from spared_bench.errors import ContractError, CoordinateError, did_you_mean
from spared_bench.readers.tables import as_flags
from spared_bench.readers.text import bare
from spared_bench.words import counted

if TYPE_CHECKING:
    import pandas as pd

_WORDS = dict.fromkeys(("in", "inside", "on", "under"), "1")
_WORDS |= dict.fromkeys(("out", "outside", "off", "beside"), "0")
#: Names by which 1 would say that a spot is under tissue, without what stands between their words.
_NAMED = re.compile(
    r"(is|has|spots?|bins?|covered(by)?)?(in|on|under|over|within|inside|below|beneath)?(the)?"
    r"tissue(mask|flag|bool|binary|covered|detected|positive)*\d*"
)
_USE_IT = "if it is right, write `tissue_column: {}` in the description"


def under_tissue(
    table: pd.DataFrame,
    column: str,
    path: Path,
    called: str = "obs[{!r}]",
    use_it: str = _USE_IT,
) -> tuple[np.ndarray, list[str]]:
    """Return which rows are under tissue, and what is to be recorded.

    Parameters
    ----------
    table : DataFrame
        ``obs``: a row for each spot.
    column : str
        What the user names; empty: ``in_tissue``, and all rows where there is none.
    path : Path
        For messages.
    called : str
        What to call a column, with its name for ``{}``.
    use_it : str
        How to have another column used, likewise.

    Returns
    -------
    covered : ndarray of bool, of shape (n_spots,)
    notes : list of str

    Raises
    ------
    ContractError
        If there is no such column.
    CoordinateError
        If its values are neither yes nor no, none is yes, or two columns of one name differ.
    """
    if column and column not in table:
        raise ContractError(
            f"{path} has no obs column {column!r}, which `tissue_column` names."
            f" {did_you_mean(column, table.columns)} It has: {', '.join(map(str, table.columns))}."
        )
    named = [column] if column else [str(name) for name in table if _letters(name) == "intissue"]
    covered, notes = np.ones(len(table), dtype=bool), []
    if named and len(table):
        covered = _flags(table[named[0]], called.format(named[0]), path)
        _refuse_other(table, named, covered, path, called)
        if not covered.any():
            raise CoordinateError(
                f"No spot of {path} is under tissue: {called.format(named[0])} is 1 or true for"
                f" none of {len(table)}. Correct that column, or remove it if all of them are."
            )
        left_out = int((~covered).sum())
        notes += [f"Spots beside the tissue, dropped: {left_out}."] * bool(left_out)
    others = table.loc[covered, [name for name in tissue_columns(table) if name not in named]]
    return covered, notes + not_used(others, use_it)


def not_used(table: pd.DataFrame, why: str) -> list[str]:
    """Say which columns call some rows beside the tissue.

    One that is 1 nowhere was never filled in, and says nothing.

    Parameters
    ----------
    table : DataFrame
        The columns, with a row for each spot that is kept.
    why : str
        The end of the sentence, with the name of the column for ``{}``.
    """
    notes = []
    for name in map(str, table):
        try:
            beside = int((~_flags(table[name], name, Path())).sum())
        except CoordinateError:  # it holds something else
            continue
        if 0 < beside < len(table):
            notes.append(
                f"Column {name!r} calls {beside} of {counted(len(table), 'spot')} beside the"
                f" tissue, and was not used: {why.format(name)}."
            )
    return notes


def tissue_columns(table: pd.DataFrame) -> list[str]:
    """Return the columns whose names say that 1 in them is a spot under tissue."""
    return [str(name) for name in table if _NAMED.fullmatch(_letters(name))]


def _refuse_other(
    table: pd.DataFrame, named: list[str], covered: np.ndarray, path: Path, called: str
) -> None:
    for other in named[1:]:
        odd = int((_flags(table[other], called.format(other), path) != covered).sum())
        if odd:
            raise CoordinateError(
                f"{called.format(named[0])} and {called.format(other)} of {path} differ for {odd}"
                f" of {counted(len(table), 'spot')}: which of them says what is under tissue?"
                " Remove the wrong one, or write `tissue_column: ...` in a dataset's description."
            )


def _letters(name: Any) -> str:
    return re.sub(r"[\W_]+", "", str(name)).casefold()


def _flags(values: Any, where: str, path: Path) -> np.ndarray:
    """Return values that say in or out, too, as bool."""
    import pandas as pd

    # Few different values, of which there may be millions.
    codes, different = pd.factorize(np.asarray(values), use_na_sentinel=False)
    plain = [_WORDS.get(bare(str(value)).casefold(), str(value)) for value in different]
    words = np.array(plain, dtype=object)[codes]
    return as_flags(words, f"{where} of {path}", CoordinateError)
