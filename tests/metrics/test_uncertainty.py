"""Metrics of variances, held against scipy, brute force and draws of a known distribution."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from spared_bench.errors import ShapeMismatchError
from spared_bench.metrics.uncertainty import (
    LEVELS,
    calibration_curve,
    coverage_50,
    coverage_90,
    nll,
    sharpness,
)


@pytest.fixture
def variance(trio, rng):
    return rng.uniform(0.2, 3, size=trio[0].shape)


def test_the_likelihood_is_that_of_scipys_normal_distribution(trio, variance):
    truth, prediction, mask = trio
    density = stats.norm.logpdf(truth, prediction, np.sqrt(variance))
    assert nll(*trio, variance) == pytest.approx(-density[mask].mean())


@pytest.mark.parametrize(("metric", "level"), [(coverage_50, 0.5), (coverage_90, 0.9)])
def test_an_interval_covers_what_lies_between_scipys_quantiles(trio, variance, metric, level):
    truth, prediction, mask = trio
    low, high = stats.norm.interval(level, prediction, np.sqrt(variance))
    inside = (low <= truth) & (truth <= high)
    assert metric(*trio, variance) == pytest.approx(inside[mask].mean())


def test_the_curve_of_the_right_distribution_is_the_diagonal(rng):
    mean, variance = rng.normal(size=(4_000, 20)), rng.uniform(0.1, 5, size=(4_000, 20))
    truth = rng.normal(mean, np.sqrt(variance))
    mask = rng.random(truth.shape) > 0.2
    np.testing.assert_allclose(calibration_curve(truth, mean, mask, variance), LEVELS, atol=0.01)
    sure = calibration_curve(truth, mean, mask, variance / 4)
    assert (sure < np.array(LEVELS) - 0.01).all()


def test_no_other_variance_is_likelier_than_the_right_one(rng):
    truth = rng.normal(0, 2, size=(5_000, 4))
    mask, mean = np.ones_like(truth, dtype=bool), np.zeros_like(truth)
    scores = [nll(truth, mean, mask, np.full_like(truth, v)) for v in (1.0, 2.0, 4.0, 8.0, 16.0)]
    assert int(np.argmin(scores)) == 2


def test_sharpness_is_the_mean_deviation_where_something_was_measured(trio, variance):
    mask = trio[2]
    assert sharpness(*trio, variance) == pytest.approx(np.sqrt(variance)[mask].mean())


def test_entries_that_were_not_measured_have_no_say(trio, variance):
    truth, prediction, mask = trio
    other = np.where(mask, variance, 1e9)
    for metric in (nll, coverage_50, coverage_90, sharpness):
        assert metric(truth, prediction, mask, other) == metric(*trio, variance)


def test_certainty_is_infinitely_unlikely_and_covers_only_what_is_exactly_right(trio):
    truth, prediction, mask = trio
    nothing = np.zeros_like(truth)
    assert nll(truth, prediction, mask, nothing) == np.inf
    assert coverage_90(truth, prediction, mask, nothing) == 0
    assert coverage_90(truth, truth, mask, nothing) == 1


def test_of_nothing_measured_all_is_undefined(trio, variance):
    truth, prediction, mask = trio
    for metric in (nll, coverage_50, coverage_90, sharpness):
        assert np.isnan(metric(truth, prediction, np.zeros_like(mask), variance))


def test_a_large_array_scores_as_its_parts_do(rng):
    truth, mean = rng.normal(size=(2, 3_000, 400))  # several blocks
    variance, mask = rng.uniform(0.5, 2, truth.shape), rng.random(truth.shape) > 0.4
    density = stats.norm.logpdf(truth, mean, np.sqrt(variance))
    assert nll(truth, mean, mask, variance) == pytest.approx(-density[mask].mean())


def test_a_variance_of_another_shape_is_refused(trio, variance):
    with pytest.raises(ShapeMismatchError, match=r"variance .* must have the shape of the pred"):
        nll(*trio, variance[:, 1:])
