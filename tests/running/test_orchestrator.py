from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys

import pytest
import torch
from threadpoolctl import threadpool_info, threadpool_limits

from spared_bench.api import execute, make_bench, select
from spared_bench.errors import WorkspaceError
from spared_bench.executors import work
from spared_bench.results import without_times
from tests.conftest import TOY_PLUGIN, TOY_PROTOCOL
from tests.processes import wait_for, workers_of
from tests.scripted import Deaf

PREDICTORS = ["toy-ridge", "toy-mean", "toy-raises"]
QUIET = {"track": False, "figures": False}


def command(workspace, *arguments):
    return [
        sys.executable, "-m", "spared_bench", "run", "--suite", str(TOY_PROTOCOL),
        "--plugin", str(TOY_PLUGIN), "-w", str(workspace), "-d", "toy", "-c", "none",
        "--device", "cpu", *arguments,
    ]  # fmt: skip


def scores(report):
    return {result.key: without_times(result) for result in report.results}


def test_local_workers_give_the_results_of_this_process(workspace, tmp_path):
    def run(root, **options):
        bench = make_bench(str(TOY_PROTOCOL), workspace=root, plugin_files=[TOY_PLUGIN])
        return execute(select(bench, ["toy"], ["none"], PREDICTORS), **options)

    here = run(tmp_path / "inline", executor="inline", **QUIET)
    there = run(workspace, executor="local", workers=2, **QUIET)

    assert scores(here) == scores(there)
    assert [result.status for result in here.results] == ["ok", "ok", "error"]
    assert here.new == there.new == 4  # two candidates, of which one is the final, and two others


