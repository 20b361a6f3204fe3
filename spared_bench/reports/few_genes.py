"""Datasets that have fewer genes than a protocol asks for: one line each, from the store."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from spared_bench.bench import Bench
from spared_bench.keys.hashing import digest
from spared_bench.words import counted

_FILE = "dataset.h5ad"


def told_of_few_genes(bench: Bench, names: Iterable[str]) -> Iterator[str]:
    """Yield a line for each prepared dataset of which filters left too few genes.

    Parameters
    ----------
    bench : Bench
    names : iterable of str
        Datasets; those that are not prepared, or cannot be read, are left out.
    """
    for name in dict.fromkeys(names):
        with suppress(Exception):  # a warning stops nothing
            entry = bench.workspace.store.open("prepared", digest(bench.prepared_inputs(name)))
            found = None if entry is None else _few(entry.folder / _FILE)
            if found is not None:
                settings = bench.protocol.processing.for_dataset(bench.dataset(name))
                asked = len(settings.listed_genes) or settings.n_genes
                yield (
                    f"{name} is scored on {counted(found, 'gene')}, not on the {asked:,} that"
                    f" {bench.protocol.id} asks for: its filters left no more"
                    f" (`spared-bench data show {name}` lists what each left)."
                )


def _few(path: Path) -> int | None:
    """Return how many genes there are, if they are fewer than were asked for."""
    import h5py

    with h5py.File(path) as file:
        if not bool(file["uns/spared_bench/fewer_genes_than_asked"][()]):
            return None
        table = file["var"]
        return int(table[table.attrs["_index"]].shape[0])
