"""What a report says in short, against what its table says."""

from __future__ import annotations

import math

import pytest

from spared_bench.specs import MetricSpec
from spared_bench.studies.comparing import Difference
from spared_bench.studies.in_short import in_short


def metric(better="higher"):
    return MetricSpec("pcc", "no:where", label="PCC", per="gene", better=better)


def level(name, difference, low=math.nan, high=math.nan, p=math.nan, against="none"):
    return Difference(
        "probe", "stain", name, against, 2, 2, 0.3 + difference, 0.3, difference,
        gene_low=low, gene_high=high, p=p,
    )  # fmt: skip


def test_the_best_level_and_those_whose_interval_leaves_0_are_named():
    (told,) = in_short(
        [level("macenko", 0.02, -0.01, 0.05), level("reinhard", -0.1, -0.2, -0.01)], metric()
    )
    assert told == (
        "stain, probe: macenko has the highest PCC, 0.320; none, the base, has 0.300. By the"
        " interval over the genes of these slides alone, each level for itself, 1 of 2 differs:"
        " reinhard (−0.100)."
    )


def test_of_an_error_the_lowest_is_best():
    (told,) = in_short([level("a", -0.1, -0.2, -0.05), level("b", 0.2, -1, 1)], metric("lower"))
    assert "a has the lowest PCC, 0.200" in told
    (told,) = in_short([level("a", 0.1, -0.2, 0.3)], metric("lower"))
    assert "no level has a lower PCC than the base, none. " in told
    assert "none of 1 differs from the base." in told


def test_a_difference_of_small_errors_keeps_its_sign_and_size():
    (told,) = in_short([level("a", -0.00022, p=0.01)], metric("lower"))
    assert "1 of 1 differs: a (−0.00022)." in told
    (told,) = in_short([level("a", -1e-17, p=0.01)], metric("lower"))
    assert "1 of 1 differs: a (+0.000)." in told


def test_where_there_is_a_test_it_speaks_and_not_the_genes():
    rows = [level("a", 0.1, 0.05, 0.2, p=0.2), level("b", 0.3, 0.1, 0.4, p=0.01)]
    (told,) = in_short(rows, metric())
    assert "By the test over slides, at p < 0.05, 1 of 2 differs: b (+0.300)." in told


def test_many_levels_are_counted_and_the_largest_named():
    rows = [level(f"l{i}", i / 10, 0.01, 1) for i in range(1, 8)]
    (told,) = in_short(rows, metric())
    assert "7 of 7 differ: l7 (+0.700), l6 (+0.600), l5 (+0.500), l4 (+0.400) and 3 more." in told


def test_a_level_without_a_pair_and_pairs_of_other_levels_are_left_out():
    nothing = level("a", math.nan)
    assert in_short([nothing], metric()) == []
    other = level("c", 0.9, 0.8, 1.0, against="b")
    (told,) = in_short([level("b", 0.1, 0.05, 0.2), other], metric())
    assert "c" not in told.split(": ", 1)[1].replace("PCC", "")


def test_neither_a_test_nor_an_interval_is_said():
    (told,) = in_short([level("a", 0.1)], metric())
    assert told.endswith("There is neither a test over slides nor an interval over genes.")


@pytest.mark.parametrize("better", ["higher", "lower"])
def test_a_level_that_equals_the_base_is_not_better(better):
    (told,) = in_short([level("a", 0.0, -0.1, 0.1)], metric(better))
    assert "no level has a" in told
