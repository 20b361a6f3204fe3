"""Several runs on one workspace: real processes, killed and not."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest

from spared_bench.api import execute, make_bench, select
from spared_bench.errors import WorkspaceError
from spared_bench.executors.work import run_job
from spared_bench.results import without_times
from spared_bench.running.orchestrator import Orchestrator
from spared_bench.store.leases import Leases
from tests.conftest import TOY_PLUGIN, TOY_PROTOCOL
from tests.processes import wait_for, workers_of
from tests.running.test_orchestrator import command
from tests.scripted import Deaf

QUIET = {"track": False, "figures": False}


@pytest.fixture
def protocol(tmp_path):
    """The toy protocol with eight repetitions."""
    path = tmp_path / "eight.yaml"
    path.write_text(TOY_PROTOCOL.read_text() + f"seeds: {list(range(8))}\n")
    return path


def toys(root, protocol, predictors):
    bench = make_bench(
        str(protocol),
        workspace=root,
        plugin_files=[TOY_PLUGIN],
        parameters={"toy-slow": {"seconds": 0.3}},
    )
    return select(bench, ["toy"], ["none"], predictors)


def scores(report):
    return {result.key: without_times(result) for result in report.results}


def command_of(workspace, protocol, *arguments):
    words = command(workspace, "--workers", "1", "--no-track", "--no-figures", *arguments)
    words[words.index(str(TOY_PROTOCOL))] = str(protocol)
    return [*words, "--set", "toy-slow.seconds=0.3"]


def test_two_runs_on_one_workspace_share_the_work_and_do_no_trial_twice(
    workspace, protocol, tmp_path
):
    words = command_of(workspace, protocol, "-p", "toy-slow", "-p", "toy-mean", "--json")
    both = [
        subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        for _ in range(2)
    ]
    reports = [json.loads(process.communicate(timeout=120)[0]) for process in both]
    assert [process.returncode for process in both] == [0, 0]
    new = [report["new_trials"] for report in reports]
    assert sum(new) == 16
    assert min(new) > 0
    assert [len(report["results"]) for report in reports] == [16, 16]
    assert list((workspace / "store" / "leases").glob("*.lease")) == []


HOLDS = """
import sys
import time
from pathlib import Path
from spared_bench.store.leases import leases_of

