"""YAML and JSON from people: what is refused, with a message and without a traceback."""

import json

import pytest
from pydantic import BaseModel, ValidationError

from spared_bench.errors import UsageError
from spared_bench.strict import first_problems, load_json, load_mapping


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


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"a": NaN}', "NaN is no number of JSON"),
        ('{"a": [-Infinity]}', "-Infinity is no number"),
        ('{"a": {"b": 1, "b": 2}}', "the key 'b' stands twice"),
        ("[1e999]", "a number is too large"),
        ('{"a": -1e999}', "a number is too large"),
        ("{'a': 1}", "Expecting property name"),
    ],
)
def test_json_that_is_not_what_its_standard_says_is_refused(text, reason):
    with pytest.raises(ValueError, match=reason):
        load_json(text, finite=True)


def test_json_is_read_as_the_standard_library_reads_it():
    text = '{"a": [1, 2.5, 1e3, null, true, "x"], "b": {"a": -0.0}}'
    assert load_json(text, finite=True) == load_json(text.encode()) == json.loads(text)


def test_the_first_wrong_fields_are_named_and_not_quoted():
    class Model(BaseModel):
        a: int
        b: dict[str, int]

    with pytest.raises(ValidationError) as caught:
        Model.model_validate({"a": "<script>", "b": dict.fromkeys("xyz", "<script>")})

    found = first_problems(caught.value, "file")
    assert found.startswith("a: Input should be a valid integer")
    assert "b.x: " in found
    assert found.endswith(" (and 1 more)")
    assert "script" not in found
