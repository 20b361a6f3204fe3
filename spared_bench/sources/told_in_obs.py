"""What a file tells of its spots beside what is read of them: their depths, and whose they are.

Who keeps the genes that vary most leaves the sums of all genes in ``obs``; who joins slides gives
their spots other names. Neither is seen in the counts, and both make other numbers of them.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from spared_bench.errors import ContractError
from spared_bench.readers.coordinates import numbers
from spared_bench.sources.description import Description
from spared_bench.words import counted

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

#: Sums of raw counts, without what stands between their words: of scanpy, Seurat, scuttle, SPATA2.
_SUMS = ("totalcounts", "ncounts", "ncountspatial", "ncountrna", "numi", "numis", "sum")
_LEFT, _ALIKE = 0.9, 0.01  # of the sums that are told; of their mean
#: The same, of more counts; and how much that differs from spot to spot. Sums that were told before
#: genes were joined, or of some genes, differ by more.
_MORE, _EVENLY = 1.1, 0.02
_BARCODE = re.compile(
    r"(?P<before>(?:.*[^ACGT])?)(?P<barcode>[ACGT]{12,})(?P<after>(?:[^ACGT].*)?)"
)
_SHARED = 0.05  # of the spots: of two slides, most barcodes are the same


def rows_of(described: Description, slide_id: str) -> pd.DataFrame | None:
    """Return ``obs`` of a slide as its file holds it; nothing where its format has none.

    Parameters
    ----------
    described : Description
    slide_id : str
        Of a slide that has been read.
    """
    entry, column = described.slides[slide_id], described.slide_column
    if described.format == "h5ad":
        from anndata import read_h5ad

        opened = read_h5ad(entry.path, backed="r")
        table = opened.obs
        opened.file.close()
    elif described.format == "spatialdata":
        import zarr
        from anndata.io import read_elem

        tables: Any = zarr.open_group(Path(entry.path) / "tables", mode="r")
        table = read_elem(tables[entry.table or next(iter(tables.group_keys()))]["obs"])
    else:
        return None
    return table[table[column].astype(str) == slide_id] if column else table


def lost_genes(slide: AnnData, rows: pd.DataFrame | None) -> list[str]:
    """Return a sentence where a column tells of clearly more counts than a slide holds, or fewer.

    Parameters
    ----------
    slide : AnnData
        As it was read.
    rows : DataFrame or None
        What ``rows_of`` returns.
    """
    if rows is None or not rows.index.is_unique:
        return []
    places = rows.index.get_indexer(slide.obs_names)
    found = np.asarray(slide.X.sum(axis=1, dtype=np.float64)).ravel()
    for name in rows:
        if re.sub(r"[\W_]+", "", str(name)).casefold() not in _SUMS:
            continue
        told = numbers(rows[name])[places]
        used = (places >= 0) & np.isfinite(told) & (found > 0)
        sums, kept = told[used], found[used]
        # Sums of what was normalised are fractions, or all the same.
        if 2 * len(sums) < len(found) or (sums % 1).any() or sums.std() <= _ALIKE * sums.mean():
            continue
        if (kept <= sums).all() and np.median(kept / sums) < _LEFT:
            return [
                f"Column {str(name)!r} tells of more counts than are read of its spots (median"
                f" {np.median(sums):,.0f}, and {np.median(kept):,.0f} are read): genes were left"
                " out after they had been counted, or counts made smaller, as where a background is"
                " taken away. Depths, by which counts are divided, are over what is left. Give the"
                " file from before, or the layer that holds all counts (`layer: raw`)."
            ]
        times = kept / np.maximum(sums, 1)
        if (sums > 0).all() and times.min() > _MORE and times.std() <= _EVENLY * times.mean():
            return [
                f"In all spots about {np.median(times):.3g} times the counts are read that column"
                f" {str(name)!r} tells of (median {np.median(kept):,.0f}, and"
                f" {np.median(sums):,.0f}), as after they were multiplied by a number. Give the raw"
                " counts, or correct the column."
            ]
    return []


def refuse_joined(names: Sequence[str], rows: pd.DataFrame | None) -> None:
    """Refuse spots of several slides as one: of one slide, each has a barcode of its own.

    Parameters
    ----------
    names : sequence of str
        Of the spots.
    rows : DataFrame or None
        In which a column is looked for that tells them apart.

    Raises
    ------
    ContractError
    """
    found = {name: match for name in names if (match := _BARCODE.fullmatch(name))}
    called = defaultdict(list)
    for name, match in found.items():
        called[match["barcode"]].append(name)
    twice = [same for same in called.values() if len(same) > 1]
    if not twice or len(twice) < _SHARED * len(names):
        return
    marks = {name: f"{match['before']}|{match['after']}" for name, match in found.items()}
    column = _column_of(marks, rows)
    advice = (
        f"write `slide_column: {column}` in the description, and an entry for each of them"
        if column
        else "write a file for each of them, or a column of obs that says which slide a spot is of"
        " (`slide_column` of the description)"
    )
    raise ContractError(
        f"{counted(len(twice), 'barcode')} stand in the names of several spots ({twice[0][0]!r} and"
        f" {twice[0][1]!r}, for example): these are spots of several slides, which would be taken"
        f" for neighbours. Of an AnnData file, {advice}."
    )


def _column_of(marks: dict[str, str], rows: pd.DataFrame | None) -> str:
    """Return the column that says the same as what stands around barcodes; "" for none."""
    if rows is None or not rows.index.is_unique:
        return ""
    names = [name for name in rows.index if name in marks]
    around = [marks[name] for name in names]
    for column in rows:
        values = rows[column].loc[names].astype(str)
        pairs = set(zip(values, around, strict=True))
        if len(pairs) == values.nunique() == len(set(around)) > 1:
            return str(column)
    return ""
