"""The columns of genes that are named by id or symbol."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence


def gene_columns(
    wanted: Iterable[str], ids: Iterable[object], symbols: Iterable[object]
) -> dict[str, list[int]]:
    """Return the columns that each name stands for.

    Parameters
    ----------
    wanted : iterable of str
    ids, symbols : iterable
        Of every column.

    Returns
    -------
    dict of str to list of int
        None for a name that is none of these; one for an id; for a symbol all that are called so,
        which may be several (MATR3 and RGS5 in human, Aldoa and Nrg1 in mouse).
    """
    place = {str(gene): [column] for column, gene in enumerate(ids)}
    called: dict[str, list[int]] = {}
    for column, symbol in enumerate(symbols):
        called.setdefault(str(symbol), []).append(column)
    return {gene: place.get(gene) or called.get(gene, []) for gene in wanted}


def of_several(found: Mapping[str, Sequence[int]], ids: Sequence[object]) -> str:
    """Return a sentence on the first name that several columns share; empty where none is."""
    for gene, columns in found.items():
        if len(columns) > 1:
            shown = ", ".join(str(ids[column]) for column in columns)
            return (
                f"{gene!r} is the symbol of {len(columns)} genes here ({shown}): name the id of the"
                " one that is meant."
            )
    return ""
