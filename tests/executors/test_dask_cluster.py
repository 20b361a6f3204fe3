"""A scheduler and workers as separate processes, and what is left when they are killed."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from spared_bench.api import execute, make_bench, select
from spared_bench.bench import Limits
from spared_bench.errors import ExecutorError, UsageError
from spared_bench.executors.cluster_file import read_cluster_file
from spared_bench.results import without_times
from tests.conftest import TOY_PLUGIN, TOY_PROTOCOL

PREDICTORS = ["toy-ridge", "toy-raises", "toy-mean", "toy-segfaults"]
QUIET = {"track": False, "figures": False}


def scores(report):
    return {result.key: without_times(result) for result in report.results}


def toys(root, predictors=PREDICTORS, **parameters):
    bench = make_bench(
        str(TOY_PROTOCOL), workspace=root, plugin_files=[TOY_PLUGIN], parameters=parameters
    )
    return select(bench, ["toy"], ["none"], predictors)


def start_scheduler(folder, port="0"):
    """Start a scheduler; return its process and its address."""
    process = subprocess.Popen(
        [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1",
         "--port", port, "--no-dashboard"],
        stderr=subprocess.PIPE, text=True, cwd=folder,
    )  # fmt: skip
    for line in process.stderr:
        found = re.search(r"tcp://127\.0\.0\.1:\d+", line)
        if found:
            threading.Thread(target=process.stderr.read, daemon=True).start()
            return process, found[0]
    raise AssertionError("the scheduler did not start")


def start_worker(address, folder):
    folder.mkdir(exist_ok=True)
    return subprocess.Popen(
        [sys.executable, "-m", "distributed.cli.dask_worker", address, "--nthreads", "1",
         "--no-nanny", "--no-dashboard", "--local-directory", str(folder)],
        stderr=subprocess.DEVNULL, cwd=folder,
    )  # fmt: skip


@pytest.fixture
def cluster(tmp_path):
    """A scheduler and two workers, each with a working directory of its own."""
    scheduler, address = start_scheduler(tmp_path)
    workers = [start_worker(address, tmp_path / name) for name in ("a", "b")]
    yield scheduler, address, workers
    for process in (scheduler, *workers):
        process.kill()
        process.wait()


def test_a_separate_cluster_gives_the_results_of_this_process_and_survives_a_killed_worker(
    cluster, workspace, tmp_path
):
    _, address, workers = cluster
    here = execute(toys(tmp_path / "inline", PREDICTORS[:3]), executor="inline", **QUIET)
    options = {"executor": "dask", "cluster": address, "limits": Limits(isolate=True), **QUIET}
    there = execute(toys(workspace), **options)
    assert scores(here).items() <= scores(there).items()
    (crashed,) = (result for result in there.results if result.predictor == "toy-segfaults")
    assert crashed.status == "killed"
    assert "SIGSEGV" in crashed.message

    sign = tmp_path / "begun"
    plan = toys(workspace, ["toy-slow"], **{"toy-slow": {"seconds": 3.0}})
    watcher = KillsWhenStarted(workers[0], sign)
    report = execute(plan, watcher=watcher, **options)
    assert [result.status for result in report.results] == ["ok"]
    assert workers[0].poll() is not None


class KillsWhenStarted:
    """Kills a process when the first trial begins."""

    def __init__(self, process, sign):
        self._process = process

    def planned(self, open_trials): ...
    def progress(self, job, step, values): ...
    def finished(self, outcome): ...

    def started(self, job):
        if job.kind == "trial" and self._process.poll() is None:
            os.kill(self._process.pid, signal.SIGKILL)
            self._process.wait()


def test_a_scheduler_that_is_killed_ends_the_run_with_a_message_and_the_next_run_goes_on(
    cluster, workspace, tmp_path
):
    scheduler, address, _ = cluster
    plan = toys(workspace, ["toy-mean", "toy-slow"], **{"toy-slow": {"seconds": 60.0}})

    class KillsScheduler(KillsWhenStarted):
        def started(self, job):
            if job.predictor == "toy-slow":
                super().started(job)

    with pytest.raises(
        ExecutorError, match=r"The Dask scheduler is gone\. Finished trials are kept"
    ):
        execute(
            plan,
            executor="dask",
            cluster=address,
            watcher=KillsScheduler(scheduler, None),
            **QUIET,
        )
    resumed = toys(workspace, ["toy-mean", "toy-ridge"])
    report = execute(resumed, executor="inline", **QUIET)
    assert all(result.ok for result in report.results)


def test_a_scheduler_without_workers_is_told_and_waited_for(workspace, tmp_path):
    scheduler, address = start_scheduler(tmp_path)
    started, told = [], []

    def log(line):
        if not line.startswith("Slide "):  # in doubt, as their images are grey
            told.append(line)
            started.append(start_worker(address, tmp_path / "late"))

    try:
        report = execute(
            toys(workspace, ["toy-mean"]), log=log, executor="dask", cluster=address, **QUIET
        )
    finally:
        for process in (scheduler, *started):
            process.kill()
            process.wait()
    assert [result.status for result in report.results] == ["ok"]
    assert len(told) == 1
    assert f"The Dask scheduler at {address} has no workers yet" in told[0]


def test_a_cluster_of_this_machine_is_started_and_ended(workspace):
    report = execute(
        toys(workspace, ["toy-mean", "toy-raises"]), executor="dask", workers=1, **QUIET
    )
    assert [result.status for result in report.results] == ["ok", "error"]


def test_an_address_where_nobody_answers_is_a_message(workspace, monkeypatch):
    monkeypatch.setattr("spared_bench.executors.dask_cluster._CONNECT_SECONDS", 0.5)
    with pytest.raises(ExecutorError, match=r"No Dask scheduler answers at tcp://127\.0\.0\.1:9"):
        execute(
            toys(workspace, ["toy-mean"]), executor="dask", cluster="tcp://127.0.0.1:9", **QUIET
        )


def test_a_cluster_file_becomes_the_batch_systems_own_script(tmp_path):
    jobqueue = pytest.importorskip("dask_jobqueue")
    path = tmp_path / "cluster.yaml"
    path.write_text(
        "batch: slurm\njobs: 3\ncores: 4\nmemory: 8GB\nwalltime: '01:00:00'\nqueue: gpu\n"
        "directives: ['--gres=gpu:1']\nprologue: [module load cuda]\n"
    )
    options = read_cluster_file(path).options(threads=2)
    script = jobqueue.slurm.SLURMJob("tcp://127.0.0.1:1", name="x", **options).job_script()
    for line in (
        "#SBATCH -p gpu", "#SBATCH --cpus-per-task=4", "#SBATCH --mem=8G", "#SBATCH -t 01:00:00",
        "#SBATCH --gres=gpu:1", "module load cuda", "--nthreads 2",
    ):  # fmt: skip
        assert line in script, script


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("batch: slurm\njobs: 2\nqeue: gpu\n", r"unknown setting 'qeue'\. Did you mean 'queue'"),
        ("batch: sge\njobs: 2\n", "setting 'batch'"),
        ("batch: slurm\njobs: 0\n", "setting 'jobs'"),
        ("batch: slurm\njobs: yes\n", "jobs: expected a number; found True"),
        ("batch: slurm\njobs: 2\nmemory: lots\n", "memory: expected a size with its unit, such"),
        ("batch: slurm\njobs: 2\nwalltime: a day\n", "walltime: expected hours, minutes and sec"),
        ("- a list\n", "cluster"),
    ],
)
def test_a_wrong_cluster_file_says_what_is_wrong(tmp_path, text, message):
    path = tmp_path / "cluster.yaml"
    path.write_text(text)
    with pytest.raises(UsageError, match=message):
        read_cluster_file(path)


def test_a_missing_cluster_file_is_a_message(tmp_path):
    with pytest.raises(UsageError, match="Cannot read the cluster file"):
        read_cluster_file(Path(tmp_path) / "none.yaml")
