"""Split halves, held against scipy and by properties."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from spared_bench.statistics.split_half import split_half


def scores(rng, gaps, noise, n_units=40):
    return pd.DataFrame(np.asarray(gaps) + noise * rng.normal(size=(n_units, len(gaps))))


def test_clear_differences_are_stable_and_none_are_not(rng):
    clear = split_half(scores(rng, [0.0, 1.0, 2.0, 3.0], 0.1))
    noise = split_half(scores(rng, [0.0] * 6, 1.0))

    assert clear.correlation == clear.reliability == clear.same_best == 1
    assert abs(noise.correlation) < 0.75
    assert noise.low < clear.low
    assert (clear.n_units, clear.n_methods) == (40, 4)


def test_the_correlation_is_that_of_all_deals_by_brute_force(rng):
    from itertools import combinations

    matrix = scores(rng, [0.0, 0.3, 0.6], 0.5, n_units=6)
    values = matrix.to_numpy()
    every = []
    for half in combinations(range(6), 3):
        others = [i for i in range(6) if i not in half]
        pair = values[list(half)].mean(axis=0), values[others].mean(axis=0)
        every.append(scipy.stats.spearmanr(*pair).statistic)

    found = split_half(matrix, halves=4_000)

    assert found.correlation == pytest.approx(np.mean(every), abs=0.03)
    r = found.correlation
    assert found.reliability == pytest.approx(2 * r / (1 + r))


def test_gaps_are_left_out_and_too_little_gives_nothing(rng):
    matrix = scores(rng, [0, 1, 2], 0.1)
    matrix.iloc[3, 1] = np.nan
    assert split_half(matrix).n_units == 39
    assert split_half(matrix.iloc[:3]) is None
    assert split_half(matrix.iloc[:, :2]) is None
    assert split_half(matrix.iloc[[0, 1, 2, 4]]).n_units == 4
    assert split_half(pd.DataFrame(np.ones((9, 3)))) is None


def test_the_best_is_the_lowest_of_errors(rng):
    errors = scores(rng, [0.0, 0.0, 5.0], 1.0)
    assert split_half(errors, lower_is_better=True).same_best < 1
    assert split_half(errors).same_best == 1
