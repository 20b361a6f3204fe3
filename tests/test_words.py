"""A number and its noun agree."""

from __future__ import annotations

import pytest

from spared_bench.words import counted


@pytest.mark.parametrize(
    ("number", "noun", "expected"),
    [
        (1, "dataset", "1 dataset"),
        (0, "dataset", "0 datasets"),
        (2, "dataset", "2 datasets"),
        (12_345, "spot", "12,345 spots"),
        (1, "entry", "1 entry"),
        (3, "entry", "3 entries"),
        (3, "day", "3 days"),
        (2, "patch", "2 patches"),
        (1, "ranked dataset", "1 ranked dataset"),
    ],
)
def test_a_noun_stands_in_the_plural_unless_there_is_one(number, noun, expected):
    # "over 1 datasets", "1 trials in the store" were printed.
    assert counted(number, noun) == expected
