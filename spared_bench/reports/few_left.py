"""Datasets of which filters left few genes, or few spots of a slide: a line each, by the store."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from spared_bench.bench import Bench
from spared_bench.keys.hashing import digest
from spared_bench.reports.quality import FEW_SPOTS
from spared_bench.words import counted

_FILE = "dataset.h5ad"
_SHOWN = 5


def told_of_few_left(bench: Bench, names: Iterable[str]) -> Iterator[str]:
    """Yield a line for each prepared dataset that is scored on few genes, or on few spots.

    Of genes, on fewer than were asked for; of spots, on slides of which so few are left that
    correlations over them say nothing.

    Parameters
    ----------
    bench : Bench
    names : iterable of str
        Datasets; those that are not prepared, or cannot be read, are left out.
    """
    for name in dict.fromkeys(names):
        with suppress(Exception):  # a warning stops nothing
            entry = bench.workspace.store.open("prepared", digest(bench.prepared_inputs(name)))
            if entry is None:
                continue
            found = _few_genes(entry.folder / _FILE)
            if found is not None:
                settings = bench.protocol.processing.for_dataset(bench.dataset(name))
                asked = len(settings.listed_genes) or settings.n_genes
                yield (
                    f"{name} is scored on {counted(found, 'gene')}, not on the {asked:,} that"
                    f" {bench.protocol.id} asks for: its filters left no more"
                    f" (`spared-bench data show {name}` lists what each left)."
                )
            small = few_spots(_spots_of(entry.folder / _FILE, bench.dataset(name).evaluation_split))
            if small:
                yield (
                    f"{name} is scored on {small}: over so few, correlations are far from 0 by"
                    " chance, and in means over slides each counts as much as any other"
                    f" (`spared-bench data show {name}` lists what the filters left)."
                )


def few_spots(spots: dict[str, int]) -> str:
    """Say which slides have few spots, and how many; "" where none has.

    >>> few_spots({"A": 2, "B": 900})
    '2 spots of slide A'
    """
    few = [f"{counted(n, 'spot')} of slide {name}" for name, n in spots.items() if n < FEW_SPOTS]
    more = [f"few of {counted(len(few) - _SHOWN, 'more slide')}"] if len(few) > _SHOWN else []
    return ", ".join([*few[:_SHOWN], *more])


def _few_genes(path: Path) -> int | None:
    """Return how many genes there are, if they are fewer than were asked for."""
    import h5py

    with h5py.File(path) as file:
        if not bool(file["uns/spared_bench/fewer_genes_than_asked"][()]):
            return None
        table = file["var"]
        return int(table[table.attrs["_index"]].shape[0])


def _spots_of(path: Path, split: str) -> dict[str, int]:
    """Return the number of spots of each slide in a split."""
    import h5py

    with h5py.File(path) as file:
        slides, splits = (_texts(file[f"obs/{name}"]) for name in ("slide_id", "split"))
        return dict(Counter(s for s, part in zip(slides, splits, strict=True) if part == split))


def _texts(column: Any) -> list[str]:
    """Return a column of ``obs``, without AnnData, which takes long to import."""
    if hasattr(column, "keys"):  # categorical
        names = column["categories"].asstr()[:]
        return [str(name) for name in names[column["codes"][:]]]
    return [str(name) for name in column.asstr()[:]]
