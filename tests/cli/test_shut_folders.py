"""Folders that may not be read, or are none, are told of, and never taken for empty ones."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests import made_slides
from tests.warm import POWERLESS

pytestmark = pytest.mark.skipif(
    os.name != "posix" or (os.geteuid() == 0 and shutil.which("setpriv") is None),
    reason="this system lets everything be read",
)


def spared_bench(*words: object) -> tuple[int, str]:
    before = POWERLESS if os.geteuid() == 0 else []
    command = [*before, sys.executable, "-m", "spared_bench", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def added(tmp_path_factory) -> Path:
    """A folder with a dataset of one's own in a workspace `w`."""
    folder = tmp_path_factory.mktemp("shut")
    made_slides.space_ranger(folder / "slides" / "T1")
    (folder / "mine.yaml").write_text(
        "name: mine\nformat: space_ranger\norganism: human\nslides: {T1: {path: slides/T1}}\n"
        "split: {train: [T1]}\n"
    )
    status, told = spared_bench("data", "add", folder / "mine.yaml", "-w", folder / "w")
    assert status == 0, told
    return folder


@pytest.mark.parametrize(
    ("shut", "words", "told"),
    [
        ("w/data", "list datasets", "The folder of data {} cannot be read: Permission denied."),
        ("w/data/mine", "list datasets", "{}/dataset.yaml cannot be read: Permission denied."),
        ("w/store", "status", "{} may not be read, so what was stored there is not known."),
        ("w/store/checks", "status", "{} may not be read, so what was stored there is not"),
        ("slides/T1", "data verify mine", "{}, of slide 'T1': it may not be read."),
        ("slides/T1/spatial", "data verify mine", "{}, of slide 'T1': it may not be read."),
        ("slides/T1", "data show mine --raw --out out", "{} may not be read or written"),
    ],
)
def test_a_folder_that_may_not_be_read_is_no_empty_one(added, shut, words, told):
    folder = added / shut
    folder.chmod(0)
    try:
        status, output = spared_bench(*words.split(), "-w", added / "w")
    finally:
        folder.chmod(0o755)
    assert told.format(folder) in output
    assert "Traceback" not in output
    assert (status == 0) == (shut == "w/data/mine")  # other datasets are listed
    assert "permissions" in output


@pytest.mark.parametrize("name", ["tissue_positions.csv", "scalefactors_json.json"])
def test_a_file_that_may_not_be_read_is_not_told_to_be_damaged(added, name):
    file = added / "slides/T1/spatial" / name
    file.chmod(0)
    try:
        status, output = spared_bench("data", "show", "mine", "--raw", "-w", added / "w")
    finally:
        file.chmod(0o644)
    assert status == 2
    assert f"{file} may not be read or written: Permission denied. Change its perm" in output
    assert "damaged" not in output


@pytest.mark.parametrize("words", ["status", "data prepare toy", "store verify"])
@pytest.mark.parametrize(
    "name", ["store", "store/leases", "store/leases/owners", "store/cells", "store/trials", "logs"]
)
@pytest.mark.parametrize("unplugged", [False, True])
def test_what_is_no_folder_where_a_workspace_has_one_is_named(tmp_path, words, name, unplugged):
    (tmp_path / "w/store/leases").mkdir(parents=True)
    place = tmp_path / "w" / name
    if place.is_dir():
        shutil.rmtree(place)
    if unplugged:
        place.symlink_to(tmp_path / "gone")
    else:
        place.write_text("x")
    (tmp_path / "w" / "store.txt").write_text("of somebody else")
    status, output = spared_bench(*words.split(), "-w", tmp_path / "w")
    assert status == 1
    assert f"{place} is no folder, and a workspace has one there. Move it away" in output
    assert "Traceback" not in output


@pytest.mark.parametrize(
    ("words", "shut"),
    [
        ("status", "trials/ab"),
        ("status", "scores/cd"),
        ("status", "cells/ef.json"),
        ("leaderboard build", "cells/ef.json"),
    ],
)
def test_results_that_may_not_be_read_are_told_of(tmp_path, words, shut):
    place = tmp_path / "w/store" / shut
    if place.suffix:
        place.parent.mkdir(parents=True)
        place.write_text("{}")
    else:
        place.mkdir(parents=True)
    assert "may not be read" not in spared_bench(*words.split(), "-w", tmp_path / "w")[1]
    mode = place.stat().st_mode
    place.chmod(0)
    try:
        _, output = spared_bench(*words.split(), "-w", tmp_path / "w")
    finally:
        place.chmod(mode)
    assert "1 place of results may not be read, so what is in there is left out" in output
    assert str(place) in output


@pytest.mark.parametrize("name", ["lost+found", ".Trash-1000", "System Volume Information"])
def test_what_a_disk_keeps_for_itself_is_no_dataset(added, name):
    shut = added / "w/data" / name
    shut.mkdir(mode=0)
    try:
        status, output = spared_bench("list", "datasets", "-w", added / "w")
    finally:
        shut.rmdir()
    assert status == 0
    assert "mine" in output
    assert name not in output


def test_a_command_whose_folder_was_taken_away_says_so(tmp_path):
    gone = tmp_path / "gone"
    gone.mkdir()
    command = f'cd "{gone}" && rmdir "{gone}" && "{sys.executable}" -m spared_bench list metrics'
    done = subprocess.run(
        ["sh", "-c", command],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert done.returncode == 2
    assert "begun is not there any more. Go to another one" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "words",
    [
        "data prepare planted",
        "run --suite demo -d planted",
        "status",
        "track sync",
        "store verify",
        "leaderboard build",
    ],
)
@pytest.mark.parametrize("within", ["", "sub/folder"])
def test_a_file_in_the_place_of_the_workspace_is_named(tmp_path, words, within):
    (tmp_path / "w").write_text("x")
    status, output = spared_bench(*words.split(), "-w", tmp_path / "w" / within)
    assert status == 1
    assert f"{tmp_path / 'w'} is no folder, and a workspace has one there. Move it away" in output
