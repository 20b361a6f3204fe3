from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from spared_bench.store import processes
from spared_bench.store.leases import Leases
from spared_bench.store.processes import (
    is_orphan,
    is_running,
    is_stopped,
    place,
    scratch_folder,
    stamp,
    started_at,
    sweep_beside,
)
from spared_bench.workspace import Workspace
from tests.processes import wait_for

# Its first thread waits in the kernel for a child that has not begun its program.
STARTS_A_CHILD = """
import os, sys, threading, time
threading.Thread(target=time.sleep, args=(100,), daemon=True).start()
begin = [(os.POSIX_SPAWN_OPEN, 9, sys.argv[1], os.O_RDONLY, 0)]
os.posix_spawn("/bin/true", ["true"], {}, file_actions=begin)
"""


@pytest.fixture
def child():
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


def test_a_process_runs_until_it_ends_also_while_nobody_has_taken_note_of_its_end(child):
    started = started_at(child.pid)
    assert is_running(child.pid, started)
    child.kill()
    psutil.wait_procs([psutil.Process(child.pid)], timeout=0.2)
    while psutil.pid_exists(child.pid) and psutil.Process(child.pid).status() != "zombie":
        pass
    assert not is_running(child.pid, started)
    child.wait()
    assert not is_running(child.pid, started)


def test_a_later_process_of_the_same_number_is_another_one():
    started = started_at(os.getpid())
    assert is_running(os.getpid(), started)
    assert not is_running(os.getpid(), started - 1000)
    assert not is_running(os.getpid(), 0)


def test_a_process_that_may_not_be_looked_at_is_taken_to_run(monkeypatch):
    monkeypatch.setattr(processes, "started_at", lambda pid: -1)
    assert is_running(1, 12345)


def test_what_a_living_writer_has_stamped_is_no_orphan_and_that_of_a_dead_one_is(tmp_path, child):
    mine = tmp_path / f"prepared-abc.{stamp()}"
    host, _, last = mine.name.rpartition(".")
    dead = tmp_path / host.replace(str(os.getpid()), str(child.pid))
    dead = dead.with_name(f"{dead.name}.{last}")
    mine.touch()
    dead.touch()
    assert not is_orphan(mine)
    assert is_orphan(dead)  # the child's number, with another process's start
    assert not is_orphan(tmp_path / "somebody's own file.txt")


@pytest.mark.parametrize(
    "other",
    ["x{host}-{space}", "{host}-{space}1", "elsewhere-{space}", "{host}", "{host}-0{space}"],
)
def test_what_is_written_in_another_place_is_no_orphan_of_this_one(tmp_path, other):
    """One whose name ends alike, another container of this host's name, another machine."""
    host, space = place().split("-", 1)
    path = tmp_path / f"trials-abc.{other.format(host=host, space=space)}.2147483647-1.00000000"
    path.mkdir()
    assert not is_orphan(path)
    os.utime(path, (1, 1))
    assert is_orphan(path)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what it was started by")
def test_what_another_machine_of_our_name_writes_is_no_orphan_and_its_lease_no_dead_one(
    tmp_path, monkeypatch
):
    """Two machines that were never given a name, and share a folder."""
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        pass
    monkeypatch.setattr(processes, "_BOOT", "-0123456789ab")  # theirs
    theirs = tmp_path / f"trials-abc.{place()}.{ended.pid}-1.00000000"
    theirs.mkdir()
    there = Leases(tmp_path / "leases")
    monkeypatch.setattr(os, "getpid", lambda: ended.pid)
    assert there.take("work")
    monkeypatch.undo()
    here = Leases(tmp_path / "leases")
    try:
        assert not is_orphan(theirs)
        assert not here.take("work")
        here.sweep()
        assert here.holder("work")["pid"] == ended.pid
    finally:
        here.close()
        there.close()


def test_a_process_is_stopped_also_while_it_starts_another_and_not_once_it_goes_on(child, tmp_path):
    assert not is_stopped(child.pid)
    child.send_signal(signal.SIGSTOP)
    wait_for(lambda: is_stopped(child.pid))
    child.send_signal(signal.SIGCONT)
    wait_for(lambda: not is_stopped(child.pid))

    os.mkfifo(gate := tmp_path / "gate")
    starting = subprocess.Popen([sys.executable, "-c", STARTS_A_CHILD, str(gate)])
    try:
        wait_for(lambda: psutil.Process(starting.pid).children())
        assert not is_stopped(starting.pid)
        for pid in (starting.pid, *[one.pid for one in psutil.Process(starting.pid).children()]):
            os.kill(pid, signal.SIGSTOP)  # as Ctrl-Z does
        wait_for(lambda: is_stopped(starting.pid))
    finally:
        for process in [*psutil.Process(starting.pid).children(), starting]:
            os.kill(process.pid, signal.SIGKILL)
        starting.wait()


def test_a_process_that_is_gone_is_not_stopped(child):
    child.kill()
    child.wait()
    assert not is_stopped(child.pid)


NOT_WHOLE = """
import os, sys
from pathlib import Path
from spared_bench.files import replacing
with replacing(Path(sys.argv[1])) as beside:
    beside.write_text("half")
    os.kill(os.getpid(), 9)
"""


def test_a_file_that_a_killed_process_had_begun_goes_after_a_day_and_no_other(tmp_path):
    command = [sys.executable, "-c", NOT_WHOLE, str(tmp_path / "slide.predicted.h5ad")]
    subprocess.run(command, check=False)
    (left,) = tmp_path.iterdir()
    names = (".hidden-notes.txt", "1-0123abcd.x", ".1-xyz.json", ".20240131-20240229.csv")
    others = [tmp_path / name for name in names]
    for path in others:
        path.touch()
    sweep_beside(tmp_path)
    assert left.exists()
    for path in (left, *others):
        os.utime(path, (1, 1))
    sweep_beside(tmp_path)
    assert set(tmp_path.iterdir()) == set(others)


def test_a_workspace_is_swept_of_files_that_were_begun(tmp_path):
    left = [
        tmp_path / name / ".12-0123abcd.table.md" for name in (".", "completion/x", "studies/y")
    ]
    for path in left:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        os.utime(path, (1, 1))
    Workspace.at(tmp_path).make_writable()
    assert not any(path.exists() for path in left)


def test_what_a_kill_left_of_the_trial_of_writing_goes_with_the_files_that_were_begun(
    tmp_path, monkeypatch
):
    workspace = Workspace.at(tmp_path)
    with monkeypatch.context() as killed:
        killed.setattr(Path, "unlink", lambda *_, **__: None)
        workspace.make_writable()
    left = [path for path in tmp_path.iterdir() if path.is_file()]
    assert left
    for path in left:
        os.utime(path, (1, 1))
    workspace.make_writable()
    assert not any(path.exists() for path in left)


SCRATCH = """
import os
from spared_bench.store.processes import scratch_folder
with scratch_folder() as folder:
    (folder / "unpacked").write_text("x")
    os.kill(os.getpid(), 9)
"""


def test_a_scratch_folder_of_a_killed_process_goes_with_the_next_and_no_other_does(
    tmp_path, monkeypatch
):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", SCRATCH], env=environment, check=False)
    (left,) = tmp_path.iterdir()
    mine = tmp_path / "spared-bench-scratch.notes"
    mine.mkdir()
    with scratch_folder() as outer, scratch_folder() as inner:
        assert not left.exists()
        assert len({outer, inner, mine} & set(tmp_path.iterdir())) == 3
    assert list(tmp_path.iterdir()) == [mine]
