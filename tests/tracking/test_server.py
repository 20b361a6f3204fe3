"""The leaderboard from a real MLflow server on loopback is that from the store."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request

import pytest

from spared_bench.completion.benchmark import CompletionResult, Condition
from spared_bench.completion.tables import board_records
from spared_bench.errors import TrackingError
from spared_bench.leaderboard.tables import as_markdown
from spared_bench.tracking.tracker import Tracker
from tests.board_samples import SampleCell, as_csv, as_json, board_rows, demo_trials
from tests.servers import serving


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Start `mlflow server` on a free port of loopback; end it with its children."""
    folder = tmp_path_factory.mktemp("server")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)),
        *("--workers", "1", "--backend-store-uri", f"sqlite:///{folder}/server.db"),
        *("--artifacts-destination", str(folder / "artifacts"), "--serve-artifacts"),
    ]
    with (folder / "log.txt").open("w") as log:
        process = subprocess.Popen(
            command,
            stdout=log,
            stderr=log,
            cwd=folder,
            start_new_session=True,
            env={**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"},
        )
    try:
        _wait_until_it_answers(f"http://127.0.0.1:{port}/health", process, folder / "log.txt")
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, signal.SIGKILL)  # its session is its own: children go with it
        process.wait(20)


def _wait_until_it_answers(address: str, process: subprocess.Popen, log) -> None:
    end = time.monotonic() + 120
    while time.monotonic() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(address, timeout=2):
                return
        except OSError:
            time.sleep(0.3)
    pytest.fail(f"the server did not start: {log.read_text()[-2000:]}")


def test_what_a_server_gives_back_makes_the_same_tables_and_logs_once(server, tmp_path):
    trials = [trial for trial in demo_trials() if trial.predictor in ("ridge", "bleep")][:12]
    cells = []
    for trial in trials:
        folder = tmp_path / trial.key
        folder.mkdir(parents=True)
        (folder / "genes.csv").write_text("gene,pcc\nA,0.5\n")
        cells.append(SampleCell(trial, folder))

    first = Tracker(tmp_path, server).sync(cells)
    second = Tracker(tmp_path, server).sync(cells)
    stored, tracked = board_rows(trials), board_rows(Tracker(tmp_path, server).results())

    assert any(not trial.ok for trial in trials)
    assert (first, second) == (len(trials), 0)
    for table in (as_csv, as_json, as_markdown):
        assert table(stored, "cmd").encode() == table(tracked, "cmd").encode()
    assert not (tmp_path / "mlflow.db").exists()


def test_completion_results_come_back_from_a_server_as_they_were(server, tmp_path):
    scores = {"mse": 0.5, "pcc": 0.25, "n_hidden": 7}
    results = [
        CompletionResult(
            **{"key": f"k{rate}", "protocol": "demo@1", "dataset": "toy", "completer": "median"},
            split="test",
            condition=Condition("fraction", rate),
            repeats=[{**scores, "slides": {"s": scores}}],
            seconds={"fit": 1.5, "complete": 0.1},
            facts={"n_spots": 9, "n_genes": 3, "missing_fraction": 0.1},
        )
        for rate in (0.1, 0.3)
    ]
    Tracker(tmp_path, server).log_completion(results)

    read = Tracker(tmp_path, server).completion_results("demo@1")

    assert board_records(read) == board_records(results)
    assert [each.as_dict() for each in read] == [each.as_dict() for each in results]


@pytest.mark.parametrize("status", [429, 503])
def test_a_server_that_says_to_come_back_in_hours_is_not_waited_for(tmp_path, monkeypatch, status):
    slept: list[float] = []
    monkeypatch.setattr("urllib3.util.retry.time.sleep", slept.append)
    monkeypatch.delenv("MLFLOW_HTTP_RESPECT_RETRY_AFTER_HEADER", raising=False)
    with serving() as away:
        away.moods["/api/2.0/mlflow/experiments/search"] = [f"{status} for 7200"]
        with pytest.raises(TrackingError, match=f"too many {status} error responses"):
            Tracker(tmp_path, away.url).connect()
    assert max(slept, default=0) < 60
