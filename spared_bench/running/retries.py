"""What becomes of a failure, by its cause: one policy, whichever executor runs the trials.

====================  =============================  ==========================================
cause                 tried again by itself          tried again by ``--retry-failed``
====================  =============================  ==========================================
``error``             never                          yes
``diverged``          never                          yes
``timeout``           never                          yes
``out_of_memory``     once, with a smaller micro-    yes
                      batch (the same gradients)
``killed``            once, in another process       no: quarantined; ``--retry-quarantined``
``skipped``           never                          yes
====================  =============================  ==========================================
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from spared_bench.interfaces import Job
from spared_bench.planning.plan import Plan
from spared_bench.planning.stored import stored_results, stored_scores
from spared_bench.results import TrialResult
from spared_bench.store.trials import SCORES, TRIALS

#: Into how many parts a batch is cut after the memory did not hold all of it.
_PARTS = 4
#: What says that a method is broken, rather than that it does not suit one dataset.
_BREAKS = {"error", "killed", "timeout", "out_of_memory"}


def next_attempt(job: Job, status: str, batch_size: int) -> Job:
    """Return the job as it is tried again; its key, and what it stands for, stay the same."""
    job = replace(job, attempt=job.attempt + 1)
    if status == "out_of_memory":
        return replace(job, micro_batch=max(1, batch_size // _PARTS))
    return job


def is_quarantined(result: TrialResult) -> bool:
    """Whether a trial has killed so many processes that only an explicit wish tries it again."""
    return bool(result.facts.get("quarantined"))


@dataclass
class Policy:
    """When a run stops handing out trials.

    Parameters
    ----------
    fail_fast : bool
        Begin nothing new after the first failure.
    breaker : int
        After so many failures in a row of one predictor, with no success between, its other trials
        are held back; 0: never. Diverged and skipped trials do not count: these are findings.
    """

    fail_fast: bool = False
    breaker: int = 5
    stopped: bool = False
    _in_a_row: dict[str, int] = field(default_factory=dict)

    def note(self, result: TrialResult, *, new: bool = True) -> None:
        """Take a trial's result into account, in the order in which they come."""
        if result.status == "ok":
            self._in_a_row[result.predictor] = 0
        elif result.status in _BREAKS:
            self._in_a_row[result.predictor] = self._in_a_row.get(result.predictor, 0) + 1
        if new and self.fail_fast and result.status not in ("ok", "skipped"):
            self.stopped = True

    def holds_back(self, job: Job) -> bool:
        """Whether the circuit breaker of the job's predictor has opened."""
        failures = self._in_a_row.get(job.predictor, 0)
        return job.kind == "trial" and 0 < self.breaker <= failures


def forget_failures(plan: Plan, *, quarantined: bool = False) -> int:
    """Remove stored failures of a plan, so that they are tried again; return how many.

    Parameters
    ----------
    plan : Plan
    quarantined : bool
        Also those that killed their processes every time.
    """
    store, results = plan.bench.workspace.store, stored_results(plan)
    failed = [
        (TRIALS, result.key)
        for result in results.values()
        if not result.ok and (quarantined or not is_quarantined(result))
    ]
    chosen = [job for cell in plan.cells if (job := cell.chosen(results)) is not None]
    for job in chosen:
        scores = stored_scores(plan, job)
        # A message beside scores is of a stranger's metric that gave nothing.
        if scores is not None and (scores.message or not scores.ok):
            failed.append((SCORES, plan.score_job(job).key))
    for kind, key in failed:
        store.remove(kind, key)
    return len(failed)
