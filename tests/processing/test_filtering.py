from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from spared_bench.processing.filtering import (
    between,
    expressed_fractions,
    gene_order,
    sparsity_prefix,
    totals,
)
from spared_bench.processing.ties import published_order

# What numpy 1.24 and pandas 2.0.3, the last for the benchmark's Python 3.8, do with equal values.
TIES = json.loads((Path(__file__).parent / "ties.json").read_text())["cases"]


@pytest.mark.parametrize("case", TIES, ids=lambda case: case["what"])
def test_equal_shares_come_out_as_from_the_published_sort_on_every_machine(case):
    values = np.array(case["values"], dtype=np.float64)
    assert published_order(values).tolist() == case["order"]
    assert (
        gene_order(values / 7, np.array(["x"] * len(values)), "published").tolist() == case["order"]
    )


@given(st.lists(st.integers(0, 5), max_size=80))
def test_the_published_order_descends_and_names_every_place_once(values):
    order = published_order(np.array(values, dtype=np.float64))
    assert sorted(order.tolist()) == list(range(len(values)))
    assert [values[i] for i in order] == sorted(values, reverse=True)


def test_bounds_are_exclusive_on_both_sides():
    kept = between(np.array([10, 11, 99, 100]), 10, 100)
    assert kept.tolist() == [False, True, True, False]


def test_the_prefix_ends_at_the_last_position_that_is_real_enough_not_at_the_first_dip():
    overall = np.array([0.9, 0.8, 0.5, 0.5, 0.9])  # means 0.9, 0.85, 0.733, 0.675, 0.72
    assert sparsity_prefix(np.arange(5), overall, 0.7).tolist() == [0, 1, 2, 3, 4]
    assert sparsity_prefix(np.arange(5), overall, 0.73).tolist() == [0, 1, 2]


def test_no_gene_is_kept_where_none_is_real_enough():
    assert sparsity_prefix(np.array([1, 0]), np.array([0.3, 0.3]), 0.7).tolist() == []


def test_genes_that_tie_are_ordered_by_id_where_a_protocol_says_so():
    order = gene_order(np.array([0.5, 0.5, 0.9, 0.5]), np.array(["d", "b", "c", "a"]), "id")
    assert order.tolist() == [2, 3, 1, 0]


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
    found = gene_order(smallest, names, "id")
    assert found.tolist() == order
    assert sparsity_prefix(found, overall, 0.7).tolist() == order[:longest]
