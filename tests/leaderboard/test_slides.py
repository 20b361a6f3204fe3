"""Slides on the page: shown where their licence allows it, and never a reason for no page."""

from __future__ import annotations

import base64
import io
import json
from dataclasses import replace

import pytest
from PIL import Image

from spared_bench.errors import ImageError, MissingFileError, WorkspaceError
from spared_bench.files import write_text
from spared_bench.leaderboard import publish
from spared_bench.leaderboard import slides as board_slides
from spared_bench.leaderboard.slides import SlidePictures
from spared_bench.store.imports import write_mark
from spared_bench.trials.checks import CHECKS, FOUND
from spared_bench.workspace import Workspace

pytestmark = pytest.mark.usefixtures("prepared_alone")


def opened(text: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(text)))


def test_every_slide_has_a_picture_and_its_place(bench):
    left_out: list[str] = []
    shown = SlidePictures(bench, left_out)
    names = [info.slide_id for info in bench.dataset("toy").slides]
    files, drawn = shown.tissue("toy", names)
    made = {each.name: each.values for each in drawn}
    (overview,) = shown.overview("toy")

    assert left_out == []
    assert list(files) == names
    assert set(files.values()) == set(made)
    for values in made.values():
        picture = opened(values["webp"])
        assert picture.format == "WEBP"
        assert picture.width / picture.height == pytest.approx(
            values["width"] / values["height"], rel=0.05
        )
    assert list(overview.values["pictures"]) == names
    assert all(facts["n_spots"] > 0 for facts in overview.values["facts"].values())


@pytest.mark.parametrize("content", [b"\0", b"[", b'{"left": 1}'])
def test_pictures_damaged_in_place_are_left_out_and_named_and_the_others_shown(bench, content):
    names = [info.slide_id for info in bench.dataset("toy").slides]
    sound = SlidePictures(bench, [])
    sound.tissue("toy", names)
    entry = sound._stored("toy", names[0])
    frame = entry.folder / "frame.json"
    before = frame.read_bytes()
    frame.write_bytes(content.ljust(len(before)))  # of the same size, as after a power cut
    left_out: list[str] = []
    shown = SlidePictures(bench, left_out)
    try:
        files, drawn = shown.tissue("toy", names)
        (overview,) = shown.overview("toy")
        assert len(list(drawn)) == len(names) - 1
    finally:
        frame.write_bytes(before)

    assert list(files) == names[1:]
    assert list(overview.values["pictures"]) == list(overview.values["facts"]) == names[1:]
    (told,) = left_out
    assert told.startswith(f"The pictures of {names[0]} of toy cannot be read: ")


def test_without_a_stated_licence_only_slides_of_ones_own_are_shown(bench, monkeypatch):
    spec = bench.dataset("toy")
    shown = SlidePictures(bench, [])
    for licence, files, expected in [("", (1,), 0), ("CC0", (1,), 1), ("", (), 1)]:
        changed = replace(spec, licence=licence)
        object.__setattr__(changed, "files", files)
        monkeypatch.setattr(shown, "_spec", lambda name, each=changed: each)
        found, _ = shown.tissue("toy", [spec.slides[0].slide_id])
        assert len(found) == expected


def test_a_dataset_that_is_not_on_this_machine_has_no_pictures(bench, monkeypatch):
    def gone(name):
        raise MissingFileError("no files")

    monkeypatch.setattr(bench, "folder", gone)
    left_out: list[str] = []
    shown = SlidePictures(bench, left_out)

    assert shown.tissue("toy", ["s"])[0] == {}
    assert list(shown.overview("toy")) == []
    assert list(shown.overview("of a stranger")) == []
    assert left_out == []


@pytest.mark.parametrize(
    "error", [ImageError("cut short"), RuntimeError("a\nreader"), ZeroDivisionError()]
)
def test_whatever_a_reader_raises_is_told_once_and_stops_nothing(bench, monkeypatch, error):
    def fail(*_):
        raise error

    monkeypatch.setattr(board_slides, "picture_of", fail)
    left_out: list[str] = []
    shown = SlidePictures(bench, left_out)
    names = [info.slide_id for info in bench.dataset("toy").slides]

    assert shown.tissue("toy", names)[0] == {}
    assert shown.tissue("toy", names)[0] == {}
    (told,) = left_out
    assert told.startswith("Slides of toy are shown without their tissue: ")
    assert "\n" not in told


def test_pictures_and_checks_that_were_imported_are_named(bench):
    names = [info.slide_id for info in bench.dataset("toy").slides]
    shown = SlidePictures(bench, [])
    (before,) = shown.overview("toy")
    assert before.values["imported"] == []

    write_mark(shown._entries("toy", names)[names[1]].folder, {"archive": "theirs"})
    checks = [{"test": "tissue", "passed": True, "message": "fine"}]
    entry = bench.workspace.store.obtain(
        CHECKS,
        bench.slide_check_inputs("toy", names[2]),
        lambda folder: write_text(folder / FOUND, json.dumps(checks)),
    )
    write_mark(entry.folder, {"archive": "theirs"})

    (after,) = shown.overview("toy")
    assert after.values["imported"] == sorted(names[1:3])


def test_results_none_of_which_can_be_read_are_named(tmp_path, monkeypatch):
    def collected(workspace, protocol, source, unread, records):
        unread.append("Cell a cannot be read.")
        return [], records

    monkeypatch.setattr(publish, "collect", collected)
    with pytest.raises(WorkspaceError, match=r"No result can be shown\. Cell a cannot be read"):
        publish.build_leaderboard(Workspace.at(tmp_path), source="store")
