"""Label propagation, against a dense solution and against ASIGN's rounds."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from spared_bench.errors import ShapeMismatchError
from spared_bench.models.propagation import propagate


@pytest.fixture
def problem():
    rng = np.random.default_rng(2)
    n = 60
    dense = np.triu((rng.random((n, n)) < 0.1) * rng.random((n, n)), 1)
    dense[0, 1:] = 0.01  # so that all are linked
    dense = dense + dense.T
    labels = rng.normal(size=(n, 4)) + 5
    return dense, labels, rng.random(n) < 0.3


def test_converged_labels_solve_the_harmonic_equations(problem):
    dense, labels, known = problem
    found = propagate(csr_matrix(dense), labels, known, tolerance=1e-6)

    laplacian = np.diag(dense.sum(axis=1)) - dense
    right = dense[np.ix_(~known, known)] @ labels[known]
    expected = np.linalg.solve(laplacian[np.ix_(~known, ~known)], right)
    np.testing.assert_allclose(found[~known], expected, rtol=1e-4)
    np.testing.assert_allclose(found[known], labels[known], rtol=1e-6)


def test_many_rounds_come_to_the_same(problem):
    dense, labels, known = problem
    many = propagate(csr_matrix(dense), labels, known, rounds=3_000)
    np.testing.assert_allclose(many, propagate(csr_matrix(dense), labels, known), rtol=2e-3)
    one = propagate(csr_matrix(dense), labels, known, rounds=1)
    start = np.where(known[:, None], labels, labels[known].mean(axis=0))
    expected = (dense @ start) / dense.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(one[~known], expected[~known], rtol=1e-5)


def test_labels_of_unknown_rows_are_not_read_and_a_known_row_may_be_zero(problem):
    dense, labels, known = problem
    labels[np.flatnonzero(known)[0]] = 0
    other = np.where(known[:, None], labels, np.nan)
    np.testing.assert_array_equal(
        propagate(csr_matrix(dense), other, known), propagate(csr_matrix(dense), labels, known)
    )
    assert not propagate(csr_matrix(dense), labels, known)[np.flatnonzero(known)[0]].any()


@pytest.mark.parametrize("rounds", [0, 5])
def test_a_spot_without_a_way_to_a_known_one_has_their_mean(rounds):
    dense = np.zeros((5, 5))
    dense[0, 1] = dense[1, 0] = dense[2, 3] = dense[3, 2] = 1
    labels, known = np.arange(10.0).reshape(5, 2), np.array([True, False, False, False, False])
    found = propagate(csr_matrix(dense), labels, known, rounds)
    np.testing.assert_allclose(found, np.tile(labels[0], (5, 1)))


def test_where_nothing_is_known_all_is_zero_and_shapes_must_agree(problem):
    dense, labels, known = problem
    assert not propagate(csr_matrix(dense), labels, np.zeros(len(known), bool)).any()
    with pytest.raises(ShapeMismatchError, match="one row of each per spot"):
        propagate(csr_matrix(dense), labels[:-1], known)
