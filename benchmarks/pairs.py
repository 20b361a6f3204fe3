"""Time the tests of all pairs of methods against the plain way, whose p values must be the same.

    python benchmarks/pairs.py [--methods 60] [--datasets 26]

Wilcoxon's test of each pair by scipy, one after the other, and Conover's with Holm's correction as
scikit-posthocs asks statsmodels for it. What the command has imported is imported first, since
statsmodels collects the garbage of all of it each time. Seconds are of the processor.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from itertools import combinations

import anndata  # noqa: F401
import numpy as np
import pandas as pd
import scikit_posthocs
import torch  # noqa: F401
from scipy import stats
from statsmodels.stats.multitest import multipletests

from spared_bench.statistics.pairwise import conover_friedman, wilcoxon_holm


def wilcoxon_plainly(blocks: pd.DataFrame) -> np.ndarray:
    """One call of scipy for each pair."""
    values = blocks.to_numpy()
    pairs = list(combinations(range(values.shape[1]), 2))
    alone = [stats.wilcoxon(values[:, i] - values[:, j]).pvalue for i, j in pairs]
    matrix = np.ones((values.shape[1],) * 2)
    for (i, j), p in zip(pairs, multipletests(alone, method="holm")[1], strict=True):
        matrix[i, j] = matrix[j, i] = p
    return matrix


def conover_plainly(blocks: pd.DataFrame) -> np.ndarray:
    """All of it by scikit-posthocs."""
    found = scikit_posthocs.posthoc_conover_friedman(blocks.to_numpy(), p_adjust="holm")
    return np.asarray(found)


def seconds(test: Callable[[pd.DataFrame], object], blocks: pd.DataFrame) -> float:
    """Return the least of three."""
    taken = []
    for _ in range(3):
        begun = time.process_time()
        test(blocks)
        taken.append(time.process_time() - begun)
    return min(taken)


def main() -> None:
    """Compare, and print a line for each test."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--methods", type=int, default=60)
    parser.add_argument("--datasets", type=int, default=26)
    chosen = parser.parse_args()
    drawn = np.random.default_rng(0).normal(size=(chosen.datasets, chosen.methods))
    blocks = pd.DataFrame(drawn)
    for ours, plainly in ((wilcoxon_holm, wilcoxon_plainly), (conover_friedman, conover_plainly)):
        np.testing.assert_allclose(ours(blocks), plainly(blocks), rtol=1e-9, atol=1e-15)
        mine, its = seconds(ours, blocks), seconds(plainly, blocks)
        print(f"{ours.__name__:<18}{mine:8.4f} s{its:9.4f} s{its / mine:8.1f}")


if __name__ == "__main__":
    main()
