"""Several workspaces that log to one place: each has its own runs, and takes away no other's."""

from __future__ import annotations

from dataclasses import replace

import pytest

from spared_bench.completion.benchmark import CompletionResult, Condition
from spared_bench.tracking.connection import OWNER_NOTE, Connection
from spared_bench.tracking.studies import STUDY, LoggedStudyCell, log_study
from spared_bench.tracking.tracker import Tracker
from tests.board_samples import SampleCell, trial


@pytest.fixture
def place(empty_database):
    """A database that is no workspace's own, as a server has one."""
    return f"sqlite:///{empty_database}"


@pytest.fixture
def trackers(place, tmp_path):
    """What opens MLflow anew, as a later command does, for each of two workspaces."""
    return [lambda name=name: Tracker(tmp_path / name, place) for name in ("a", "b")]


@pytest.fixture
def empty_database(empty_database, tmp_path):
    (tmp_path / "server.db").write_bytes(empty_database.read_bytes())
    return tmp_path / "server.db"


@pytest.fixture
def cell(tmp_path):
    def make(mse, **changes):
        folder = tmp_path / "files"
        folder.mkdir(exist_ok=True)
        return SampleCell(replace(trial("ridge", mse=mse), **changes), folder)

    return make


def mse_of(tracker):
    (result,) = tracker.results()
    return result.scores["test"]["mse"]


def runs_of(tracker):
    client = tracker.connection.client
    ids = [each.experiment_id for each in client.search_experiments()]
    return list(client.search_runs(ids))


def test_each_reads_its_own_result_of_a_cell_and_a_newcomer_the_last(trackers, cell, tmp_path):
    first, second = trackers
    first().sync([cell(0.5, key="one")])
    second().sync([cell(0.7, key="two")])
    assert (mse_of(first()), mse_of(second())) == (0.5, 0.7)
    assert mse_of(Tracker(tmp_path / "new", first().uri)) == 0.7
    assert not (tmp_path / "new" / OWNER_NOTE).exists()  # who only reads makes nothing


def test_the_same_trial_with_other_times_is_not_taken_away_again_and_again(trackers, cell):
    first, second = trackers
    cells = [cell(0.5, seconds={"fit": 1.0}), cell(0.5, seconds={"fit": 2.0})]
    added = [
        tracker().sync([each])
        for _ in range(2)
        for tracker, each in zip((first, second), cells, strict=True)
    ]
    assert added == [1, 1, 0, 0]


def test_a_result_that_one_workspace_replaces_leaves_the_others(trackers, cell):
    first, second = trackers
    first().sync([cell(0.5)])
    second().sync([cell(0.6)])
    first().sync([cell(0.4)])
    assert (mse_of(first()), mse_of(second())) == (0.4, 0.6)
    assert len(runs_of(first())) == 2


def test_what_an_earlier_version_logged_is_known_again_and_never_taken_away(
    trackers, cell, monkeypatch
):
    first, _ = trackers
    with monkeypatch.context() as earlier:
        earlier.setattr(Connection, "owner", lambda self, make=False: "")
        first().sync([cell(0.5)])
    assert first().sync([cell(0.5)]) == 0
    assert first().sync([cell(0.4)]) == 1
    assert mse_of(first()) == 0.4
    assert len(runs_of(first())) == 2


def test_studies_of_one_name_stay_side_by_side(trackers):
    first, second = (tracker().connection for tracker in trackers)
    cells = [LoggedStudyCell(name, {"seed": "0"}, {"mse": 0.5}) for name in "ab"]
    assert log_study(first, "s@1", {}, cells)
    assert log_study(second, "s@1", {}, cells[:1])
    assert not log_study(first, "s@1", {}, cells)
    assert log_study(first, "s@1", {}, cells[1:])
    assert not log_study(second, "s@1", {}, cells[:1])
    (experiment,) = first.client.search_experiments(filter_string="name LIKE '%studies'")
    parents = first.runs(experiment.experiment_id, f"tags.`{STUDY}` = 's@1'")
    assert len(list(parents)) == 2


def test_each_reads_its_own_results_of_completion(trackers):
    first, second = trackers

    def result(mse):
        return CompletionResult(
            **{"key": f"k{mse}", "protocol": "demo@1", "dataset": "toy", "completer": "median"},
            split="test",
            condition=Condition("fraction", 0.5),
            repeats=[{"mse": mse, "pcc": 0.25, "n_hidden": 7, "slides": {}}],
            seconds={"fit": 1.5, "complete": 0.1},
            facts={"n_spots": 9, "n_genes": 3, "missing_fraction": 0.1},
        )

    first().log_completion([result(0.5)])
    second().log_completion([result(0.7)])
    assert first().log_completion([result(0.5)]) == 0
    for tracker, mse in ((first, 0.5), (second, 0.7)):
        (found,) = tracker().completion_results("demo@1")
        assert found.mean("mse") == mse


def test_a_workspace_with_its_own_database_needs_no_sign(tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    connection = Connection(tmp_path)
    assert connection.owner(make=True) == ""
    assert not (tmp_path / OWNER_NOTE).exists()
