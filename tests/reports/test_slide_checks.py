"""Slides are checked when data are added and when a run starts: once, in a line each."""

from __future__ import annotations

import csv
import io
import json
import shutil

import pytest
from PIL import Image
from typer.testing import CliRunner

from spared_bench.api import execute, make_bench, select
from spared_bench.cli import app
from spared_bench.data import validate_raw_slide
from spared_bench.errors import ImageError
from spared_bench.leaderboard.slides import make_pictures
from spared_bench.reports import slide_checks, slide_pictures
from spared_bench.reports.quality import TESTS, SlideCheck
from spared_bench.reports.slide_checks import check_slides, checks_of, warn_of_slides
from spared_bench.sources.adding import add_description
from spared_bench.store.processes import place
from spared_bench.trials import raw_slides
from spared_bench.trials.checks import slide_checks_fact, stored_checks
from spared_bench.trials.raw_slides import read_raw_slides
from tests import made_slides
from tests.board_samples import as_csv, board_rows, trial
from tests.conftest import TOY_PLUGIN, TOY_PROTOCOL

pytestmark = pytest.mark.usefixtures("prepared_alone")

PLUGIN = """
import sys
from pathlib import Path
import numpy as np
from spared_bench import DatasetSpec, SlideInfo, hookimpl
from spared_bench_plugins.datasets.planted.expression import read_slide as planted

def read_slide(folder, slide_id):
    if slide_id == "raises":
        raise ValueError("no such\\ncolumn")
    if slide_id == "leaves":
        sys.exit(3)
    slide = planted(Path({painted!r}), {{"first": "P1", "second": "P2"}}.get(slide_id, "P3"))
    centres = slide.obsm["spatial"]
    if slide_id == "mirrored":
        slide.obsm["spatial"] = np.column_stack(
            [centres[:, 0].min() + centres[:, 0].max() - centres[:, 0], centres[:, 1]]
        )
    if slide_id == "bare":
        slide.uns["slide"]["image_path"] = ""
    if slide_id == "few":
        slide = slide[:50].copy()
    if slide_id == "gone":
        slide.uns["slide"]["image_path"] = str(folder / "gone.png")
    return slide

@hookimpl
def spared_bench_datasets():
    slides = {slides}
    return [
        DatasetSpec(
            "doubtful", factory=f"{{__name__}}:read_slide", organism="human", synthetic=True,
            slides=tuple(SlideInfo(name, name) for name in slides),
            split={{"train": slides[:1], "val": slides[1:2], "test": slides[2:]}},
        )
    ]
"""


@pytest.fixture(scope="module")
def painted(tmp_path_factory):
    """A folder for the generated slides, each of which is painted once."""
    return str(tmp_path_factory.mktemp("painted"))


@pytest.fixture
def made(tmp_path, painted):
    """What makes a bench of a dataset with slides of these kinds."""

    def make(*slides):
        plugin = tmp_path / "doubtful_plugin.py"
        plugin.write_text(PLUGIN.format(slides=repr(slides), painted=painted))
        return make_bench(
            str(TOY_PROTOCOL), workspace=tmp_path / "w", plugin_files=[plugin], device="cpu"
        )

    return make


def test_a_slide_in_doubt_is_one_line_and_what_cannot_be_tested_or_read_ends_nothing(made):
    bench = made("first", "raises", "leaves", "gone", "bare", "few", "mirrored")
    lines: list[str] = []
    warn_of_slides(bench, "doubtful", lines.append)

    assert [line.split()[1] for line in lines] == ["raises", "leaves", "gone", "mirrored"]
    assert not any("\n" in line for line in lines)
    assert "ValueError: no such column (doubtful_plugin.py, line" in lines[0]
    assert "was not checked: SystemExit: 3" in lines[1]
    assert "gone.png" in lines[2]
    assert "mirrored left to right" in lines[3]
    assert "`spared-bench data show doubtful`" in lines[3]
    # What could not be read is asked again; what was tested, or could not be, is known.
    known = [stored_checks(bench, "doubtful", each.slide_id) is not None
             for each in bench.dataset("doubtful").slides]  # fmt: skip
    assert known == [True, False, False, False, True, True, True]


