from __future__ import annotations

import io
import json
import os
import time
from typing import get_args

import pytest
from rich.console import Console

from spared_bench.cli.run_progress import LineWatcher, LiveWatcher
from spared_bench.interfaces import Job, JobKind, Outcome
from spared_bench.results import TrialResult
from spared_bench.running.run_file import RunFile, living_runs
from tests.processes import wait_for

JOBS = [Job("trial", f"k{n}", "toy", "none", "p", {"lr": n}) for n in range(3)]


def ended(job, status="ok"):
    result = TrialResult(job.key, status, "toy@1", "toy", "none", "p", message="it went wrong")
    return Outcome(job, result=result)


def shown(watcher):
    console = Console(file=io.StringIO(), width=100)
    console.print(watcher.table())
    return [" ".join(line.split()) for line in console.file.getvalue().splitlines()]


def test_the_live_table_has_a_row_per_worker_with_step_loss_and_what_is_left():
    watcher = LiveWatcher(Console(file=io.StringIO(), force_terminal=True, width=100))
    watcher.planned(3)
    watcher.started(JOBS[0])
    watcher.started(JOBS[1])
    watcher.progress(JOBS[1], 20, {"train_mse": 0.25})
    assert shown(watcher) == [
        "worker 1 trial toy · none · p · lr=0 · seed 0 0 s",
        "worker 2 trial toy · none · p · lr=1 · seed 0 step 20 train_mse 0.250 0 s",
        "0 done, 0 failed, 2 running, 3 left",
    ]
    watcher.finished(ended(JOBS[0], "error"))
    watcher.planned(2)
    assert shown(watcher)[0] == "worker 1 idle"
    assert shown(watcher)[-1] == "1 done, 1 failed, 1 running, 2 left"
    assert "it went wrong" in watcher.console.file.getvalue()
    watcher.started(JOBS[2])
    assert shown(watcher)[0].startswith("worker 1 trial toy · none · p · lr=2")


def test_names_with_brackets_are_shown_as_they_are():
    watcher = LiveWatcher(Console(file=io.StringIO(), force_terminal=True))
    watcher.started(Job("trial", "k", "[red]toy[/red]", "none", "p"))
    assert "[red]toy[/red]" in shown(watcher)[0]


def test_names_of_what_is_measured_are_no_orders_to_the_terminal():
    watcher = LiveWatcher(Console(file=io.StringIO(), force_terminal=True, width=200))
    watcher.started(JOBS[0])
    watcher.progress(JOBS[0], 1, {"\x1b[2Jmse": 0.5, "\x1b]8;;http://x\x07a\u202eb": 1.0})
    line = shown(watcher)[0]
    assert "step 1 \ufffd[2Jmse 0.500 \ufffd]8;;http://x\ufffda\ufffdb 1.000" in line


@pytest.mark.parametrize("kind", get_args(JobKind))
def test_a_job_of_any_kind_that_fails_has_its_line_and_none_ends_the_run(kind):
    console = Console(file=io.StringIO(), width=100)
    watcher, job = LineWatcher(console), Job(kind, "k", "toy", "none", "p")
    watcher.finished(Outcome(job, result=ended(job).result if kind == "trial" else None))
    watcher.finished(Outcome(job, "error", "it went wrong"))
    last = console.file.getvalue().splitlines()[-1]
    assert last.endswith("  error: it went wrong") and "toy · none · p" in last


def test_lines_of_two_seeds_differ():
    console = Console(file=io.StringIO(), width=100)
    for seed in (0, 7):
        LineWatcher(console).finished(ended(Job("trial", "k", "toy", "none", "p", seed=seed)))
    first, second = console.file.getvalue().splitlines()
    assert "toy · none · p · seed 0 " in first
    assert "toy · none · p · seed 7 " in second


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.setattr("spared_bench.running.run_file._SECONDS", 0.0)
    return RunFile(tmp_path, "toy@1")


def test_another_shell_sees_what_a_run_is_doing_until_it_ends(tmp_path, file):
    with LineWatcher(Console(file=io.StringIO()), file) as watcher:
        watcher.planned(2)
        watcher.started(JOBS[0])
        watcher.progress(JOBS[0], 7, {"val_mse": 0.5})
        (run,) = living_runs(tmp_path)
        assert (run["pid"], run["left"], run["done"]) == (os.getpid(), 2, 0)
        assert run["running"] == [
            {"key": "k0", "kind": "trial", "label": JOBS[0].label, "step": 7,
             "values": {"val_mse": 0.5}},
        ]  # fmt: skip
        watcher.finished(ended(JOBS[0]))
        (run,) = living_runs(tmp_path)
        assert (run["done"], run["running"]) == (1, [])
    assert list(living_runs(tmp_path)) == []


def test_a_run_that_was_killed_or_has_long_been_silent_is_not_shown(tmp_path, file):
    file.planned(1)
    (path,) = tmp_path.glob("*.json")
    facts = json.loads(path.read_text())
    path.write_text(json.dumps(facts | {"started": facts["started"] - 1000}))  # another process
    assert list(living_runs(tmp_path)) == []
    path.write_text(json.dumps(facts | {"place": "elsewhere"}))
    assert len(list(living_runs(tmp_path))) == 1
    os.utime(path, (time.time() - 1000, time.time() - 1000))
    assert list(living_runs(tmp_path)) == []
    path.write_text("no record")
    assert list(living_runs(tmp_path)) == []


def test_what_a_killed_run_said_goes_with_the_next_and_of_others_only_after_a_day(tmp_path, file):
    file.planned(1)
    (path,) = tmp_path.glob("*.json")
    facts, minute = json.loads(path.read_text()), 60
    told = {
        "mine": facts,
        "killed": facts | {"started": facts["started"] - 1000},
        "away": facts | {"place": "elsewhere"},
        "gone": facts | {"place": "elsewhere"},
    }
    for name, values in told.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(values))
    for name, minutes in {"away": 30, "gone": 25 * 60}.items():
        os.utime(tmp_path / f"{name}.json", (time.time() - minutes * minute,) * 2)
    (tmp_path / "nonsense.json").write_text("[1]")
    RunFile(tmp_path, "toy@1").close()
    assert {each.stem for each in tmp_path.glob("*.json")} == {"mine", "away", "nonsense"}


def test_a_run_that_says_nothing_for_long_is_still_seen_from_other_machines(tmp_path, monkeypatch):
    monkeypatch.setattr("spared_bench.running.run_file._BEAT_SECONDS", 0.05)
    file = RunFile(tmp_path, "toy@1")
    file.planned(1)
    (path,) = tmp_path.glob("*.json")
    os.utime(path, (0, 0))
    facts = json.loads(path.read_text()) | {"place": "another-machine"}
    path.write_text(json.dumps(facts))
    os.utime(path, (0, 0))
    wait_for(lambda: list(living_runs(tmp_path)))
    file.close()
    assert list(living_runs(tmp_path)) == []


@pytest.mark.parametrize("kind", get_args(JobKind))
@pytest.mark.parametrize("status", ["ok", "timeout"])
def test_every_kind_of_job_can_be_told_of(kind, status):
    console = Console(file=io.StringIO(), width=200)
    job = Job(kind, "k", "toy", "none", "p")
    result = ended(job).result if kind == "trial" else None
    LineWatcher(console).finished(Outcome(job, status, "it took too long", result=result))
    told = console.file.getvalue()
    if status == "ok":
        assert (told == "") == (kind in ("score", "draw"))  # one line for a trial is enough
    elif kind != "trial":
        assert "timeout: it took too long" in told
