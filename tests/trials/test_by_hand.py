"""What was set by hand, and what only a part of a row was run again with, is told on the board."""

from __future__ import annotations

import csv
import json
import zipfile

import pytest
from typer.testing import CliRunner

import spared_bench
from spared_bench.api import make_bench
from spared_bench.cli import app
from spared_bench.leaderboard.publish import build_leaderboard
from spared_bench.store.entries import Store
from spared_bench.store.trials import read_cell
from spared_bench.submissions.build import build
from spared_bench.trials.cells import finished_cells
from spared_bench.workspace import Workspace
from tests.conftest import TOY_PLUGIN, TOY_PROTOCOL
from tests.leaderboard.reading import data_of


def run(workspace, *words, predictor="toy-ridge"):
    fixed = ["-w", str(workspace), "--plugin", str(TOY_PLUGIN), "--device", "cpu"]
    fixed += ["--suite", str(TOY_PROTOCOL), "-d", "toy", "-p", predictor]
    fixed += ["--workers", "1", "--no-figures", "--json"]
    done = CliRunner().invoke(app, ["run", *fixed, *words])
    assert done.exit_code == 0, done.stderr
    if "--no-track" in words:
        build_leaderboard(Workspace.at(workspace), source="store", maps=False)
    return json.loads(done.stdout)["new_trials"]


def told(workspace):
    """What the board's CSV says of the row of each completer, or of its own predictor."""
    with (workspace / "leaderboard" / "leaderboard.csv").open(newline="") as file:
        return {row["completer"]: row["by_hand"] for row in csv.DictReader(file)}


@pytest.mark.parametrize("tracked", [True, False])
def test_a_parameter_set_by_hand_stands_beside_the_scores_until_it_is_not(workspace, tracked):
    track = [] if tracked else ["--no-track"]
    run(workspace, *track)
    assert told(workspace) == {"none": ""}

    # The value that a search would choose has the same trial; it was set by hand nevertheless.
    (cell,) = finished_cells(Store(workspace / "store"))
    searched = cell.final.parameters["penalty"]
    assert run(workspace, *track, "--set", f"toy-ridge.penalty={searched}") == 0
    assert told(workspace) == {"none": f"toy-ridge.penalty={searched}"}
    (cell,) = finished_cells(Store(workspace / "store"))
    assert cell.final.facts["by_hand"] == {"toy-ridge.penalty": searched}
    frame = spared_bench.results(workspace, "toy")
    assert list(frame["by_hand"]) == [f"toy-ridge.penalty={searched}"]
    shown = (workspace / "leaderboard" / "leaderboard.md").read_text()
    assert f"| toy-ridge.penalty={searched} |" in shown

    assert run(workspace, *track) == 0
    assert told(workspace) == {"none": ""}
    assert "Set by hand" not in (workspace / "leaderboard" / "leaderboard.md").read_text()


def test_what_is_set_of_a_completer_counts_for_its_rows_alone(workspace):
    words = ["-c", "none", "-c", "stlearn", "--set", "stlearn.n_similar=2"]
    run(workspace, *words, predictor="toy-mean")
    assert told(workspace) == {"none": "", "stlearn": "stlearn.n_similar=2"}


def test_what_is_set_of_the_network_that_a_method_builds_on_counts_for_it(workspace):
    bench = make_bench(
        "demo",
        workspace=workspace,
        device="cpu",
        # SEPAL and Toy give their networks a rate and a penalty of their own.
        parameters={"vit-b-delta": {"lr": 0.5, "micro_batch": 2}, "toy-network": {"penalty": 2.0}},
        plugin_files=[TOY_PLUGIN],
    )
    own = {"vit-b-delta.lr": 0.5, "vit-b-delta.micro_batch": 2}
    assert bench.set_by_hand("none", "sepal") == {"vit-b-delta.micro_batch": 2}
    assert bench.set_by_hand("none", "vit-b-delta") == own
    assert bench.set_by_hand("none", "toy-staged") == {}
    assert bench.set_by_hand("none", "toy-network") == {"toy-network.penalty": 2.0}
    assert bench.set_by_hand("median", "vit-b") == {}


def test_weights_that_are_not_those_of_the_protocol_are_set_by_hand(workspace, tmp_path):
    (tmp_path / "mine.safetensors").touch()

    def set_of(protocol, weights, predictor, **parameters):
        bench = make_bench(
            protocol, workspace=workspace, device="cpu", weights=weights, parameters=parameters
        )
        return bench.set_by_hand("none", predictor)

    random = {"shufflenet.weights": "random"}
    assert set_of("own", "random", "shufflenet") == random
    assert set_of("own", "pretrained", "shufflenet") == {}
    assert set_of("own", "", "shufflenet", shufflenet={"weights": "random"}) == random
    assert set_of("demo", "random", "shufflenet") == {}  # as the protocol says
    assert set_of("demo", "pretrained", "shufflenet") == {"shufflenet.weights": "pretrained"}
    assert set_of("own", "random", "gene-mean") == {}  # it has none
    named = set_of("own", str(tmp_path / "mine.safetensors"), "shufflenet")
    assert named == {"shufflenet.weights": "mine.safetensors"}


def test_an_archive_says_it_and_it_is_claimed(workspace, tmp_path):
    run(workspace, "--set", "toy-ridge.penalty=3.0")
    runner, archive, other = CliRunner(), tmp_path / "theirs.tar.gz", tmp_path / "other"
    done = runner.invoke(app, ["store", "export", str(archive), "-w", str(workspace)])
    assert done.exit_code == 0, done.exception
    done = runner.invoke(app, ["store", "import", str(archive), "-w", str(other)])
    assert done.exit_code == 0, done.exception
    build_leaderboard(Workspace.at(other), source="store", maps=False)
    (row,) = data_of(other / "leaderboard", "p0/board")["rows"]
    assert row["cells"]["by_hand"][1] == "toy-ridge.penalty=3.0 (claimed)"


def test_a_submission_says_it(workspace, tmp_path):
    run(workspace, "--set", "toy-ridge.penalty=3.0")
    bench = make_bench(
        str(TOY_PROTOCOL), workspace=workspace, plugin_files=[TOY_PLUGIN], device="cpu"
    )
    build(bench, "toy-ridge", tmp_path / "mine.zip")
    with zipfile.ZipFile(tmp_path / "mine.zip") as bundle:
        (name,) = (each for each in bundle.namelist() if each.endswith("results.json"))
        (result,) = json.loads(bundle.read(name))["results"]
    assert result["by_hand"] == {"toy-ridge.penalty": 3.0}


@pytest.mark.parametrize("nonsense", [["penalty"], "penalty=1", 3])
def test_a_record_that_says_nonsense_of_it_is_none(workspace, nonsense):
    run(workspace, "--set", "toy-ridge.penalty=3.0")
    (path,) = (workspace / "store" / "cells").glob("*.json")
    record = json.loads(path.read_text())
    assert read_cell(path) == record
    path.write_text(json.dumps({**record, "by_hand": nonsense}))
    assert read_cell(path) is None
