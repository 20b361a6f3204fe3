"""Blocks, means, effects and intervals: by hand, by brute force, by properties."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests

from spared_bench.statistics.blocks import complete_blocks
from spared_bench.statistics.effects import rank_biserial, rank_biserial_matrix
from spared_bench.statistics.paired import compare
from spared_bench.statistics.summaries import average_ranks, normalised, wins

nan = math.nan
values = st.lists(st.floats(0.1, 10), min_size=2, max_size=15)


def frame(columns: dict[str, list[float]]) -> pd.DataFrame:
    return pd.DataFrame(columns, [f"d{i}" for i in range(len(next(iter(columns.values()))))])


def test_blocks_leave_out_thin_methods_first_then_datasets_with_gaps():
    blocks = complete_blocks(
        frame({"a": [1, 2, 3, 4], "b": [1, nan, 3, 4], "thin": [nan, nan, nan, 1]})
    )

    assert list(blocks.matrix.columns) == ["a", "b"]
    assert list(blocks.matrix.index) == ["d0", "d2", "d3"]
    assert blocks.methods_left_out == {"thin": 1}
    assert blocks.datasets_left_out == ("d1",)
    assert blocks.total == 4
    assert complete_blocks(pd.DataFrame()).matrix.empty


def test_methods_of_one_dataset_are_blocks_of_one():
    blocks = complete_blocks(frame({"a": [1, nan], "b": [2, nan], "none": [nan, nan]}))

    assert blocks.matrix.to_dict() == {"a": {"d0": 1}, "b": {"d0": 2}}
    assert (blocks.methods_left_out, blocks.datasets_left_out) == ({"none": 0}, ("d1",))


def test_a_follower_is_kept_where_it_has_all_that_the_others_keep():
    errors = {"a": [1, 2, nan], "b": [1, 2, 3], "whole": [1, 2, nan], "first": [1, nan, nan]}

    blocks = complete_blocks(frame(errors), followers=["whole", "first"])

    assert list(blocks.matrix.columns) == ["a", "b", "whole"]
    assert list(blocks.matrix.index) == ["d0", "d1"]
    assert blocks.methods_left_out == {"first": 1}


def test_normalised_errors_are_one_for_the_best_and_undefined_beside_a_perfect_one():
    errors = frame({"a": [2.0, 0.0, nan], "b": [1.0, 3.0, 4.0]})

    found = normalised(errors)

    assert found["a"].tolist()[0] == 2
    assert found["b"].tolist()[0] == 1
    assert found.loc["d1"].isna().all()
    assert found.loc["d2", "b"] == 1


def test_methods_that_tie_share_a_win():
    won = wins(frame({"a": [1.0, 2.0, nan], "b": [1.0, 1.0, nan], "c": [3.0, nan, nan]}))

    assert won.to_dict() == {"a": 0.5, "b": 1.5, "c": 0.0}


def test_ranks_are_averaged_over_datasets_and_ties():
    ranks = average_ranks(frame({"a": [1.0, 2.0], "b": [1.0, 3.0], "c": [5.0, 1.0]}))

    assert ranks.to_dict() == {"a": 1.75, "b": 2.25, "c": 2.0}


def test_the_rank_biserial_is_favourable_minus_unfavourable_ranks():
    # Gains 1, 3, -2, 0: the zero is left out, ranks 1, 3, 2 of 6.
    assert rank_biserial([1, 1, 4, 2], [2, 4, 2, 2]) == pytest.approx((1 + 3 - 2) / 6)
    assert rank_biserial([1, 1], [2, 3]) == 1
    assert math.isnan(rank_biserial([1], [1]))


def test_effects_turn_their_sign_with_the_pair(rng):
    matrix = rank_biserial_matrix(pd.DataFrame(rng.uniform(size=(9, 4)), columns=list("dcba")))

    assert list(matrix.columns) == list("dcba")
    np.testing.assert_allclose(matrix, -matrix.T)


def test_raw_and_completed_are_compared_where_both_are():
    raw = frame({"a": [2.0, 2.0, 2.0, nan], "b": [1.0, 1.0, 1.0, 1.0], "raw only": [1.0] * 4})
    completed = frame({"a": [1.0, 2.0, 2.5, 1.0], "b": [0.5, 0.6, 0.7, 0.8]})

    a, b = compare(raw, completed)

    assert (a.method, a.n_datasets, a.better) == ("a", 3, 1)  # one is as good as before
    assert a.median_change == 0
    assert b.median_change == pytest.approx(-0.35)
    assert b.p == pytest.approx(2 * 2 / 2**4)  # the smallest of four pairs, twice for two methods
    assert b.effect == 1


def test_a_method_without_a_shared_dataset_is_no_test_to_correct_for():
    raw = frame({"a": [1.0, 1.0, 1.0, nan], "apart": [nan, nan, nan, 1.0]})
    completed = frame({"a": [0.5, 0.6, 0.7, nan], "apart": [1.0, 1.0, 1.0, nan]})

    a, apart = compare(raw, completed)

    assert a.p == pytest.approx(2 / 2**3)
    assert (apart.n_datasets, apart.p) == (0, 1.0)


def test_methods_with_different_gaps_are_each_compared_as_scipy_does_alone(rng):
    """Samples of one size are tested together; a gap must not shift one method into another."""
    names = [f"d{i}" for i in range(9)]
    raw = pd.DataFrame(rng.random((9, 7)), index=names, columns=list("abcdefg"))
    completed = pd.DataFrame(rng.random((9, 6)), index=names[::-1], columns=list("gfedcb"))
    for at, method in enumerate("bcdef"):
        raw.loc[names[at : at + at // 2], method] = np.nan
        completed.loc[names[8 - at], method] = np.nan
    completed["g"] = raw["g"]  # nothing differs
    completed = completed.drop(index="d8")

    found = compare(raw, completed)

    assert [each.method for each in found] == list("bcdefg")
    alone, sizes = [], []
    for method in "bcdefg":
        both = pd.concat([raw[method], completed[method]], axis=1, join="inner").dropna()
        before, after = both.to_numpy().T
        sizes.append(len(both))
        alone.append(stats.wilcoxon(after, before).pvalue if (after != before).any() else 1.0)
    assert len(set(sizes)) > 2
    assert [each.n_datasets for each in found] == sizes
    expected = multipletests(alone, method="holm")[1]
    assert [each.p for each in found] == pytest.approx(expected, rel=1e-12)
