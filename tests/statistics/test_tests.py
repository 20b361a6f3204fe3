"""Tests of tests: against scipy, statsmodels, brute force, worked examples and properties."""

from __future__ import annotations

import math
import subprocess
import sys
import warnings
from itertools import combinations, product
from unittest.mock import patch

import numpy as np
import pandas as pd
import pytest
import scikit_posthocs
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats
from statsmodels.stats.multitest import multipletests

from spared_bench.statistics.omnibus import (
    cliques,
    critical_difference,
    friedman,
    rank_table,
    reach,
)
from spared_bench.statistics.pairwise import (
    conover_friedman,
    dunn,
    holm,
    nemenyi,
    wilcoxon_holm,
    wilcoxon_p,
)


@pytest.fixture(autouse=True, scope="module")
def _no_collection():
    """Statsmodels collects garbage in each call: two seconds in a process that ran other tests."""
    with patch("gc.collect"):
        yield


@pytest.fixture
def blocks(rng) -> pd.DataFrame:
    """Errors of five methods on 14 datasets whose difficulty varies more than the methods do."""
    hard = rng.uniform(0.5, 3, size=(14, 1))
    skill = np.array([0.8, 0.9, 0.9, 1.0, 1.3])
    errors = hard * skill * rng.uniform(0.9, 1.1, size=(14, 5))
    return pd.DataFrame(errors, [f"d{i}" for i in range(14)], ["zeta", "b", "a", "y", "c"])


def test_friedman_and_iman_davenport_give_the_worked_example_of_demsar():
    # Table 6 of Demsar 2006: 14 datasets, average ranks 3.143, 2.000, 2.893, 1.964.
    auc = """0.763 0.768 0.771 0.798  0.599 0.591 0.590 0.569  0.954 0.971 0.968 0.967
    0.628 0.661 0.654 0.657  0.882 0.888 0.886 0.898  0.936 0.931 0.916 0.931
    0.661 0.668 0.609 0.685  0.583 0.583 0.563 0.625  0.775 0.838 0.866 0.875
    1.000 1.000 1.000 1.000  0.940 0.962 0.965 0.962  0.619 0.666 0.614 0.669
    0.972 0.981 0.9751 0.975  0.957 0.978 0.946 0.970"""
    errors = pd.DataFrame(-np.array(auc.split(), dtype=float).reshape(14, 4))

    ranks, difference, _ = rank_table(errors)

    assert ranks.round(3).tolist() == [3.143, 2.0, 2.893, 1.964]
    assert difference == pytest.approx(1.25, abs=0.005)
    # The example's 9.28 and 3.69 leave out the correction for ties, which scipy's form has.
    plain = 12 * 14 / 20 * ((ranks**2).sum() - 4 * 25 / 4)
    assert plain == pytest.approx(9.28, abs=0.005)
    assert 13 * plain / (14 * 3 - plain) == pytest.approx(3.69, abs=0.005)
    found = friedman(errors)
    assert found.statistic == pytest.approx(stats.friedmanchisquare(*errors.T.to_numpy())[0])
    assert found.statistic > plain
    assert found.f_p < 0.05


def test_iman_davenport_is_the_f_of_its_own_chi_squared(blocks):
    found = friedman(blocks)

    f = 13 * found.statistic / (14 * 4 - found.statistic)
    assert found.f_statistic == pytest.approx(f)
    assert found.f_p == pytest.approx(1 - stats.f.cdf(f, 4, 52))


def test_friedman_is_undefined_for_one_dataset_two_methods_or_nothing_but_ties(blocks):
    for small in (blocks.iloc[:1], blocks.iloc[:, :2], blocks * 0):
        assert math.isnan(friedman(small).p)
        assert math.isnan(friedman(small).f_p)


