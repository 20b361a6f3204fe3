"""Carries a plan out: hands jobs to an executor in the order of their needs, and minds failures.

The orchestrator decides and waits; it computes nothing. What is in the store is not done again, so
that running the same command again is resuming; what another orchestrator holds a lease on is left
to it. What becomes of a failure is said by ``retries``, for every executor alike.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from spared_bench.bench import Bench
from spared_bench.errors import MismatchError, WorkspaceError
from spared_bench.executors.plugin_lock import strangers_of
from spared_bench.executors.strangers import runs_apart
from spared_bench.interfaces import Executor, Job, Outcome
from spared_bench.planning.plan import Cell, Plan
from spared_bench.planning.stored import stored_result
from spared_bench.results import IMPORTED, Status, TrialResult, goes_again
from spared_bench.running.queue import Queue
from spared_bench.running.retries import Policy, next_attempt
from spared_bench.running.watching import Summary, Watcher
from spared_bench.store.disk import takes_no_more
from spared_bench.store.imports import write_mark
from spared_bench.store.leases import SECONDS_BETWEEN_REMINDERS, Leases, described
from spared_bench.store.trials import SCORES, TRIALS, read_scores, read_trial
from spared_bench.trials.record import told_otherwise

#: Seconds between looks at what other orchestrators do.
_POLL = 1.0
#: Kinds of jobs that make something of a trial that counts; they hold nothing up.
_OF_A_TRIAL = ("score", "draw")
_STATUSES: dict[str, Status] = {
    "killed": "killed",
    "timeout": "timeout",
    "out_of_memory": "out_of_memory",
}


@dataclass
class Orchestrator:
    """One run of one plan.

    Parameters
    ----------
    plan : Plan
    executor : Executor
    watcher : Watcher
    tick : callable
        Called with the results so far after every outcome; for tracking.
    policy : Policy
    leases : Leases, optional
        Without, nobody else is expected to work on this store.
    figures : bool
        Whether the figures of the trials that count are drawn; scores always are made.
    strict : bool
        Whether methods of others are shut in; without it, no record may say so.
    begins : callable
        Called with the name of a dataset before something is trained on it.
    """

    plan: Plan
    executor: Executor
    watcher: Watcher
    tick: Callable[[Summary], None] = lambda summary: None
    policy: Policy = field(default_factory=Policy)
    leases: Leases | None = None
    figures: bool = True
    strict: bool = False
    begins: Callable[[str], None] = lambda dataset: None

    def __post_init__(self) -> None:
        self.summary = Summary()
        self._queue = Queue()
        self._running: dict[str, Job] = {}
        self._elsewhere: dict[str, Job] = {}
        self._made: set[str] = set()
        self._broken: dict[str, Outcome] = {}  # products that could not be made
        self._looked = 0.0
        self._told: tuple[str, float] = ("", 0.0)
        self._store = self.plan.bench.workspace.store
        self._waiting_for: dict[str, dict[int, Cell]] = {}
        self._after: dict[str, set[str]] = {}  # what is still to be made of a trial
        settings = self.plan.bench.settings
        limits = replace(settings.limits, isolate=False)  # which is said of every job
        self._settings = replace(settings, limits=limits, strangers=strangers_of(self.plan))

    def run(self) -> Summary:
        """Do everything that is open; an interrupt leaves only running jobs undone."""
        for cell in self.plan.cells:
            self._consider(cell)
        self._tell_planned()
        while True:
            self._submit_ready()
            if not self._running and (self.policy.stopped or not self._elsewhere):
                break
            for outcome in self._wait():
                self._settle(outcome)
            self._look_elsewhere()
            self._tell_planned()
            self.tick(self.summary)
        self.summary.undone = self._queue.open_trials + len(self._elsewhere)
        return self.summary

    def stop(self) -> int:
        """Begin nothing new; return how many jobs are still running."""
        self.policy.stopped = True
        return len(self._running)

    # What is wanted

    def _consider(self, cell: Cell) -> None:
        """Queue the trials that a cell is known to need and nobody has done."""
        while True:
            wanted = cell.wanted(self.summary.results)
            new = [job for job in wanted if not self._is_queued(job)]
            found = {
                job.key: known
                for job in new
                if (known := stored_result(self.plan, job)) is not None
            }
            lost = [(job, why) for job in new if job.key not in found and (why := self._lost(job))]
            for job, why in lost:
                self._fail(job, why)
            if not found and not lost:
                break
            for key, result in found.items():
                self.summary.results[key] = result
                self.summary.cached += 1
                self.policy.note(result, new=False)
        for job in wanted:
            self._waiting_for.setdefault(job.key, {})[id(cell)] = cell
            self._want(job)
        self._want_scores_and_figures(cell)

    def _want_scores_and_figures(self, cell: Cell) -> None:
        """Queue what is made of a trial once it is known to count."""
        chosen = cell.chosen(self.summary.results)
        result = None if chosen is None else self.summary.results.get(chosen.key)
        if chosen is None or result is None or not result.ok:
            return
        self._mark_what_was_chosen_by_imports(cell, result)
        wanted = [self.plan.score_job(chosen)]
        wanted += [self.plan.draw_job(chosen)] if self.figures else []
        for job in wanted:
            if not self._is_made(job):
                self._after.setdefault(chosen.key, set()).add(job.key)
                self.summary.unfinished.add(chosen.key)
                self._want(job)

    def _mark_what_was_chosen_by_imports(self, cell: Cell, result: TrialResult) -> None:
        """Let a trial that counts by what imported candidates say of themselves be imported too.

        No key says so: an archive of a few candidates with other errors than they had would choose
        the parameters of results that are trained here.
        """
        results = self.summary.results
        by = next((k for k in cell.searched(results) if IMPORTED in results[k].facts), None)
        if by is None or IMPORTED in result.facts:
            return
        write_mark(self._store.folder(TRIALS, result.key), {"chosen_by": by})
        marked = read_trial(self._store, result.key)
        if marked is not None:
            results[result.key] = replace(result, facts=marked[0].facts)

    def _is_queued(self, job: Job) -> bool:
        return job.key in self._queue or job.key in self._running or job.key in self._elsewhere

    def _want(self, job: Job) -> None:
        """Queue a job and the products that it needs and nobody has made."""
        if self._is_queued(job):
            return
        needs = [need for need in self.plan.needs(job) if not self._is_made(need)]
        for need in needs:
            self._want(need)
        self._queue.add(job, [need.key for need in needs], first=job.kind in _OF_A_TRIAL)

    def _is_made(self, job: Job) -> bool:
        # Scores that cannot be read are as good as none, as a trial's record is.
        if (
            job.key not in self._made
            and self.plan.is_made(job)
            and (job.kind != "score" or read_scores(self._store, job.key) is not None)
        ):
            self._made.add(job.key)
        return job.key in self._made

    def _tell_planned(self) -> None:
        running = sum(job.kind == "trial" for job in self._running.values())
        elsewhere = sum(job.kind == "trial" for job in self._elsewhere.values())
        self.watcher.planned(self._queue.open_trials + running + elsewhere)

    # What is done

    def _submit_ready(self) -> None:
        while len(self._running) < self.executor.capacity:
            # Once stopped, what has been trained is still scored, which takes no time.
            job = self._queue.take("score" if self.policy.stopped else "")
            if job is None:
                return
            if self.policy.holds_back(job):
                held = self.summary.held_back
                held[job.predictor] = held.get(job.predictor, 0) + 1
            elif self.leases is not None and not self.leases.take(job.name):
                self._elsewhere[job.key] = job
            elif self._adopt(job):
                self._release(job)
            else:
                if job.kind in ("network", "trial"):
                    self.begins(job.dataset)
                self._running[job.key] = job
                self.watcher.started(job)
                self.executor.submit(job)

    def _wait(self) -> list[Outcome]:
        if not self._running:
            time.sleep(_POLL)
            return []
        started = time.perf_counter()
        outcomes = self.executor.wait(_POLL if self._elsewhere else None)
        self.summary.waited += time.perf_counter() - started
        return outcomes

    def _look_elsewhere(self) -> None:
        """Take over what other orchestrators have finished, and what they have dropped."""
        if not self._elsewhere or time.monotonic() - self._looked < _POLL:
            return
        self._looked = time.monotonic()
        assert self.leases is not None
        for job in list(self._elsewhere.values()):
            if self.leases.holder(job.name) is None:
                del self._elsewhere[job.key]
                if not self._adopt(job):
                    self._queue.add(job, first=True)
        self._tell_waiting()

    def _tell_waiting(self) -> None:
        """Say for whom this run waits when it has nothing else to do, and again now and then."""
        assert self.leases is not None
        jobs: dict[str, list[str]] = {}
        if not self._running and not self._queue.has_ready:
            for job in self._elsewhere.values():
                if holder := self.leases.holder(job.name):
                    jobs.setdefault(described(holder), []).append(f"{job.kind} {job.label}")
        told = "; ".join(
            f"{who} has {labels[0]}" + (f" and {len(labels) - 1} more" if labels[1:] else "")
            for who, labels in sorted(jobs.items())
        )
        message, since = self._told
        if told != message or (told and time.monotonic() - since > SECONDS_BETWEEN_REMINDERS):
            self._told = (told, time.monotonic())
            self.watcher.waiting(told)

    def _adopt(self, job: Job) -> bool:
        """Take what somebody else has made since this was planned; return whether there is."""
        if job.attempt:
            return False
        if job.kind != "trial":
            if not self._is_made(job):
                return False
            self._note_product(job)
            return True
        result = stored_result(self.plan, job)
        if result is None:
            return False
        self.summary.cached += 1
        self._note_result(result)
        return True

    def _settle(self, outcome: Outcome) -> None:
        """Take note of what became of a job."""
        job = self._running.pop(outcome.job.key)
        if outcome.status == "refused":
            raise MismatchError(outcome.message)
        if outcome.status in ("unwritable", "mismatch"):  # which code of others can raise, too
            ours = not self._runs_strangers(job)
            if outcome.status == "mismatch" and ours:
                raise MismatchError(outcome.message)
            if outcome.status == "unwritable" and (ours or takes_no_more(self._store.root / "tmp")):
                raise WorkspaceError(outcome.message)
            outcome = replace(outcome, status="error")
        self.summary.overhead += outcome.overhead
        outcome = self._as_planned(job, outcome)
        status = outcome.result.status if outcome.result is not None else outcome.status
        if goes_again(status, job.attempt):
            batch = self.plan.bench.protocol.training.batch_size
            self._queue.add(next_attempt(job, status, batch), first=True)
        elif job.kind == "trial":
            result = outcome.result or _record(self.plan, job, outcome)
            self.summary.new += 1
            self._forget_failed_scores(job)
            self._note_result(result)
            self.watcher.finished(replace(outcome, result=result))
        else:
            self.watcher.finished(outcome)
            if outcome.status == "ok" or job.kind in _OF_A_TRIAL:
                if outcome.status not in ("ok", "damaged") and job.kind == "score":
                    from spared_bench.trials.scores import note_failure  # imports AnnData

                    note_failure(self.plan.bench, job, outcome.message, outcome.traceback)
                self._note_product(job)
            else:
                self._fail_dependents(job, outcome)
        self._release(job)

    def _runs_strangers(self, job: Job) -> bool:
        """Whether code of others may have told what became of a job: it can raise any error."""
        return runs_apart(self._settings, job)

    def _as_planned(self, job: Job, outcome: Outcome) -> Outcome:
        """Go by what is stored of a stranger's trial; fail one that tells what is not its own.

        The record is written in the process of the method, which can change what it says there.
        """
        bench = self.plan.bench
        if job.kind != "trial" or outcome.result is None or _is_ours(bench, job):
            return outcome
        read = read_trial(self._store, job.key)
        # Nothing is stored of what is tried again, and of another machine's it may not be seen yet.
        result = outcome.result if read is None else read[0]
        wrong = told_otherwise(bench, job, result, self.strict)
        if not wrong:
            return replace(outcome, result=result)
        self._store.remove(TRIALS, job.key)
        message = (
            f"The record of the trial says otherwise than was planned ({', '.join(wrong)}): code of"
            " the method has changed it."
        )
        return Outcome(job, "error", message)

    def _forget_failed_scores(self, job: Job) -> None:
        """Take away why predictions could not be scored that were made again just now."""
        wanted = self.plan.score_job(job)
        found = read_scores(self._store, wanted.key)
        if found is not None and not found.ok:
            self._store.remove(SCORES, wanted.key)
            self._made.discard(wanted.key)

    def _release(self, job: Job) -> None:
        if self.leases is not None:
            self.leases.release(job.name)

    def _note_result(self, result: TrialResult) -> None:
        self.policy.note(result)
        self.summary.results[result.key] = result
        self._reconsider(result.key)

    def _reconsider(self, key: str) -> None:
        """Look again at the cells that waited for a trial."""
        for cell in self._waiting_for.pop(key, {}).values():
            self._consider(cell)

    def _note_product(self, job: Job) -> None:
        self._made.add(job.key)
        if job.kind in _OF_A_TRIAL:
            left = self._after.get(job.trial, set())
            left.discard(job.key)
            if not left:
                self.summary.unfinished.discard(job.trial)
        self._queue.made(job.key)

    def _fail_dependents(self, broken: Job, outcome: Outcome) -> None:
        """Record that what needed a product cannot be done; no method is to blame."""
        self._broken[broken.key] = outcome
        dropped = [*self._dropped_with(broken.key)]
        for job in dropped:
            self._fail(job, outcome)
        for job in dropped:  # when all are known: a search would want its other candidates again
            self._reconsider(job.key)

    def _dropped_with(self, key: str) -> Iterator[Job]:
        """Yield the trials that needed a product, or what is made of it; they wait no more."""
        for job in self._queue.drop_dependents(key):
            if job.kind == "trial":
                yield job
            else:
                yield from self._dropped_with(job.key)

    def _lost(self, job: Job) -> Outcome | None:
        """Return what became of a product that a job needs and that nobody could make."""
        for need in self.plan.needs(job) if self._broken else ():
            if self._is_made(need):
                continue
            if found := self._broken.get(need.key) or self._lost(need):
                return found
        return None

    def _fail(self, job: Job, outcome: Outcome) -> None:
        """Record a trial that lacks what it needs, which became this."""
        result = _record(self.plan, job, replace(outcome, status="error"))
        self.summary.results[job.key] = result
        self.summary.new += 1
        self.watcher.finished(replace(outcome, job=job, status="error", result=result))


def _is_ours(bench: Bench, job: Job) -> bool:
    """Whether dataset and methods of a job are our own."""
    kinds = [kind for kind in ("dataset", "completer", "predictor") if getattr(job, kind)]
    return all(bench.registry.get(kind, getattr(job, kind)).plugin.is_ours for kind in kinds)


def _record(plan: Plan, job: Job, outcome: Outcome) -> TrialResult:
    """Store a failure that the trial could not record itself."""
    status = _STATUSES.get(outcome.status, "error")
    facts = {"quarantined": True} if status == "killed" else {}
    from spared_bench.trials.runner import failure  # which imports AnnData

    return failure(plan.bench, job, status, outcome.message, outcome.traceback, facts)
