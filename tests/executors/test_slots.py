"""Real processes that hang, grow, crash and are killed."""

from __future__ import annotations

import os
import queue
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from spared_bench.api import execute, make_bench, select
from spared_bench.bench import Limits
from spared_bench.errors import PluginError, UsageError
from spared_bench.executors import worker_process
from spared_bench.executors.left_behind import OWNER, end_left_behind, owner
from spared_bench.executors.local import LocalExecutor
from spared_bench.executors.slot import Slot, environment, is_message
from spared_bench.memory import kills_for_want_of_memory
from spared_bench.results import without_times
from spared_bench.running.retries import forget_failures
from spared_bench.store.processes import is_stopped, place, started_at
from tests.conftest import TOY_PLUGIN, TOY_PROTOCOL
from tests.processes import alive, wait_for

QUIET = {"track": False, "figures": False}


def scores(report):
    return {result.key: without_times(result) for result in report.results}


def test_a_method_that_hangs_grows_or_crashes_ends_its_own_trial_and_says_how(workspace):
    bench = make_bench(
        str(TOY_PROTOCOL),
        workspace=workspace,
        plugin_files=[TOY_PLUGIN],
        parameters={"toy-slow": {"seconds": 60.0}},
    )
    predictors = ["toy-leaks", "toy-segfaults", "toy-needs-less", "toy-mean"]
    found = {}
    for names, limits in (
        (["toy-slow"], Limits(timeout=1.0, isolate=True)),
        (predictors, Limits(memory_mb=900, isolate=True)),
    ):
        plan = select(bench, ["toy"], ["none"], names)
        report = execute(plan, workers=1, limits=limits, **QUIET)
        found |= {result.predictor: result for result in report.results}
    assert {name: result.status for name, result in found.items()} == {
        "toy-slow": "timeout",
        "toy-leaks": "out_of_memory",
        "toy-segfaults": "killed",
        "toy-needs-less": "ok",
        "toy-mean": "ok",
    }
    assert "Ended after 1 s" in found["toy-slow"].message
    assert "`--memory-mb` allows 900" in found["toy-leaks"].message
    assert "was killed by SIGSEGV" in found["toy-segfaults"].message
    assert "in fit" in found["toy-segfaults"].traceback  # where it was, from the log
    assert found["toy-segfaults"].facts["quarantined"]
    assert found["toy-needs-less"].parameters["micro_batch"] == 4  # a quarter of the batch
    assert len(list((workspace / "logs").glob("worker-*"))) == 1  # no worker was lost


def test_a_worker_that_has_nothing_to_say_leaves_no_log(workspace):
    bench = make_bench(str(TOY_PROTOCOL), workspace=workspace, plugin_files=[TOY_PLUGIN])
    report = execute(select(bench, ["toy"], ["none"], ["toy-mean"]), workers=1, **QUIET)
    assert report.results[0].status == "ok"
    assert list((workspace / "logs").iterdir()) == []


PRINTS = """
import os, time
from spared_bench import PredictorSpec, hookimpl


class Prints:
    def fit(self, train, val, context):
        self.mean_ = train.target.mean(axis=0)
        until = time.monotonic() + 2
        while time.monotonic() < until:
            os.write(2, b"and so on\\n" * 1_000)
            time.sleep(0.0005)
        os.write(2, b"the last words\\n")
        os._exit(3)

    def predict(self, slides):
        raise NotImplementedError


@hookimpl
def spared_bench_predictors():
    return [PredictorSpec("prints", f"{__name__}:Prints")]
"""


def test_what_a_method_prints_without_end_does_not_fill_the_disk(workspace, tmp_path, monkeypatch):
    monkeypatch.setattr("spared_bench.executors.slot._MOST_LOG_BYTES", 100_000)
    monkeypatch.setattr("spared_bench.executors.local._LOOK_AT_LOGS_SECONDS", 0.05)
    (tmp_path / "prints.py").write_text(PRINTS)
    bench = make_bench(
        str(TOY_PROTOCOL), workspace=workspace, plugin_files=[TOY_PLUGIN, tmp_path / "prints.py"]
    )
    (result,) = execute(select(bench, ["toy"], ["none"], ["prints"]), workers=1, **QUIET).results
    assert result.status == "killed"
    assert result.traceback.rstrip().endswith("the last words")
    for log in (workspace / "logs").iterdir():
        facts = log.stat()
        assert max(facts.st_size, facts.st_blocks * 512) < 4_000_000, log.name


