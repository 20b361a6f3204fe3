"""``data align`` and ``data show --aligned``, on the toy sections and on none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from spared_bench.cli import app
from spared_bench.errors import SparedBenchError

PLUGIN = Path(__file__).parents[1] / "sections_plugin.py"


@pytest.fixture
def spared_bench(workspace, tmp_path):
    def call(*arguments, plugin=PLUGIN):
        extra = ["-w", str(workspace), "--data-dir", str(tmp_path / "data")]
        extra += ["--plugin", str(plugin)] if plugin else []
        return CliRunner().invoke(app, [*map(str, arguments), *extra])

    return call


def test_sections_are_registered_and_drawn_over_each_other(spared_bench, tmp_path):
    told = spared_bench("data", "align", "stack", "--register", "none", "--json")
    assert told.exit_code == 0, told.output
    found = json.loads(told.stdout)["block"]
    assert found["reference"] == "two"
    assert list(found["sections"]) == ["one", "two", "three"]

    aligned = ("data", "show", "stack", "--aligned")
    drawn = spared_bench(*aligned, "--register", "none", "--out", tmp_path / "out")
    assert drawn.exit_code == 0, drawn.output
    names = sorted(path.name for path in (tmp_path / "out" / "stack").iterdir())
    assert names == ["stack_block_one_on_two.png", "stack_block_three_on_two.png"]


def test_transforms_by_hand_are_kept_used_and_forgotten(spared_bench, tmp_path):
    file = tmp_path / "by_hand.yaml"
    file.write_text("one: [[0, -1, 160], [1, 0, 0], [0, 0, 1]]\n")
    kept = spared_bench(
        "data", "align", "stack", "--register", "none", "--transforms", file, "--json"
    )
    assert kept.exit_code == 0, kept.output
    section = json.loads(kept.stdout)["block"]["sections"]["one"]
    assert section["how"] == "manual"
    assert section["matrix"][0] == [0, -1, 160]
    again = spared_bench("data", "align", "stack", "--register", "none", "--forget", "--json")
    assert json.loads(again.stdout)["block"]["sections"]["one"]["how"] == "none"


def test_transforms_by_hand_are_not_taken_for_ones_to_another_middle_section(
    spared_bench, tmp_path
):
    file = tmp_path / "by_hand.yaml"
    file.write_text("one: [[0, -1, 160], [1, 0, 0], [0, 0, 1]]\n")  # to section two
    align = ("data", "align", "stack", "--register", "none")
    assert spared_bench(*align, "--transforms", file).exit_code == 0
    another = tmp_path / "stack_in_another_order.py"
    order = "enumerate(SLIDES, 1)", "zip((1, 3, 2), SLIDES)"  # section three in the middle
    another.write_text(PLUGIN.read_text().replace(*order))

    failed = spared_bench(*align, plugin=another)
    said = str(failed.exception)
    assert "lead to section two, its middle when they were given, and that is three now" in said
    assert spared_bench(*align, plugin=PLUGIN).exit_code == 0
    assert spared_bench(*align, "--forget", plugin=another).exit_code == 0
    assert spared_bench(*align, "--transforms", file, plugin=another).exit_code == 0
    assert spared_bench(*align, plugin=another).exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["stack", "--register", "rigd"], "Did you mean 'rigid'"),
        (["stack", "--transforms", "nowhere.yaml"], "cannot be read"),
        (["stack", "--transforms", "x.yaml", "--forget"], "exclude each other"),
        (["unordered"], "are in no order"),
        (["mob_stahl"], "has several sections, so there is nothing"),
    ],
)
def test_a_mistake_is_said(spared_bench, arguments, message):
    failed = spared_bench("data", "align", *arguments)
    assert failed.exit_code != 0
    said = str(failed.exception) if isinstance(failed.exception, SparedBenchError) else ""
    assert message in said + failed.output


def test_a_section_that_is_not_there_is_no_section_to_align_by_hand(spared_bench, tmp_path):
    file = tmp_path / "by_hand.yaml"
    file.write_text("seven: [[1, 0, 0], [0, 1, 0], [0, 0, 1]]\n")
    failed = spared_bench("data", "align", "stack", "--transforms", file)
    assert "No section is named 'seven'" in str(failed.exception) + failed.output


def test_noise_without_tissue_is_not_registered_and_a_way_out_is_named(spared_bench):
    failed = spared_bench("data", "show", "stack", "--aligned")  # rigid, from the images
    said = str(failed.exception) + failed.output
    assert "No tissue is found on the image of section one" in said
    assert "--transforms FILE" in said


def test_a_way_of_registering_is_for_aligned_pictures(spared_bench):
    failed = spared_bench("data", "show", "stack", "--register", "none")
    assert "Give --aligned" in str(failed.exception) + failed.output
