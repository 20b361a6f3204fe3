"""YAML and JSON from people: what is refused, with a message and without a traceback."""

import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spared_bench.errors import UsageError
from spared_bench.executors.cluster_file import read_cluster_file
from spared_bench.protocol import read_protocol
from spared_bench.registration.by_hand import read_transforms
from spared_bench.strict import load_json, load_mapping, load_value
from spared_bench.studies.model import read_study


def load(text):
    return load_mapping(text, "x.yaml", "thing", UsageError)


def test_a_mapping_is_read():
    assert load("a: [1, 2]\nb: {c: d}\n") == {"a": [1, 2], "b": {"c": "d"}}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a: 1\na: 2\n", "'a' stands twice"),
        ("1: a\n1.0: b\n", "'1' and '1.0' are one key to YAML; put both in quotes"),
        ("on: a\n1: b\n", "'on' and '1' are one key to YAML"),
        ("a: &x 1\nb: *x\n", "aliases"),
        ("[a]: 1\n", "x.yaml is not valid YAML"),
        ("a: !!python/object/apply:os.getcwd []\n", "could not determine a constructor"),
        ("a: " + "9" * 5_000, "x.yaml is not valid YAML"),
        ("a: 2024-13-41\n", "x.yaml is not valid YAML"),
        ("a: " + "[" * 5_000, "x.yaml is not valid YAML"),
        ("a: !!bool foo", "'foo' cannot be read as bool"),
        ("? !!bool foo\n: 1", "'foo' cannot be read as bool"),
        ("a: [b, !!int '']", "'' cannot be read as int"),
        ("a: !!float ''", "'' cannot be read as float"),
        ("a: !!float .", "'.' cannot be read as float"),
        ("a: !!timestamp foo", "'foo' cannot be read as timestamp"),
        ("a: 2001-01-01T10:00:00+99:99", "cannot be read as timestamp"),
        ("a: " + ":".join(["1"] * 400) + ".5", "cannot be read as float"),
        ("a: " + ":".join(["1"] * 400), "cannot be read as int"),
        ("a: 0x" + "f" * 90_000, "cannot be read as int"),
        ('a: "\\ud800"', "cannot be read as str"),
        ('"\\udfff": 1', "cannot be read as str"),
        ("a: !!map x", "x.yaml is not valid YAML"),
        ("a: !!set {b, c}", "!!set is not taken: write a list, a mapping or a text"),
        ("a: [1, !!omap [b: 1]]", "!!omap is not taken"),
        ("a: {b: !!pairs [c: 1]}", "!!pairs is not taken"),
        ("a: !!binary aGk=", "!!binary is not taken"),
        ("!!set {a, b}", "!!set is not taken"),
        ("- a\n", "must be a YAML mapping, found a list"),
        ("a", "must be a YAML mapping, found a text"),
        (
            "# a: 1\n",
            "found nothing: a thing holds settings, NAME: VALUE in a line each. Is it empty?",
        ),
        ("a" * 100_001, "is larger than 100000 bytes"),
    ],
)
def test_what_is_refused_says_why(text, reason):
    with pytest.raises(UsageError, match=r"x\.yaml") as error:
        load(text)
    assert reason in str(error.value)


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("1_0", "10"),
        ("-1_000", "-1000"),
        ("1_0.5", "10.5"),
        ("0x_ff", "255"),
        ("010", "8"),
        ("-007", "-7"),
        ("12:30", "750"),
        ("1:30.5", "90.5"),
        ("[3, 1_0]", "10"),
        ("{b: 010}", "8"),
    ],
)
def test_a_number_that_yaml_takes_for_another_is_refused(text, read):
    with pytest.raises(UsageError, match=f"would be read as {read}: write .* in plain digits"):
        load(f"a: {text}\n")
    with pytest.raises(UsageError, match="would be read as"):
        load_value(text, "--set a.b")


def test_numbers_in_plain_digits_and_texts_in_quotes_stay_what_they_are():
    values = [0, 10, -3, 0x10, 1e-3, 0.5, 10.0]
    assert load("a: [0, 10, -3, 0x10, 1e-3, 0.5, 10.]")["a"] == values
    assert load("a: ['1_0', \"010\", '12:30', 1_a, 08]")["a"] == [
        "1_0", "010", "12:30", "1_a", "08",
    ]  # fmt: skip


