"""Carries a plan out, tracks it in MLflow and builds the leaderboard."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from spared_bench import sandbox
from spared_bench.api.options import RunOptions, default_workers
from spared_bench.api.progress import default_watcher
from spared_bench.api.report import Report
from spared_bench.api.watchers import Notifying
from spared_bench.executors.listing import check_strict
from spared_bench.executors.of_others import OfOthers
from spared_bench.executors.plugin_lock import plugins_of, strangers_of, told_of
from spared_bench.interfaces import Executor
from spared_bench.planning.plan import Plan
from spared_bench.planning.stored import final_results
from spared_bench.registry import notify
from spared_bench.running.interrupts import stop_gently
from spared_bench.running.retries import Policy, forget_failures
from spared_bench.store.disk import full_disk_explained
from spared_bench.store.leases import Leases

if TYPE_CHECKING:
    from spared_bench.bench import Bench
    from spared_bench.running.watching import Summary


def execute(
    plan: Plan,
    *,
    watcher: Any = None,
    command: str = "spared_bench.run(...)",
    log: Callable[[str], None] = print,
    **options: Any,
) -> Report:
    """Carry a plan out, track it in MLflow and build the leaderboard.

    Parameters
    ----------
    plan : Plan
    watcher : object, optional
        Told of what happens (``orchestrator.Watcher``); by default a progress bar in a notebook,
        and nothing elsewhere.
    command : str
        What made it, for the page.
    log : callable
        For what goes wrong beside the trials.
    **options
        Of ``RunOptions``.
    """
    chosen = RunOptions(**options)
    with full_disk_explained(plan.bench.workspace.store.root):
        return _execute(plan, watcher, command, log, chosen)


def _execute(
    plan: Plan, watcher: Any, command: str, log: Callable[[str], None], chosen: RunOptions
) -> Report:
    from spared_bench.reports.few_left import told_of_few_left
    from spared_bench.reports.slide_checks import SlideWarnings
    from spared_bench.running.orchestrator import Orchestrator
    from spared_bench.tracking.recorder import NoRecorder, Recorder, Unrecorded

    bench, begun = plan.bench, time.perf_counter()
    bench.registry.declare()
    bench.workspace.make_writable()
    if chosen.retry_failed or chosen.retry_quarantined:
        forget_failures(plan, quarantined=chosen.retry_quarantined)
    check_machine(plan, chosen)
    if chosen.limits.strict and (ways := sandbox.left_open()):
        log(f"`--isolate strict` leaves open on this kernel: {'; '.join(ways)}.")
    watcher = Notifying(watcher or default_watcher(), bench.registry, log)
    slides = SlideWarnings(plan, log)
    slides.begin()
    notify(bench.registry, "spared_bench_run_started", log, plan=plan)
    leases = Leases(bench.workspace.store.root / "leases")
    making = (Recorder if chosen.track else NoRecorder) if chosen.board else Unrecorded
    recorder = making(plan)
    runner = _executor(plan, chosen, watcher)
    try:
        if note := getattr(runner, "note", ""):
            log(note)
        orchestrator = Orchestrator(
            plan,
            runner,
            watcher,
            recorder.tick,
            Policy(chosen.fail_fast, chosen.breaker),
            leases,
            chosen.figures,
            strict=chosen.limits.strict,
            begins=slides.of,
        )
        with stop_gently(orchestrator, log) as interrupted:
            summary = orchestrator.run()
    finally:
        runner.close()
        watcher.close()
        bench.workspace.store.sweep()  # of jobs that were ended in the middle
        leases.sweep()
        leases.close()
    if not orchestrator.policy.stopped:
        slides.end()
    for line in told_of_few_left(bench, (cell.dataset for cell in plan.cells)):
        log(line)
    return _finish(plan, summary, recorder, begun, command, log, interrupted.is_set())


def check_executor(bench: Bench, chosen: RunOptions) -> None:
    """Refuse an executor that is not there, and what it cannot do; it is not started.

    Raises
    ------
    UnknownNameError, UsageError
    """
    check = getattr(bench.registry.get("executor", chosen.executor).load(), "check", None)
    if check is not None:
        check(chosen.limits, chosen.cluster)


def check_machine(plan: Plan, chosen: RunOptions) -> None:
    """Refuse a plan that cannot be carried out so, or for which this machine lacks something.

    Raises
    ------
    UnknownNameError, UsageError, WeightsUnavailableError
        See ``check_executor`` and, if its trials are to run here, ``check_requirements``.
    """
    from spared_bench.running.requirements import check_requirements

    check_executor(plan.bench, chosen)
    if chosen.limits.strict:
        check_strict(plan)
    factory = plan.bench.registry.get("executor", chosen.executor).load()
    works_here = getattr(factory, "works_here", None)
    if works_here is not None and works_here(chosen.cluster):
        check_requirements(plan, chosen.limits.gpus)


def _executor(plan: Plan, chosen: RunOptions, watcher: Any) -> Executor:
    """Start the executor, whose workers must have the plugins of the plan."""
    bench = plan.bench
    strangers = strangers_of(plan)
    settings = replace(
        bench.settings,
        limits=chosen.limits,
        cluster=chosen.cluster,
        plugins=plugins_of(plan),
        strangers=strangers,
        told=told_of(bench, strangers),
    )
    entry = bench.registry.get("executor", chosen.executor)
    make: Any = partial(
        entry.load(),
        settings,
        workers=chosen.workers or default_workers(settings.threads),
        progress=watcher.progress,
    )
    if not entry.plugin.is_ours:
        make = partial(OfOthers, entry, make)
    runner: Executor = make()
    return runner


def _finish(
    plan: Plan,
    summary: Summary,
    recorder: Any,
    begun: float,
    command: str,
    log: Callable[[str], None],
    interrupted: bool,
) -> Report:
    """Log what is left, build the page, and say how it went."""
    from spared_bench.leaderboard.publish import publish

    results = final_results(plan, summary.results)
    tracking = time.perf_counter()
    error = recorder.finish(summary)
    if error is not None:
        log(f"{error} The results are in the store; `spared-bench track sync` logs them later.")
    page = None
    if recorder.wanted:
        page = publish(plan, tracked=error is None, command=command, tell=log)
    ended = time.perf_counter()
    notify(plan.bench.registry, "spared_bench_run_finished", log, plan=plan, results=results)
    return Report(
        plan,
        results,
        summary.new,
        summary.cached,
        [result for result in results if not result.ok],
        _seconds(summary, begun, tracking, ended),
        page,
        summary.held_back,
        summary.undone,
        interrupted,
        sum(result.status not in ("ok", "skipped") for result in summary.results.values()),
    )


def _seconds(summary: Summary, begun: float, tracking: float, ended: float) -> dict[str, float]:
    return {
        "wall": ended - begun,
        "orchestrating": tracking - begun - summary.waited,
        "tracking": ended - tracking,
        "storing": summary.overhead,
    }
