"""Protocols in words: every difference that moves a score is told, and nothing that does not."""

from __future__ import annotations

import re
from typing import get_args

import pytest

from spared_bench.leaderboard.differences import _TOLD, _leaves, file_of, in_words, settings_of
from spared_bench.leaderboard.setting_words import NAMES, value_of
from spared_bench.protocol import Processing, Protocol, parse_protocol
from spared_bench.protocol.known import Known
from tests.board_samples import METRICS

PLAIN = Protocol(name="a", version=1)


def changed(**settings) -> dict[str, tuple[str, str]]:
    other = Protocol.model_validate({**PLAIN.model_dump(mode="json"), **settings})
    pairs = zip(in_words(PLAIN), in_words(other), strict=True)
    return {what: (one, two) for (what, one), (_, two) in pairs if one != two}


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({"comparable": False}, "Comparable with published numbers"),
        ({"processing": {"fit_on": "all"}}, "Which slides choose genes"),
        ({"processing": {"target": "log1p_cp10k"}}, "Target"),
        ({"processing": {"n_genes": 32}}, "Genes"),
        ({"processing": {"genes": ["A", "B"]}}, "Genes"),
        ({"processing": {"batch_correction": "combat"}}, "Batch correction"),
        ({"processing": {"zeros": "measured"}}, "Zeros"),
        ({"processing": {"smoothing": "array_neighbours"}}, "Smoothing"),
        ({"patches": {"size": 48}}, "Patches"),
        ({"views": "target-only"}, "Other windows of a slide"),
        ({"validation": {"without_test": "hold_out"}}, "Datasets without test slides"),
        ({"training": {"iterations": 60}}, "Training"),
        ({"configuration": "small"}, "Configuration of the methods"),
        ({"search": {"strategy": "halving"}}, "Search"),
        ({"search": {"grids": {"lr": [0.1, 0.2]}}}, "Search"),
        ({"seeds": [0, 1, 2]}, "Seeds"),
        ({"pooling": "split"}, "Pooling"),
        ({"mean_rule": "published"}, "Rule for undefined scores"),
        ({"ranking": {"metric": "pcc-gene"}}, "Ranked by"),
    ],
)
def test_a_setting_that_differs_is_told_and_no_other(settings, what):
    assert list(changed(**settings)) == [what]


def moved(schema, value):
    """Another value that a field takes, from its JSON schema."""
    for kind in schema.get("anyOf", [schema]):
        if "enum" in kind:
            return next(each for each in kind["enum"] if each != value)
        if kind.get("type") == "boolean":
            return not value
        if kind.get("type") == "integer":
            return 2 * value
        if kind.get("type") == "number":
            return value / 2 if value > 0 else 1.0
        if kind.get("type") == "string":
            return f"{value}x"
    raise AssertionError(schema)


def leaves(schema, values, defs, path=()):
    for name, field in schema["properties"].items():
        if name == "known":  # absent by default; see below
            continue
        kinds = [field, *field.get("anyOf", ()), *field.get("allOf", ())]
        section = next((kind["$ref"] for kind in kinds if "$ref" in kind), None)
        if section:
            inner = values.get(name) or {}
            yield from leaves(defs[section.rpartition("/")[2]], inner, defs, (*path, name))
        elif not {"array", "object"} & {kind.get("type") for kind in kinds}:
            yield (*path, name), moved(field, values.get(name))


SCHEMA = Protocol.model_json_schema(by_alias=False)
LEAVES = [
    (path, value)
    for path, value in leaves(SCHEMA, PLAIN.model_dump(mode="json"), SCHEMA["$defs"])
    if path[0] not in ("name", "version", "summary")
]


@pytest.mark.parametrize(("path", "value"), LEAVES, ids=[".".join(path) for path, _ in LEAVES])
def test_every_single_setting_of_a_protocol_is_told_when_it_differs(path, value):
    values = PLAIN.model_dump(mode="json")
    values["metrics"] = ["mse", "msex"]
    inner = values
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = value
    if path == ("ranking", "completer"):
        values["ranking"]["completer"] = "best"
    if path == ("processing", "gene_list"):
        values["processing"]["gene_list"] = "jiang-markers"
    other = Protocol.model_validate(values)
    pairs = zip(in_words(PLAIN), in_words(other), strict=True)
    assert len([one for one, two in pairs if one != two]) == 1