@pytest.mark.parametrize(
    ("failed", "doubt"),
    [
        ({"spots"}, "is small"),
        ({"bits", "spots"}, "may have an image that is read too dark"),
        ({"bits", "colours"}, "may have an image that is read too dark"),
        ({"colours"}, "may have an image that is not H&E"),
        ({"spots", "tissue"}, "may not belong to its image"),
    ],
)
def test_what_is_doubted_is_the_gravest_of_what_failed(made, monkeypatch, failed, doubt):
    bench = made("first")
    found = [SlideCheck(test, test not in failed, "Told.") for test in TESTS]
    monkeypatch.setattr(slide_checks, "check_slide", lambda slide: found)
    lines: list[str] = []
    warn_of_slides(bench, "doubtful", lines.append)
    assert [line.split(" (")[0] for line in lines] == [f"Slide first of doubtful {doubt}"]


def test_a_slide_is_checked_once_and_again_where_its_entry_is_damaged(made, monkeypatch):
    bench = made("first", "second", "bare")
    first = checks_of(bench, "doubtful", "first")
    assert [check.passed for check in first] == [True] * len(TESTS)
    monkeypatch.setattr(slide_checks, "check_slide", lambda slide: [])
    assert checks_of(bench, "doubtful", "first") == first
    (path,) = (bench.workspace.store.root / "checks").glob("*/*/checks.json")
    path.write_bytes(b"x" * path.stat().st_size)
    assert checks_of(bench, "doubtful", "first") == []
    assert json.loads(next(path.parent.glob("checks.json")).read_text()) == []


def test_a_run_warns_and_its_records_say_which_slides_are_in_doubt(made):
    bench = made("first", "second", "mirrored")
    lines: list[str] = []
    plan = select(bench, ["doubtful"], ["none"], ["gene-mean"])
    report = execute(plan, executor="inline", track=False, figures=False, log=lines.append)

    (line,) = [line for line in lines if "may not belong to its image" in line]
    assert line.startswith("Slide mirrored of doubtful")
    (result,) = report.results
    assert result.ok, result.message
    fact = result.facts["slide_checks"]
    assert fact["tested"] == 3
    assert list(fact["failed"]) == ["mirrored"]
    assert fact["failed"]["mirrored"][0].startswith("orientation: Held-out correlation")
    assert slide_checks_fact(bench, "doubtful") == {"slide_checks": fact}


def test_a_run_reads_its_own_slides_once_to_prepare_check_and_draw_them(tmp_path, monkeypatch):
    slides = ["T1", "T2", "T3"]
    for seed, name in enumerate(slides):
        made_slides.space_ranger(tmp_path / name, seed=seed)
    (tmp_path / "mine.yaml").write_text(
        "name: mine\nformat: space_ranger\norganism: human\n"
        "slides: {T1: {path: T1}, T2: {path: T2}, T3: {path: T3}}\n"
        "split: {train: [T1], val: [T2], test: [T3]}\n"
    )
    add_description(tmp_path / "mine.yaml", tmp_path / "w/data")
    read: list[str] = []

    def validate(slide, slide_id, *how):
        read.append(slide_id)
        validate_raw_slide(slide, slide_id, *how)

    monkeypatch.setattr(raw_slides, "validate_raw_slide", validate)
    failed = [SlideCheck("tissue", False, "3% of the spots lie on tissue.")]
    monkeypatch.setattr(slide_checks, "check_slide", lambda slide: failed)
    lines: list[str] = []
    bench = make_bench(str(TOY_PROTOCOL), workspace=tmp_path / "w", device="cpu")
    plan = select(bench, ["mine"], ["none"], ["gene-mean"])
    report = execute(plan, executor="inline", track=False, figures=False, log=lines.append)

    assert report.failed == []
    assert read == slides
    assert [line.split()[1] for line in lines if "may not belong" in line] == slides
    assert list(report.results[0].facts["slide_checks"]["failed"]) == slides
    make_pictures(bench, "mine", slides)
    assert read == slides