def test_where_there_is_nothing_to_test_no_library_of_tests_is_imported():
    code = """
import sys
import pandas as pd
from spared_bench.statistics.omnibus import friedman
from spared_bench.statistics.pairwise import conover_friedman, nemenyi
one = pd.DataFrame({"a": [1.0, 2.0, 3.0]})
friedman(one), conover_friedman(one), nemenyi(one)
assert not {"scipy.stats", "scikit_posthocs", "matplotlib"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_datasets_that_all_agree_give_an_infinite_f():
    found = friedman(pd.DataFrame(np.tile([1.0, 2.0, 3.0], (4, 1))))

    assert (found.f_statistic, found.f_p) == (math.inf, 0.0)


@pytest.mark.parametrize("n", range(2, 9))
@pytest.mark.parametrize("k", range(2, 7))
def test_datasets_that_all_agree_tell_apart_what_differs_by_conovers_test(n, k):
    values = np.tile([1.0, *range(1, k)], (n, 1))  # the first two tie
    expected = values[0][:, None] == values[0]

    np.testing.assert_array_equal(conover_friedman(pd.DataFrame(values)), expected)
    np.testing.assert_array_equal(conover_friedman(pd.DataFrame(values + np.arange(k))), np.eye(k))


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
@settings(deadline=None, max_examples=50)
def test_holm_agrees_with_statsmodels(p_values):
    np.testing.assert_allclose(holm(p_values), multipletests(p_values, method="holm")[1])


def test_wilcoxon_of_six_pairs_is_the_share_of_sign_patterns_at_least_as_extreme(rng):
    first, second = rng.normal(size=(2, 6))
    ranks = stats.rankdata(np.abs(first - second))
    seen = min((ranks * (first > second)).sum(), (ranks * (first < second)).sum())
    sums = [(ranks * np.array(signs)).sum() for signs in product((0, 1), repeat=6)]

    brute = 2 * np.mean([total <= seen for total in sums])

    assert wilcoxon_p(first, second) == pytest.approx(min(1, brute))
    assert wilcoxon_p(first, first) == 1


#: scipy tries all signs of up to 13 pairs with ties: of the most of them in one example.
PAIRS = st.one_of(st.integers(1, 8), st.integers(14, 60))


@given(
    arrays(
        float,
        st.tuples(PAIRS, st.integers(2, 5)),
        elements=st.one_of(st.integers(-3, 3).map(float), st.floats(-1, 1, width=16)),
    )
)
@example(np.array([[0.0, 0, 1, 1, 2, 2, 3, -1, -2, 3, 3, 1, -3], [0.0] * 13]).T)
@settings(deadline=None, max_examples=60)
def test_many_pairs_at_once_have_the_p_of_each_by_itself(values):
    """Zeros, ties, and more than the fifty pairs up to which p is exact, in one matrix."""
    blocks = pd.DataFrame(values)
    pairs = list(combinations(range(values.shape[1]), 2))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        alone = [
            stats.wilcoxon(difference).pvalue if difference.any() else 1.0
            for difference in (values[:, i] - values[:, j] for i, j in pairs)
        ]
    expected = multipletests(alone, method="holm")[1]

    found = wilcoxon_holm(blocks).to_numpy()

    np.testing.assert_allclose([found[pair] for pair in pairs], expected, rtol=1e-12)


@pytest.mark.parametrize("n_methods", [5, 2])
def test_pairwise_matrices_are_labelled_symmetric_and_agree_with_scikit_posthocs(blocks, n_methods):
    blocks = blocks.iloc[:, :n_methods]
    long = blocks.stack().rename("error").reset_index()
    long.columns = ["dataset", "method", "error"]
    melted = {"y_col": "error", "group_col": "method", "block_col": "dataset"}
    blockwise = {**melted, "block_id_col": "dataset", "melted": True}
    expected = {
        nemenyi: scikit_posthocs.posthoc_nemenyi_friedman(long, **blockwise),
        conover_friedman: scikit_posthocs.posthoc_conover_friedman(
            long, p_adjust="holm", **blockwise
        ),
        wilcoxon_holm: scikit_posthocs.posthoc_wilcoxon(
            long, val_col="error", group_col="method", p_adjust="holm"
        ),
        dunn: scikit_posthocs.posthoc_dunn(
            long, val_col="error", group_col="method", p_adjust="bonferroni"
        ),
    }
    for test, wanted in expected.items():
        found = test(blocks)
        assert list(found.index) == list(found.columns) == list(blocks.columns)
        np.testing.assert_allclose(found, found.T)
        np.testing.assert_allclose(
            found, wanted.loc[found.index, found.columns], rtol=1e-6, atol=1e-12
        )


def test_pairing_finds_what_dunn_cannot_where_difficulty_varies(blocks):
    assert wilcoxon_holm(blocks).loc["zeta", "c"] < 0.01
    assert dunn(blocks).loc["zeta", "c"] > 0.05


def test_dunn_takes_methods_with_gaps(blocks):
    blocks.iloc[0, 0] = math.nan

    assert dunn(blocks).loc["zeta", "c"] < 1
    blocks.iloc[2:, 0] = math.nan  # one value is left
    alone = scikit_posthocs.posthoc_dunn([[blocks.iloc[1, 0]], blocks["c"].to_list()])
    assert dunn(blocks[["zeta", "c"]]).loc["zeta", "c"] == pytest.approx(alone.iloc[0, 1]) != 1
    blocks.iloc[:, 0] = math.nan
    assert (dunn(blocks) == 1).all(axis=None)


def test_two_methods_of_one_name_keep_their_places(blocks):
    tests = (friedman, wilcoxon_holm, conover_friedman, nemenyi, dunn)
    before = [test(blocks) for test in tests]
    blocks.columns = ["same", "same", "a", "y", "c"]

    for test, expected in zip(tests, before, strict=True):
        found = test(blocks)
        assert np.array_equal(found, expected) if test is not friedman else found == expected


@pytest.mark.parametrize("n", [0, 1])
def test_with_no_or_one_dataset_every_matrix_is_all_ones(blocks, n):
    for test in (wilcoxon_holm, conover_friedman, nemenyi):
        assert (test(blocks.iloc[:n]) == 1).all(axis=None)


def test_the_critical_difference_is_where_nemenyi_becomes_significant():
    n, k = 12, 5
    difference = critical_difference(n, k)
    ranks = pd.DataFrame(np.tile(np.arange(k, dtype=float), (n, 1)))

    found = nemenyi(ranks)

    for i, j in combinations(range(k), 2):
        assert (found.loc[i, j] < 0.05) == (j - i > difference)


def test_cliques_are_the_largest_groups_closer_than_the_difference():
    ranks = pd.Series({"d": 4.0, "a": 1.0, "c": 2.4, "b": 1.5, "e": 7.0})

    assert cliques(ranks, 1.5) == [("a", "b", "c")]
    assert cliques(ranks, 2.0) == [("a", "b", "c"), ("c", "d")]
    assert cliques(ranks, 0.1) == []


@pytest.mark.parametrize("n", [2, 3, 5])
def test_the_smallest_p_of_a_signed_rank_test_is_that_of_one_sided_data(n):
    (wilcoxon,) = [each for each in reach(n, 3) if each.test.startswith("Wilcoxon")]

    assert wilcoxon.smallest_p == pytest.approx(
        min(1, 3 * wilcoxon_p(np.arange(1, n + 1), np.zeros(n)))
    )
    assert not wilcoxon.speaks


def test_the_smallest_p_of_friedman_is_the_chance_that_all_rankings_agree():
    orders = list(product([0, 1, 2, 3, 4, 5], repeat=3))  # three datasets, 3! orders each
    agreeing = np.mean([len(set(order)) == 1 for order in orders])

    (found,) = [each for each in reach(3, 3) if each.test == "Friedman"]

    assert found.smallest_p == pytest.approx(agreeing)
    assert found.speaks
    assert [each.smallest_p for each in reach(1, 3)][:2] == [1.0, 1.0]
    assert reach(1, 3)[2].smallest_p < 1  # Nemenyi's, which knows no small numbers
    assert [each.smallest_p for each in reach(0, 3)] == [1.0, 1.0, 1.0]
    assert [each.speaks for each in reach(1, 8)] == [False, False, False]
    assert all(each.speaks for each in reach(26, 9))


def test_nemenyis_smallest_p_is_that_of_the_first_and_the_last_everywhere():
    found = nemenyi(pd.DataFrame(np.tile(np.arange(4.0), (6, 1))))

    (smallest,) = [each for each in reach(6, 4) if each.test == "Nemenyi"]

    assert smallest.smallest_p == pytest.approx(found.loc[0, 3], rel=1e-6)
