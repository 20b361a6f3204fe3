"""Carrying a study out: its plans one after the other, by the usual executors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from spared_bench.api import Report, execute
from spared_bench.errors import SparedBenchError
from spared_bench.planning.plan import Plan
from spared_bench.planning.stored import open_trials, stored_results, stored_scores
from spared_bench.store.studies import (
    WORST_DROPS,
    about_study,
    record_path,
    write_study_record,
)
from spared_bench.studies.planning import Group, StudyPlan

#: Makes what is told of a run as it goes on (``orchestrator.Watcher``), for a plan.
Watch = Callable[[Plan], Any]


@dataclass
class StudyRun:
    """What a run of a study came to.

    Parameters
    ----------
    reports : list of Report
        Of the groups that had something to do.
    new, cached : int
        Trainings done now, and found in the store.
    failed : dict of str to str
        Cells without scores, by label, and why.
    stopped : dict of str to str
        Groups that could not be begun, and why.
    interrupted : bool
    """

    reports: list[Report] = field(default_factory=list)
    new: int = 0
    cached: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    stopped: dict[str, str] = field(default_factory=dict)
    interrupted: bool = False


def run_study(
    plan: StudyPlan,
    *,
    log: Callable[[str], None] = print,
    watch: Callable[[Plan, dict[str, Any]], Report] | None = None,
    **options: Any,
) -> StudyRun:
    """Train and score every cell of a study that the store does not have.

    A group that cannot be begun (weights that are not there, say) leaves a gap; the others go on.
    Interrupted, it goes on from there when it is run again.

    Parameters
    ----------
    plan : StudyPlan
    log : callable
        For what is told beside the trials.
    watch : callable, optional
        Carries one plan out and shows how it goes on; ``api.execute`` by default.
    **options
        Of ``RunOptions``.
    """
    chosen = {"track": False, "board": False, "figures": False} | options
    carry_out = watch or (lambda each, settings: execute(each, log=log, **settings))
    run = StudyRun()
    for number, group in enumerate(plan.groups, start=1):
        if not group.plan.cells:
            continue
        if is_done(group.plan) and not options.get("retry_failed"):
            run.cached += len(stored_results(group.plan))
            continue
        log(f"Variant {number} of {len(plan.groups)}: {group.label}")
        try:
            report = carry_out(group.plan, chosen)
        except SparedBenchError as error:
            run.stopped[group.label] = str(error)
            log(f"{group.label} cannot be run: {error}")
            continue
        finally:
            record_study(plan)
        run.reports.append(report)
        run.new += report.new
        run.cached += report.cached
        run.failed |= _failures(group, report)
        if report.interrupted:
            run.interrupted = True
            break
    record_study(plan)
    return run


def is_done(plan: Plan) -> bool:
    """Whether every cell of a plan has its result, and its scores where it did not fail."""
    results = stored_results(plan)
    if open_trials(plan.cells, results):
        return False
    for cell in plan.cells:
        job = cell.chosen(results)
        if job is None or job.key not in results:
            return False
        if results[job.key].ok and stored_scores(plan, job) is None:
            return False
    return True


def _failures(group: Group, report: Report) -> dict[str, str]:
    return {
        f"{group.label} · {each.dataset} · {each.completer} · {each.predictor} · seed {each.seed}":
        f"{each.status}: {each.message}"
        for each in report.failed
    }  # fmt: skip


def record_study(plan: StudyPlan, **told: Any) -> None:
    """Note which entries of the store the study counts on, so that they are kept.

    ``told`` is what else the record says of it. Worst drops of an earlier run, which say of which
    results they are, stay until others are told.
    """
    root = plan.base.workspace.store.root
    drops = about_study(record_path(root, plan.study.id)).get(WORST_DROPS)
    if drops and plan.study.kind == "robustness":
        told = {WORST_DROPS: drops} | told
    keys: list[str] = []
    for group in plan.groups:
        results = stored_results(group.plan)
        for cell in group.plan.cells:
            keys += cell.searched(results)
            job = cell.chosen(results)
            if job is not None and job.key in results:
                keys += [job.key, group.plan.score_job(job).key]
    about = {
        "name": plan.study.name,
        "summary": plan.study.summary,
        "source": plan.source,
        "protocol": plan.base.protocol.id,
        "methods": _methods(plan),
        "report": f"studies/{plan.study.name}/index.html",
        **told,
    }
    write_study_record(root, plan.study.id, list(dict.fromkeys(keys)), about)


def _methods(plan: StudyPlan) -> Sequence[str]:
    return sorted({method for variant in plan.variants for method in variant.methods})