def test_a_trial_that_the_system_ends_for_want_of_memory_is_not_quarantined(
    bench, monkeypatch, tmp_path
):
    """Of other deaths by the same signal it is told by what the system counts, here a file."""
    counts = tmp_path / "vmstat"
    counts.write_text("nr_free_pages 7\noom_kill 3\noom_kill_other 9\n")
    monkeypatch.setattr("spared_bench.memory._COUNTS", counts)
    plan = select(bench, ["toy"], ["none"], ["toy-dies"])
    (dead,) = execute(plan, workers=1, **QUIET).results
    assert (dead.status, dead.facts["quarantined"]) == ("killed", True)

    told = []

    def rises():
        told.append(kills_for_want_of_memory() + len(told))
        return told[-1]

    monkeypatch.setattr("spared_bench.executors.slot.kills_for_want_of_memory", rises)
    forget_failures(plan, quarantined=True)
    (ended,) = execute(plan, workers=1, **QUIET).results
    assert (ended.status, ended.facts.get("quarantined")) == ("out_of_memory", None)
    assert ended.message.startswith("The system ended its process for want of memory.")
    assert told == [3, 4, 5, 6]  # it was tried again once, as it was
    counts.unlink()
    assert kills_for_want_of_memory() == 0


def test_memory_that_processes_of_a_trial_share_is_counted_once(bench):
    plan = select(bench, ["toy"], ["none"], ["toy-shares"])
    report = execute(plan, workers=1, limits=Limits(memory_mb=1500, isolate=True), **QUIET)
    (result,) = report.results
    assert result.status == "ok", result.message  # four processes have 400 MiB and our imports


def test_a_worker_without_isolation_is_replaced_when_its_job_is_ended(workspace, tmp_path):
    path = tmp_path / "two.yaml"
    path.write_text(TOY_PROTOCOL.read_text() + "seeds: [0, 1]\n")
    bench = make_bench(
        str(path),
        workspace=workspace,
        plugin_files=[TOY_PLUGIN],
        parameters={"toy-slow": {"seconds": 60.0}},
    )
    plan = select(bench, ["toy"], ["none"], ["toy-slow"])
    report = execute(plan, workers=1, limits=Limits(timeout=0.5), **QUIET)
    assert [result.status for result in report.results] == ["timeout", "timeout"]
    assert list((bench.workspace.store.root / "tmp").iterdir()) == [], "they left what they began"


@pytest.mark.parametrize("isolate", [True, False])
def test_trials_of_a_strangers_plugin_have_a_process_each_isolated_or_not(bench, isolate):
    protocol = bench.protocol.model_copy(update={"seeds": (0, 1)})
    settings = replace(bench.settings, protocol=protocol.model_dump(mode="json"))
    plan = select(type(bench)(settings, bench.registry), ["toy"], ["none"], ["toy-reports"])
    report = execute(plan, workers=1, limits=Limits(isolate=isolate, gpus=("3", "5")), **QUIET)
    curves = [result.curves for result in report.results]
    assert len({curve["pid"][0][1] for curve in curves}) == 2
    assert {curve["gpu"][0][1] for curve in curves} == {3.0}


def test_gpus_are_dealt_to_the_workers_in_turn():
    limits = Limits(gpus=("0", "2"))
    dealt = [environment(limits, number)["CUDA_VISIBLE_DEVICES"] for number in range(4)]
    assert dealt == ["0", "2", "0", "2"]
    before = os.environ.get("CUDA_VISIBLE_DEVICES")
    assert environment(Limits(), 1).get("CUDA_VISIBLE_DEVICES") == before


def test_results_do_not_depend_on_isolation_or_the_number_of_workers(workspace, tmp_path):
    """Not even of a method that draws from the global generator."""
    shutil.copytree(workspace, tmp_path / "other")

    def run(root, **options):
        bench = make_bench(str(TOY_PROTOCOL), workspace=root, plugin_files=[TOY_PLUGIN])
        predictors = ["toy-ridge", "toy-mean", "toy-sloppy", "toy-staged"]
        return scores(execute(select(bench, ["toy"], ["none"], predictors), **options, **QUIET))

    here = run(workspace, executor="inline")
    assert here == run(tmp_path / "other", workers=2, limits=Limits(isolate=True))


def test_a_worker_with_other_plugins_than_the_plan_refuses(bench):
    plan = select(bench, ["toy"], ["none"], ["toy-mean"])
    (job,) = plan.cells[0].finals
    settings = replace(bench.settings, plugins={"predictor toy-mean": "toys 2.0 code 123"})
    executor = LocalExecutor(settings, 1, lambda *_: None)
    try:
        executor.submit(job)
        (outcome,) = executor.wait()
    finally:
        executor.close()
    assert outcome.status == "refused"
    assert "predictor toy-mean: planned toys 2.0 code 123, found" in outcome.message
    assert "If that code was edited since the run was begun, run again" in outcome.message


def test_a_refusing_worker_ends_the_run_and_is_no_result(bench, monkeypatch):
    monkeypatch.setattr(
        "spared_bench.api.execution.plugins_of", lambda plan: {"predictor gone": "x 1 code"}
    )
    plan = select(bench, ["toy"], ["none"], ["toy-mean"])
    with pytest.raises(PluginError, match="planned x 1 code, found missing"):
        execute(plan, workers=1, **QUIET)
    assert list(bench.workspace.store.entries("trials")) == []


