"""What a child answers, and how it ends that answers nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from spared_bench import apart
from spared_bench.apart import DiedError, do_apart


def test_a_child_that_stops_itself_is_ended_and_said_to_have_stopped(monkeypatch):
    monkeypatch.setattr(apart, "_STOPPED_SECONDS", 0.2)
    with pytest.raises(DiedError, match="was ended as it was stopped"):
        do_apart(lambda: os.kill(os.getpid(), signal.SIGSTOP), seconds=30)


def test_a_child_that_is_resumed_answers(monkeypatch):
    monkeypatch.setattr(apart, "_STOPPED_SECONDS", 60)

    def stop_for_a_moment():
        me = os.getpid()
        if os.fork() == 0:
            os.kill(me, signal.SIGSTOP)
            os.kill(me, signal.SIGCONT)
            os._exit(0)
        os.wait()
        return 7

    assert do_apart(stop_for_a_moment, seconds=30) == 7


PARENT = """
import os, time
from spared_bench import apart

def work():
    print(os.getpid(), flush=True)
    time.sleep(0.5)
    return 7

apart._STOPPED_SECONDS = 2.0
print(apart.do_apart(work), flush=True)
"""


def test_a_child_that_was_stopped_with_its_parent_and_goes_on_after_it_answers():
    command = [sys.executable, "-c", PARENT]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        child = int(parent.stdout.readline())
        os.kill(child, signal.SIGSTOP)
        time.sleep(0.3)  # in which the parent finds it stopped
        parent.send_signal(signal.SIGSTOP)
        time.sleep(2.5)
        parent.send_signal(signal.SIGCONT)
        time.sleep(0.3)
        os.kill(child, signal.SIGCONT)
        assert parent.stdout.read() == "7\n"


def test_a_child_answers_where_nobody_is_told_how_children_end():
    """As in a process begun by one that ignores it: the child and what it begins inherit that."""
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        assert do_apart(lambda: subprocess.run(["false"], check=False).returncode) == 1
    finally:
        signal.signal(signal.SIGCHLD, before)
