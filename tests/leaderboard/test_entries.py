"""Entries of others: read back as written, refused by reason where they are not sound."""

from __future__ import annotations

import json
import math
import os
import re

import pytest

from spared_bench.errors import EntryError
from spared_bench.leaderboard.entries import (
    MethodEntry,
    entry_path,
    parse_entry,
    read_entries,
    read_entry,
    write_entry,
)
from spared_bench.specs import MetricSpec


def values(**changes):
    result = {
        "dataset": "vmb",
        "completer": "spackle",
        "predictor": "st-net",
        "seed": 0,
        "split_scores": {"test": {"mse": 1.5, "pcc-gene": None}},
        "parameters": {"lr": 1e-4, "layers": [1, 2]},
        "train_seconds": 12.5,
        "weights": "pretrained",
    }
    entry = {
        "method": "STNet",
        "version": "2024",
        "protocol": "spared@1",
        "trust": "reported",
        "withdrawn": None,
        "source": "https://example.org/paper",
        "flags": [{"kind": "suspect-cell", "reason": "Copied.", "dataset": "vmb"}],
        "results": [result | changes.pop("result", {})],
    }
    return entry | changes


def refusal(**changes) -> str:
    with pytest.raises(EntryError) as error:
        parse_entry(json.dumps(values(**changes)), "entry.json")
    return str(error.value)


def test_an_entry_is_read_back_as_it_was_written(tmp_path):
    entry = MethodEntry.model_validate(values())

    path = write_entry(tmp_path, entry)

    assert path == tmp_path / "spared@1" / "STNet@2024" / "entry.json"
    assert read_entry(path) == entry
    assert read_entries(tmp_path) == ([entry], [])
    assert read_entries(tmp_path, "demo@1") == ([], [])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"method": "../../etc"}, "method: expected text of the form"),
        ({"method": "<b>"}, "method"),
        ({"protocol": "spared"}, "protocol"),
        ({"trust": "certain"}, "trust: expected 'reported', 're-scored' or 'reproduced'"),
        ({"results": []}, "results: expected at least 1 in it"),
        ({"result": {"split_scores": {"test": {"mse": 1e308}}}}, "expected at most "),
        ({"result": {"split_scores": {"test": {"mse": "0.5"}}}}, "expected a number"),
        ({"result": {"split_scores": {"best": {}}}}, "'train', 'val' or 'test'"),
        ({"result": {"seed": -1}}, "seed: expected at least 0"),
        ({"result": {"parameters": {"note": "x" * 30_000}}}, "at most 20000 are kept"),
        ({"source": "x" * 2_001}, "source: expected text of at most 2000 letters"),
        ({"rank": 1}, "rank: is not known here"),
        ({"reslts": []}, "reslts: is not known here (did you mean 'results'?)"),
        ({"result": {"sed": 1}}, "results.0.sed: is not known here (did you mean 'seed'?)"),
    ],
)
def test_what_is_wrong_is_named_with_its_field(changes, said):
    assert said in refusal(**changes)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e400"])
def test_a_number_that_json_lacks_is_refused(number):
    text = json.dumps(values()).replace("12.5", number)

    with pytest.raises(EntryError, match=r"is no number of JSON|a number is too large"):
        parse_entry(text, "entry.json")


def test_one_place_has_one_result():
    result = values()["results"][0]

    assert "vmb / spackle / st-net / 0 stands twice" in refusal(results=[result, result])


def test_a_key_that_stands_twice_is_refused():
    text = json.dumps(values()).replace('"seed": 0', '"seed": 0, "seed": 1')

    with pytest.raises(EntryError, match="the key 'seed' stands twice"):
        parse_entry(text, "entry.json")


def test_the_key_that_stands_twice_is_found_among_very_many():
    # Comparing every key with every other would take hours.
    keys = [f'"k{number}": 0' for number in [*range(400_000), 399_999]]

    with pytest.raises(EntryError, match="the key 'k399999' stands twice"):
        parse_entry("{" + ",".join(keys) + "}", "entry.json")


def test_depth_and_size_are_bounded():
    with pytest.raises(EntryError, match="is not valid JSON"):
        parse_entry("[" * 100_000, "entry.json")
    with pytest.raises(EntryError, match="at most 20000000"):
        parse_entry(b" " * 20_000_001, "entry.json")


def test_an_entry_in_the_folder_of_another_is_refused_and_the_others_are_read(tmp_path):
    good, stray = (
        MethodEntry.model_validate(values()),
        MethodEntry.model_validate(values(method="EGN")),
    )
    write_entry(tmp_path, good)
    text = write_entry(tmp_path, stray).read_text()
    moved = tmp_path / "spared@1" / "SEPAL@1"
    entry_path(tmp_path, stray).parent.rename(moved)

    entries, (refused,) = read_entries(tmp_path)

    assert entries == [good]
    assert refused.path == moved / "entry.json"
    assert "is the entry spared@1/EGN@2024, but lies in spared@1/SEPAL@1" in refused.reason
    assert json.loads(text)["method"] == "EGN"


def test_links_are_not_followed(tmp_path):
    outside = tmp_path / "outside"
    write_entry(outside, MethodEntry.model_validate(values()))
    inside = tmp_path / "leaderboards" / "spared@1"
    inside.mkdir(parents=True)
    (inside / "STNet@2024").symlink_to(outside / "spared@1" / "STNet@2024")

    assert read_entries(tmp_path / "leaderboards") == ([], [])


def test_a_pipe_in_the_place_of_an_entry_is_refused_and_not_waited_for(tmp_path):
    (tmp_path / "demo@1" / "pipe@1").mkdir(parents=True)
    os.mkfifo(tmp_path / "demo@1" / "pipe@1" / "entry.json")

    entries, (refused,) = read_entries(tmp_path)

    assert entries == []
    assert "is no file; an entry is plain JSON" in refused.reason


@pytest.mark.parametrize(
    ("name", "value"), [("mse", -0.5), ("pcc-gene", 1.5), ("r2-gene", 1.01), ("mae", 1e300)]
)
def test_a_score_beyond_the_bounds_of_its_metric_is_refused(tmp_path, name, value):
    good = MethodEntry.model_validate(values())
    result = good.results[0].model_copy(update={"split_scores": {"test": {name: value}}})
    write_entry(tmp_path, good.model_copy(update={"results": [result]}))
    metrics = {"mse": MetricSpec("mse", "a:b", bounds=(0, math.inf)),
               "pcc-gene": MetricSpec("pcc-gene", "a:b", bounds=(-1, 1)),
               "r2-gene": MetricSpec("r2-gene", "a:b", bounds=(-math.inf, 1))}  # fmt: skip

    entries, refused = read_entries(tmp_path, metrics=metrics)

    assert entries == []
    assert re.search(f"{name} is .*lies between|expected at most", refused[0].reason)
