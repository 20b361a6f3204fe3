"""Studies in MLflow: one parent run, a child for every cell, logged once."""

from __future__ import annotations

from spared_bench.tracking.connection import Connection
from spared_bench.tracking.studies import EXPERIMENT, LoggedStudyCell, log_study

CELLS = [
    LoggedStudyCell("a", {"level.f": "one", "seed": "0"}, {"test.mse": 0.5, "val.mse": 0.4}),
    LoggedStudyCell("b", {"level.f": "two", "seed": "0"}, gap="error: it failed"),
]


def runs(connection):
    experiment = connection.experiment_id(EXPERIMENT)
    return list(connection.runs(experiment, ""))


def test_a_study_is_a_parent_run_with_its_cells_below_it(tmp_path):
    connection = Connection(tmp_path, f"sqlite:///{tmp_path / 'mlflow.db'}")
    table = tmp_path / "cells.csv"
    table.write_text("a\n")

    assert log_study(connection, "s@1", {"base": "toy@1"}, CELLS, [table])
    assert not log_study(connection, "s@1", {"base": "toy@1"}, CELLS, [table])

    found = {run.info.run_name: run for run in runs(connection)}
    assert set(found) == {"s@1", "a", "b"}
    parent = found["s@1"].info.run_id
    assert {found[name].data.tags["mlflow.parentRunId"] for name in "ab"} == {parent}
    assert found["a"].data.metrics == {"test.mse": 0.5, "val.mse": 0.4}
    assert found["a"].data.params["level.f"] == "one"
    assert found["b"].info.status == "FAILED"
    assert [each.path for each in connection.client.list_artifacts(parent)] == ["cells.csv"]


def test_a_study_whose_results_have_changed_replaces_its_runs(tmp_path):
    connection = Connection(tmp_path, f"sqlite:///{tmp_path / 'mlflow.db'}")
    log_study(connection, "s@1", {}, CELLS)
    log_study(connection, "other@1", {}, CELLS[:1])

    assert log_study(connection, "s@1", {}, CELLS[:1])

    names = sorted(run.info.run_name for run in runs(connection))
    assert names == ["a", "a", "other@1", "s@1"]


def test_a_level_whose_escaped_name_is_too_long_for_mlflow_costs_no_study(tmp_path):
    connection = Connection(tmp_path, f"sqlite:///{tmp_path / 'mlflow.db'}")
    cell = LoggedStudyCell("a", {f"level.{'色' * 40}": "one", "level.色": "two"})
    assert log_study(connection, "s@1", {}, [cell])
    (found,) = (run for run in runs(connection) if run.info.run_name == "a")
    assert found.data.params == {"level.-x8272-": "two"}


def test_a_study_whose_cells_were_changed_by_hand_is_logged_anew(tmp_path):
    connection = Connection(tmp_path, f"sqlite:///{tmp_path / 'mlflow.db'}")
    log_study(connection, "s@1", {}, CELLS)
    for edit in (
        lambda run: connection.client.log_metric(run, "test.mse", 0.1),
        connection.client.delete_run,
    ):
        assert not log_study(connection, "s@1", {}, CELLS)
        edit(next(run.info.run_id for run in runs(connection) if run.info.run_name == "a"))
        assert log_study(connection, "s@1", {}, CELLS)
        found = {run.info.run_name: run.data.metrics for run in runs(connection)}
        assert found["a"] == CELLS[0].metrics
        assert len(runs(connection)) == 3
