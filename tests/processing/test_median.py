from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from spared_bench.errors import ShapeMismatchError
from spared_bench.processing.median import median_filter, windows

# A chain 0 -> 1 -> 2 -> 3 -> 4: every spot's only neighbour is the next one.
CHAIN = csr_matrix(np.eye(5, k=1))


def literal(values, unmeasured, graph, n_hops):
    """The filter as the protocol tells it, entry by entry."""
    adjacency = graph.toarray()
    powers = [np.linalg.matrix_power(adjacency, k) for k in range(n_hops + 1)]
    out = np.array(values, dtype=float)
    for spot, gene in np.argwhere(unmeasured):
        measured = values[~unmeasured[:, gene], gene]
        out[spot, gene] = np.median(measured) if len(measured) else 0
        for k in range(1, n_hops + 1):
            window = np.flatnonzero(sum(powers[: k + 1])[spot])
            if np.median(values[window, gene]) != 0:
                out[spot, gene] = np.median(values[window, gene])
                break
    return out


@st.composite
def slides(draw):
    """Values, unmeasured entries, a directed graph and a number of hops."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n_spots, n_genes = draw(st.integers(1, 14)), draw(st.integers(1, 4))
    share = draw(st.sampled_from([0.1, 0.5, 0.9, 1.0]))
    values = rng.normal(3 * draw(st.integers(0, 1)), 1, size=(n_spots, n_genes)).round(1)
    unmeasured = rng.random(values.shape) < share
    values[unmeasured] = 0
    adjacency = np.zeros((n_spots, n_spots))
    for spot in range(n_spots):
        others = np.delete(np.arange(n_spots), spot)
        adjacency[spot, rng.permutation(others)[:2]] = 1
    return values, unmeasured, csr_matrix(adjacency), draw(st.integers(1, 4))


@settings(max_examples=150, deadline=None)
@given(slides())
def test_the_filter_agrees_with_a_loop_over_entries(slide):
    np.testing.assert_allclose(median_filter(*slide), literal(*slide), rtol=0, atol=1e-12)


@settings(max_examples=50, deadline=None)
@given(slides())
def test_measured_entries_are_untouched_to_the_last_bit(slide):
    values, unmeasured, graph, n_hops = slide
    values = values.astype(np.float32)
    before = values.copy()
    filled = median_filter(values, unmeasured, graph, n_hops)
    assert filled.dtype == np.float32
    np.testing.assert_array_equal(filled[~unmeasured], before[~unmeasured])
    np.testing.assert_array_equal(values, before)


@settings(max_examples=50, deadline=None)
@given(slides(), st.randoms(use_true_random=False))
def test_permuting_the_spots_permutes_the_result(slide, random):
    values, unmeasured, graph, n_hops = slide
    order = list(range(len(values)))
    random.shuffle(order)
    permuted = median_filter(values[order], unmeasured[order], graph[order][:, order], n_hops)
    np.testing.assert_array_equal(permuted, median_filter(*slide)[order])


def test_a_zero_that_was_measured_is_no_hole():
    values = np.array([[0.0], [4.0], [4.0], [4.0], [4.0]])
    filled = median_filter(values, np.zeros_like(values, dtype=bool), CHAIN)
    assert filled.ravel().tolist() == [0, 4, 4, 4, 4]


def test_the_window_follows_the_direction_of_the_graph():
    values = np.array([[9.0], [0.0], [5.0], [0.0], [7.0]])
    filled = median_filter(values, values == 0, CHAIN, n_hops=1)
    assert filled.ravel().tolist() == [9, 2.5, 5, 3.5, 7]


def test_medians_are_of_the_given_values_never_of_filled_ones():
    values = np.array([[0.0], [0.0], [0.0], [0.0], [8.0]])
    filled = median_filter(values, values == 0, CHAIN, n_hops=1)
    # Spot 3 sees 8 beside its own zero; the others see zeros, and take the gene's median.
    assert filled.ravel().tolist() == [8, 8, 8, 4, 8]


def test_a_gene_that_was_never_measured_stays_zero_and_a_single_spot_works():
    one = csr_matrix((1, 1))
    assert median_filter(np.array([[0.0, 2.0]]), np.array([[True, False]]), one).tolist() == [
        [0, 2]
    ]


def test_windows_count_hops_on_a_lattice():
    spots, ends = windows(CHAIN, 3)
    assert ends.tolist() == [
        [1, 2, 3, 4],
        [5, 6, 7, 8],
        [9, 10, 11, 11],
        [12, 13, 13, 13],
        [14] * 4,
    ]
    assert spots.tolist() == [0, 1, 2, 3, 1, 2, 3, 4, 2, 3, 4, 3, 4, 4]


def test_arrays_of_different_spots_are_refused():
    with pytest.raises(ShapeMismatchError, match=r"values \(5, 1\).*graph \(2, 2\)"):
        median_filter(np.zeros((5, 1)), np.zeros((5, 1)), csr_matrix((2, 2)))
