from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from spared_bench.store.entries import Store
from spared_bench.store.leases import Leases

HOLDER = """
import sys, time
from pathlib import Path
from spared_bench.store.leases import Leases
leases = Leases(Path(sys.argv[1]))
assert leases.take("work")
print("taken", flush=True)
time.sleep(60)
"""


@pytest.fixture
def held(tmp_path):
    """A lease of another process."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "taken\n"
    yield process
    process.kill()
    process.wait()


def test_a_lease_has_one_holder_until_it_is_given_back(tmp_path):
    one, two = Leases(tmp_path), Leases(tmp_path)
    assert one.take("work")
    assert one.take("work")
    assert not two.take("work")
    assert two.take("other work")
    assert two.holder("work")["pid"] == os.getpid()
    one.release("work")
    assert two.holder("work") is None
    assert two.take("work")
    one.release("work")  # not ours any more
    assert one.holder("work")["owner"] == two.owner


def test_a_sweep_takes_away_what_the_dead_held_and_nothing_of_the_living(tmp_path, held):
    mine = Leases(tmp_path)
    mine.take("my work")
    mine.sweep()
    assert {name for name, _ in mine.holders()} == {"my work", "work"}
    held.kill()
    held.wait()
    mine.sweep()
    assert [path.name for path in tmp_path.glob("*.lease")] == ["my work.lease"]
    assert [path.name for path in (tmp_path / "owners").iterdir()] == [mine.owner]


def test_a_card_that_somebody_took_away_is_written_again(tmp_path):
    leases = Leases(tmp_path)
    assert leases.take("one")
    shutil.rmtree(tmp_path)
    assert leases.take("two")
    assert Leases(tmp_path).holder("two")["owner"] == leases.owner
    leases.close()


def test_a_process_stays_alive_for_others_when_the_clock_is_set(tmp_path, monkeypatch):
    leases = Leases(tmp_path)
    assert leases.take("work")
    monkeypatch.setattr("psutil.Process.create_time", lambda self: 12.0)
    assert Leases(tmp_path).holder("work") is not None
    assert not Leases(tmp_path).take("work")
    leases.close()


def test_of_many_that_want_a_lease_at_once_one_gets_it(tmp_path):
    many = [Leases(tmp_path) for _ in range(16)]
    start = threading.Barrier(len(many))

    def take(leases):
        start.wait()
        return leases.take("work")

    with ThreadPoolExecutor(len(many)) as pool:
        assert sum(pool.map(take, many)) == 1


def test_the_lease_of_a_killed_process_is_free_at_once_and_that_of_a_living_one_is_not(
    tmp_path, held
):
    leases = Leases(tmp_path)
    assert not leases.take("work")
    held.kill()
    held.wait()
    assert leases.holder("work") is None
    assert leases.take("work")


def test_a_lease_of_another_machine_is_taken_when_it_was_not_renewed(tmp_path):
    theirs, ours = Leases(tmp_path, lifetime=60), Leases(tmp_path, lifetime=60)
    assert theirs.take("work")
    card = theirs._card
    facts = json.loads(card.read_text())
    card.write_text(json.dumps(facts | {"place": "elsewhere"}))
    assert not ours.take("work")
    os.utime(card, (1, 1))  # the lease is the same file
    assert ours.take("work")


def test_a_process_waits_for_what_another_makes_and_then_does_not_make_it(tmp_path):
    store, begun, go = Store(tmp_path), threading.Event(), threading.Event()
    made = []

    def slowly(folder):
        begun.set()
        go.wait(30)
        made.append("other")
        (folder / "value").write_text("theirs")

    other = Leases(tmp_path / "leases")
    from spared_bench.keys.hashing import digest

    name = f"kind-{digest({'a': 1})}"
    assert other.take(name)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(
            store.obtain, "kind", {"a": 1}, lambda folder: made.append("ours"), once=True
        )
        go.set()
        store.write("kind", {"a": 1}, slowly)
        other.release(name)
        entry = waiting.result(timeout=30)
    assert made == ["other"]
    assert (entry.folder / "value").read_text() == "theirs"


def test_closing_leaves_nothing_behind(tmp_path):
    leases = Leases(tmp_path)
    leases.take("a")
    leases.take("b")
    leases.close()
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_where_there_are_no_hard_links_a_lease_still_has_one_holder(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(1, "no links here")

    monkeypatch.setattr(os, "link", refuse)
    one, two = Leases(tmp_path), Leases(tmp_path)
    assert one.take("work")
    assert not two.take("work")
    one.release("work")
    assert two.take("work")
