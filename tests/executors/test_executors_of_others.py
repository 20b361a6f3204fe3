"""An executor of somebody else: the same results as ours, or an error in its name."""

from __future__ import annotations

import shutil

import pytest

import spared_bench
from spared_bench.errors import ExecutorError
from tests.conftest import TOY_PLUGIN, TOY_PROTOCOL

PLUGIN = """
from spared_bench import ExecutorSpec, hookimpl
from spared_bench.bench import Bench
from spared_bench.executors.work import do_job
from spared_bench.interfaces import Outcome


class Lines:
    capacity = 2

    def __init__(self, settings, workers, progress):
        self.bench, self.jobs = Bench(settings), []

    def submit(self, job):
        self.jobs.append(job)

    def wait(self, timeout=None):
        return [do_job(self.bench, self.jobs.pop(0), lambda step, values: None)]

    def close(self):
        pass


class AsksNothing(Lines):
    def __init__(self):
        pass


class Refuses(Lines):
    def submit(self, job):
        raise RuntimeError("the queue is down")


class Loses(Lines):
    def wait(self, timeout=None):
        return {}[self.jobs[0].key]


class AnswersNothing(Lines):
    def wait(self, timeout=None):
        pass


class AnswersTwice(Lines):
    def wait(self, timeout=None):
        return super().wait(timeout) * 2


@hookimpl
def spared_bench_executors():
    kinds = (Lines, AsksNothing, Refuses, Loses, AnswersNothing, AnswersTwice)
    return [ExecutorSpec(k.__name__.lower(), f"{__name__}:{k.__name__}") for k in kinds]
"""


@pytest.fixture
def run(workspace, tmp_path):
    plugin = tmp_path / "executors_of_others.py"
    plugin.write_text(PLUGIN)

    def run(executor):
        return spared_bench.run(
            ["toy"],
            ["none"],
            ["toy-ridge"],
            str(TOY_PROTOCOL),
            workspace=workspace,
            plugin_files=[TOY_PLUGIN, plugin],
            executor=executor,
            device="cpu",
            track=False,
            figures=False,
        )

    return run


def test_another_executor_gives_the_results_of_ours(run, workspace):
    theirs = run("lines").results[0]
    for kind in ("trials", "scores"):
        shutil.rmtree(workspace / "store" / kind)
    ours = run("inline").results[0]

    assert (theirs.key, theirs.scores) == (ours.key, ours.scores)


@pytest.mark.parametrize(
    ("executor", "told"),
    [
        ("asksnothing", r"failed when it is started: TypeError: .*AsksNothing.* \(.*line \d+\)"),
        ("refuses", r"failed in `submit`: RuntimeError: the queue is down \(executors_of.* line"),
        ("loses", r"failed in `wait`: KeyError: .*; the same command goes on"),
        ("answersnothing", r"answered None in `wait`; expected a list with one `Outcome`"),
        ("answerstwice", r"answered Outcome\(.* in `wait`; expected a list with one `Outcome`"),
    ],
)
def test_what_another_executor_does_wrong_is_told_in_its_name(executor, told, run):
    with pytest.raises(
        ExecutorError, match=rf"Executor '{executor}' of executors_of_others.py"
    ) as e:
        run(executor)
    assert e.match(told)
