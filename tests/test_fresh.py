"""A function in a fresh interpreter: what it answers, and what becomes of one that does not."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import psutil
import pytest

from spared_bench.apart import DiedError, FailedError, descendants, do_apart
from spared_bench.fresh import do_fresh

HERE = __name__


def add(left: float, right: float) -> list[float]:
    print("printed")
    return [left + right, float("inf")]


def whereabouts() -> dict[str, object]:
    return {
        "process": os.getpid(),
        "pyvips": "pyvips" in sys.modules,
        "input": sys.stdin.read() + os.read(0, 1).decode(),
        "parent": os.getppid(),
    }


def fail() -> None:
    raise ZeroDivisionError("by zero")


def end(code: int) -> None:
    os._exit(code)


def last(note: str) -> None:
    child = os.fork()
    if child == 0:
        time.sleep(600)
    Path(note).write_text(str(child))
    time.sleep(600)


def test_a_function_answers_from_an_interpreter_that_has_run_nothing(capfd, monkeypatch):
    import pyvips  # noqa: F401 - here, and so not there

    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    assert do_fresh(f"{HERE}:add", {"left": 1.5, "right": 2}, 60) == [3.5, float("inf")]
    told = capfd.readouterr()
    assert (told.out, told.err) == ("", "printed\n")
    found = do_fresh(f"{HERE}:whereabouts", {}, 60)
    assert found["process"] != os.getpid()
    assert (found["pyvips"], found["input"], found["parent"]) == (False, "", os.getpid())


def test_what_raises_or_ends_is_told():
    with pytest.raises(FailedError, match="ZeroDivisionError: by zero") as failed:
        do_fresh(f"{HERE}:fail", {}, 60)
    assert "in fail" in failed.value.story
    for code in (0, 3):
        with pytest.raises(DiedError, match=f"ended with status {code} before it had answered"):
            do_fresh(f"{HERE}:end", {"code": code}, 60)


def test_one_that_lasts_is_ended_with_what_it_started(tmp_path):
    before, note = descendants(), tmp_path / "child"
    with pytest.raises(DiedError, match="was ended after 8 s, before it had answered"):
        do_fresh(f"{HERE}:last", {"note": str(note)}, 8)
    assert not note.exists() or not psutil.pid_exists(int(note.read_text()))
    assert descendants() <= before
    with pytest.raises(DiedError, match=r"was ended after 0\.2 s, before it had answered"):
        do_apart(lambda: time.sleep(60), 0.2)
