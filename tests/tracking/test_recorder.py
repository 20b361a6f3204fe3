from __future__ import annotations

import threading

import pytest

from spared_bench.api import execute, select
from spared_bench.errors import TrackingError
from spared_bench.planning.stored import stored_results
from spared_bench.running.watching import Summary
from spared_bench.store.leases import Leases
from spared_bench.tracking import recorder as recorder_module
from spared_bench.trials.cells import record_cells

QUIET = {"track": False, "figures": False, "executor": "inline"}


class Server:
    """A tracking server that is away for so many tries."""

    def __init__(self, away):
        self.away, self.logged, self.came_back = away, [], threading.Event()

    def __call__(self, root):
        return self

    def connect(self):
        if self.away:
            self.away -= 1
            raise TrackingError("nobody answers")

    def sync(self, cells):
        self.logged += [cell.final.predictor for cell in cells]
        self.came_back.set()

    def refusal(self):
        return None


@pytest.fixture
def results(bench):
    plan = select(bench, ["toy"], ["none"], ["toy-mean", "toy-nan"])
    execute(plan, **QUIET)
    return plan, Summary(results=stored_results(plan))


def test_a_server_that_comes_back_during_a_run_gets_everything_once(results, monkeypatch):
    plan, summary = results
    server = Server(away=2)
    monkeypatch.setattr("spared_bench.tracking.tracker.Tracker", server)
    monkeypatch.setattr(recorder_module, "_SECONDS_BETWEEN_TRIES", 0.01)
    recorder = recorder_module.Recorder(plan)
    recorder._offer(summary)
    assert server.came_back.wait(30)
    assert recorder.finish(summary) is None
    assert sorted(server.logged) == ["toy-mean", "toy-nan"]


def test_the_first_outcome_of_a_run_is_logged_at_once_and_what_follows_in_batches(
    results, monkeypatch
):
    plan, summary = results
    server = Server(away=0)
    monkeypatch.setattr("spared_bench.tracking.tracker.Tracker", server)
    recorder = recorder_module.Recorder(plan)
    recorder.tick(summary)
    assert server.came_back.wait(30)
    server.came_back.clear()
    recorder.tick(summary)
    assert not server.came_back.wait(0.3)
    assert recorder.finish(summary) is None


def test_a_server_that_stays_away_is_told_at_the_end_and_the_next_run_catches_up(
    results, monkeypatch
):
    plan, summary = results
    monkeypatch.setattr("spared_bench.tracking.tracker.Tracker", Server(away=100))
    recorder = recorder_module.Recorder(plan)
    assert "nobody answers" in str(recorder.finish(summary))

    server = Server(away=0)
    monkeypatch.setattr("spared_bench.tracking.tracker.Tracker", server)
    assert recorder_module.Recorder(plan).finish(summary) is None
    assert sorted(server.logged) == ["toy-mean", "toy-nan"]


def test_a_server_that_never_ends_an_answer_does_not_keep_a_run_for_ever(results, monkeypatch):
    plan, summary = results
    server = Server(away=0)
    monkeypatch.setattr("spared_bench.tracking.tracker.Tracker", server)
    monkeypatch.setattr(recorder_module, "_SECONDS_AT_THE_END", 0.2)
    go_on = threading.Event()
    monkeypatch.setattr(server, "sync", lambda cells: go_on.wait(30))
    recorder = recorder_module.Recorder(plan)
    assert "has not taken all" in str(recorder.finish(summary))
    go_on.set()
    recorder._thread.join()


def test_of_two_runs_one_logs_and_the_other_leaves_it_to_it(results, monkeypatch):
    plan, summary = results
    server = Server(away=0)
    monkeypatch.setattr("spared_bench.tracking.tracker.Tracker", server)
    monkeypatch.setattr(recorder_module, "SECONDS_FOR_ANOTHER", 0.1)
    other = Leases(plan.bench.workspace.store.root / "leases")
    assert other.take("tracking")
    assert "Another run is logging" in str(recorder_module.Recorder(plan).finish(summary))
    assert server.logged == []
    other.release("tracking")
    assert recorder_module.Recorder(plan).finish(summary) is None
    assert len(server.logged) == 2


def test_a_run_whose_logging_breaks_off_is_not_said_to_be_logged(results, monkeypatch):
    plan, summary = results

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Leases, "take", fail)
    assert "broke off: OSError: [Errno 28] No space" in str(
        recorder_module.Recorder(plan).finish(summary)
    )


def test_a_cell_that_waits_for_its_figure_is_recorded_later(results):
    plan, summary = results
    cells = plan.bench.workspace.store.root / "cells"
    for record in cells.iterdir():
        record.unlink()
    waiting = plan.cells[0].finals[0].key
    assert record_cells(plan, summary.results, but={waiting}) == 1
    assert record_cells(plan, summary.results) == 1
