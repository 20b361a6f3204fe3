"""Logging to MLflow: exact, once, repaired after an interruption, and clear when it cannot be."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from spared_bench.errors import TrackingError
from spared_bench.leaderboard.tables import as_csv, as_json, as_markdown
from spared_bench.tracking.cells import COMPLETE
from spared_bench.tracking.tracker import Tracker
from tests.board_samples import SampleCell, board_rows, demo_trials, failed, trial
from tests.tracking.test_run_record import assert_same


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory) -> Path:
    """MLflow takes seconds to make its tables; the tests copy them."""
    folder = tmp_path_factory.mktemp("mlflow")
    Tracker(folder, uri=f"sqlite:///{folder}/mlflow.db").results()
    return folder / "mlflow.db"


@pytest.fixture
def workspace(empty_database, tmp_path, monkeypatch) -> Path:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    return tmp_path


@pytest.fixture
def cell_of(tmp_path):
    """Make a cell with files in its folder."""

    def make(final, candidates=()):
        folder = tmp_path / "store" / final.key
        (folder / "model").mkdir(parents=True, exist_ok=True)
        (folder / "genes.csv").write_text("gene,pcc\nA,0.5\n")
        (folder / "model" / "weights.safetensors").write_text("large")
        return SampleCell(final, folder, tuple((each, folder) for each in candidates))

    return make


def runs_of(tracker: Tracker, condition: str = "") -> list:
    client = tracker.connection.client
    found = client.search_experiments()
    return list(client.search_runs([e.experiment_id for e in found], condition))


def test_the_leaderboard_from_mlflow_is_that_from_the_store_to_the_byte(workspace, cell_of):
    trials = demo_trials()
    Tracker(workspace).sync(map(cell_of, trials))

    stored, tracked = board_rows(trials), board_rows(Tracker(workspace).results())

    for table in (as_csv, as_json, as_markdown):
        assert table(stored, "cmd").encode() == table(tracked, "cmd").encode()


def test_results_are_read_back_to_the_last_bit(workspace, cell_of):
    stored = [
        trial(dataset="a", mse=0.1 + 0.2, pcc=float("nan")),
        failed("No weights: \u202e", dataset="b", predictor="stnet"),
        trial(dataset="c", mse=1e-300, parameters={"note": "x" * 20_000, "none": None}),
    ]
    Tracker(workspace).sync(map(cell_of, stored))

    for read, expected in zip(Tracker(workspace).results("demo@1"), stored, strict=True):
        assert_same(read, expected)


def test_logging_twice_adds_nothing(workspace, cell_of):
    cells = [cell_of(trial(), [trial(parameters={"lr": lr}) for lr in (0.1, 0.2)])]
    told = []

    first = Tracker(workspace).sync(cells, lambda done, total: told.append((done, total)))
    before = {run.info.run_id for run in runs_of(Tracker(workspace))}
    second = Tracker(workspace).sync(cells)

    assert (first, second, told) == (1, 0, [(1, 1)])
    assert {run.info.run_id for run in runs_of(Tracker(workspace))} == before
    assert len(before) == 3


def test_the_search_is_below_its_cell_with_curves_and_artifacts(workspace, cell_of):
    candidates = [trial(parameters={"lr": lr}, key=f"lr{lr}") for lr in (0.1, 0.2)]
    tracker = Tracker(workspace)
    tracker.sync([cell_of(trial(), candidates)])

    (parent,) = runs_of(tracker, "tags.`spared_bench.role` = 'cell'")
    children = runs_of(tracker, f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'")

    assert {run.info.run_name for run in children} == {"lr=0.1", "lr=0.2"}
    history = tracker.connection.client.get_metric_history(parent.info.run_id, "curve/step/val_mse")
    assert [(point.step, point.value) for point in history] == [(0, 2.0), (10, 1.5)]
    files = {item.path for item in tracker.connection.client.list_artifacts(parent.info.run_id)}
    assert files == {"genes.csv", "environment.json"}
    assert (workspace / "mlartifacts").is_dir()
    assert parent.data.params["lr"] == "0.001"


def test_a_curve_longer_than_a_batch_is_logged_whole(workspace, cell_of):
    points = [(step, 1.0 / (step + 1)) for step in range(2_500)]
    tracker = Tracker(workspace)
    tracker.sync([cell_of(trial(curves={"val_mse": points}))])

    (run,) = runs_of(tracker)
    history = tracker.connection.client.get_metric_history(run.info.run_id, "curve/step/val_mse")

    assert [(point.step, point.value) for point in history] == points


@pytest.mark.parametrize("fatal_call", ["log_batch", "log_artifacts", "set_tag"])
def test_an_interrupted_logging_is_repaired(workspace, cell_of, monkeypatch, fatal_call):
    cells = [cell_of(trial(), [trial(key="candidate")])]
    interrupted = Tracker(workspace)

    def die(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(interrupted.connection.client, fatal_call, die)
    with pytest.raises(KeyboardInterrupt):
        interrupted.sync(cells)
    assert Tracker(workspace).results() == []

    assert Tracker(workspace).sync(cells) == 1

    assert_same(*Tracker(workspace).results(), cells[0].final)
    assert len(runs_of(Tracker(workspace))) == 2
    assert len(runs_of(Tracker(workspace), f"tags.`{COMPLETE}` = 'true'")) == 1


def test_a_retried_failure_replaces_the_failure(workspace, cell_of):
    tracker = Tracker(workspace)
    tracker.sync([cell_of(failed())])

    tracker.sync([cell_of(trial())])

    assert [result.status for result in tracker.results()] == ["ok"]
    assert len(runs_of(tracker)) == 1


def test_only_the_trial_that_was_given_last_counts_and_older_ones_stay(workspace, cell_of):
    old, new = trial(key="old", mse=2.0), trial(key="new", mse=1.0)
    tracker = Tracker(workspace)
    tracker.sync([cell_of(old)])

    tracker.sync([cell_of(new)])
    assert [result.key for result in tracker.results()] == ["new"]

    assert Tracker(workspace).sync([cell_of(old)]) == 0
    assert [result.key for result in tracker.results()] == ["old"]
    assert len(runs_of(tracker)) == 2


def test_protocols_are_experiments_and_can_be_read_alone(workspace, cell_of):
    tracker = Tracker(workspace)
    tracker.sync([cell_of(trial()), cell_of(replace(trial(key="x"), protocol="spared@1"))])

    assert [result.protocol for result in tracker.results("spared@1")] == ["spared@1"]
    assert [result.protocol for result in tracker.results()] == ["demo@1", "spared@1"]
    assert tracker.results("spared@2") == []
    assert tracker.connection.client.get_experiment_by_name("spared-bench/spared@1") is not None


def test_a_deleted_experiment_comes_back_with_the_next_sync(workspace, cell_of):
    client = Tracker(workspace).connection.client
    Tracker(workspace).sync([cell_of(trial())])
    client.delete_experiment(client.get_experiment_by_name("spared-bench/demo@1").experiment_id)
    assert Tracker(workspace).results() == []

    Tracker(workspace).sync([cell_of(trial())])

    assert len(Tracker(workspace).results()) == 1


def test_the_tracking_uri_is_the_argument_then_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://from-environment")
    assert Tracker(tmp_path, "http://from-argument").uri == "http://from-argument"
    assert Tracker(tmp_path).uri == "http://from-environment"
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert Tracker(tmp_path).uri == f"sqlite:///{tmp_path}/mlflow.db"


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("http://user:secret@127.0.0.1:9", "refused"),  # the discard port: nothing listens
        ("nonsense://somewhere", "nonsense"),
    ],
)
def test_a_place_that_cannot_be_used_is_explained_without_its_password(
    tmp_path, uri, reason, monkeypatch
):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")

    with pytest.raises(TrackingError, match=r"^Cannot read from MLflow at ") as caught:
        Tracker(tmp_path, uri).results()

    assert reason in str(caught.value)
    assert "Check that this place exists" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_damaged_database_is_explained(tmp_path):
    (tmp_path / "mlflow.db").write_text("this is not a database, " * 100)

    with pytest.raises(TrackingError, match="Cannot log to MLflow at sqlite"):
        Tracker(tmp_path, f"sqlite:///{tmp_path}/mlflow.db").sync([SampleCell(trial(), tmp_path)])


def test_a_run_changed_by_hand_is_named(workspace, cell_of):
    tracker = Tracker(workspace)
    tracker.sync([cell_of(trial())])
    (run,) = runs_of(tracker)
    tracker.connection.client.delete_tag(run.info.run_id, "spared_bench.trials.record.0")

    with pytest.raises(TrackingError, match=f"run {run.info.run_id} cannot be read"):
        tracker.results()


def test_cannot_connect_is_said_of_a_server_that_is_away_only(tmp_path):
    away = Tracker(tmp_path, "http://127.0.0.1:9")
    with pytest.raises(TrackingError, match=r"^Cannot connect to MLflow at http"):
        away.connect()
    (tmp_path / "mlflow.db").write_bytes(b"this is no database, however long it is" * 100)
    with pytest.raises(TrackingError, match=r"^Cannot use MLflow at sqlite"):
        Tracker(tmp_path).connect()
    with pytest.raises(TrackingError, match=r"^Cannot use MLflow at "):
        Tracker(tmp_path, "nonesuch://somewhere").connect()