@pytest.mark.parametrize("lacking", ["checks", "checks prepared"])
def test_slides_are_told_of_before_a_training_whatever_of_their_dataset_is_stored(
    tmp_path, monkeypatch, lacking
):
    made_slides.space_ranger(tmp_path / "T1")
    (tmp_path / "mine.yaml").write_text(
        "name: mine\nformat: space_ranger\norganism: human\nslides: {T1: {path: T1}}\n"
        "split: {train: [T1]}"
    )
    failed = [SlideCheck("tissue", False, "3% of the spots lie on tissue.")]
    monkeypatch.setattr(slide_checks, "check_slide", lambda slide: failed)
    add_description(tmp_path / "mine.yaml", tmp_path / "w/data")
    for kinds in ("", lacking):
        for kind in kinds.split():
            shutil.rmtree(tmp_path / "w/store" / kind)
        if kinds:
            shutil.rmtree(tmp_path / "w/store/trials")
        lines: list[str] = []
        bench = make_bench(str(TOY_PROTOCOL), workspace=tmp_path / "w", device="cpu")
        plan = select(bench, ["mine"], ["none"], ["gene-mean"])
        report = execute(plan, executor="inline", track=False, figures=False, log=lines.append)
        assert sum("may not belong" in line for line in lines) == 1
        assert list(report.results[0].facts["slide_checks"]["failed"]) == ["T1"]


def test_a_run_that_stops_at_a_failure_reads_no_slides_that_it_did_not_come_to(
    tmp_path, monkeypatch
):
    for name in ("one", "two"):
        made_slides.space_ranger(tmp_path / name)
        (tmp_path / f"{name}.yaml").write_text(
            f"name: {name}\nformat: space_ranger\norganism: human\n"
            f"slides: {{T1: {{path: {name}}}}}\nsplit: {{train: [T1]}}"
        )
        add_description(tmp_path / f"{name}.yaml", tmp_path / "w/data")
    checked: list[str] = []
    monkeypatch.setattr(slide_checks, "warn_of_slides", lambda _, name, tell: checked.append(name))
    plan = select(
        make_bench(
            str(TOY_PROTOCOL), workspace=tmp_path / "w", plugin_files=[TOY_PLUGIN], device="cpu"
        ),
        ["one", "two"],
        ["none"],
        ["toy-raises"],
    )
    quiet = {"track": False, "figures": False, "log": lambda line: None}
    report = execute(plan, executor="inline", fail_fast=True, **quiet)
    assert len(report.failed) == 1
    assert checked == ["one"]


def test_one_slide_that_cannot_be_checked_or_drawn_keeps_no_other_from_it(made, monkeypatch):
    bench = made("gone", "first")
    slides = read_raw_slides(bench, "doubtful")
    monkeypatch.setattr(slide_pictures, "may_be_shown", lambda spec: True)
    check_slides(bench, "doubtful", lambda: slides)
    slide_pictures.draw_slides(bench, "doubtful", lambda: slides)
    assert stored_checks(bench, "doubtful", "gone") is None
    assert stored_checks(bench, "doubtful", "first") is not None
    assert len(list((bench.workspace.store.root / "pictures").glob("*/*"))) == 1


def test_the_board_says_which_slides_are_in_doubt():
    facts = {"slide_checks": {"tested": 3, "failed": {"B2": ["position: 0.1.", "tissue: 3 %."]}}}
    plain = trial()
    doubted = trial(facts={**plain.facts, **facts})
    (line,) = csv.DictReader(io.StringIO(as_csv(board_rows([doubted]))))
    assert line["slides_in_doubt"] == "B2 (position: 0.1.); B2 (tissue: 3 %.)"
    (line,) = csv.DictReader(io.StringIO(as_csv(board_rows([plain]))))
    assert line["slides_in_doubt"] == ""


@pytest.mark.parametrize("fault", ["doubt", "dark", "error"])
def test_adding_data_tells_of_a_slide_and_adds_it(tmp_path, monkeypatch, fault):
    def check(slide):
        if fault == "error":
            raise ImageError("the codec\nis missing")
        if fault == "dark":
            return [SlideCheck("bits", False, "No value is above 63.")]
        return [SlideCheck("tissue", False, "3% of the spots lie on tissue.")]

    monkeypatch.setattr(slide_checks, "check_slide", check)
    made_slides.space_ranger(tmp_path / "T1")
    (tmp_path / "mine.yaml").write_text(
        "name: mine\nformat: space_ranger\norganism: human\nslides: {T1: {path: T1}}\n"
        "split: {train: [T1]}"
    )
    arguments = ["data", "add", str(tmp_path / "mine.yaml"), "-w", str(tmp_path / "w"), "--json"]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    told = {
        "doubt": "Slide T1 of mine may not belong to its image (tissue: 3% of the spots lie on"
        " tissue.) `spared-bench data show mine` draws it.",
        "dark": "Slide T1 of mine may have an image that is read too dark (bits: No value is above"
        " 63.) `spared-bench data show mine` draws it.",
        "error": "Slide T1 of mine was not checked: the codec is missing",
    }[fault]
    assert json.loads(done.stdout)["doubts"] == [told]
    assert done.stderr.strip() == told


