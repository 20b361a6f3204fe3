"""Gene names: Ensembl versions cut off, duplicates added up."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from spared_bench.errors import CountsError
from spared_bench.words import counted

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

_VERSIONED = re.compile(r"(ENS[A-Z]*G\d+)\.\d+")


def is_missing(value: Any) -> bool:
    """Return whether a value is one of those by which pandas and numpy tell nothing."""
    import pandas as pd

    return value is None or value is pd.NA or bool(value != value)  # noqa: PLR0124


def without_version(names: Sequence[str]) -> list[str]:
    """Cut the version off Ensembl gene ids; other names, dots included, stay as they are.

    >>> without_version(["ENSMUSG00000064339.1", "FO538757.1"])
    ['ENSMUSG00000064339', 'FO538757.1']
    """
    matches = [_VERSIONED.fullmatch(name) for name in names]
    return [match[1] if match else name for match, name in zip(matches, names, strict=True)]


def merge_duplicated_genes(
    counts: csr_matrix, names: Sequence[str]
) -> tuple[csr_matrix, list[str], list[str]]:
    """Add up the columns of one name.

    Parameters
    ----------
    counts : csr_matrix of shape (n_spots, n_columns)
        Raw counts.
    names : sequence of str
        Of the columns.

    Returns
    -------
    counts : csr_matrix of shape (n_spots, n_genes)
        In the order in which the names first occur; the input itself if all are unique.
    names : list of str
        Unique.
    repairs : list of str
        A sentence about what was merged; empty if nothing was.

    Raises
    ------
    CountsError
        If a name is missing: those without one are not one gene.
    """
    from scipy import sparse

    if (lacking := sum(map(is_missing, names))) > 0:
        raise CountsError(
            f"{counted(lacking, 'column')} of the counts: no gene's name, but None, nan or NA. Name"
            " what is a gene, and leave out what is none."
        )

    unique = list(dict.fromkeys(names))
    if len(unique) == len(names):
        return counts, unique, []
    position = {name: column for column, name in enumerate(unique)}
    target = np.array([position[name] for name in names])
    ones = np.ones(len(names), dtype=counts.dtype)
    add_up = sparse.csr_matrix(
        (ones, (np.arange(len(names)), target)), shape=(len(names), len(unique))
    )
    twice = next(name for name, times in Counter(names).items() if times > 1)
    sentence = (
        f"Columns that repeated the name of another gene, added to it: {len(names) - len(unique)}"
        f" ({twice!r}, for example)."
    )
    return sparse.csr_matrix(counts @ add_up), unique, [sentence]
