"""Whole numbers that are no raw counts any more are told of."""

from __future__ import annotations

import numpy as np
import pytest
from anndata import AnnData
from scipy import sparse

from spared_bench.sources.odd_counts import odd_counts
from tests import made_slides

N_SPOTS, N_GENES = made_slides.SIDE**2, 1_200


@pytest.fixture
def counts(rng):
    """Counts as measured: genes differ in abundance by orders, and spots in depth."""
    abundance = rng.lognormal(0, 2, N_GENES)
    depth = rng.lognormal(7.5, 0.4, (N_SPOTS, 1))
    return rng.poisson(depth * abundance / abundance.sum())


def told(values):
    return odd_counts(AnnData(sparse.csr_matrix(values, dtype=np.float32)))


def to_the_median(values):
    sums = values.sum(axis=1, keepdims=True)
    return np.rint(values * np.median(sums) / sums)


def test_counts_as_measured_are_not_told_of(counts):
    assert told(counts) == []
    assert told(counts[:, counts.min(axis=0) > 0]) == []  # a choice of abundant genes


@pytest.mark.parametrize(
    ("change", "start"),
    [
        (to_the_median, "In "),
        (lambda x: 3 * x, "In 64 of 64 spots (0, for example) no gene has a count of 1 among 100"),
        (lambda x: x + 1, "Only 0.00% of the counts of 1,200 genes are 0"),
        (lambda x: np.minimum(x, 20), "counts are 20, the largest, and only"),
    ],
)
def test_counts_that_were_changed_are_told_of(counts, change, start):
    (line,) = told(change(counts))
    assert start in line
    assert line.endswith("Give the raw counts.")


def test_a_matrix_of_uint8_that_holds_no_more_is_told_of(counts):
    (line,) = told(np.minimum(counts * 1.0 + (counts > 30) * 500, 255))
    assert "counts are 255, the largest, and only 0 up to a fifth smaller" in line
