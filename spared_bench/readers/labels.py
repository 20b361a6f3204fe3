"""Labels of spots: from a table beside a slide, or from a column of ``obs``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from spared_bench.data import LABEL
from spared_bench.errors import ContractError, did_you_mean
from spared_bench.readers.tables import text_table
from spared_bench.readers.text import bare
from spared_bench.words import counted

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

#: What stands where there is no label, in lower case: as R, pandas and Excel write it.
_NONE = frozenset({"", "na", "nan", "none", "<na>", "null"})


def read_labels(path: Path, column: str, spots: str = "") -> dict[str, str]:
    """Read the label of each spot from a table with a header, separated by tabs or commas.

    Parameters
    ----------
    path : Path
    column : str
        The column of labels.
    spots : str
        The column that names spots; the first one by default.

    Returns
    -------
    dict
        Spot to label, without the spots that have none (an empty field, ``NA``, ``nan``).

    Raises
    ------
    MissingFileError
        If it is not there.
    ContractError
        If it is no table, lacks a column, or gives a spot two labels.
    """
    table = label_table(path, [column, *([spots] if spots else [])])
    names = table[spots] if spots else table.iloc[:, 0]
    return as_labels(names, table[column], path)


def label_table(path: Path, columns: Sequence[str], header: bool = True) -> pd.DataFrame:
    """Read a table as text, and check that these columns are there; without header, name them."""
    table = text_table(
        path, ContractError, "table of labels", names=None if header else list(columns)
    )
    for column in columns:
        if column not in table:
            raise ContractError(
                f"The table of labels {path} has no column {column!r}."
                f" {did_you_mean(column, table.columns)} It has: {', '.join(table.columns)}."
            )
        if list(table.columns).count(column) > 1:
            raise ContractError(f"{path} has two columns called {column!r}. Remove the wrong one.")
    return table


def as_labels(spots: Iterable[str], labels: Iterable[str], path: Path) -> dict[str, str]:
    """Return spot to label, those without a label left out.

    Raises
    ------
    ContractError
        If a spot has two labels.
    """
    found: dict[str, str] = {}
    for spot, label in zip(spots, labels, strict=True):
        name, text = bare(str(spot)), bare(str(label))
        if text.casefold() in _NONE:
            continue
        if found.setdefault(name, text) != text:
            raise ContractError(
                f"{path} labels spot {name!r} twice, as {found[name]!r} and as {text!r}. Leave one"
                " line of it."
            )
    return found


def put_labels(slide: AnnData, label_of: Mapping[str, str], source: str) -> None:
    """Write the labels into ``obs["label"]`` of a raw slide, ``""`` where a spot has none.

    Raises
    ------
    ContractError
        If there are labels, and not one is of a spot of the slide.
    """
    labels = np.array([label_of.get(str(name), "") for name in slide.obs_names], dtype=object)
    if label_of and not labels.astype(bool).any():
        raise ContractError(
            f"{source} labels {counted(len(label_of), 'spot')}, {next(iter(label_of))!r} for"
            f" example, and none of them is among the {slide.n_obs} of the slide,"
            f" {slide.obs_names[0]!r} for example."
            " Name spots there as the slide does."
        )
    slide.obs[LABEL] = labels


def labels_of_column(obs: pd.DataFrame, column: str, path: Path) -> np.ndarray:
    """Return the labels in a column of ``obs``, (n_spots,), object; ``""`` for missing values.

    Raises
    ------
    ContractError
        If there is no such column.
    """
    if column not in obs:
        raise ContractError(
            f"{path} has no obs column {column!r}, which should hold the labels of spots."
            f" {did_you_mean(column, obs.columns)} It has: {', '.join(map(str, obs.columns))}."
        )
    values = obs[column].astype(object)
    texts = values.where(values.notna(), "").astype(str).str.strip().to_numpy(dtype=object)
    return np.array(["" if text.casefold() in _NONE else text for text in texts], dtype=object)