def test_keys_that_are_names_stay_text():
    text = "010: {b: 1}\n1_0: 2\non: 3\n"
    found = load_mapping(text, "x.yaml", "thing", UsageError, names=True)
    assert found == {"010": {"b": 1}, "1_0": 2, "on": 3}


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("```yaml\na: 1\n```\n", "Leave out the lines of ```"),
        ("a:\n\tb: 1\n", "Line 2 is indented by a tab, where YAML takes blanks alone."),
        ("a:\n  \tb: 1\n", "Line 2 is indented by a tab, where YAML takes blanks alone."),
        ("a:\xa01\nb: 2\n", "Line 1 has a blank of another kind (U+00A0)"),
        ("a:\n\u3000\u3000b: 1\n  c: 2\n", "Line 2 has a blank of another kind (U+3000)"),
        ("a: 1\nb\uff1a2\nc: 3\n", "Line 2 has a wide colon"),
        ("t: one,\xa0two\na:\xa01\nb: 2\n", "Line 2 has a blank of another kind"),
        ("a: |\n  x\n  \ty\nb:\n\tc: 1\n", "Line 5 is indented by a tab"),
        ('a:\n\tb: 1\nc: "\\UFFFFFFFF"\n', "Line 2 is indented by a tab"),
        (f"%YAML {'9' * 5000}.1\n---\na:\n\tb: 1\n", "is not valid YAML"),
        ("t: one,\xa0two\na:1\nb: 2\n", "^. A colon needs a blank behind it (`name: mine`)"),
        ("t: |\n  a\uff1a1\na: {b: 1 c: 2}\n", "^. Between braces and brackets, commas part"),
        ('a: "C:\\data"\n', "Between double quotes a backslash begins a sign of its own"),
        ("a:1\nb: 2\n", "A colon needs a blank behind it (`name: mine`)"),
        ("a: {b: 1 c: 2}\n", "Between braces and brackets, commas part what stands there."),
    ],
)
def test_a_slip_is_told_with_what_to_write(text, advice):
    with pytest.raises(UsageError) as refused:
        load(text)
    assert advice in str(refused.value)
    assert "unicode string" not in str(refused.value)


def test_signs_within_texts_are_no_slips():
    assert load("a: caf\xe9\xa0; 1 \uff1a\n") == {"a": "caf\xe9\xa0; 1 \uff1a"}
    with pytest.raises(UsageError) as refused:
        load("a: deux\xa0mots\uff1a oui\nb: [\n")
    assert "Line" not in str(refused.value)


def test_brackets_without_end_are_refused_at_once():
    begun = time.process_time()
    with pytest.raises(UsageError, match="recursion"):
        load("a: " + "[" * 5_000)
    assert time.process_time() - begun < 3  # ten, where all of them are looked at


def test_a_refusal_says_in_which_line():
    with pytest.raises(UsageError, match="line 3, column 6"):
        load("a: 1\nb:\n  c: !!bool foo\n")


@settings(max_examples=300)
@given(
    st.sampled_from(
        [
            "bool",
            "int",
            "float",
            "timestamp",
            "null",
            "binary",
            "set",
            "omap",
            "pairs",
            "map",
            "seq",
            "str",
        ]
    ),
    st.text(st.sampled_from("0123456789abxo_:.-+eETZ~ '\"[]{},"), max_size=30),
)
def test_whatever_a_tag_stands_before_is_read_or_refused(tag, value):
    try:
        repr(load(f"a: !!{tag} {value}"))
    except UsageError as refused:
        assert "x.yaml" in str(refused)


IDS = [
    "010",
    "1_5",
    "1.10",
    "12:30",
    "0x1F",
    "0b11",
    "on",
    "yes",
    "1e3",
    "2024-01-02",
    ".inf",
    "+1",
]


@pytest.mark.parametrize("text", IDS)
def test_ids_stay_as_they_are_written_where_that_is_asked_for(text):
    found = load_mapping(f"{text}: [{text}]", "x.yaml", "thing", UsageError, typed=())
    assert found == {text: [text]}


def test_what_is_empty_is_nothing_and_quoted_text_is_text_where_ids_are_read():
    text = "a:\nb: ~\nc: 'null'\nd: !!int '7'\n"
    found = load_mapping(text, "x.yaml", "thing", UsageError, typed=())
    assert found == {"a": None, "b": None, "c": "null", "d": "7"}


def test_below_some_keys_values_are_typed_as_ever():
    text = "ids: {010: 8, 8: [on]}\nsettings: {n: 8, on: 1.5}\n"
    found = load_mapping(text, "x.yaml", "thing", UsageError, typed=("settings",))
    assert found["ids"] == {"010": "8", "8": ["on"]}
    assert found["settings"] == {"n": 8, True: 1.5}


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


def _transforms(path):
    path.write_text("A: [[1, 0, 0], [0, 1, 0], [0, 0, 1]]")
    return read_transforms


def _protocol(path):
    path.write_text("{name: own, version: 1}")
    return read_protocol


def _study(path):
    path.write_text("{name: s, kind: robustness, methods: [gene-mean]}")
    return read_study


def _cluster(path):
    path.write_text("{batch: slurm, jobs: 2}")
    return read_cluster_file


@pytest.mark.parametrize("written", [_transforms, _protocol, _study, _cluster])
def test_a_file_that_windows_wrote_is_read_as_meant_and_another_is_told(tmp_path, written):
    path = tmp_path / "a.yaml"
    read = written(path)
    text, expected = path.read_text(), read(path)
    for encoding in ("utf-8-sig", "utf-16"):
        path.write_bytes(text.encode(encoding))
        assert read(path) == expected
    path.write_bytes(b"# Gr\xf6\xdfe\n" + text.encode())
    with pytest.raises(UsageError, match=r"no text in UTF-8 or UTF-16 \(.* Save it again as UTF-8"):
        read(path)