def test_inline_cannot_end_a_trial_and_says_so(bench):
    plan = select(bench, ["toy"], ["none"], ["toy-mean"])
    with pytest.raises(UsageError, match="Use `--executor local`"):
        execute(plan, executor="inline", limits=Limits(timeout=1.0), **QUIET)


def test_when_an_isolating_worker_is_killed_its_child_does_not_live_on(
    workspace, tmp_path, monkeypatch
):
    monkeypatch.setenv("TOY_SIGN", str(tmp_path / "begun"))
    bench = make_bench(
        str(TOY_PROTOCOL),
        workspace=workspace,
        plugin_files=[TOY_PLUGIN],
        parameters={"toy-slow": {"seconds": 60.0}},
    )
    (job,) = select(bench, ["toy"], ["none"], ["toy-slow"]).cells[0].finals
    executor = LocalExecutor(replace(bench.settings, limits=Limits(isolate=True)), 1, print)
    try:
        executor.submit(job)
        wait_for((tmp_path / "begun").exists)
        assert executor.wait(0.1) == []
        (slot,) = executor._slots
        child, worker = slot._child, slot._process.pid
        assert child != worker
        assert alive(child)
        os.kill(worker, signal.SIGKILL)
        (outcome,) = executor.wait()
    finally:
        executor.close()
    assert outcome.status == "killed"
    wait_for(lambda: not alive(child))


def test_a_job_says_once_which_process_it_has(bench):
    """A method can write to its worker's output: it must not have another process ended."""
    settings = replace(bench.settings, limits=Limits(isolate=True, timeout=1e-9))
    slot, other = Slot(settings, 0, queue.Queue()), subprocess.Popen(["sleep", "60"])
    (job,) = select(bench, ["toy"], ["none"], ["toy-mean"]).cells[0].finals
    child = subprocess.Popen(["sleep", "60"])
    try:
        slot.job = job
        assert slot.outcome({"type": "forked", "pid": child.pid}) is None
        assert slot.outcome({"type": "forked", "pid": other.pid}) is None
        slot.enforce()
        child.wait(timeout=10)
        assert other.poll() is None
    finally:
        slot.kill()
        for each in (child, other):
            each.kill()
            each.wait()


@pytest.mark.parametrize(
    "said",
    [
        {"type": "progress", "step": "last", "values": {}},
        {"type": "progress", "step": 1},
        {"type": "forked", "pid": "1"},
        {"type": "died"},
        {"type": "done", "status": "ok", "message": "", "traceback": "", "result": None},
        {"type": ["done"]},
        {"type": "else"},
        [],
    ],
)
def test_what_is_no_message_is_not_listened_to(said):
    """A method can write to its worker's output: no run may end over what it says there."""
    assert not is_message(said)
    assert is_message({"type": "progress", "step": 1, "values": {}})


def test_a_worker_that_has_fitted_nothing_has_not_waited_for_torch(bench, monkeypatch, cold):
    monkeypatch.setattr(worker_process, "_seen", set())  # a later one is forked with torch
    monkeypatch.setattr(worker_process, "_servers", [])
    inbox: queue.Queue = queue.Queue()
    slot = Slot(bench.settings, 0, inbox)
    try:
        _, message = inbox.get(timeout=60)
        mapped = Path(f"/proc/{slot._process.pid}/maps").read_text()
    finally:
        slot.kill()
    assert message is not None and message["type"] == "ready"
    assert "h5py" in mapped  # what every job needs is there, before the time of the first begins
    assert "libtorch" not in mapped


def test_a_stopped_process_of_a_parent_that_is_gone_is_ended_and_no_other():
    gone = subprocess.Popen([sys.executable, "-c", ""])
    started = started_at(gone.pid)
    gone.wait()
    dead = f"worker.{place()}.{gone.pid}-{started}.12345678"
    code = "import time; print(flush=True); time.sleep(60)"
    begun = {
        name: subprocess.Popen(
            [sys.executable, "-c", code], env=os.environ | {OWNER: of}, stdout=subprocess.PIPE
        )
        for name, of in (("left", dead), ("runs", dead), ("ours", owner()), ("nobody's", ""))
    }
    try:
        for name, process in begun.items():
            process.stdout.readline()
            if name != "runs":
                os.kill(process.pid, signal.SIGSTOP)
                wait_for(partial(is_stopped, process.pid))
        end_left_behind()
        assert begun["left"].wait(10) == -signal.SIGKILL
        assert [name for name, process in begun.items() if process.poll() is None] == [
            "runs", "ours", "nobody's",
        ]  # fmt: skip
    finally:
        for process in begun.values():
            process.kill()
            process.communicate()
