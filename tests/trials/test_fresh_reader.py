"""Slides of a stranger's dataset are read where libvips can work, whatever has run here before."""

from __future__ import annotations

import numpy as np
import pytest
import pyvips
from PIL import Image

from spared_bench.api import make_bench
from spared_bench.keys.hashing import digest
from spared_bench.leaderboard.slides import SlidePictures
from spared_bench.reports.slide_checks import warn_of_slides
from spared_bench.trials.blind import prepared_here
from spared_bench.trials.checks import stored_checks
from tests.conftest import TOY_PROTOCOL

pytestmark = pytest.mark.usefixtures("prepared_alone")

PLUGIN = """
import os
from pathlib import Path
from PIL import Image
from spared_bench import DatasetSpec, SlideInfo, hookimpl
from spared_bench_plugins.datasets.planted.expression import read_slide as planted

SLIDES = {slides}
ENDS = "{ends}"

def read_slide(folder, slide_id):
    print("read", slide_id)
    if slide_id == ENDS:
        os._exit(5)
    slide = planted(folder, ("P1", "P2", "P3")[SLIDES.index(slide_id) % 3])
    path = Path(folder) / (slide_id + ".png")
    if not path.exists():
        Image.open(slide.uns["slide"]["image_path"]).convert("RGB").save(path)
    slide.uns["slide"]["image_path"] = str(path)
    return slide

@hookimpl
def spared_bench_datasets():
    return [
        DatasetSpec(
            "theirs", factory=f"{{__name__}}:read_slide", organism="human", synthetic=True,
            slides=tuple(SlideInfo(name, name) for name in SLIDES),
            split={{"train": SLIDES[:1], "val": SLIDES[1:2], "test": SLIDES[2:]}},
        )
    ]
"""


@pytest.fixture
def made(tmp_path):
    """What makes a bench that is told of a dataset, in a process in which libvips has run."""

    def make(*slides, ends=""):
        plugin = tmp_path / "their_plugin.py"
        plugin.write_text(PLUGIN.format(slides=repr(slides), ends=ends))
        bench = make_bench(
            str(TOY_PROTOCOL),
            workspace=tmp_path / "w",
            plugin_files=[plugin],
            device="cpu",
            apart=True,
        )
        assert bench.registry.get("dataset", "theirs").told is not None
        Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(tmp_path / "any.png")
        pyvips.Image.new_from_file(str(tmp_path / "any.png")).avg()
        return bench

    return make


def test_slides_are_checked_and_shown(made, capfd):
    bench = made("A", "B", "C")
    capfd.readouterr()
    lines: list[str] = []
    warn_of_slides(bench, "theirs", lines.append)
    assert lines == []
    assert all(stored_checks(bench, "theirs", slide) for slide in "ABC")

    left_out: list[str] = []
    shown = SlidePictures(bench, left_out)
    names, _ = shown.tissue("theirs", ["B"])
    assert (list(names), left_out) == (["B"], [])
    (overview,) = shown.overview("theirs")
    assert list(overview.values["pictures"]) == ["A", "B", "C"]
    told = capfd.readouterr()
    assert told.out == ""  # what a reader prints is no part of ``--json``
    assert told.err.count("read A") == 2  # to be checked, and for its picture


def test_a_slide_whose_reader_ends_its_process_ends_nothing_here(made):
    bench = made("A", "B", "C", ends="B")
    lines: list[str] = []
    warn_of_slides(bench, "theirs", lines.append)
    assert lines == [
        "Slides of theirs were not all checked: Its process ended with status 5 before it had"
        " answered."
    ]
    left_out: list[str] = []
    shown = SlidePictures(bench, left_out)
    assert list(shown.tissue("theirs", ["A", "B"])[0]) == ["A"]
    assert list(shown.tissue("theirs", ["A", "C"])[0]) == ["A"]
    assert left_out == [
        "Slides of theirs are shown without their tissue: Its process ended with status 5 before it"
        " had answered."
    ]


def test_a_dataset_that_is_gone_is_prepared_again_for_its_scores(made):
    bench = made("A", "B", "C")
    prepared_here(bench, "theirs")
    assert bench.workspace.store.has("prepared", digest(bench.prepared_inputs("theirs")))
