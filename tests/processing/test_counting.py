"""Sums and selections of sparse counts, against scipy's, to the bit."""

import numpy as np
import pytest
from scipy.sparse import csr_matrix, vstack

from spared_bench.processing.counting import (
    gene_sums,
    shortened,
    spot_sums,
    stacked,
    with_columns,
)


def random_counts(n_spots: int, n_genes: int, seed: int) -> csr_matrix:
    """Counts with zeros among the stored entries, out of order in their rows, not all whole."""
    rng = np.random.default_rng(seed)
    dense = rng.poisson(0.7, (n_spots, n_genes)) * rng.choice([1.0, 0.1], (n_spots, n_genes))
    counts = csr_matrix(dense.astype(np.float32))
    counts.data[rng.random(counts.nnz) < 0.1] = 0
    for row in range(n_spots):
        here = slice(counts.indptr[row], counts.indptr[row + 1])
        order = rng.permutation(here.stop - here.start)
        counts.indices[here], counts.data[here] = (
            counts.indices[here][order],
            counts.data[here][order],
        )
    counts.has_sorted_indices = False
    return counts


def same(found: csr_matrix, expected: csr_matrix) -> None:
    """Entries, their order and their type are equal."""
    assert found.shape == expected.shape
    for name in ("data", "indices", "indptr"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
    assert found.dtype == expected.dtype
    found.check_format()


@pytest.mark.parametrize("seed", range(3))
def test_columns_of_several_matrices_are_stacked_as_scipy_does(seed):
    rng = np.random.default_rng(seed)
    matrices = [random_counts(n, m, seed) for n, m in ((7, 30), (1, 25), (12, 40))]
    columns = [rng.permutation(m.shape[1])[:20] for m in matrices]
    parts = []
    for matrix, picked in zip(matrices, columns, strict=True):
        part = matrix[:, picked]
        part.eliminate_zeros()
        parts.append(part)
    same(stacked(matrices, columns), vstack(parts, format="csr"))


def test_columns_keep_their_stored_zeros_and_their_order():
    counts = random_counts(9, 30, 4)
    columns = np.random.default_rng(4).permutation(30)[:11]
    same(with_columns(counts, columns), counts[:, columns])


def test_rows_are_taken_within_the_same_memory():
    counts, rows = random_counts(20, 8, 5), np.random.default_rng(5).random(20) < 0.6
    expected, memory = counts[rows], counts.data
    found = shortened(counts, rows)
    same(found, expected)
    assert np.shares_memory(found.data, memory)
    same(shortened(found, np.zeros(rows.sum(), dtype=bool)), expected[:0])


def test_sums_are_those_of_scipy_to_the_bit():
    counts = random_counts(40, 12, 6)
    genes = np.random.default_rng(6).random(12) < 0.5
    of_all, of_some = spot_sums(counts, genes)
    np.testing.assert_array_equal(of_all, counts @ np.ones(12))
    np.testing.assert_array_equal(of_some, counts[:, genes] @ np.ones(genes.sum()))


def test_genes_are_added_up_and_counted_over_the_spots_that_are_asked():
    counts, rng = random_counts(60, 12, 7), np.random.default_rng(7)
    slides, fitted = rng.choice(["a", "b", "c"], 60), rng.random(60) < 0.7
    fitted &= slides != "b"  # a slide of which no spot is asked
    totals, seen, spots = gene_sums(counts, slides, fitted)
    np.testing.assert_array_equal(totals, np.ones(fitted.sum()) @ counts[fitted])
    dense = counts.toarray()
    for at, slide in enumerate(["a", "c"]):
        here = fitted & (slides == slide)
        np.testing.assert_array_equal(seen[at], (dense[here] > 0).sum(axis=0))
        assert spots[at] == here.sum()
