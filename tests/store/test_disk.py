"""A disk that takes no more is told as that, and as nothing else, whoever meets it."""

from __future__ import annotations

import errno
import os
import shutil

import pytest
import sqlalchemy

from spared_bench.errors import SparedBenchError, TrackingError
from spared_bench.executors.slot import Slot
from spared_bench.leaderboard import site
from spared_bench.scaffold import packages
from spared_bench.store import archives
from spared_bench.store.disk import way_out
from spared_bench.store.entries import Store
from spared_bench.tracking.connection import Connection


def full(*_, **__):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def build_page(folder, monkeypatch):
    monkeypatch.setattr(site, "_write", full)
    site.build([], folder, "command", "store")


def make_package(folder, monkeypatch):
    monkeypatch.setattr(packages, "write_text", full)
    packages._write(folder / "README.md", "words")


def export_store(folder, monkeypatch):
    monkeypatch.setattr(archives.tarfile, "open", full)
    archives.export(Store(folder / "store"), folder / "results.tar")


def begin_worker(folder, monkeypatch):
    slot = object.__new__(Slot)
    slot._log = folder / "logs" / "worker.log"
    monkeypatch.setattr(os, "open", full)
    slot._start({}, 1)


@pytest.mark.parametrize("write", [build_page, make_package, export_store, begin_worker])
def test_whoever_meets_a_full_disk_asks_for_space(tmp_path, monkeypatch, write):
    with pytest.raises(SparedBenchError, match=r"No space left on device\. Free some space, or"):
        write(tmp_path, monkeypatch)


def test_what_to_do_about_another_error_says_nothing_of_space():
    assert way_out(PermissionError(errno.EACCES, "no"), "Name another file.") == (
        "Name another file."
    )
    lost = RuntimeError("flush failed (errno = 28, error message = 'No space left on device')")
    assert way_out(lost, "Name another file.") == "Free some space, or name another file."


def test_mlflow_on_a_full_disk_asks_for_space_and_prints_nothing_beside(
    tmp_path, empty_database, capfd
):
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    connection = Connection(tmp_path, f"sqlite:///{tmp_path}/mlflow.db")
    engine = connection.client._tracking_client.store.engine
    engine.dispose()

    @sqlalchemy.event.listens_for(engine, "connect")
    def bound(made, _):
        made.execute("PRAGMA max_page_count = 1")  # SQLite takes what there is already

    told = r"database or disk is full\. Free some space, or check that this place"
    with pytest.raises(TrackingError, match=told), connection.explained("log to"):
        for number in range(1_000):
            connection.client.create_experiment(f"{number} {'x' * 200}")
    assert capfd.readouterr().err == ""
