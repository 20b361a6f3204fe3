"""Results of one protocol are found alone, whatever letters its name has."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from spared_bench.completion.benchmark import CompletionResult, Condition
from spared_bench.leaderboard.publish import completions
from spared_bench.tracking.connection import Connection
from spared_bench.tracking.tracker import Tracker
from spared_bench.workspace import Workspace
from tests.board_samples import SampleCell, trial


def completion_of(protocol: str) -> CompletionResult:
    scores = {"mse": 0.5, "pcc": 0.25, "n_hidden": 7}
    place = ("k", protocol, "toy", "median", "test")
    return CompletionResult(
        *place, Condition("fraction", 0.1), [{**scores, "slides": {"s": scores}}]
    )


@pytest.fixture
def workspace(empty_database, tmp_path, monkeypatch) -> Path:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    return tmp_path


@pytest.mark.parametrize("other", ["my-own@1", "My_own@1"])
def test_what_stands_for_any_letter_in_a_question_to_mlflow_finds_no_other_protocol(
    workspace, other
):
    tracker = Tracker(workspace)
    for name in ("my_own@1", other):
        (workspace / name).mkdir()
        tracker.sync([SampleCell(replace(trial(key=name), protocol=name), workspace / name, ())])
        tracker.log_completion([completion_of(name)])

    assert [each.protocol for each in tracker.results("my_own@1")] == ["my_own@1"]
    assert [each.protocol for each in tracker.completion_results("my_own@1")] == ["my_own@1"]
    assert len(tracker.results()) == len(tracker.completion_results()) == 2


def test_experiments_on_further_pages_of_mlflows_answer_are_found(workspace, monkeypatch):
    connection = Connection(workspace)
    made = {connection.experiment_id(name) for name in ("a@1", "b@1", "c@1", "a@1-more")}
    search = connection.client.search_experiments
    monkeypatch.setattr(connection.client, "search_experiments", partial(search, max_results=1))
    assert set(connection.experiment_ids()) == made
    assert connection.experiment_ids(end="-more") == [connection.experiment_id("a@1-more")]
    assert connection.experiment_ids("a@1", "-more") == connection.experiment_ids(end="-more")
    assert connection.experiment_ids("d@1") == []


@pytest.mark.parametrize("name", ["own [2]@1", "all*@1", "own@1"])
def test_what_stands_for_any_letter_in_names_of_files_finds_no_other_protocol(tmp_path, name):
    for each in (name, "all of them@1"):
        folder = tmp_path / "completion" / each
        folder.mkdir(parents=True)
        values = {"results": [completion_of(each).as_dict()]}
        (folder / "results.json").write_text(json.dumps(values))

    assert list(completions(Workspace.at(tmp_path), name, "store", [])) == [name]
