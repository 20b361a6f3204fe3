"""The feed: what changed between two builds, and nothing where nothing did."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from spared_bench.leaderboard.feed import MOST_ITEMS, next_feed
from tests.board_samples import build, trial
from tests.leaderboard.reading import data_of

NOW = datetime(2026, 11, 26, 8, 0, tzinfo=UTC)


def built(trials, folder):
    build(trials, folder, "c", "store")
    return json.loads((folder / "feed.json").read_text(encoding="utf-8"))


def texts(feed, item=0):
    return [each["text"] for each in feed["items"][item]["_changes"]]


def test_a_feed_says_what_is_new_what_is_gone_and_what_moved(tmp_path):
    first = built([trial("a"), trial("b", mse=2.0)], tmp_path)
    assert texts(first) == ["New protocol with 2 rows."]

    second = built([trial("b", mse=0.5), trial("c", mse=3.0), trial("c", dataset="d")], tmp_path)

    assert len(second["items"]) == 2
    assert second["items"][1] == first["items"][0]
    found = texts(second)
    assert "New dataset d." in found
    assert "New: c · none · reproduced." in found
    assert "Gone: a · none · reproduced." in found
    assert any(text.startswith("b · none · reproduced: mean mse 2.000 → 0.500") for text in found)
    assert data_of(tmp_path, "index")["changes"] == second["items"]


def test_who_is_ranked_first_is_told(tmp_path):
    built([trial("a", mse=1.0), trial("b", mse=2.0)], tmp_path)
    feed = built([trial("a", mse=1.0), trial("b", mse=0.5)], tmp_path)

    assert texts(feed)[0] == ("Ranked first: b · none · reproduced; before: a · none · reproduced.")


def test_the_rows_of_an_entry_with_several_predictors_are_told_apart_as_on_the_page(tmp_path):
    origin = {"trust": "re-scored", "method": "bundle", "version": "1", "source": ""}
    origin |= {"withdrawn": None, "flags": [], "several": True}
    long = "net-with-a-name-of-many-words-" * 2

    def entry(predictor, mse):
        return trial(predictor, mse=mse, facts={"origin": origin})

    built([entry("small", 1.0), entry(long, 2.0)], tmp_path)
    built([entry("small", 1.5), entry(long, 2.0)], tmp_path)
    feed = built([entry("small", 1.5), entry(long, 2.5)], tmp_path)

    names = [f"bundle 1 {name} · none · re-scored" for name in ("small", long)]
    moved = [[(each["row"], each["text"]) for each in item["_changes"]] for item in feed["items"]]
    assert moved[1] == [(names[0], f"{names[0]}: mean mse 1.000 → 1.500.")]
    assert moved[0] == [(names[1], f"{names[1]}: mean mse 2.000 → 2.500.")]


def test_the_same_results_add_nothing(tmp_path):
    trials = [trial("a"), trial("b", mse=2.0)]
    first = built(trials, tmp_path)

    assert built(list(reversed(trials)), tmp_path) == first


def test_a_feed_is_what_readers_of_feeds_expect(tmp_path):
    feed = built([trial()], tmp_path)

    assert feed["version"] == "https://jsonfeed.org/version/1.1"
    for item in feed["items"]:
        assert {"id", "title", "content_text", "date_published"} <= set(item)
        assert datetime.fromisoformat(item["date_published"]).tzinfo is not None
    assert len({item["id"] for item in feed["items"]}) == len(feed["items"])


@pytest.mark.parametrize(
    "text",
    ["", "[", "[]", '"x"', '{"protocols": 3}', '{"protocols": [{"protocol": "demo@1"}]}'],
)
def test_an_earlier_table_that_is_none_begins_the_feed_anew(tmp_path, text):
    built([trial()], tmp_path / "site")
    table = (tmp_path / "site" / "leaderboard.json").read_text(encoding="utf-8")
    (tmp_path / "leaderboard.json").write_text(text)
    (tmp_path / "feed.json").write_text('{"items": [3, {"id": 1}]}')

    (item,) = next_feed(tmp_path, table, NOW)["items"]
    assert item["_changes"][0]["text"] == "New protocol with 1 row."


def test_hostile_items_of_an_earlier_feed_are_cut_and_made_visible(tmp_path):
    built([trial()], tmp_path)
    table = (tmp_path / "leaderboard.json").read_text(encoding="utf-8")
    item = {"id": "i", "title": "a\u202eb" + "x" * 10_000, "content_text": "t"}
    item |= {"date_published": "2026-01-01", "_changes": [{"text": "\u2066y"}, 4], "z": 1}
    (tmp_path / "feed.json").write_text(json.dumps({"items": [item] * 200}))

    found = next_feed(tmp_path, table, NOW)["items"]
    assert len(found) == MOST_ITEMS
    assert not {"\u202e", "\u2066"} & set(json.dumps(found, ensure_ascii=False))
    assert len(found[0]["title"]) < 1_000
    assert "z" not in found[0]


@pytest.mark.parametrize(
    "damage",
    [
        lambda part: part | {"rows": [1, None, *part["rows"]]},
        lambda part: part | {"protocol": ["demo@1"]},
        lambda part: part | {"datasets": [1, None]},
        lambda part: part | {"rows": [{"rank": [1], "predictor": {}}]},
    ],
)
def test_a_table_that_is_damaged_ends_no_build(tmp_path, damage):
    built([trial("a"), trial("b", mse=2.0)], tmp_path)
    path = tmp_path / "leaderboard.json"
    table = json.loads(path.read_text(encoding="utf-8"))
    table["protocols"] = [damage(part) for part in table["protocols"]]
    path.write_text(json.dumps(table), encoding="utf-8")
    assert built([trial("a"), trial("c", mse=0.5)], tmp_path)["items"]
