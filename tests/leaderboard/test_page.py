"""The page: complete, self-contained, and safe whatever it is made from."""

from __future__ import annotations

import html.parser
import json
import re
from pathlib import Path

import pytest

from spared_bench.errors import WorkspaceError
from spared_bench.leaderboard import build
from spared_bench.leaderboard.page import embedded_json
from tests.board_samples import demo_trials, failed, trial

COMMAND = "spared-bench leaderboard build"
HOSTILE = [
    "<script>alert(1)</script>",
    "</script><!-- <img src=x onerror=alert(1)>",
    "\"><svg onload='alert(1)'>",
    "a\u202egnp.exe\u2066",
    "{{ 7 * 7 }}{% raw %}",
    "javascript:alert(1)",
    "x" * 10_000,
]


class Page(html.parser.HTMLParser):
    """Elements, attributes and texts, as a browser would see them."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data):
        self.texts.append(data)


def built(trials, folder: Path) -> str:
    return build(trials, folder, COMMAND, "store").read_text(encoding="utf-8")


def test_the_page_shows_every_row_its_failures_and_what_it_was_made_from(tmp_path):
    text = built(demo_trials(), tmp_path / "board")
    page = Page(text)

    assert text.count("data-words=") == 10  # five predictors, two completers
    said = " ".join(page.texts)
    for words in ("demo@1", "ridge", "gene-mean", "control", "generated", "tier A", COMMAND):
        assert words in said
    assert "Pretrained weights cannot be fetched." in said
    assert "Not comparable" not in said


def test_a_protocol_that_is_not_comparable_says_so(tmp_path):
    text = built([trial(facts={"comparable": False})], tmp_path)

    assert "Not comparable with published numbers." in text


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_stays_text(name, tmp_path):
    innocent = Page(built([trial("p", "c", "d"), failed("m", predictor="f")], tmp_path / "a"))
    hostile = Page(
        built(
            [
                trial(name, name, name, facts={"scope": name, "weights": name, "tier": name}),
                failed(name, predictor="f", dataset=name),
            ],
            tmp_path / "b",
        )
    )

    assert sorted(set(hostile.tags)) == sorted(set(innocent.tags))
    assert hostile.tags.count("script") == 2
    assert not any(key.startswith("on") for key, _ in hostile.attributes)
    assert not re.search("[\u202a-\u202e\u2066-\u2069]", "".join(hostile.texts))


def test_json_in_a_script_cannot_end_it_and_says_the_same():
    values = {"a": "</script><!-- <script> & \u2028"}

    text = embedded_json(values)

    assert not set("<>&\u2028") & set(text)
    assert json.loads(text) == values


def test_the_page_loads_nothing(tmp_path):
    page = Page(built(demo_trials(), tmp_path))

    loading = {"src", "href", "srcset", "data", "action", "poster", "background", "style"}
    assert not [item for item in page.attributes if item[0] in loading]
    assert "link" not in page.tags
    assert not re.search(r"@import|url\(|https?://", "".join(page.texts))
    policy = next(v for _, v in page.attributes if v and v.startswith("default-src"))
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy


def test_building_leaves_the_page_its_tables_and_nothing_half_written(tmp_path):
    out = tmp_path / "site" / "board"
    build(demo_trials(), out, COMMAND, "store")

    names = {path.name for path in out.iterdir()}
    assert names == {"index.html", "leaderboard.csv", "leaderboard.json", "leaderboard.md"}
    assert [path.name for path in out.parent.iterdir()] == ["board"]


def test_a_build_that_fails_leaves_the_old_page_whole(tmp_path, monkeypatch):
    before = built(demo_trials(), tmp_path / "board")

    def full(self, *_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(WorkspaceError, match=r"cannot be written to .*No space left.*--out"):
        build([trial()], tmp_path / "board", COMMAND, "store")

    assert (tmp_path / "board" / "index.html").read_text(encoding="utf-8") == before
    assert [path.name for path in tmp_path.iterdir()] == ["board"]


def test_a_file_in_the_way_is_explained(tmp_path):
    (tmp_path / "board").write_text("mine")

    with pytest.raises(WorkspaceError, match=r"cannot be written to .*board: File exists"):
        build([trial()], tmp_path / "board", COMMAND, "store")


def test_a_board_without_results_is_a_page_that_says_so(tmp_path):
    assert "There are no results yet." in built([], tmp_path)
