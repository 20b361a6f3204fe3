from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from spared_bench.store.entries import Store
from spared_bench.store.leases import Leases, described
from spared_bench.store.processes import place

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


SLEEPER = """
import sys
from pathlib import Path
from spared_bench.store.leases import Leases
leases = Leases(Path(sys.argv[1]), lifetime=2.4)
assert leases.take("work") and leases.take("other work")
print("taken", flush=True)
for line in sys.stdin:
    if line == "take\\n":
        print(leases.take("work"), flush=True)
    else:
        leases.release("work")
        print("released", flush=True)
leases.close()
"""


@pytest.fixture
def sleeper(tmp_path):
    """A process with two leases of a short life."""
    process = subprocess.Popen(
        [sys.executable, "-c", SLEEPER, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "taken\n"
    yield process
    process.send_signal(signal.SIGCONT)
    process.kill()
    process.wait()


def taken_within(leases, name, seconds):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if leases.take(name):
            return True
        time.sleep(0.05)
    return False


def ask(process, what):
    process.stdin.write(what + "\n")
    process.stdin.flush()
    return process.stdout.readline().strip()


def test_a_living_process_keeps_its_leases_beyond_their_lifetime(tmp_path, sleeper):
    assert not taken_within(Leases(tmp_path, lifetime=2.4), "work", 6)
    assert ask(sleeper, "take") == "True"


def test_a_stopped_process_loses_its_leases_and_leaves_them_alone_when_it_goes_on(
    tmp_path, sleeper
):
    ours = Leases(tmp_path, lifetime=2.4)
    sleeper.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, sleeper.pid, os.WSTOPPED)  # the signal is sent; the stop takes a moment
    assert not ours.take("work")
    assert described(ours.holder("work")).startswith(f"process {sleeper.pid} on ")
    assert described(ours.holder("work")).endswith(" (suspended: resume or end it)")
    assert taken_within(ours, "work", 10)
    sleeper.send_signal(signal.SIGCONT)
    time.sleep(2)  # beats of its heart
    assert Leases(tmp_path).holder("work")["owner"] == ours.owner
    assert ask(sleeper, "take") == "False"
    assert ask(sleeper, "release") == "released"
    sleeper.stdin.close()
    sleeper.wait(10)
    assert Leases(tmp_path).holder("work")["owner"] == ours.owner
    assert not (tmp_path / "other work.lease").exists()  # nobody took it: it is given back
    ours.close()


def test_who_is_stopped_within_a_release_gives_another_s_lease_back(tmp_path, monkeypatch):
    one, two = Leases(tmp_path), Leases(tmp_path)
    assert one.take("work")
    remove = one._remove

    def late(path, is_it):
        path.unlink()  # meanwhile it lapsed
        assert two.take("work")
        return remove(path, is_it)

    monkeypatch.setattr(one, "_remove", late)
    one.release("work")
    assert Leases(tmp_path).holder("work")["owner"] == two.owner
    assert two.take("work")


def test_a_lease_lapses_whatever_its_time_says_once_it_was_watched_for_long(tmp_path):
    theirs, ours = Leases(tmp_path, lifetime=600), Leases(tmp_path, lifetime=0.6)
    assert theirs.take("work")
    os.utime(theirs._card, (2**32, 2**32))  # the file system's clock was years ahead
    assert not ours.take("work")
    assert taken_within(ours, "work", 5)


def test_after_a_sleep_of_the_machine_a_living_process_has_time_to_renew(tmp_path):
    theirs, ours = Leases(tmp_path, lifetime=600), Leases(tmp_path, lifetime=600)
    assert theirs.take("work")
    os.utime(theirs._card, (1, 1))  # as it looks at the first moment of waking
    assert not ours.take("work")
    os.utime(theirs._card)  # a beat
    assert not ours.take("work")


CARD = {"owner": "x", "host": "h", "place": place(), "pid": os.getpid(), "started": 1}
NONSENSE = {
    "empty": b"",
    "zeros": b"\0" * 300,
    "half": b'{"owner": "x", "host": ',
    "not_text": b"\xff\xfe\x00{",
    "list": b"[1, 2]",
    "deep": b"[" * 100_000,
    "without_owner": json.dumps(CARD | {"owner": ""}).encode(),
    "host_steers_the_terminal": json.dumps(CARD | {"host": "h\x1b]0;x\x07\n"}).encode(),
    "pid_text": json.dumps(CARD | {"pid": "12"}).encode(),
    "pid_list": json.dumps(CARD | {"pid": [1]}).encode(),
    "pid_huge": json.dumps(CARD | {"pid": 10**30}).encode(),
    "pid_negative": json.dumps(CARD | {"pid": -5}).encode(),
    "pid_bool": json.dumps(CARD | {"pid": True}).encode(),
    "started_nan": json.dumps(CARD | {"started": float("nan")}).encode(),
    "place_null": json.dumps(CARD | {"place": None}).encode(),
}


@pytest.mark.parametrize("kind", [*NONSENSE, "folder", "dangling", "pipe", "endless"])
def test_nonsense_is_no_lease(tmp_path, kind):
    path = tmp_path / "work.lease"
    if kind == "folder":
        (path / "inner").mkdir(parents=True)
    elif kind == "dangling":
        path.symlink_to("nowhere")
    elif kind == "pipe":  # which nobody writes to
        os.mkfifo(path)
    elif kind == "endless":
        path.symlink_to("/dev/zero")
    else:
        path.write_bytes(NONSENSE[kind])
    leases = Leases(tmp_path, lifetime=2.4)
    assert leases.holder("work") is None
    assert list(leases.holders()) == []
    assert not leases.take("work")  # it may be just being written
    assert taken_within(leases, "work", 5)
    leases.close()
    assert [each for each in tmp_path.rglob("*") if each.is_file()] == []


def test_a_sweep_takes_old_nonsense_away_among_leases_and_cards(tmp_path):
    (tmp_path / "owners").mkdir()
    for path in (tmp_path / "work.lease", tmp_path / "owners" / "card"):
        path.write_bytes(b"\0\0")
        os.utime(path, (1, 1))
    Leases(tmp_path).sweep()
    assert not (tmp_path / "work.lease").exists()
    assert not (tmp_path / "owners" / "card").exists()


def test_who_waits_for_a_product_says_for_whom(tmp_path, held, monkeypatch, capsys):
    monkeypatch.setattr("spared_bench.store.leases._SECONDS_UNTOLD", 0.3)
    looked = []

    def found():
        looked.append(None)
        return "made" if len(looked) > 5 else None

    with Leases(tmp_path).waiting("work", found) as made:
        assert made == "made"
    who = f"process {held.pid} on {socket.gethostname()}"
    assert capsys.readouterr().err == f"Waiting for work, which {who} has.\n"


def test_who_can_write_nothing_sees_who_lives_and_who_is_silent(tmp_path):
    (tmp_path / "owners").write_text("where no card can be written")
    for name in ("lives", "silent"):
        (tmp_path / f"{name}.lease").write_text(json.dumps(CARD | {"place": "elsewhere"}))
    os.utime(tmp_path / "silent.lease", (1, 1))
    assert [name for name, _ in Leases(tmp_path).holders()] == ["lives"]
