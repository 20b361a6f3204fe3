from __future__ import annotations

from dataclasses import replace

import pytest

from spared_bench.api import select
from spared_bench.interfaces import Job
from spared_bench.results import TrialResult, goes_again
from spared_bench.running.orchestrator import Orchestrator
from spared_bench.running.retries import Policy, forget_failures, next_attempt
from tests.scripted import Deaf, ScriptedExecutor

PREDICTORS = ["toy-mean", "toy-raises", "toy-nan", "toy-dies", "toy-skips"]


def carry_out(bench, script, predictors, *, capacity=1, **policy):
    plan = select(bench, ["toy"], ["none"], predictors)
    executor = ScriptedExecutor(bench, script, capacity)
    orchestrator = Orchestrator(plan, executor, Deaf(), policy=Policy(**policy), figures=False)
    return orchestrator.run(), executor


def failed(predictor, status):
    return TrialResult("k", status, "toy@1", "toy", "none", predictor)


@pytest.mark.parametrize("status", ["error", "diverged", "timeout", "skipped"])
def test_what_would_end_the_same_way_is_never_tried_again(bench, status):
    _, executor = carry_out(bench, lambda job: status, ["toy-mean"])
    assert len(executor.done) == 1


@pytest.mark.parametrize("status", ["killed", "out_of_memory"])
def test_what_may_end_otherwise_is_tried_once_more(bench, status):
    def script(job):
        return "ok" if job.attempt else status

    summary, executor = carry_out(bench, script, ["toy-mean"])
    assert [status for _, status in executor.done] == [status, "ok"]
    assert [result.status for result in summary.results.values()] == ["ok"]
    first, second = (job for job, _ in executor.done)
    assert first.key == second.key


def test_after_the_memory_was_too_small_a_batch_is_cut_into_parts():
    job = Job("trial", "k", "d", "c", "p")
    assert next_attempt(job, "out_of_memory", 256) == replace(job, attempt=1, micro_batch=64)
    assert next_attempt(job, "killed", 256) == replace(job, attempt=1)
    assert not goes_again("killed", 1)


def test_a_trial_that_killed_two_workers_is_quarantined_until_one_wishes_otherwise(bench):
    summary, executor = carry_out(bench, lambda job: "killed", ["toy-mean"])
    (result,) = summary.results.values()
    assert (result.status, result.facts["quarantined"], result.environment["attempts"]) == (
        "killed",
        True,
        2,
    )
    assert len(executor.done) == 2

    plan = select(bench, ["toy"], ["none"], ["toy-mean"])
    assert forget_failures(plan) == 0
    assert forget_failures(plan, quarantined=True) == 1


def test_a_predictor_that_keeps_failing_is_held_back_and_the_others_are_not(bench):
    jobs = select(bench, ["toy"], ["none"], ["toy-raises"]).cells[0].finals
    policy = Policy(breaker=3)
    for _ in range(3):
        assert not policy.holds_back(jobs[0])
        policy.note(failed("toy-raises", "error"))
    assert policy.holds_back(jobs[0])
    assert not policy.holds_back(replace(jobs[0], predictor="toy-mean"))


def test_a_success_between_failures_closes_the_breaker():
    policy, job = Policy(breaker=2), Job("trial", "k", "toy", "none", "p")
    for status in ("error", "ok", "timeout", "diverged", "skipped"):
        policy.note(failed("p", status))
    assert not policy.holds_back(job)
    policy.note(failed("p", "killed"))
    assert policy.holds_back(job)
    assert not Policy(breaker=0).holds_back(job)


def test_trials_that_are_held_back_are_counted_and_have_no_result(bench, tmp_path):
    protocol = bench.protocol.model_copy(update={"seeds": (0, 1, 2, 3)})
    settings = replace(bench.settings, protocol=protocol.model_dump(mode="json"))
    bench = type(bench)(settings, bench.registry)
    summary, _ = carry_out(
        bench,
        lambda job: "error" if job.predictor == "toy-raises" else "ok",
        ["toy-raises", "toy-mean"],
        breaker=2,
    )
    assert summary.held_back == {"toy-raises": 2}
    statuses = [result.status for result in summary.results.values()]
    assert sorted(statuses) == ["error", "error", *["ok"] * 4]


def test_with_fail_fast_nothing_is_begun_after_the_first_failure(bench):
    summary, executor = carry_out(
        bench,
        lambda job: "error" if job.predictor == "toy-raises" else "ok",
        PREDICTORS,
        fail_fast=True,
    )
    assert [job.predictor for job, _ in executor.done] == ["toy-mean", "toy-raises"]
    assert summary.undone == 3


def test_what_runs_when_a_run_is_stopped_is_still_taken_in(bench):
    summary, executor = carry_out(
        bench,
        lambda job: "error" if job.predictor == "toy-mean" else "ok",
        PREDICTORS,
        fail_fast=True,
        capacity=2,
    )
    assert [job.predictor for job, _ in executor.done] == ["toy-mean", "toy-raises"]
    assert len(summary.results) == 2
