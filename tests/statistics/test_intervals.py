"""Intervals held against scipy, and by how often they hold the mean."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
from hypothesis import assume, given
from hypothesis import strategies as st

from spared_bench.statistics.intervals import mean_interval, share_interval


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=60), st.sampled_from([0.5, 0.95, 0.99]))
def test_the_interval_of_a_mean_is_students_of_scipy(values, level):
    error = scipy.stats.sem(values)
    assume(error > 1e-6)  # scipy has no interval of no width
    wanted = scipy.stats.t.interval(level, len(values) - 1, np.mean(values), error)
    assert mean_interval(values, level=level) == pytest.approx(wanted, rel=1e-9, abs=1e-6)


@pytest.mark.parametrize("n", [2, 3, 5, 12])
def test_nineteen_of_twenty_intervals_hold_the_mean_however_few_the_values(rng, n):
    """Percentiles of a bootstrap hold it 50, 75, 84 and 91 times of a hundred."""
    samples = rng.normal(1, 1, size=(4_000, n))
    held = np.mean([low <= 1 <= high for low, high in map(mean_interval, samples)])
    assert held == pytest.approx(0.95, abs=0.015)


def test_equal_values_have_an_interval_of_no_width():
    assert mean_interval([0.25] * 4) == (0.25, 0.25)


def test_values_that_are_not_finite_are_left_out_and_one_is_too_few():
    assert mean_interval([0.1, np.nan, 0.3, np.inf]) == mean_interval([0.1, 0.3])
    assert np.isnan(mean_interval([0.3, np.nan])).all()


def test_an_interval_ends_where_values_do():
    low, high = mean_interval([0.5, 0.9], bounds=(-1, 1))
    assert (low, high) == (-1, 1)
    assert mean_interval([0.5, 0.9])[1] > 1
    # Bounds that a value lies beyond are not believed, or the interval would end before its mean.
    low, high = mean_interval([1.5, 1.6], bounds=(0, 1))
    assert low < 1.55 < high == 1.6


def test_neither_sums_nor_squares_of_large_values_overflow():
    low, high = mean_interval([1e308, 1.2e308, 1.1e308])
    assert 0 < low < 1.1e308 < high < np.inf


@pytest.mark.parametrize(("n", "above"), [(1, 0), (1, 1), (32, 7), (128, 128), (50, 0)])
def test_the_interval_of_a_share_is_wilsons_of_scipy(n, above):
    wanted = scipy.stats.binomtest(above, n).proportion_ci(0.95, method="wilson")
    values = [1.0] * above + [0.0] * (n - above) + [np.nan]
    found = share_interval(values)
    assert found == pytest.approx((wanted.low, wanted.high), abs=1e-12)


def test_without_genes_there_is_no_interval():
    assert np.isnan(share_interval([np.nan])).all()
