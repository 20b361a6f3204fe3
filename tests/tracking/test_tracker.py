"""Logging to MLflow: exact, once, repaired after an interruption, and clear when it cannot be."""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from spared_bench.completion.benchmark import CompletionResult, Condition
from spared_bench.errors import TrackingError
from spared_bench.leaderboard.publish import collect, completions
from spared_bench.leaderboard.tables import as_markdown
from spared_bench.store.records import Records
from spared_bench.tracking.cells import COMPLETE
from spared_bench.tracking.database import database_file, is_half_made
from spared_bench.tracking.run_record import seal_of
from spared_bench.tracking.tracker import Tracker
from spared_bench.workspace import Workspace
from tests.board_samples import SampleCell, as_csv, as_json, board_rows, demo_trials, failed, trial
from tests.servers import serving
from tests.tracking.test_run_record import assert_same


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


def test_a_server_that_keeps_one_waiting_is_named_once(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    monkeypatch.setattr("spared_bench.tracking.slow.SECONDS_UNTOLD", 0.1)
    with serving() as server:
        server.moods["/api/2.0/mlflow/experiments/search"] = ["silent"]
        for _ in range(2):
            with pytest.raises(TrackingError, match="timed out"):
                Tracker(tmp_path, server.url).connect()
    told = capsys.readouterr().err
    assert told.count(f"Waiting for MLflow at {server.url}") == 1
    assert "`spared-bench track sync` logs them later" in told


@pytest.mark.parametrize("status", ["401", "403"])
def test_a_server_that_does_not_know_us_is_told_from_one_that_is_not_there(tmp_path, status):
    with serving() as server:
        server.moods["/api/2.0/mlflow/experiments/search"] = [status]
        with pytest.raises(TrackingError, match=r"MLFLOW_TRACKING_USERNAME and .*_TOKEN\.$"):
            Tracker(tmp_path, server.url).connect()


class Everything(dict):
    """What a server has that gives the same answer whatever it is asked."""

    def __contains__(self, path):
        return True

    def __missing__(self, path):
        return b"{}"


def test_what_answers_anything_is_not_taken_for_a_server_that_keeps_it(tmp_path, cell_of):
    with serving() as server:
        server.files = Everything()
        tracker = Tracker(tmp_path, server.url)
        for ask in (
            lambda: tracker.sync([cell_of(trial())]),
            lambda: tracker.logged("demo@1"),
            lambda: tracker.completion_results("demo@1"),
        ):
            with pytest.raises(TrackingError, match="is no MLflow server: asked for an experiment"):
                ask()


def test_of_what_a_server_says_at_length_both_ends_are_told(tmp_path):
    connection = Tracker(tmp_path, "http://127.0.0.1:9").connection
    with pytest.raises(TrackingError) as told, connection.explained("use"):
        raise ValueError("begin" + "y" * 100_000 + "end")
    assert re.search(r": beginy+ \[... 99,?008 characters ...\] y+end\. ", str(told.value))
    assert len(str(told.value)) < 2_000


def test_whoever_builds_a_page_is_told_how_to_do_without_a_database(tmp_path):
    (tmp_path / "mlflow.db").mkdir()
    with pytest.raises(TrackingError, match="`leaderboard build --from store` does without"):
        collect(Workspace.at(tmp_path), "", "mlflow", None, Records(Workspace.at(tmp_path).store))
    with pytest.raises(TrackingError, match="`leaderboard build --from store` does without"):
        completions(Workspace.at(tmp_path), "", "mlflow", [])


def test_a_damaged_database_is_explained(tmp_path):
    (tmp_path / "mlflow.db").write_text("this is not a database, " * 100)

    with pytest.raises(TrackingError, match=r"is no database of SQLite. Rename"):
        Tracker(tmp_path, f"sqlite:///{tmp_path}/mlflow.db").sync([SampleCell(trial(), tmp_path)])


def test_a_database_that_two_versions_have_migrated_at_once_is_explained(workspace, cell_of):
    with closing(sqlite3.connect(workspace / "mlflow.db")) as database:
        database.execute("INSERT INTO alembic_version VALUES ('aaaaaaaaaaaa')")
        database.commit()

    with pytest.raises(TrackingError, match=r"^Cannot log to MLflow at .*more than one head"):
        Tracker(workspace).sync([cell_of(trial())])


@pytest.mark.parametrize(
    "edit",
    [
        lambda client, run: client.delete_tag(run, "spared_bench.record.0"),
        lambda client, run: client.set_tag(run, "spared_bench.record.0", "mine"),
        lambda client, run: client.log_metric(run, "test/pcc-gene", 0.99),
    ],
)
def test_a_run_changed_by_hand_is_named_and_logged_anew(workspace, cell_of, edit):
    tracker, cell = Tracker(workspace), cell_of(trial(pcc=0.4))
    tracker.sync([cell])
    (run,) = runs_of(tracker)
    edit(tracker.connection.client, run.info.run_id)

    with pytest.raises(TrackingError, match=f"run {run.info.run_id} cannot be read.*track sync"):
        tracker.results()
    assert Tracker(workspace).sync([cell]) == 1
    (read,) = tracker.results()
    assert_same(read, cell.final)
    assert len(runs_of(tracker)) == 1


def test_a_board_leaves_out_a_run_that_was_changed_by_hand_and_names_it(workspace, cell_of):
    tracker, cells = (
        Tracker(workspace),
        [cell_of(trial(seed=seed, key=f"k{seed}")) for seed in (0, 1)],
    )
    tracker.sync(cells)
    run = next(r for r in runs_of(tracker) if r.data.tags["spared_bench.trial_key"] == "k0")
    tracker.connection.client.log_metric(run.info.run_id, "test/pcc-gene", 0.99)

    unread: list[str] = []
    place = Workspace.at(workspace)
    with Records(place.store, genes=False) as records:
        results, _ = collect(place, "", "mlflow", unread, records)
    assert [result.key for result in results] == ["k1"]
    (told,) = unread
    assert f"run {run.info.run_id} cannot be read" in told
    assert "track sync" in told


@pytest.mark.parametrize("edited", ["results.json", "metric", "no file", "restored"])
def test_a_completion_that_was_changed_by_hand_is_logged_anew(workspace, edited):
    scores = {"mse": 0.5, "pcc": 0.25, "n_hidden": 7}
    result = CompletionResult(
        *("k", "demo@1", "toy", "median", "test"),
        Condition("fraction", 0.1),
        [{**scores, "slides": {"s": scores}}],
    )
    tracker, unread = Tracker(workspace), list[str]()
    assert [tracker.log_completion([result]) for _ in range(2)] == [1, 0]
    ((run,), client) = runs_of(tracker), tracker.connection.client
    (file,) = workspace.glob("mlartifacts/**/results.json")
    if edited == "restored":
        tracker.log_completion([replace(result, key="new")])
        client.restore_run(run.info.run_id)
        assert [each.key for each in tracker.completion_results("demo@1")] == ["new"]
        return
    if edited == "metric":
        client.log_metric(run.info.run_id, "fraction.mse", 0.1, step=10)
    elif edited == "no file":
        file.unlink()
    else:
        file.write_text(file.read_text().replace("0.25", "0.95"))
    if edited != "metric":  # which no board reads
        assert tracker.completion_results("demo@1", unread) == []
        assert "results.json" in unread[0]

    assert [tracker.log_completion([result]) for _ in range(2)] == [1, 0]
    assert tracker.completion_results("demo@1") == [result]
    assert [each.data.metrics["fraction.mse"] for each in runs_of(tracker)] == [0.5]


def test_a_run_of_a_version_whose_results_said_less_is_not_taken_for_edited(workspace, cell_of):
    tracker, cell = Tracker(workspace), cell_of(trial())
    tracker.sync([cell])
    (run,), client = runs_of(tracker), tracker.connection.client
    record = json.loads(run.data.tags["spared_bench.record.0"])
    assert record.pop("classes") == []  # a field that results have since
    said = {**run.data.tags, "spared_bench.record.0": json.dumps(record)}
    client.set_tag(run.info.run_id, "spared_bench.record.0", said["spared_bench.record.0"])
    client.set_tag(run.info.run_id, "spared_bench.seal", seal_of(run.data.metrics, said))

    assert_same(tracker.results()[0], cell.final)
    assert Tracker(workspace).sync([cell]) == 0


def test_a_cell_stands_once_whatever_its_experiment_and_tags_are_called(workspace, cell_of):
    tracker = Tracker(workspace)
    cells = [cell_of(trial(key=f"k{seed}", seed=seed)) for seed in (0, 1)]
    tracker.sync(cells)
    client = tracker.connection.client
    client.delete_tag(runs_of(tracker)[0].info.run_id, "spared_bench.cell")
    assert len(tracker.results()) == 2
    assert Tracker(workspace).sync(cells) == 0

    client.rename_experiment(runs_of(tracker)[0].info.experiment_id, "spared-bench/of last year")
    assert Tracker(workspace).sync(cells) == 2  # into an experiment of the protocol's name
    assert [(read.key, read.seed) for read in tracker.results()] == [("k0", 0), ("k1", 1)]


def test_cannot_connect_is_said_of_a_server_that_is_away_only(tmp_path):
    away = Tracker(tmp_path, "http://127.0.0.1:9")
    with pytest.raises(TrackingError, match=r"^Cannot connect to MLflow at http"):
        away.connect()
    (tmp_path / "mlflow.db").write_bytes(b"this is no database, however long it is" * 100)
    with pytest.raises(TrackingError, match=r"^Cannot use MLflow at sqlite"):
        Tracker(tmp_path).connect()
    with pytest.raises(TrackingError, match=r"^Cannot use MLflow at "):
        Tracker(tmp_path, "nonesuch://somewhere").connect()


MAKER = """
import sys
from pathlib import Path
from spared_bench.tracking import database
from spared_bench.tracking.tracker import Tracker
if sys.argv[2] == "in place":  # as MLflow does it
    import spared_bench.tracking.connection as connection
    connection.make_database = lambda path, make: None
import mlflow
print("begun", flush=True)
Tracker(Path(sys.argv[1])).connect()
"""


def kill_while_made(folder: Path, way: str, n_tables: int) -> None:
    """Kill a process that makes the database once it has made so many tables."""
    process = subprocess.Popen(
        [sys.executable, "-c", MAKER, str(folder), way], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "begun\n"
    while (
        process.poll() is None
        and max(map(tables_in, [*folder.rglob("mlflow.db")]), default=0) < n_tables
    ):
        time.sleep(0.002)
    process.kill()
    process.wait()


def tables_in(path: Path) -> int:
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as found:
            return found.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    except sqlite3.Error:
        return 0


@pytest.mark.parametrize("n_tables", [1, 12, 30])
def test_a_kill_while_the_database_is_made_leaves_none_and_the_next_run_makes_it(
    tmp_path, cell_of, monkeypatch, n_tables
):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    kill_while_made(tmp_path, "beside", n_tables)
    assert not (tmp_path / "mlflow.db").exists()
    assert len(list(tmp_path.glob("mlflow.db.making.*"))) == 1

    assert Tracker(tmp_path).sync([cell_of(trial())]) == 1
    assert len(Tracker(tmp_path).results()) == 1
    assert [path.name for path in tmp_path.glob("mlflow.db*")] == ["mlflow.db"]


class WithoutHome:
    """Stands in the way of MLflow, as it stands in its own where a user has no home folder."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == "mlflow.tracking":
            raise RuntimeError("Could not determine home directory.")


def test_an_mlflow_that_cannot_be_imported_is_told_and_not_raised(
    tmp_path, cell_of, empty_database, monkeypatch
):
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    monkeypatch.delitem(sys.modules, "mlflow.tracking", raising=False)
    monkeypatch.setattr(sys, "meta_path", [WithoutHome, *sys.meta_path])
    for use in (
        lambda: Tracker(tmp_path).connect(),
        lambda: Tracker(tmp_path).sync([cell_of(trial())]),
        lambda: Tracker(tmp_path).results(),
    ):
        with pytest.raises(TrackingError, match=r"home directory\. It wants a home folder: "):
            use()


def test_half_a_database_is_set_aside_and_made_again(tmp_path, cell_of, monkeypatch, capsys):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    kill_while_made(tmp_path, "in place", 12)
    left = tables_in(tmp_path / "mlflow.db")
    assert left >= 12
    os.utime(tmp_path / "mlflow.db", (1, 1))

    assert Tracker(tmp_path).sync([cell_of(trial())]) == 1
    assert len(Tracker(tmp_path).results()) == 1
    (aside,) = tmp_path.glob("mlflow.db.half-made-*")
    assert tables_in(aside) == left
    told = capsys.readouterr().err
    assert f"it is now {aside.name}, and a new one is made" in told
    assert "`spared-bench track sync`" in told


def test_a_database_of_another_version_that_holds_runs_stays_in_its_place(workspace, cell_of):
    Tracker(workspace).sync([cell_of(trial())])
    with closing(sqlite3.connect(workspace / "mlflow.db")) as database, database:
        database.execute("UPDATE alembic_version SET version_num = '451aebb31d03'")
    assert not is_half_made(workspace / "mlflow.db")


@pytest.mark.parametrize("content", [b"", b"nonsense", b"SQLite format 3\0 and no more"])
def test_what_is_no_database_of_mlflow_is_never_set_aside_but_if_it_is_empty(tmp_path, content):
    path = tmp_path / "mlflow.db"
    path.write_bytes(content)
    assert is_half_made(path) is (content == b"")
    path.unlink()
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("CREATE TABLE mine (value)")
    assert not is_half_made(path)


@pytest.mark.parametrize("name", ["what? #1 50% off", "a%20b", "a?uri=true", "ü b#"])
def test_the_path_of_a_workspace_may_hold_what_means_something_in_a_uri(
    name, empty_database, tmp_path, cell_of, monkeypatch
):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    folder = tmp_path / name
    folder.mkdir()
    shutil.copy(empty_database, folder / "mlflow.db")

    Tracker(folder).sync([cell_of(trial())])

    assert len(Tracker(folder).results()) == 1
    monkeypatch.chdir(folder)  # by a path that means nothing to SQLite
    with closing(sqlite3.connect("mlflow.db")) as found:
        assert found.execute("SELECT count(*) FROM runs").fetchone() == (1,)
    assert list(folder.glob("mlartifacts/**/genes.csv"))
    assert database_file(Tracker(folder).uri) == folder / "mlflow.db"
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([name, "store"])


def files_of(tracker, folder):
    """Where each run's files are by MLflow, with what it finds there."""
    client = tracker.connection.client
    found = {}
    for run in runs_of(tracker, f"tags.`{COMPLETE}` != ''"):
        path = client.download_artifacts(run.info.run_id, "genes.csv", str(folder))
        found[run.info.run_id] = Path(path).read_text(), run.info.artifact_uri
    return found


@pytest.mark.parametrize("names", [("before", "after"), ("runs of 100%", "a ? # ü"), ("a", "a/b")])
def test_a_workspace_that_was_moved_keeps_its_files_where_it_is(
    empty_database, cell_of, tmp_path, monkeypatch, names
):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    old, new = (tmp_path / "made" / name for name in names)
    (tmp_path / "made").mkdir()
    (tmp_path / "read").mkdir()
    old.mkdir()
    shutil.copy(empty_database, old / "mlflow.db")
    Tracker(old).sync([cell_of(trial())])
    aside = old.rename(tmp_path / "aside")
    new.parent.mkdir(exist_ok=True)
    aside.rename(new)

    Tracker(new).sync([cell_of(trial()), cell_of(trial("later"))])

    found = files_of(Tracker(new), tmp_path / "read")
    assert [text for text, _ in found.values()] == ["gene,pcc\nA,0.5\n"] * 2
    assert all(uri.startswith((new / "mlartifacts").as_uri() + "/") for _, uri in found.values())
    assert len(list(new.glob("mlartifacts/**/genes.csv"))) == 2
    assert new.is_relative_to(old) or not old.exists()


def test_a_copy_of_a_workspace_writes_into_its_own_folder(empty_database, cell_of, tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    (tmp_path / "read").mkdir()
    first.mkdir()
    shutil.copy(empty_database, first / "mlflow.db")
    Tracker(first).sync([cell_of(trial())])
    shutil.copytree(first, second)

    Tracker(second).sync([cell_of(trial()), cell_of(trial("later"))])

    assert len(list(first.glob("mlartifacts/**/genes.csv"))) == 1
    assert len(list(second.glob("mlartifacts/**/genes.csv"))) == 2
    assert len(files_of(Tracker(first), tmp_path / "read")) == 1


def test_a_step_beyond_64_bits_is_not_logged_and_the_rest_is(workspace, cell_of):
    curves = {"train_mse": [(1, 0.5), (2**63, 0.25), (-(2**70), 0.1), (2**63 - 1, 0.125)]}
    Tracker(workspace).sync([cell_of(replace(trial(), curves=curves))])
    tracker = Tracker(workspace)
    (run,) = runs_of(tracker)
    points = tracker.connection.client.get_metric_history(run.info.run_id, "curve/step/train_mse")
    assert [(point.step, point.value) for point in points] == [(1, 0.5), (2**63 - 1, 0.125)]


def test_a_cell_that_the_database_cannot_hold_is_left_out_and_told(workspace, cell_of):
    cells = [
        cell_of(trial(dataset="a")),
        cell_of(replace(trial(dataset="b"), seconds={"total": 1e300})),
        cell_of(trial(dataset="c")),
    ]
    tracker = Tracker(workspace)
    assert tracker.sync(cells) == 2
    assert [result.dataset for result in Tracker(workspace).results()] == ["a", "c"]
    error = str(tracker.refusal())
    assert "refuses 1 of the cells, and has the others: b · " in error
    assert tracker.sync(cells) == 0
    assert len(tracker.refused) == 1
