"""What stands in the place of MLflow's database: told at once and in a sentence, never tried on."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing

import pytest

from spared_bench.errors import TrackingError
from spared_bench.tracking import connection
from spared_bench.tracking.database import is_half_made
from spared_bench.tracking.tracker import Tracker


def a_damaged_one(path, whole):
    path.write_bytes(whole.read_bytes()[:200_000])


@pytest.mark.parametrize(
    ("put", "told"),
    [
        (lambda path, _: path.mkdir(), "is a folder"),
        (lambda path, _: os.mkfifo(path), "a pipe or device"),
        (lambda path, _: path.symlink_to("nowhere/mlflow.db"), "a link to nowhere/mlflow.db"),
        (lambda path, _: path.symlink_to("mlflow.db"), "a link to mlflow.db"),
        (lambda path, _: path.write_bytes(b"hello"), "is no database of SQLite"),
        (a_damaged_one, "is damaged"),
    ],
    ids=["folder", "pipe", "nowhere", "itself", "text", "cut-short"],
)
def test_what_cannot_be_the_database_is_told_before_mlflow_tries(
    tmp_path, put, told, monkeypatch, empty_database
):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    opened = []
    monkeypatch.setattr(connection, "_open", lambda *asked: opened.append(asked))
    put(tmp_path / "mlflow.db", empty_database)

    with pytest.raises(TrackingError, match=told) as caught:
        Tracker(tmp_path).connect()

    assert not opened
    assert "emove" in str(caught.value)  # what to do
    assert len(list(tmp_path.iterdir())) == 1  # left as it was


def test_a_database_in_a_folder_that_is_not_there_is_told_before_mlflow_tries(
    tmp_path, monkeypatch
):
    opened = []
    monkeypatch.setattr(connection, "_open", lambda *asked: opened.append(asked))
    with pytest.raises(TrackingError, match="is no folder that is there"):
        Tracker(tmp_path, f"sqlite:///{tmp_path}/none/runs.db").connect()
    assert not opened


@pytest.mark.parametrize("holds_runs", [False, True])
def test_a_database_of_an_unknown_version_stays_and_is_not_called_out_of_date(
    tmp_path, holds_runs, monkeypatch, empty_database
):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    path = tmp_path / "mlflow.db"
    shutil.copy(empty_database, path)
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE alembic_version SET version_num = 'ffff00000000'")
        if holds_runs:
            database.execute("INSERT INTO runs (run_uuid, experiment_id) VALUES ('a', 0)")
    os.utime(path, (1, 1))

    assert not is_half_made(path)
    with pytest.raises(TrackingError, match="version ffff00000000, which MLflow") as caught:
        Tracker(tmp_path).connect()
    assert "upgrade" not in str(caught.value)
    assert [one.name for one in tmp_path.iterdir()] == ["mlflow.db"]
