"""Pipes, sockets and devices in the place of files: nobody waits for them; they hold nothing."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from spared_bench.errors import CorruptEntryError, SparedBenchError, SubmissionError
from spared_bench.leaderboard.feed import next_feed
from spared_bench.leaderboard.publish import _stored_completion
from spared_bench.leaderboard.site_folder import _named_by
from spared_bench.leaderboard.unchanged import is_built
from spared_bench.ordinary import NOT_ORDINARY, read_json, read_text
from spared_bench.running.run_file import living_runs
from spared_bench.sources.fetched import read_record
from spared_bench.sources.folder_lock import _named as named_holder
from spared_bench.sources.part import _note_of, so_far
from spared_bench.store.entries import Store
from spared_bench.store.imports import MARK, read_mark
from spared_bench.store.records import Records
from spared_bench.store.studies import keys_of_studies, study_records
from spared_bench.store.trials import RESULT, TRIALS, read_cell
from spared_bench.submissions.bundle import read_text as text_of_bundle
from spared_bench.submissions.names import owners
from spared_bench.submissions.sketches import read_traces

SECONDS = 20


def answered(work):
    """Return what work returns or raises, if it does not wait."""
    found = []

    def attempt():
        try:
            found.append(work())
        except Exception as error:
            found.append(error)

    thread = threading.Thread(target=attempt, daemon=True)
    thread.start()
    thread.join(SECONDS)
    assert found, "it waits"
    return found[0]


def pipe(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    return path


def device(path: Path) -> Path:
    path.symlink_to("/dev/zero")
    return path


def listening(path: Path) -> Path:
    with socket.socket(socket.AF_UNIX) as found:
        found.bind(os.path.relpath(path))
    return path


@pytest.mark.parametrize("make", [pipe, device, listening])
def test_what_is_no_file_is_an_error_of_the_system_at_once(tmp_path, make, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = make(tmp_path / "odd")
    assert answered(lambda: read_text(path)).errno == NOT_ORDINARY


def test_a_folder_is_said_to_be_one_and_an_absent_file_to_be_absent(tmp_path):
    with pytest.raises(IsADirectoryError):
        read_text(tmp_path)
    with pytest.raises(FileNotFoundError):
        read_text(tmp_path / "none")


def test_text_is_read_as_path_reads_it_and_depth_is_no_value(tmp_path):
    (tmp_path / "a").write_bytes("ä\r\nb\rc\n".encode())
    assert read_text(tmp_path / "a") == (tmp_path / "a").read_text(encoding="utf-8")
    (tmp_path / "b").write_text("[" * 200_000)
    with pytest.raises(ValueError, match="nested too deeply"):
        read_json(tmp_path / "b")


READERS = {
    "a record of a cell": (read_cell, None),
    "a mark of an import": (lambda path: read_mark(path.parent), {}),
    "records of studies": (lambda path: study_records(path.parent.parent), []),
    "keys of studies": (lambda path: keys_of_studies(path.parent.parent), set()),
    "runs that are alive": (lambda path: list(living_runs(path.parent)), []),
    "a record of what was fetched": (lambda path: read_record(path.parent), {}),
    "who has a folder": (named_holder, ""),
    "a note of a download": (lambda path: so_far(path.with_suffix(""), "http://x"), (0, "", 0)),
    "a feed": (lambda path: next_feed(path.parent, "", datetime.now(UTC))["items"], None),
    "a note of a page": (lambda path: is_built(path.parent / "index.html", "x"), False),
    "a page": (_named_by, set()),
    "results of completion": (lambda path: _stored_completion(path, []), []),
    "what an entry said": (lambda path: [said for _, said in owners(path.parents[2], "a")], [None]),
    "a text of a bundle": (lambda path: text_of_bundle(path.parent, path.name), SubmissionError),
    "traces": (read_traces, SparedBenchError),
}
PLACES = {
    "a mark of an import": MARK,
    "records of studies": "studies/a.json",
    "keys of studies": "studies/a.json",
    "a record of what was fetched": ".fetched.json",
    "a feed": "feed.json",
    "a note of a page": ".built.json",
    "what an entry said": "toy@1/a@1/submission.yaml",
}


@pytest.mark.parametrize("name", READERS)
def test_nobody_waits_for_a_pipe_among_files_that_are_read_by_name(tmp_path, name):
    read, wanted = READERS[name]
    path = tmp_path / PLACES.get(name, "odd.json")
    if name == "a note of a download":
        path = _note_of(tmp_path / "odd")
    pipe(path)
    found = answered(lambda: read(path))
    if isinstance(wanted, type):
        assert isinstance(found, wanted)
    elif wanted is not None:
        assert found == wanted


@pytest.fixture
def entry(tmp_path):
    store = Store(tmp_path / "store")
    inputs = {"a": 1}

    def make(folder):
        (folder / RESULT).write_text("{}")
        (folder / "nothing").write_bytes(b"")

    return store, inputs, store.obtain(TRIALS, inputs, make)


@pytest.mark.parametrize("name", ["manifest.json", RESULT, "nothing"])
def test_an_entry_with_a_pipe_for_a_file_is_damaged_and_made_again(entry, name):
    store, inputs, found = entry
    pipe(found.folder / name)
    assert isinstance(answered(lambda: store.open(TRIALS, found.key)), CorruptEntryError)

    def make(folder):
        (folder / "new").write_text("")

    again = answered(lambda: store.obtain(TRIALS, inputs, make))
    assert (again.folder / "new").is_file()


def test_a_pipe_among_the_records_of_cells_is_none(tmp_path):
    pipe(tmp_path / "cells" / f"{'a' * 64}.json")
    with Records(Store(tmp_path)) as records:
        (found,) = answered(records.cells)
    assert found.record is None
    assert not found.earlier


LENDING = """
import fcntl, os, signal, sys
file = os.open(sys.argv[1], os.O_RDWR)
signal.signal(signal.SIGIO, lambda *_: fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_UNLCK))
fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
print("lent", flush=True)
while True:
    signal.pause()
"""


@pytest.mark.skipif(not hasattr(signal, "SIGIO") or sys.platform != "linux", reason="Linux only")
def test_a_file_that_a_file_server_has_lent_out_is_waited_for(tmp_path):
    path = tmp_path / "a.json"
    path.write_text("[1]")
    lender = subprocess.Popen([sys.executable, "-c", LENDING, path], stdout=subprocess.PIPE)
    try:
        if not lender.stdout.readline():
            pytest.skip("this file system lends nothing")
        assert read_json(path) == [1]
    finally:
        lender.kill()
        lender.wait()
        lender.stdout.close()


def test_a_link_to_a_file_is_read_and_one_to_a_pipe_is_not(tmp_path):
    (tmp_path / "file").write_text("{}")
    (tmp_path / "a").symlink_to(tmp_path / "file")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "b").symlink_to(tmp_path / "pipe")
    assert read_json(tmp_path / "a") == {}
    with pytest.raises(OSError, match="no file"):
        read_json(tmp_path / "b")
