"""Every command of the tutorials, in their order, in an environment outside the checkout.

The environment borrows the packages of this one and has shims for `pip`, `pytest` and
`spared-bench`, so that `pip install` installs what a tutorial made and downloads nothing.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TUTORIALS = ROOT / "docs" / "tutorials"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder to work in, and the PATH of the environment."""
    folder = tmp_path_factory.mktemp("tutorials")
    venv.create(folder / "environment", with_pip=False)
    own = next((folder / "environment").glob("lib/python*/site-packages"))
    borrowed = sysconfig.get_path("purelib")
    (own / "borrowed.pth").write_text(f"import site; site.addsitedir({borrowed!r})\n{ROOT}\n")
    bin_ = folder / "environment" / "bin"
    quiet = "--quiet --no-deps --no-build-isolation --no-index --disable-pip-version-check"
    shims = {
        "pip": f'{sys.executable} -m pip --python {bin_}/python "$@" {quiet}',
        "pytest": f'{bin_}/python -m pytest -q -p no:cacheprovider "$@"',
        "spared-bench": f'{bin_}/python -m spared_bench "$@"',
    }
    for name, command in shims.items():
        (bin_ / name).write_text(f"#!/bin/sh\nexec {command}\n")
        (bin_ / name).chmod(0o755)
    (folder / "work").mkdir()
    return folder / "work", f"{bin_}{os.pathsep}{os.environ['PATH']}"


def blocks(name):
    """Return the shell blocks of a tutorial."""
    return re.findall(r"```sh\n(.*?)```", (TUTORIALS / f"{name}.md").read_text(), re.DOTALL)


@pytest.mark.parametrize("name", ["author", "curator", "reader", "maintainer"])
def test_every_command_of_a_tutorial_works(name, place):
    folder, path = place
    found = blocks(name)
    assert found
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    for number, block in enumerate(found):
        done = subprocess.run(
            ["bash", "-e", "-c", block],
            cwd=folder,
            env=environment | {"PATH": path},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"block {number}:\n{block}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
    check_outcome(name, folder)


def check_outcome(name, folder):
    """Look at what a tutorial promises."""
    workspace = folder / "spared-bench-workspace"
    if name == "author":
        table = (workspace / "leaderboard" / "leaderboard.csv").read_text()
        assert "my-method" in table
        assert "accepted as re-scored" in (folder / "comment.md").read_text()
    elif name == "curator":
        assert "my-brain" in (workspace / "leaderboard" / "leaderboard.csv").read_text()
    elif name == "reader":
        assert (folder / "board" / "index.html").is_file()
    else:
        board = (workspace / "leaderboard" / "leaderboard.csv").read_text()
        assert "re-scored" in board
        entry = (folder / "leaderboards/demo@1/linear-probe@1/entry.json").read_text()
        assert '"trust": "re-scored"' in entry
        assert '"withdrawn": "superseded by version 2"' in entry
        second = (folder / "leaderboards/demo@1/linear-probe@2/entry.json").read_text()
        assert '"trust": "reproduced"' in second


def test_a_tutorial_for_each_of_the_four_kinds_of_people_is_there():
    assert {path.stem for path in TUTORIALS.glob("*.md")} == {
        "author", "curator", "reader", "maintainer",
    }  # fmt: skip
