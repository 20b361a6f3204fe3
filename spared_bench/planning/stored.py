"""Which results of a plan the store has, and which trials are open."""

from __future__ import annotations

from collections.abc import Iterable

from spared_bench.interfaces import Job
from spared_bench.planning.plan import Cell, Plan
from spared_bench.results import TrialResult
from spared_bench.store.trials import read_trial


def open_trials(cells: Iterable[Cell], results: dict[str, TrialResult]) -> list[Job]:
    """Return the trials without a result that are known to be needed, each once, in order."""
    wanted: dict[str, Job] = {}
    for cell in cells:
        for job in cell.wanted(results):
            wanted.setdefault(job.key, job)
    return list(wanted.values())


def stored_result(plan: Plan, job: Job) -> TrialResult | None:
    """Return the result that the store has of a trial; a damaged one is as good as none."""
    found = read_trial(plan.bench.workspace.store, job.key)
    return None if found is None else found[0]


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
    """Return the one result of every cell that has it, in the order of the cells."""
    finals = []
    for cell in plan.cells:
        job = cell.chosen(results)
        if job is not None and job.key in results:
            finals.append(results[job.key])
    return finals
