"""Results that were made under other settings of a protocol than it has now are not compared."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

import spared_bench
from spared_bench.api import make_bench
from spared_bench.cli import app
from spared_bench.errors import SubmissionError
from spared_bench.leaderboard.publish import in_short
from spared_bench.studies.difficulty import scores_of
from spared_bench.submissions.build import build
from tests.conftest import TOY_PLUGIN, TOY_PROTOCOL
from tests.leaderboard.reading import data_of


@pytest.fixture
def protocol(tmp_path) -> Path:
    """A copy of the toy protocol under a name of its own, to be edited."""
    path = tmp_path / "mine.yaml"
    path.write_text(TOY_PROTOCOL.read_text().replace("name: toy", "name: mine"))
    return path


def run(workspace, protocol, *predictors):
    words = ["run", "--suite", str(protocol), "--plugin", str(TOY_PLUGIN), "-w", str(workspace)]
    words += ["-d", "toy", "-c", "none", "--workers", "1", "--no-figures", "--device", "cpu"]
    for name in predictors:
        words += ["-p", name]
    done = CliRunner().invoke(app, [*words, "--json"])
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout)["new_trials"], done.stderr


def edit(protocol, old, new):
    text = protocol.read_text()
    assert len(re.findall(old, text)) == 1
    protocol.write_text(re.sub(old, new, text))


def shown(workspace):
    site = workspace / "leaderboard"
    rows = {row["predictor"] for row in data_of(site, "p0/board")["rows"]}
    return rows, data_of(site, "index")["left_out"]


def test_they_are_left_out_named_and_there_again_after_the_same_run(workspace, protocol):
    run(workspace, protocol, "gene-mean", "toy-mean")
    assert shown(workspace) == ({"gene-mean", "toy-mean"}, [])

    before = protocol.read_text()
    edit(protocol, r"iterations: 4", "iterations: 3")
    _, told = run(workspace, protocol, "toy-mean")
    rows, (left_out,) = shown(workspace)
    assert rows == {"toy-mean"}
    assert left_out.startswith(
        "1 result of mine@1 made under other settings than it has now is not"
    )
    assert "toy · none · gene-mean · 0" in left_out
    assert left_out in told

    protocol.write_text(before)
    new, _ = run(workspace, protocol, "toy-mean")
    assert new == 0  # it is in the store, and counts again
    assert shown(workspace) == ({"gene-mean", "toy-mean"}, [])


def test_what_moves_no_score_makes_none_of_them_another(workspace, protocol):
    run(workspace, protocol, "gene-mean")
    protocol.write_text(protocol.read_text() + "\nsummary: Other words\nseeds: [0, 1]\n")
    run(workspace, protocol, "toy-mean")
    assert shown(workspace) == ({"gene-mean", "toy-mean"}, [])


def test_a_file_called_as_a_protocol_that_is_installed_puts_nothing_on_its_board(
    workspace, protocol, tmp_path
):
    edit(protocol, "name: mine", "name: demo")
    run(workspace, protocol, "gene-mean", "toy-mean")
    assert shown(workspace)[0] == {"gene-mean", "toy-mean"}  # of the file that was run
    words = ["leaderboard", "build", "-w", str(workspace), "--leaderboards", str(tmp_path)]
    done = CliRunner().invoke(app, [*words, "--plugin", str(TOY_PLUGIN)])
    assert done.exit_code != 0
    assert "2 results of demo@1 made under other settings" in str(done.exception)
    named = CliRunner().invoke(
        app, [*words, "--plugin", str(TOY_PLUGIN), "--protocol", str(protocol)]
    )
    assert named.exit_code == 0, named.exception


def test_records_that_do_not_say_it_count(workspace, protocol):
    run(workspace, protocol, "gene-mean")
    for path in (workspace / "store" / "cells").glob("*.json"):
        record = json.loads(path.read_text())
        del record["settings"]
        path.write_text(json.dumps(record))
    edit(protocol, r"iterations: 4", "iterations: 3")
    run(workspace, protocol, "toy-mean")
    assert shown(workspace) == ({"gene-mean", "toy-mean"}, [])


def test_no_submission_is_built_of_them(workspace, protocol, tmp_path):
    run(workspace, protocol, "gene-mean")
    edit(protocol, r"iterations: 4", "iterations: 3")
    bench = make_bench(str(protocol), workspace=workspace, plugin_files=[TOY_PLUGIN], device="cpu")
    with pytest.raises(SubmissionError, match="1 of 1 runs of 'gene-mean' were made under other"):
        build(bench, "gene-mean", tmp_path / "x.zip")


def test_frames_leave_them_out_with_a_warning_and_status_says_which_they_are(workspace, protocol):
    run(workspace, protocol, "gene-mean", "toy-mean")
    edit(protocol, r"iterations: 4", "iterations: 3")
    run(workspace, protocol, "toy-mean")
    with pytest.warns(UserWarning, match="1 result of mine@1 .* toy · none · gene-mean · 0"):
        frame = spared_bench.results(workspace, "mine")
    assert list(frame["predictor"]) == ["toy-mean"]

    done = CliRunner().invoke(app, ["status", "--suite", "mine", "-w", str(workspace)])
    ends = {line.split()[3]: line.split("  ")[-1].strip() for line in done.stdout.splitlines()[-2:]}
    assert ends == {"gene-mean": "ok, under other settings", "toy-mean": "ok"}
    words = ["status", "--suite", "mine", "-w", str(workspace), "--json"]
    told = json.loads(CliRunner().invoke(app, words).stdout)
    others = {each["predictor"]: each["other_settings"] for each in told}
    assert others == {"gene-mean": True, "toy-mean": False}


def test_what_makes_a_dataset_hard_is_not_told_by_them(workspace, protocol):
    run(workspace, protocol, "gene-mean", "toy-mean")
    edit(protocol, r"iterations: 4", "iterations: 3")
    run(workspace, protocol, "toy-mean")
    bench = make_bench(str(protocol), workspace=workspace, plugin_files=[TOY_PLUGIN], device="cpu")
    found = scores_of(bench, bench.metric("mse"))
    assert [score.method for score in found["toy"]] == ["toy-mean (none)"]


def test_a_terminal_is_told_of_the_first_twenty_and_how_many_more_there_are():
    told = [f"result {number} is not shown" for number in range(25)]
    assert in_short(told[:20]) == told[:20]
    assert in_short(told) == [*told[:20], "And 5 more, as the page says."]
