"""``doctor``: each check against a machine that has, or lacks, what it looks at."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
from collections import namedtuple

import pytest
import torch
from typer.testing import CliRunner

from spared_bench.cli import app, doctor_checks
from spared_bench.cli.doctor_checks import NOTE, OK, PROBLEM
from spared_bench.workspace import Workspace


@pytest.fixture
def space(tmp_path, monkeypatch):
    monkeypatch.setenv("SPARED_BENCH_OFFLINE", "1")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return Workspace.at(tmp_path / "workspace")


@pytest.fixture
def without_weights(monkeypatch):
    """Leave out what imports every method."""
    fine = doctor_checks.Finding("weights", OK, "")
    monkeypatch.setattr(doctor_checks, "_weights", lambda *_: fine)


@pytest.fixture
def without_imports(monkeypatch):
    """Leave out what imports every package."""
    fine = doctor_checks.Finding("imports", OK, "")
    monkeypatch.setattr(doctor_checks, "_imports", lambda: fine)


@pytest.fixture
def quick(without_weights, without_imports):
    """Leave out both."""


def finding(space, name):
    (found,) = (each for each in doctor_checks.examine(space, ask=False) if each.name == name)
    return found


def run(*arguments):
    return CliRunner().invoke(app, ["doctor", "--offline", *map(str, arguments)])


def test_it_says_of_this_machine_that_runs_work_and_leaves_no_trace(space):
    done = subprocess.run(
        [sys.executable, "-m", "spared_bench", "doctor", "--offline", "-w", space.root, "--json"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout)
    assert told["ok"]
    found = {each["name"]: each for each in told["checks"]}
    assert {"packages", "imports", "device", "weights", "disk", "mlflow", "browser"} <= found.keys()
    assert f"torch {torch.__version__.partition('+')[0]}" in found["packages"]["found"]
    assert not space.root.exists()


def test_a_person_reads_a_line_for_each_check_and_what_to_do(space, quick, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.delenv("BROWSER", raising=False)
    done = run("-w", space.root)
    assert done.exit_code == 0
    lines = done.stdout.splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("note    browser"))
    assert "copy it to a machine with a browser" in lines[at + 1]
    assert lines[-1] == "Runs work here."


def test_a_package_that_is_missing_or_too_old_is_a_problem(space, quick, monkeypatch):
    wanted = ["numpy>=2.0", "not-a-package>=1", "pandas>=999", 'optuna>=999; extra == "search"']
    monkeypatch.setattr(doctor_checks, "requires", lambda name: wanted)
    done = run("-w", space.root, "--json")
    assert done.exit_code == 1
    told = json.loads(done.stdout)
    assert not told["ok"]
    (found,) = (each for each in told["checks"] if each["name"] == "packages")
    assert found["status"] == PROBLEM
    assert "not-a-package is missing" in found["found"]
    assert "is not >=999" in found["found"]
    assert "optuna" not in found["found"]
    assert "pip install" in found["advice"]


def test_a_package_of_a_right_version_that_cannot_be_imported_is_a_problem(
    space, without_weights, monkeypatch, tmp_path
):
    told = tmp_path / "doctored-1.0.dist-info"
    told.mkdir()
    (told / "METADATA").write_text("Metadata-Version: 2.1\nName: doctored\nVersion: 1.0\n")
    (told / "top_level.txt").write_text("doctored_module\n")
    built_for_another = 'raise ValueError("numpy.dtype size changed")'
    (tmp_path / "doctored_module.py").write_text(built_for_another)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(doctor_checks, "requires", lambda name: ["doctored>=1", "pyyaml"])
    assert finding(space, "packages").status == OK
    found = finding(space, "imports")
    assert found.status == PROBLEM
    assert found.found == (
        "doctored_module cannot be imported: ValueError: numpy.dtype size changed"
    )
    assert "pip install" in found.advice


def test_a_check_that_raises_is_a_finding(space, quick, monkeypatch):
    def damaged(*_):
        raise ImportError("libcudart.so.13: cannot open shared object file")

    monkeypatch.setattr(doctor_checks, "_device", damaged)
    found = finding(space, "device")
    assert found.status == PROBLEM
    assert found.found == "ImportError: libcudart.so.13: cannot open shared object file"


@pytest.mark.parametrize(("free", "status"), [(4.9, NOTE), (5.1, OK)])
def test_little_disk_is_pointed_out(space, quick, monkeypatch, free, status):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(0, 0, free * 2**30))
    found = finding(space, "disk")
    assert found.status == status
    assert f"{free:.1f} GiB free" in found.found


def test_a_workspace_that_cannot_be_written_is_a_problem(space, quick, monkeypatch):
    monkeypatch.setattr(doctor_checks.os, "access", lambda *_: False)
    found = finding(space, "disk")
    assert found.status == PROBLEM
    assert "--workspace" in found.advice


def test_the_runs_in_a_database_of_mlflow_are_counted_and_a_damaged_one_is_a_problem(space, quick):
    assert finding(space, "mlflow").found.endswith("made by the first run")
    space.root.mkdir(parents=True)
    file = space.root / "mlflow.db"
    with sqlite3.connect(file) as database:
        database.execute("create table runs (id text)")
        database.executemany("insert into runs values (?)", [("a",), ("b",)])
    database.close()
    assert finding(space, "mlflow").found.endswith("2 runs")

    file.write_bytes(b"no database at all" * 100)
    found = finding(space, "mlflow")
    assert found.status == PROBLEM
    assert "track sync" in found.advice


def test_a_password_of_mlflow_is_not_shown(space, quick, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://me:secret@127.0.0.1:1/")
    assert "secret" not in finding(space, "mlflow").found


def test_weights_in_the_folder_of_weights_count_as_here(
    space, without_imports, tmp_path, monkeypatch
):
    before = finding(space, "weights")
    assert before.status == NOTE
    assert "densenet121.tv_in1k" in before.found
    assert "SPARED_BENCH_WEIGHTS" in before.advice

    folder = tmp_path / "weights"
    folder.mkdir()
    (folder / "densenet121.tv_in1k.safetensors").write_bytes(b"")
    monkeypatch.setenv("SPARED_BENCH_WEIGHTS", str(folder))
    assert "densenet121" not in finding(space, "weights").found
    assert "weights of 1 of" in finding(space, "weights").found


def test_a_workspace_that_is_a_file_is_told_of(tmp_path, quick):
    place = tmp_path / "file"
    place.write_text("")
    done = run("-w", place)
    assert done.exit_code == 1
    assert f"{place} is no folder, and a workspace has one there" in str(done.exception)
