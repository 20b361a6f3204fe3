"""One process at a time logs the results of a workspace."""

from __future__ import annotations

import threading

import pytest

from spared_bench.api import execute, select
from spared_bench.errors import TrackingError
from spared_bench.store.leases import Leases
from spared_bench.tracking import writer
from spared_bench.tracking.recorder import sync
from spared_bench.tracking.tracker import Tracker
from spared_bench.tracking.writer import CELLS, one_writer


@pytest.fixture
def workspace(bench, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    plan = select(bench, ["toy"], ["none"], ["toy-mean"])
    execute(plan, track=False, figures=False, executor="inline")
    return bench.workspace


def test_who_logs_beside_another_waits_for_it(workspace):
    leases, ended = Leases(workspace.store.root / "leases"), threading.Event()
    assert leases.take(CELLS)
    beside = threading.Thread(target=lambda: (sync(workspace), ended.set()))
    beside.start()
    assert not ended.wait(1)
    assert Tracker(workspace.root).results() == []

    leases.release(CELLS)
    assert ended.wait(60)
    beside.join()
    assert len(Tracker(workspace.root).results()) == 1
    leases.close()
    assert not any((workspace.store.root / "leases").glob("*.lease"))


def test_who_waits_for_long_logs_nothing_and_says_for_whom(workspace, monkeypatch):
    monkeypatch.setattr(writer, "SECONDS_FOR_ANOTHER", 0.1)
    leases = Leases(workspace.store.root / "leases")
    assert leases.take(CELLS)
    with pytest.raises(TrackingError, match=r"Nothing was logged .*: process \d+ on .* `spared"):
        sync(workspace)
    leases.close()
    assert sync(workspace) == 1


def test_a_workspace_that_may_only_be_read_is_logged_to_a_server_all_the_same(
    tmp_path, monkeypatch
):
    def fail(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Leases, "take", fail)
    with one_writer(tmp_path / "store", CELLS, "the same command"):
        entered = True
    assert entered
