"""Files of methods that a child writes while its parent writes the rest."""

from __future__ import annotations

import errno
import os

import pytest

from spared_bench.errors import WorkspaceError
from spared_bench.leaderboard import site
from spared_bench.store import onlooker
from tests.board_samples import build, demo_trials

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")


def files_of(page):
    """Return the files of the protocols; the folder above is named by the time, too."""
    found = {
        f"{path.parent.name}/{path.name}": path.read_bytes()
        for path in page.parent.glob("data-*/p*/*.js")
    }
    assert any("/method-" in name for name in found)
    return found


@pytest.fixture
def alone(tmp_path):
    """What one process writes."""
    return files_of(build(demo_trials(), tmp_path / "alone", "a command", "store"))


@pytest.fixture
def many(monkeypatch):
    """Let a few trials be worth a child, and tell which process writes what."""
    monkeypatch.setattr(onlooker, "_WORTH", 0)
    monkeypatch.setattr(onlooker, "usable_cores", lambda: 2)


@pytest.mark.parametrize("fate", ["lives", "raises", "is killed", "is killed at the second"])
def test_whatever_becomes_of_the_child_the_files_are_those_that_one_process_writes(
    fate, alone, many, tmp_path, monkeypatch
):
    here, make, begun = os.getpid(), site.method_data, []

    def method_data(*arguments):
        begun.append(arguments)
        if os.getpid() != here:
            if fate == "raises":
                raise OSError(errno.ENOSPC, "the disk is full for a moment")
            if fate == "is killed" or (fate == "is killed at the second" and len(begun) == 2):
                os.kill(os.getpid(), 9)
        return make(*arguments)

    monkeypatch.setattr(site, "method_data", method_data)
    assert files_of(build(demo_trials(), tmp_path / "site", "a command", "store")) == alone
    assert (begun == []) is (fate == "lives"), "who wrote the files of methods"


def test_what_neither_can_write_ends_the_build(many, tmp_path, monkeypatch):
    def method_data(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(site, "method_data", method_data)
    with pytest.raises(WorkspaceError, match="No space left on device"):
        build(demo_trials(), tmp_path, "a command", "store")
