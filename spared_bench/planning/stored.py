"""Which results of a plan the store has, and which trials are open."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from spared_bench.interfaces import Job
from spared_bench.planning.plan import Cell, Plan
from spared_bench.results import TrialResult, TrialScores
from spared_bench.store.trials import read_scores, read_trial


def open_trials(cells: Iterable[Cell], results: dict[str, TrialResult]) -> list[Job]:
    """Return the trials without a result that are known to be needed, each once, in order."""
    wanted: dict[str, Job] = {}
    for cell in cells:
        for job in cell.wanted(results):
            wanted.setdefault(job.key, job)
    return list(wanted.values())


def stored_result(plan: Plan, job: Job) -> TrialResult | None:
    """Return the result that the store has of a trial; a damaged one is as good as none.

    It has the names of the job: protocols of the same settings share trials, and what a record that
    was imported says of itself is anybody's.
    """
    found = read_trial(plan.bench.workspace.store, job.key)
    if found is None:
        return None
    return replace(
        found[0],
        key=job.key,
        protocol=plan.bench.protocol.id,
        dataset=job.dataset,
        completer=job.completer,
        predictor=job.predictor,
        seed=job.seed,
    )


def stored_results(plan: Plan) -> dict[str, TrialResult]:
    """Return every result of a plan that the store has, those that searches lead to included."""
    results: dict[str, TrialResult] = {}
    missing: set[str] = set()
    for cell in plan.cells:
        while True:
            wanted = [job for job in cell.wanted(results) if job.key not in missing]
            found = {job.key: stored_result(plan, job) for job in wanted}
            results |= {key: result for key, result in found.items() if result is not None}
            missing |= {key for key, result in found.items() if result is None}
            if not any(found.values()):
                break
    return results


def final_results(plan: Plan, results: dict[str, TrialResult]) -> list[TrialResult]:
    """Return the one result of every cell that has it and its scores, in the order of the cells."""
    finals = []
    for cell in plan.cells:
        job = cell.chosen(results)
        if job is None or job.key not in results:
            continue
        result = results[job.key]
        scores = stored_scores(plan, job) if result.ok else None
        if scores is not None or not result.ok:
            finals.append(result if scores is None else result.scored(scores))
    return finals


def stored_scores(plan: Plan, job: Job) -> TrialScores | None:
    """Return the scores that the store has of a trial, as the plan's protocol takes them."""
    return read_scores(plan.bench.workspace.store, plan.score_job(job).key)
