"""HDF5 on file systems that lock no files."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys

import pytest

from spared_bench.store.locks import let_hdf5_do_without_locks

NAME = "HDF5_USE_FILE_LOCKING"


@pytest.fixture
def refusing(monkeypatch):
    """A system whose every lock is refused with an error of this number."""
    monkeypatch.setenv(NAME, "set here to be taken back after the test")
    monkeypatch.delenv(NAME)

    def refuse(number):
        def flock(*_):
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(fcntl, "flock", flock)

    return refuse


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_where_no_file_can_be_locked_hdf5_locks_none(refusing, tmp_path, number):
    refusing(number)
    let_hdf5_do_without_locks(tmp_path)
    assert os.environ[NAME] == "FALSE"
    assert list(tmp_path.iterdir()) == []


def test_where_files_are_locked_hdf5_locks_them(refusing, tmp_path):
    let_hdf5_do_without_locks(tmp_path)
    let_hdf5_do_without_locks(tmp_path / "not there")
    refusing(errno.EWOULDBLOCK)
    let_hdf5_do_without_locks(tmp_path)
    assert NAME not in os.environ


def test_what_the_user_says_of_locks_stays(refusing, tmp_path, monkeypatch):
    monkeypatch.setenv(NAME, "TRUE")
    refusing(errno.ENOLCK)
    let_hdf5_do_without_locks(tmp_path)
    assert os.environ[NAME] == "TRUE"


@pytest.mark.parametrize(
    "words",
    [
        ["complete", "her2st_demo", "-c", "median"],
        ["data", "prepare", "her2st_demo"],
        ["data", "show", "her2st_demo"],
        ["export", "split", "-d", "her2st_demo"],
        ["leaderboard", "build"],
        ["predict", "a/b/c", "--image", "x", *("--grid-um", "9", "--um-per-px", "1")],
        ["run", "-d", "her2st_demo"],
        ["score", "x.csv", "-d", "her2st_demo"],
        ["submit", "build", "st-net"],
        ["submit", "check", "x.zip"],
    ],
)
def test_a_command_asks_for_locks_before_hdf5_is_there(words, tmp_path):
    code = """
import sys
import spared_bench.workspace as workspace

def ask(folder):
    print("h5py" in sys.modules)
    sys.stdout.flush()
    raise SystemExit(3)

workspace.let_hdf5_do_without_locks = ask
from spared_bench.cli import main
main()
"""
    command = [sys.executable, "-c", code, *words, "-w", str(tmp_path)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[0] == "False", done.stderr