@pytest.fixture
def three_threads(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    before = torch.get_num_threads()
    with threadpool_limits(3):
        torch.set_num_threads(3)
        yield
    torch.set_num_threads(before)


def test_a_run_in_this_process_leaves_its_threads_as_they_were(bench, three_threads):
    before = {pool["filepath"]: pool["num_threads"] for pool in threadpool_info()}
    execute(select(bench, ["toy"], ["none"], ["toy-mean"]), executor="inline", **QUIET)
    after = {pool["filepath"]: pool["num_threads"] for pool in threadpool_info()}
    assert {path: after[path] for path in before} == before
    assert os.environ["OMP_NUM_THREADS"] == "3"
    assert "MKL_NUM_THREADS" not in os.environ
    assert torch.get_num_threads() == 3


def test_a_second_run_trains_nothing(bench):
    plan = select(bench, ["toy"], ["none"], PREDICTORS)
    first = execute(plan, executor="inline")
    second = execute(plan, executor="inline")
    assert (second.new, second.cached) == (0, first.new)
    assert scores(first) == scores(second)


def test_failed_trials_are_tried_again_only_when_asked(bench):
    plan = select(bench, ["toy"], ["none"], ["toy-raises"])
    assert execute(plan, executor="inline", **QUIET).new == 1
    assert execute(plan, executor="inline", **QUIET).new == 0
    assert execute(plan, executor="inline", retry_failed=True, **QUIET).new == 1


def test_a_worker_that_dies_takes_only_its_trial_with_it(bench):
    plan = select(bench, ["toy"], ["none"], ["toy-dies", "toy-mean", "toy-ridge"])
    report = execute(plan, executor="local", workers=1, **QUIET)
    status = {result.predictor: result.status for result in report.results}
    assert status == {"toy-dies": "killed", "toy-mean": "ok", "toy-ridge": "ok"}
    (dead,) = report.failed
    assert "was killed by SIGKILL in the middle of this job" in dead.message


def test_a_trial_whose_worker_dies_once_is_given_to_another(bench, tmp_path, monkeypatch):
    monkeypatch.setenv("TOY_DIED", str(tmp_path / "died"))
    plan = select(bench, ["toy"], ["none"], ["toy-dies-once"])
    report = execute(plan, executor="local", workers=1, **QUIET)
    assert (tmp_path / "died").exists()
    (result,) = report.results
    assert result.ok
    assert result.environment["attempts"] == 2
    assert "attempts" not in str(without_times(result))  # it is the result of an undisturbed run


def test_a_dataset_that_cannot_be_prepared_fails_its_cells_and_no_others(bench):
    plan = select(bench, ["toy-broken", "toy"], ["none"], ["toy-mean", "toy-ridge"])
    report = execute(plan, executor="inline", **QUIET)
    told = {(r.dataset, r.predictor): (r.status, r.message) for r in report.results}
    assert told["toy", "toy-mean"][0] == told["toy", "toy-ridge"][0] == "ok"
    for predictor in ("toy-mean", "toy-ridge"):
        status, message = told["toy-broken", predictor]
        assert status == "error"
        assert re.search(
            r"X of slide 'one' holds fractions \([\d.]+ for gene '\w+' of spot", message
        )


def test_it_is_tried_once_and_each_candidate_of_a_search_fails_once(bench, monkeypatch):
    plan = select(bench, ["toy-broken"], ["none", "median"], ["toy-ridge"])
    asked = []
    monkeypatch.setattr(work, "_prepare", lambda bench, job: asked.append(job) or 1 / 0)
    report = execute(plan, executor="inline", **QUIET)
    candidates = {job.key for cell in plan.cells for job in cell.search}
    assert len(candidates) == 2
    assert report.new == len(candidates) + 1  # the first of them, on the other completer
    assert [result.completer for result in report.failed] == ["none", "median"]
    assert {result.message for result in report.results} == {"ZeroDivisionError: division by zero"}
    assert len(asked) == 1


def test_a_dataset_that_another_run_has_prepared_since_is_not_given_up(
    bench, workspace, monkeypatch
):
    for kind in ("prepared", "completed"):
        shutil.rmtree(workspace / "store" / kind)
    plan = select(bench, ["toy"], ["none", "median"], ["toy-ridge"])
    prepare = work._prepare

    def fail_here(bench, job):
        prepare(bench, job)  # as the other run does
        raise ArithmeticError("it failed here")

    monkeypatch.setattr(work, "_prepare", fail_here)
    report = execute(plan, executor="inline", **QUIET)
    assert [(result.completer, result.ok) for result in report.results] == [
        ("none", False),
        ("median", True),
    ]


def test_a_damaged_result_is_made_again_and_is_the_same(bench):
    plan = select(bench, ["toy"], ["none"], ["toy-mean"])
    first = execute(plan, executor="inline", **QUIET)
    path = bench.workspace.store.folder("trials", first.results[0].key) / "result.json"
    whole = path.read_text()
    for damaged in (whole[:100], whole.replace('"status"', '"stbtus"'), "[]".ljust(len(whole))):
        path.write_text(damaged)
        again = execute(plan, executor="inline", **QUIET)
        assert again.new == 1
        assert scores(first) == scores(again)


def not_slow(root):
    """Return a plan of both methods of the run that is stopped, none of which waits."""
    bench = make_bench(
        str(TOY_PROTOCOL),
        workspace=root,
        plugin_files=[TOY_PLUGIN],
        parameters={"toy-slow": {"seconds": 0.0}},
    )
    return select(bench, ["toy"], ["none"], ["toy-ridge", "toy-slow"])


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """What that run gives in a workspace of its own, from the preparing on."""
    return scores(execute(not_slow(tmp_path_factory.mktemp("fresh")), executor="inline", **QUIET))


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_stopped_and_started_again_ends_as_an_undisturbed_one(
    workspace, undisturbed, tmp_path, monkeypatch, how
):
    sign = tmp_path / "begun"
    monkeypatch.setenv("TOY_SIGN", str(sign))
    # A shell's background job ignores Ctrl-C, and would hand that down to the command.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    arguments = ["-p", "toy-ridge", "-p", "toy-slow", "--workers", "2"]
    process = subprocess.Popen(
        command(workspace, *arguments, "--set", "toy-slow.seconds=30"),
        stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    wait_for(sign.exists)
    assert workers_of(workspace)
    process.send_signal(how)
    if how == signal.SIGINT:  # once: what runs is finished; twice: at once
        assert any("Ctrl-C again stops at once" in line for line in process.stderr)
        process.send_signal(how)
    _, errors = process.communicate(timeout=30)
    wait_for(lambda: not workers_of(workspace))
    if how == signal.SIGINT:
        assert process.returncode == 130
        assert "Interrupted. Finished trials are kept" in errors
        assert "Traceback" not in errors

    resumed = execute(not_slow(workspace), workers=1, **QUIET)
    assert scores(resumed) == undisturbed
    assert all(result.ok for result in resumed.results)
    assert list((workspace / "store" / "tmp").iterdir()) == []


def test_an_interrupt_lets_what_runs_finish_and_begins_nothing(workspace, tmp_path, monkeypatch):
    sign = tmp_path / "begun"
    monkeypatch.setenv("TOY_SIGN", str(sign))
    signal.signal(signal.SIGINT, signal.default_int_handler)  # as above
    arguments = ["-p", "toy-slow", "-p", "toy-ridge", "--workers", "1", "--no-track", "--json"]
    process = subprocess.Popen(
        command(workspace, *arguments, "--set", "toy-slow.seconds=2", "--no-figures"),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    wait_for(sign.exists)
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Stopping after the 1 running jobs" in errors
    report = json.loads(output)
    assert [(r["predictor"], r["status"]) for r in report["results"]] == [("toy-slow", "ok")]
    assert report["not_begun"] == 2


def test_files_in_the_folder_of_the_command_are_not_taken_for_modules(workspace, tmp_path):
    (tmp_path / "queue.py").write_text("raise RuntimeError('not the one')")
    arguments = ["-p", "toy-mean", "--workers", "1", "--json"]
    run = "import sys; sys.path.remove(''); from spared_bench.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", run, *command(workspace, *arguments)[3:]],
        cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert json.loads(done.stdout)["results"][0]["status"] == "ok"


def test_a_full_disk_ends_the_run_and_is_no_result(bench, tmp_path, monkeypatch):
    monkeypatch.setenv("TOY_SPACE", str(tmp_path / "space"))
    plan = select(bench, ["toy"], ["none"], ["toy-mean", "toy-fills-disk"])
    for module in ("store.disk", "running.orchestrator"):
        monkeypatch.setattr(f"spared_bench.{module}.takes_no_more", lambda folder: True)
    with pytest.raises(WorkspaceError, match=r"No space left on device. Finished results are safe"):
        execute(plan, executor="inline")
    (tmp_path / "space").touch()
    report = execute(plan, executor="inline", **QUIET)
    assert [result.status for result in report.results] == ["ok", "ok"]
    assert report.cached == 1


class Damages(Deaf):
    """Shortens the predictions of one predictor before they are scored."""

    def __init__(self, store, predictor):
        self._store, self._predictor = store, predictor

    def finished(self, outcome):
        if outcome.job.kind == "trial" and outcome.job.predictor == self._predictor:
            path = self._store.folder("trials", outcome.job.key) / "predictions.npz"
            path.write_bytes(path.read_bytes()[:-1])


def test_a_trial_whose_entry_is_damaged_costs_itself_and_is_made_again(bench):
    names = ["toy-mean", "toy-staged"]
    plan = select(bench, ["toy"], ["none"], names)
    watcher = Damages(bench.workspace.store, "toy-mean")
    report = execute(plan, executor="inline", watcher=watcher, **QUIET)
    (staged,) = report.results  # of the other there is nothing that could be read
    assert staged.scores["test"]["mse"] > 0
    again = execute(select(bench, ["toy"], ["none"], names), executor="inline", **QUIET)
    assert again.new == 1
    found = {result.predictor: result for result in again.results}
    assert found["toy-mean"].scores["test"]["mse"] > 0
    assert without_times(found["toy-staged"]) == without_times(staged)


FORKS = """
import os
import numpy as np
from spared_bench import PredictorSpec, hookimpl

class Forks:
    def fit(self, train, val, context):
        self.mean_ = train.target.mean(axis=0)
        copy = os.fork()
        if copy:
            os.waitpid(copy, 0)  # it would be the first to write what came of the trial
        else:
            self.mean_ = self.mean_ + 100

    def predict(self, slides):
        return np.tile(self.mean_, (len(slides), 1))

@hookimpl
def spared_bench_predictors():
    return [PredictorSpec("forks", f"{__name__}:Forks")]
"""


def test_a_copy_of_its_process_that_a_method_made_writes_nothing(workspace, tmp_path):
    (tmp_path / "forks.py").write_text(FORKS)
    bench = make_bench(
        str(TOY_PROTOCOL),
        workspace=workspace,
        plugin_files=[TOY_PLUGIN, tmp_path / "forks.py"],
        device="cpu",
    )
    plan = select(bench, ["toy"], ["none"], ["forks", "toy-mean"])
    forks, mean = execute(plan, workers=1, **QUIET).results
    assert mean.scores["test"]["mse"] > 0
    assert forks.scores["test"] == mean.scores["test"]


def test_an_unwritable_workspace_is_a_message_and_not_a_traceback(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("this is no folder")
    done = subprocess.run(
        command(blocked / "workspace", "-p", "toy-mean"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith(f"WorkspaceError: {blocked} is no folder")
    assert "Traceback" not in done.stderr
