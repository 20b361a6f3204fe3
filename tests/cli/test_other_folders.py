"""Whoever stands in another folder than before is told where things were looked for."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from spared_bench.cli import app
from tests import made_slides


def message(*words):
    done = CliRunner().invoke(app, list(map(str, words)))
    assert done.exit_code != 0
    return f"{done.stdout}{done.stderr}{done.exception}"


@pytest.mark.parametrize("command", [["run", "-d"], ["complete"], ["info"], ["data", "show"]])
def test_a_dataset_that_was_added_elsewhere_is_told_with_where_it_was_looked_for(
    command, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    told = message(*command, "mine")
    data = tmp_path / "spared-bench-workspace" / "data"
    assert f"are looked for in {data} (none there): if it was added elsewhere" in told

    made_slides.space_ranger(tmp_path / "T1")
    (tmp_path / "other.yaml").write_text(
        "{name: other, format: space_ranger, organism: human, slides: {T1: {path: T1}},"
        " split: {train: [T1]}}"
    )
    assert CliRunner().invoke(app, ["data", "add", "other.yaml", "-w", "w"]).exit_code == 0
    told = message(*command, "mine", "-w", "w")
    assert f"are looked for in {tmp_path / 'w' / 'data'} (1 dataset there)" in told


def test_other_names_are_told_without_it(tmp_path):
    assert "looked for" not in message("run", "-d", "planted", "-p", "mine", "-w", tmp_path / "w")


def test_a_trained_method_is_told_with_where_it_was_looked_for(tmp_path):
    spots = ["--image", "x.tif", "--grid-um", "100", "--um-per-px", "0.5"]
    told = message("predict", "mine/median/st-net", *spots, "-w", tmp_path / "w")
    assert f"They are looked for in {tmp_path / 'w'}; another workspace is named with `-w`" in told
