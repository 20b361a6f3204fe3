from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from spared_bench.errors import ShapeMismatchError
from spared_bench.metrics import arrays
from spared_bench.metrics.pearson import pearson_gene, pearson_spot


def test_pearson_gene_matches_scipy_on_the_measured_spots(trio):
    scores = pearson_gene(*trio)
    for score, truth, prediction, seen in zip(scores, *(part.T for part in trio), strict=True):
        expected = scipy.stats.pearsonr(truth[seen], prediction[seen]).statistic
        assert score == pytest.approx(expected, rel=1e-13)


def test_pearson_spot_is_pearson_gene_of_the_transposed_arrays(trio):
    np.testing.assert_array_equal(pearson_spot(*trio), pearson_gene(*(part.T for part in trio)))


def test_every_gene_keeps_its_place_and_is_nan_where_undefined(rng):
    truth, prediction = rng.normal(size=(2, 6, 6))
    mask = np.ones((6, 6), dtype=bool)
    truth[:, 0] = 0.1  # constant truth, whose mean is not exactly 0.1
    prediction[:, 1] = 0.1
    mask[1:, 2] = False  # one measured entry
    mask[:, 3] = False
    prediction[:, 4], mask[0, 4] = 0.1, False
    prediction[0, 4] = 5  # constant over the measured entries only
    scores = pearson_gene(truth, prediction, mask)
    assert np.isnan(scores).tolist() == [True, True, True, True, True, False]


def test_a_prediction_that_is_not_finite_makes_only_its_gene_nan(trio):
    truth, prediction, mask = trio
    before = pearson_gene(truth, prediction, mask)
    prediction[np.flatnonzero(mask[:, 2])[0], 2] = np.nan
    prediction[np.flatnonzero(mask[:, 4]), 4] = np.inf
    after = pearson_gene(truth, prediction, mask)
    assert np.isnan(after).tolist() == [False, False, True, False, True, False, False]
    np.testing.assert_array_equal(after[[0, 1, 3, 5, 6]], before[[0, 1, 3, 5, 6]])


@given(st.integers(0, 2**32 - 1), st.floats(0.01, 100), st.floats(-1000, 1000), st.booleans())
def test_pearson_does_not_change_under_positive_affine_maps(seed, scale, shift, of_truth):
    rng = np.random.default_rng(seed)
    truth, prediction = rng.normal(size=(2, 12, 3))
    mask = rng.random(truth.shape) > 0.2
    moved = (scale * truth + shift, prediction) if of_truth else (truth, scale * prediction + shift)
    np.testing.assert_allclose(
        pearson_gene(*moved, mask), pearson_gene(truth, prediction, mask), rtol=0, atol=1e-8
    )


def test_a_large_offset_costs_no_precision(rng):
    truth, noise = rng.normal(size=(2, 100, 1))
    expected = scipy.stats.pearsonr(truth[:, 0], (truth + noise)[:, 0]).statistic
    scores = pearson_gene(truth + 1e7, truth + noise + 1e7, np.ones_like(truth, dtype=bool))
    assert scores[0] == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize("size", [1e-200, 1e200])
def test_very_small_and_very_large_values_are_scored(size, rng):
    truth, prediction = rng.normal(size=(2, 20, 1))
    mask = np.ones_like(truth, dtype=bool)
    expected = pearson_gene(truth, prediction, mask)
    np.testing.assert_allclose(pearson_gene(truth * size, prediction * size, mask), expected)


def test_a_perfect_prediction_scores_one_and_never_more(rng):
    truth = rng.normal(size=(1000, 20)) * 1e3 + 0.1
    scores = pearson_gene(truth, truth * 3 - 1, np.ones_like(truth, dtype=bool))
    np.testing.assert_allclose(scores, 1)
    assert scores.max() <= 1


@pytest.mark.parametrize("metric", [pearson_gene, pearson_spot])
def test_scores_do_not_depend_on_the_size_of_blocks(metric, trio, monkeypatch):
    whole = metric(*trio)
    monkeypatch.setattr(arrays, "_BLOCK_ENTRIES", 1)
    monkeypatch.setattr(arrays, "_LEAST_ROWS", 3)
    np.testing.assert_allclose(metric(*trio), whole, rtol=1e-14)


def test_arrays_of_different_shape_are_refused():
    with pytest.raises(ShapeMismatchError, match=r"mask \(4, 2\)"):
        pearson_gene(np.ones((3, 2)), np.ones((3, 2)), np.ones((4, 2)))
