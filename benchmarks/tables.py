"""What reading tables of counts as text costs: the embedded HER2+ sections.

    python benchmarks/tables.py [--rounds 3]

Timed in seconds of the processor, the least of the rounds: ``read_counts_table``; what it did
before, an array of each row's texts made numbers by NumPy; and pandas, dense and by its own types.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from spared_bench.errors import CountsError
from spared_bench.readers.tables import read_counts_table
from spared_bench.readers.text import lines_of, read_text

_TABLES = Path(__file__).parents[1] / "plugins/datasets/embedded/her2st/data/ST-cnts"


def before(path: Path) -> sparse.csr_matrix:
    """Read a table as it was read before."""
    lines = lines_of(read_text(path, CountsError, "table of counts"))
    rows = [np.array(line.split("\t")[1:], dtype=np.float32) for line in lines[1:]]
    return sparse.vstack([sparse.csr_matrix(row) for row in rows], format="csr")


def by_pandas(path: Path) -> sparse.csr_matrix:
    """Read a table by pandas."""
    return sparse.csr_matrix(pd.read_csv(path, sep="\t", index_col=0).to_numpy(np.float32))


def least(read: Callable[[Path], Any], paths: list[Path], rounds: int) -> tuple[float, list[Any]]:
    """Return the seconds of the fastest round, and what was read."""
    taken, found = [], []
    for _ in range(rounds):
        begun = time.process_time()
        found = [read(path) for path in paths]
        taken.append(time.process_time() - begun)
    return min(taken), found


def main() -> None:
    """Print a line for each way."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    paths = sorted(_TABLES.glob("*.tsv.gz"))
    ours, found = least(lambda path: read_counts_table(path)[0], paths, rounds)
    shapes = ", ".join(f"{matrix.shape[0]} x {matrix.shape[1]}" for matrix in found)
    print(f"{len(paths)} tables, {shapes}\nread_counts_table {ours:.2f} s")
    for name, read in (("before", before), ("pandas", by_pandas)):
        seconds, theirs = least(read, paths, rounds)
        assert all((a != b).nnz == 0 for a, b in zip(found, theirs, strict=True))
        print(f"{name} {seconds:.2f} s, {seconds / ours:.2f} times that")


if __name__ == "__main__":
    main()
