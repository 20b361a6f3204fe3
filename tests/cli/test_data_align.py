"""``data align`` and ``data show --aligned``, on the toy sections and on none."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from spared_bench.cli import app
from spared_bench.errors import SparedBenchError
from tests import made_slides

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


def test_transforms_by_hand_are_kept_used_and_forgotten(spared_bench, tmp_path, monkeypatch):
    lasting, sync = [], os.fsync
    monkeypatch.setattr(os, "fsync", lambda file: (lasting.append(os.fstat(file)), sync(file)))
    file = tmp_path / "by_hand.yaml"
    file.write_text("one: [[0, -1, 160], [1, 0, 0], [0, 0, 1]]\n")
    kept = spared_bench(
        "data", "align", "stack", "--register", "none", "--transforms", file, "--json"
    )
    assert kept.exit_code == 0, kept.output
    section = json.loads(kept.stdout)["block"]["sections"]["one"]
    assert section["how"] == "manual"
    assert section["matrix"][0] == [0, -1, 160]
    files = [path.stat() for path in (tmp_path / "data" / "registration").iterdir()]
    assert {each.st_ino for each in files} <= {each.st_ino for each in lasting}  # a power cut, too
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


def test_transforms_by_hand_are_not_taken_for_other_pixels_of_a_section(spared_bench, tmp_path):
    lines = []
    for order, name in enumerate(("one", "two", "three"), start=1):
        made_slides.space_ranger(tmp_path / name, seed=order)
        made_slides.picture(order).save(tmp_path / name / "full.png")
        place = f"path: {name}, image: {name}/full.png, patient: p, sample: block"
        lines.append(f"  {name}: {{{place}, order: {order}}}")
    told = ["name: own_stack", "format: space_ranger", "organism: human", "tissue: breast"]
    told.append("allow_shared_donors: true")
    split = "split: {train: [one], val: [two], test: [three]}"
    (tmp_path / "own.yaml").write_text("\n".join([*told, "slides:", *lines, split]))
    assert spared_bench("data", "add", tmp_path / "own.yaml", plugin=None).exit_code == 0
    file = tmp_path / "by_hand.yaml"
    file.write_text("one: [[1, 0, 5], [0, 1, 0], [0, 0, 1]]\n")
    align = ("data", "align", "own_stack", "--register", "none")
    assert spared_bench(*align, "--transforms", file).exit_code == 0

    with (tmp_path / "one/filtered_feature_bc_matrix.h5").open("ab") as counts:
        counts.write(b"  ")  # other counts are no other pixels
    assert spared_bench(*align).exit_code == 0
    made_slides.picture(9).save(tmp_path / "three/full.png")  # no transform leads from or to it
    assert spared_bench(*align).exit_code == 0
    for section in ("one", "two"):
        made_slides.picture(7).save(tmp_path / section / "full.png")
        failed = spared_bench(*align)
        assert f"for other pixels of section {section}" in str(failed.exception)
        assert spared_bench(*align, "--transforms", file).exit_code == 0
        assert spared_bench(*align).exit_code == 0

    (note,) = tmp_path.rglob("*.frames.json")
    for damaged in ("{", "[]", "[" * 100_000):
        note.write_text(damaged)
        assert "so give them again" in str(spared_bench(*align).exception)
    assert spared_bench(*align, "--transforms", file).exit_code == 0
    assert spared_bench(*align).exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["stack", "--register", "rigd"], "Did you mean 'rigid'"),
        (["stack", "--transforms", "nowhere.yaml"], "Cannot read the file"),
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