assert leases_of(Path(sys.argv[1])).take(sys.argv[2])
print("held", flush=True)
time.sleep(120)
"""


@pytest.mark.parametrize("kind", ["prepare", "complete", "network"])
def test_a_run_says_for_whom_it_waits_where_its_trials_need_what_the_other_makes(tmp_path, kind):
    """And not only where another has the trials themselves."""
    plan = toys(tmp_path / "workspace", TOY_PROTOCOL, ["toy-staged"])
    store, (cell,) = plan.bench.workspace.store, plan.cells
    (job, *_) = cell.wanted({})
    while job.kind != kind:
        needs = plan.needs(job)
        job = next((need for need in needs if need.kind == kind), needs[0])
    words = [sys.executable, "-c", HOLDS, str(store.root), job.name]
    holder = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    said = []

    class Listens(Deaf):
        def waiting(self, message):
            said.append(message)
            holder.kill()

    try:
        assert holder.stdout.readline() == "held\n"
        report = execute(plan, executor="inline", watcher=Listens(), **QUIET)
    finally:
        holder.kill()
        holder.wait()
    assert [result.status for result in report.results] == ["ok"]
    assert f"process {holder.pid} on " in said[0]
    assert f" has {kind} toy" in said[0]


def test_what_a_killed_run_had_begun_is_taken_over_by_the_other(workspace, protocol, tmp_path):
    words = command_of(workspace, protocol, "-p", "toy-slow", "--json")
    doomed = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    leases = workspace / "store" / "leases"
    wait_for(lambda: list(leases.glob("trial-*.lease")))
    other = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    doomed.send_signal(signal.SIGKILL)
    doomed.wait()
    shared = json.loads(other.communicate(timeout=120)[0])
    assert len(shared["results"]) == 8
    assert all(result["status"] == "ok" for result in shared["results"])
    wait_for(lambda: not workers_of(workspace))


def test_a_suspended_run_is_named_and_its_work_taken_over_and_it_spoils_nothing_when_it_goes_on(
    workspace, tmp_path
):
    protocol = TOY_PROTOCOL
    short = tmp_path / "short.py"  # as the command does, with leases that lapse soon
    short.write_text(
        "from spared_bench.store import leases\n"
        "leases.Leases.__init__.__defaults__ = (15.0,)\n"
        "from spared_bench.cli import main\n"
        "main()\n"
    )
    words = command_of(workspace, protocol, "-p", "toy-slow", "--json")
    words[1:3] = [str(short)]
    log = (tmp_path / "log").open("w")
    first = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    leases = workspace / "store" / "leases"
    wait_for(lambda: list(leases.glob("trial-*.lease")))
    everything = [first.pid, *workers_of(workspace)]
    for pid in everything:
        os.kill(pid, signal.SIGSTOP)
    try:
        other = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=log, text=True)
        seen = []

        def told():
            waits = "Waiting for another run" in (tmp_path / "log").read_text()
            if waits and not seen:
                text = status(workspace, protocol)
                seen.extend([text] if "waits for another run" in text else [])
            return other.poll() is not None

        wait_for(told, 90)
        assert other.returncode == 0
        done = json.loads(other.stdout.read())
    finally:
        for pid in everything:
            os.kill(pid, signal.SIGCONT)
    assert [result["status"] for result in done["results"]] == ["ok"]
    who = f"process {first.pid} on "
    assert f"Waiting for another run: {who}" in (tmp_path / "log").read_text()
    assert seen and "Suspended on" in seen[0]
    assert f"waits for another run: {who}" in seen[0]
    again = json.loads(first.communicate(timeout=90)[0])
    assert first.returncode == 0
    assert [result["key"] for result in again["results"]] == [
        result["key"] for result in done["results"]
    ]
    assert [result["validation_mse"] for result in again["results"]] == [
        result["validation_mse"] for result in done["results"]
    ]
    assert list(leases.glob("*.lease")) == []
    assert list((workspace / "store" / "tmp").glob("*")) == []


def status(workspace, protocol):
    done = subprocess.run(
        [sys.executable, "-m", "spared_bench", "status", "--suite", str(protocol),
         "-w", str(workspace)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout


def test_a_run_leaves_alone_what_another_has_and_adopts_its_result(workspace, protocol):
    plan = toys(workspace, protocol, ["toy-mean"])
    taken = plan.cells[0].finals[0]
    store = plan.bench.workspace.store
    theirs = Leases(store.root / "leases")
    assert theirs.take(taken.name)

    done = []

    class Inline:
        capacity = 1

        def __init__(self):
            from spared_bench.executors.inline import InlineExecutor

            self._inner = InlineExecutor(plan.bench.settings, 1, lambda *_: None)

        def submit(self, job):
            done.append(job.key)
            self._inner.submit(job)

        def wait(self, timeout=None):
            if len(done) == len(plan.cells) - 1:  # ours are all done: now the other one finishes
                from spared_bench.executors.work import run_job

                run_job(plan.bench, taken)
                theirs.release(taken.name)
            return self._inner.wait(timeout)

    summary = Orchestrator(
        plan, Inline(), Deaf(), leases=Leases(store.root / "leases"), figures=False
    ).run()
    assert taken.key not in done
    assert (summary.new, summary.cached) == (7, 1)
    assert summary.results[taken.key].ok


def test_shards_of_a_plan_make_the_whole_and_share_nothing(workspace, protocol):
    plan = toys(workspace, protocol, ["toy-mean", "toy-ridge", "toy-nan", "toy-skips"])
    parts = [plan.shard(number, 3) for number in (1, 2, 3)]
    cells = [cell for part in parts for cell in part.cells]
    assert sorted(map(str, cells)) == sorted(map(str, plan.cells))
    pairs = [{(cell.dataset, cell.predictor) for cell in part.cells} for part in parts]
    assert sum(map(len, pairs)) == len(set().union(*pairs)) == 4


def test_a_network_that_others_build_on_is_trained_once_for_all_their_trials(
    workspace, tmp_path, monkeypatch
):
    sign = tmp_path / "trainings"
    monkeypatch.setenv("TOY_TRAININGS", str(sign))
    plan = toys(workspace, TOY_PROTOCOL, ["toy-staged"])
    report = execute(plan, executor="inline", **QUIET)
    assert [result.status for result in report.results] == ["ok"]
    assert report.new == 2  # two factors
    assert sign.read_text() == "trained\n"
    (network,) = plan.bench.workspace.store.entries("networks")
    assert network.key in {need.key for need in plan.needs(plan.cells[0].finals[0])}

    other = make_bench(
        str(TOY_PROTOCOL),
        workspace=workspace,
        plugin_files=[TOY_PLUGIN],
        parameters={"toy-staged": {"penalty": 9.0}},
    )
    (cell,) = select(other, ["toy"], ["none"], ["toy-staged"]).cells
    assert cell.finals[0].key != plan.cells[0].finals[0].key
    execute(select(other, ["toy"], ["none"], ["toy-staged"]), executor="inline", **QUIET)
    assert sign.read_text() == "trained\n" * 2  # what it takes from its consumer counts


def test_what_a_network_took_is_part_of_what_every_method_on_top_of_it_took(workspace):
    execute(toys(workspace, TOY_PROTOCOL, ["toy-staged"]), executor="inline", **QUIET)
    other = make_bench(
        str(TOY_PROTOCOL),
        workspace=workspace,
        plugin_files=[TOY_PLUGIN],
        parameters={"toy-staged": {"factor": 3.0}},
    )
    (network,) = other.workspace.store.entries("networks")
    told = network.folder / "fit.json"
    told.write_text('{"seconds": 100}'.ljust(told.stat().st_size))  # of the size in its manifest
    plan = select(other, ["toy"], ["none"], ["toy-staged"])
    (result,) = execute(plan, executor="inline", **QUIET).results
    assert len(list(other.workspace.store.entries("networks"))) == 1
    assert 100 <= result.seconds["fit"] < 110


def test_a_network_whose_training_was_cut_off_goes_on_from_its_checkpoint(workspace, monkeypatch):
    plan = toys(workspace, TOY_PROTOCOL, ["toy-staged"])
    (network,) = plan.network_jobs(plan.cells[0].finals[0])
    scratch = plan.bench.workspace.training / network.key
    scratch.mkdir(parents=True)
    (scratch / "begun").touch()
    seen = []
    report = run_job(plan.bench, network, lambda step, values: seen.append(step))
    assert report is None
    assert seen[0] == 7  # what it found in its folder, told as its progress
    assert not scratch.exists()


def test_a_predictor_without_save_cannot_be_a_stage_and_the_trial_says_so(workspace):
    plan = toys(workspace, TOY_PROTOCOL, ["toy-badly-staged"])
    (result,) = execute(plan, executor="inline", **QUIET).results
    assert result.status == "error"
    assert "'toy-mean' cannot be a stage of another: it lacks `save` and `load`" in result.message


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="mounting needs root")
@pytest.mark.parametrize("executor", ["inline", "local"])
def test_on_a_disk_that_is_full_the_run_ends_and_goes_on_when_there_is_space(
    workspace, protocol, tmp_path, executor
):
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(small)], check=False
    )
    if mounted.returncode:
        pytest.skip("no tmpfs can be mounted here")
    try:
        subprocess.run(["cp", "-r", f"{workspace}/.", str(small)], check=True)
        plan = toys(small, protocol, ["toy-mean"])
        full = _fill(small)
        with pytest.raises(WorkspaceError, match="No space left on device"):
            execute(plan, executor=executor, **QUIET)
        full.unlink()
        report = execute(plan, executor="inline", **QUIET)
        assert len(report.results) == 8
        assert all(result.ok for result in report.results)
    finally:
        subprocess.run(["umount", "--lazy", str(small)], check=False)


def _fill(folder):
    """Leave 20 kB free."""
    path = folder / "full"
    free = os.statvfs(folder).f_bavail * os.statvfs(folder).f_frsize
    path.write_bytes(b"\0" * max(free - 20_000, 0))
    return path