def test_bars_of_a_dataset_that_is_not_prepared_show_no_spot_as_dropped():
    from matplotlib.colors import to_rgba

    from spared_bench.reports.dataset_figures import COLOURS, UNMEASURED, spots_per_slide

    raw = spots_per_slide([("a", "train", 30, None), ("b", "", 20, None)]).axes[0]
    assert [bar.get_width() for bar in raw.patches] == [30, 20]
    assert [bar.get_facecolor() for bar in raw.patches] == [
        to_rgba(COLOURS["train"]),
        to_rgba(COLOURS[""]),
    ]
    assert "dropped" not in raw.get_xlabel()
    known = spots_per_slide([("a", "train", 30, 25), ("b", "test", 20, 0)]).axes[0]
    assert [bar.get_width() for bar in known.patches] == [30, 25, 20, 0]
    assert known.patches[0].get_facecolor() == to_rgba(UNMEASURED)
    assert "grey: dropped" in known.get_xlabel()


def test_of_described_slides_only_the_one_that_changed_is_checked_again(tmp_path, monkeypatch):
    for seed, name in enumerate(("T1", "T2"), 1):
        made_slides.space_ranger(tmp_path / name, seed=seed)
        made_slides.picture(seed).save(tmp_path / f"{name}.png")
    description = tmp_path / "mine.yaml"
    description.write_text(
        "name: mine\nformat: space_ranger\norganism: human\nslides:\n"
        "  T1: {path: T1, image: T1.png}\n  T2: {path: T2, image: T2.png}\n"
        "split: {train: [T1], test: [T2]}\n"
    )
    checked: list[int] = []

    def check(slide):
        checked.append(int(slide.X.sum()))
        return []

    def checks_of_a_new_process():
        checked.clear()
        bench = make_bench(str(TOY_PROTOCOL), workspace=tmp_path / "w", device="cpu")
        warn_of_slides(bench, "mine", print)
        return list(checked)

    monkeypatch.setattr(slide_checks, "check_slide", check)
    add_description(description, tmp_path / "w/data")
    _, second = checks_of_a_new_process()
    assert checks_of_a_new_process() == []
    made_slides.picture(2).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(tmp_path / "T2.png")
    assert checks_of_a_new_process() == [second]
    # A further slide is no change of those that were there.
    made_slides.space_ranger(tmp_path / "T3", seed=3)
    text = description.read_text().replace("split: {", "  T3: {path: T3}\nsplit: {val: [T3], ")
    description.write_text(text)
    add_description(description, tmp_path / "w/data", replace=True)
    assert len(checks_of_a_new_process()) == 1
    description.write_text(text.replace("organism: human", "organism: rat"))
    add_description(description, tmp_path / "w/data", replace=True)
    assert len(checks_of_a_new_process()) == 3


def test_adding_slides_takes_away_what_a_kill_left_of_their_checks(tmp_path):
    made_slides.space_ranger(tmp_path / "T1")
    (tmp_path / "mine.yaml").write_text(
        "name: mine\nformat: space_ranger\norganism: human\nslides: {T1: {path: T1}}\n"
        "split: {train: [T1]}"
    )
    left = tmp_path / "w" / "store" / "tmp" / f"checks-41a4.{place()}.1-1.0123abcd"
    left.mkdir(parents=True)
    (left / "checks.json").write_text("{}")
    words = ["data", "add", str(tmp_path / "mine.yaml"), "-w", str(tmp_path / "w"), "--json"]
    assert CliRunner().invoke(app, words).exit_code == 0
    assert not left.exists()
