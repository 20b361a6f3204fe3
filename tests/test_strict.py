"""YAML from people: what is refused, with a message and without a traceback."""

from __future__ import annotations

import pytest

from spared_bench.errors import UsageError
from spared_bench.strict import load_mapping


def load(text):
    return load_mapping(text, "x.yaml", "thing", UsageError)


def test_a_mapping_is_read():
    assert load("a: [1, 2]\nb: {c: d}\n") == {"a": [1, 2], "b": {"c": "d"}}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a: 1\na: 2\n", "'a' stands twice"),
        ("1: a\n1.0: b\n", "1.0 stands twice"),
        ("a: &x 1\nb: *x\n", "aliases"),
        ("[a]: 1\n", "x.yaml is not valid YAML"),
        ("a: !!python/object/apply:os.getcwd []\n", "could not determine a constructor"),
        ("a: " + "9" * 5_000, "x.yaml is not valid YAML"),
        ("a: 2024-13-41\n", "x.yaml is not valid YAML"),
        ("a: " + "[" * 5_000, "x.yaml is not valid YAML"),
        ("- a\n", "must be a YAML mapping, found list"),
        ("a" * 100_001, "is larger than 100000 bytes"),
    ],
)
def test_what_is_refused_says_why(text, reason):
    with pytest.raises(UsageError, match=r"x\.yaml") as error:
        load(text)
    assert reason in str(error.value)


def test_many_keys_are_no_trouble():
    # With one comparison per pair of keys this took minutes.
    assert len(load("".join(f"k{i}:\n" for i in range(12_000)))) == 12_000