@pytest.mark.parametrize("target", get_args(Processing.model_fields["target"].annotation))
def test_every_target_has_words(target):
    settings = {"target": target}
    if target == "pearson_residuals":
        settings |= {"zeros": "measured", "ranked_on": "log1p_cp10k"}
    if target == "log_share":
        settings |= {"ranking": "mean", "zeros": "measured"}
    told = dict(in_words(Protocol(name="a", version=1, processing=settings)))["Target"]
    assert told
    assert ("log" in told) == ("log" in target)


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("log2_tpm", "log2(1 + TPM)"),
        ("tpm", "TPM"),
        ("log1p_cp10k", "log(1 + counts per 10,000)"),
        ("cpm", "counts per 1,000,000"),
        ("log1p_counts", "log(1 + counts)"),
        ("counts", "counts"),
    ],
)
def test_a_target_is_told_as_its_formula(target, words):
    told = dict(in_words(Protocol(name="a", version=1, processing={"target": target})))
    assert told["Target"] == words


def test_datasets_with_other_genes_are_named_and_those_with_other_filters_are_not():
    per_dataset = {
        "a": {"n_genes": 32},
        "b": {"further_genes": ["TP53"]},
        "c": {"spot_min_counts": 5},
    }
    processing = {"n_genes": 50, "per_dataset": per_dataset}
    told = dict(in_words(Protocol(name="a", version=1, processing=processing)))
    assert told["Genes"] == "50 of highest Moran's I; otherwise on a; on b with TP53"


def test_what_is_known_of_a_sample_is_told():
    assert set(changed(known={"sections": "middle", "register": "affine"})) >= {
        "Known sections of a sample",
        "Registration of sections",
    }


def test_every_setting_has_a_name_that_people_read_and_no_two_the_same():
    pairs = in_words(PLAIN)
    names = [name for name, _ in pairs]
    assert len(set(names)) == len(names)
    for what, how in pairs:
        assert re.fullmatch(r"[A-Z][\w’ ,-]+", what) and "_" not in what, what
        assert not re.search(r"`|_|\.0\b|[{}\[\]]", how), how
    # One that has none is told by its path; so each has one.
    assert set(NAMES) >= {path for path, _ in _untold(PLAIN)}


def _untold(protocol):
    told = protocol.model_dump(mode="json")
    told["known"] = dict.fromkeys(Known.model_fields)
    return [(path, value) for path, value in _leaves(told) if path not in _TOLD]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (1e12, "10¹²"),
        (1e6, "1,000,000"),
        (2.5e9, "2,500,000,000"),
        (0.7, "0.7"),
        (True, "yes"),
        ([], "–"),
        (["A_b", "c"], "A_b, c"),  # names of genes and slides stay
        ("left_out", "left out"),
        (
            {"visium_b": {"n_genes": 769}, "a": {"x": [1, 2]}},
            "a (x: 1, 2); visium_b (n genes: 769)",
        ),
    ],
)
def test_values_are_written_for_people(value, shown):
    assert value_of("processing.anything", value) == shown
    assert value_of("processing.filtering.min_fraction", -1.0) == "no bound"


def test_long_values_that_differ_at_their_ends_differ():
    one, two = ([f"gene{i}" for i in range(40)] + [last] for last in "ab")
    assert value_of("overrides", one) != value_of("overrides", two)
    assert len(value_of("overrides", one)) < 80


def test_protocols_that_are_alike_but_for_their_names_do_not_differ():
    assert changed(name="b", version=2, summary="another") == {}


def test_metrics_are_called_by_their_titles():
    told = settings_of({"a@1": PLAIN}, METRICS)["a@1"]

    assert dict(told["settings"])["Ranked by"] == "MSE, completer all"


def test_the_file_of_a_protocol_reads_back_as_the_same_protocol():
    listed = Protocol.model_validate(
        {
            **{"name": "mine", "version": 3, "summary": "Größe: 2 µm"},
            "processing": {"genes": ["ERBB2", "no", "1e3"], "target": "log1p_cp10k"},
            "search": {"grids": {"lr": [0.01, 0.001]}},
        }
    )
    for protocol in (PLAIN, listed):
        again = parse_protocol(file_of(protocol), "its file")
        assert again == protocol
        assert again.hash == protocol.hash
