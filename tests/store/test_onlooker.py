"""What a child finds while its parent does something else."""

from __future__ import annotations

import os
from itertools import islice

import psutil
import pytest

from spared_bench.store import onlooker
from spared_bench.store.onlooker import looked_ahead
from tests.processes import wait_for

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
MANY = 3 * onlooker._WORTH


@pytest.fixture(autouse=True)
def nothing_is_left(monkeypatch):
    """Let there be two cores, and leave no process and no file behind."""
    monkeypatch.setattr(onlooker, "usable_cores", lambda: 2)
    me = psutil.Process()
    before = me.children(), me.num_fds()
    yield
    assert (me.children(), me.num_fds()) == before


def test_it_is_found_by_a_child_in_its_order_and_then_nothing():
    here = os.getpid()

    def look():
        yield from (number % 251 for number in range(MANY))
        yield int(os.getpid() != here)

    found = looked_ahead(look, MANY)
    assert list(islice(found, MANY)) == [number % 251 for number in range(MANY)]
    assert list(islice(found, 4)) == [1, None, None, None]


@pytest.mark.parametrize("why", ["few", "one core", "no fork", "no processes"])
def test_where_it_is_not_worth_a_child_or_there_can_be_none_nothing_is_found(why, monkeypatch):
    def look():
        raise AssertionError("it was asked")

    def refused():
        raise BlockingIOError("no more processes")

    if why == "one core":
        monkeypatch.setattr(onlooker, "usable_cores", lambda: 1)
    if why == "no fork":
        monkeypatch.delattr(os, "fork")
    if why == "no processes":
        monkeypatch.setattr(os, "fork", refused)
    found = looked_ahead(look, 5 if why == "few" else MANY)
    assert list(islice(found, 3)) == [None, None, None]


@pytest.mark.parametrize("how", ["raises", "is killed"])
def test_a_child_that_ends_early_has_found_what_it_told(how):
    def look():
        yield from [7] * onlooker._AT_ONCE
        if how == "raises":
            raise OSError("the disk is gone")
        os.kill(os.getpid(), 9)

    found = list(islice(looked_ahead(look, MANY), onlooker._AT_ONCE + 2))
    assert found == [7] * onlooker._AT_ONCE + [None, None]


@pytest.mark.parametrize("asked", [False, True])
def test_a_child_begins_before_it_is_asked(asked, tmp_path):
    def look():
        (tmp_path / "begun").touch()
        yield 5

    found = looked_ahead(look, MANY)
    wait_for((tmp_path / "begun").exists)
    assert not asked or next(found) == 5
    found.close()


def test_a_child_ends_when_nobody_listens_any_more():
    def look():
        while True:
            yield 1

    found = looked_ahead(look, MANY)
    assert next(found) == 1
    found.close()
