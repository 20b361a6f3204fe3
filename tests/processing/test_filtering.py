from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from spared_bench.processing.filtering import (
    between,
    expressed_fractions,
    sparsity_prefix,
    totals,
)


def test_bounds_are_exclusive_on_both_sides():
    kept = between(np.array([10, 11, 99, 100]), 10, 100)
    assert kept.tolist() == [False, True, True, False]


def test_the_prefix_ends_at_the_last_position_that_is_real_enough_not_at_the_first_dip():
    overall = np.array([0.9, 0.8, 0.5, 0.5, 0.9])  # means 0.9, 0.85, 0.733, 0.675, 0.72
    smallest = np.array([0.5, 0.4, 0.3, 0.2, 0.1])
    names = np.array(list("abcde"))
    assert sparsity_prefix(smallest, overall, names, 0.7).tolist() == [0, 1, 2, 3, 4]
    assert sparsity_prefix(smallest, overall, names, 0.73).tolist() == [0, 1, 2]


def test_no_gene_is_kept_where_none_is_real_enough():
    kept = sparsity_prefix(np.array([0.1, 0.2]), np.array([0.3, 0.3]), np.array(["a", "b"]), 0.7)
    assert kept.tolist() == []


def test_genes_that_tie_are_ordered_by_id():
    smallest, overall = np.full(4, 0.5), np.array([0.9, 0.9, 0.6, 0.9])
    order = sparsity_prefix(smallest, overall, np.array(["d", "b", "c", "a"]), 0.7)
    assert order.tolist() == [3, 1, 2, 0]


def test_expressed_fractions_are_those_of_a_plain_count(rng):
    counts = rng.poisson(0.7, size=(30, 8))
    slides = np.repeat(["x", "y", "z"], [5, 10, 15])

    smallest, overall = expressed_fractions(csr_matrix(counts), slides)

    for gene in range(8):
        shares = [(counts[slides == s, gene] > 0).mean() for s in "xyz"]
        assert smallest[gene] == min(shares)
        assert overall[gene] == (counts[:, gene] > 0).mean()


def test_totals_of_single_precision_counts_do_not_lose_small_ones():
    counts = csr_matrix(np.array([[2.0**24], [1.0], [1.0]], dtype=np.float32))
    assert totals(counts, axis=0).tolist() == [2.0**24 + 2]


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=30))
def test_a_prefix_is_the_longest_whose_mean_is_high_enough(pairs):
    smallest, overall = np.array(pairs).T
    names = np.array([f"gene{i:02}" for i in range(len(pairs))])
    order = sorted(range(len(pairs)), key=lambda i: (-smallest[i], names[i]))
    longest = 0
    for length in range(1, len(pairs) + 1):
        if np.cumsum(overall[order])[length - 1] / length >= 0.7:
            longest = length
    assert sparsity_prefix(smallest, overall, names, 0.7).tolist() == order[:longest]
