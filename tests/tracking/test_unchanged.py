"""A run that finds everything done leaves MLflow and the page alone, if nothing has changed."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing

import pytest

from spared_bench.api import execute, select
from spared_bench.store.trials import TRIALS
from spared_bench.tracking.tracker import Tracker

RUN = {"figures": False, "executor": "inline", "log": lambda text: None}


@pytest.fixture
def again(bench, empty_database, monkeypatch):
    """Run the toy protocol once, and return what runs it again and says what was done."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(bench.workspace.root)
    shutil.copy(empty_database, bench.workspace.root / "mlflow.db")
    done = []
    connect = Tracker.connect

    def connecting(tracker):
        done.append("connected")
        connect(tracker)

    monkeypatch.setattr(Tracker, "connect", connecting)

    def run(predictors=("toy-mean",), command="run"):
        done.clear()
        page = bench.workspace.leaderboard / "index.html"
        before = page.stat().st_ino if page.exists() else 0
        report = execute(select(bench, ["toy"], ["none"], predictors), command=command, **RUN)
        assert report.page == page
        return [*done, *(["built"] if page.stat().st_ino != before else [])]

    assert run() == ["connected", "built"]
    return run


def table(bench):
    return json.loads((bench.workspace.leaderboard / "leaderboard.json").read_text())


def test_nothing_is_logged_or_built_where_nothing_has_changed(again, bench):
    before = table(bench)

    assert again() == []
    assert table(bench) == before


def test_a_further_method_is_logged_and_shown(again, bench):
    assert again(["toy-mean", "toy-nan"]) == ["connected", "built"]
    assert "toy-nan" in json.dumps(table(bench))
    assert again() == []


def test_a_database_that_is_gone_is_made_again(again, bench):
    (bench.workspace.root / "mlflow.db").unlink()

    assert again() == ["connected", "built"]
    assert (bench.workspace.root / "mlflow.db").is_file()


def test_a_database_that_was_changed_is_asked(again, bench):
    with closing(sqlite3.connect(bench.workspace.root / "mlflow.db")) as database:
        changed = database.execute(
            "UPDATE tags SET value = 'false' WHERE key = 'spared_bench.complete'"
        )
        assert changed.rowcount == 1
        database.commit()

    assert again() == ["connected", "built"]
    assert [each.predictor for each in Tracker(bench.workspace.root).results()] == ["toy-mean"]


def test_a_server_is_always_asked(again, bench, monkeypatch):
    uri = f"sqlite:///{bench.workspace.root}/elsewhere.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    assert again() == ["connected", "built"]
    assert again() == ["connected", "built"]


@pytest.mark.parametrize("what", ["table", "data", "entry", "command", "result"])
def test_a_page_is_built_again_where_anything_that_it_shows_has_changed(what, again, bench):
    board = bench.workspace.leaderboard
    if what == "table":
        (board / "leaderboard.csv").unlink()
    elif what == "data":
        next(board.glob("data-*/index.js")).write_text("spared.put(")
    elif what == "entry":
        (bench.workspace.root / "leaderboards/toy@1/odd@1").mkdir(parents=True)
        (bench.workspace.root / "leaderboards/toy@1/odd@1/entry.json").write_text("{}")
    elif what == "result":
        (path,) = bench.workspace.store.root.glob(f"{TRIALS}/*/*/result.json")
        path.touch()

    assert "built" in again(command="another" if what == "command" else "run")
    assert again(command="another" if what == "command" else "run") == []
    assert (board / "leaderboard.csv").is_file()
