"""``load_dataset`` and ``run``: what the command line does, for notebooks and scripts."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spared_bench.bench import Bench, Limits, Settings
from spared_bench.errors import UsageError
from spared_bench.executors.listing import check_strict, listed_apart, require_strict
from spared_bench.executors.plugin_lock import plugins_of, strangers_of, told_of
from spared_bench.interfaces import Executor, Job
from spared_bench.planning.plan import Plan
from spared_bench.planning.selection import make_plan
from spared_bench.planning.stored import final_results, stored_results
from spared_bench.protocol import Protocol, parse_protocol, read_protocol
from spared_bench.registry import Registry, discover, notify
from spared_bench.results import TrialResult
from spared_bench.running.interrupts import stop_gently
from spared_bench.running.retries import Policy, forget_failures
from spared_bench.sources.described import FACTORY as DESCRIBED
from spared_bench.store.disk import full_disk_explained
from spared_bench.store.leases import Leases
from spared_bench.threads import usable_cores
from spared_bench.workspace import Workspace

if TYPE_CHECKING:
    from spared_bench.running.orchestrator import Summary, Watcher
    from spared_bench.trials.products import Prepared

DEFAULT_PROTOCOL = "demo"
#: Taken instead where all datasets are people's own (``spared-bench data add``).
OWN_PROTOCOL = "own"
_MAX_DEFAULT_WORKERS = 16


@dataclass(frozen=True)
class Report:
    """What a run came to.

    Parameters
    ----------
    plan : Plan
    results : list of TrialResult
        One per cell of the plan that has one.
    new, cached : int
        Trials done now, and trials found in the store; the search's trials count too.
    failed : list of TrialResult
        Cells without a score.
    failed_trials : int
        Trials that ended without a result, the search's too, among ``new`` and ``cached``.
    seconds : dict
        ``wall`` and the harness's own shares.
    page : Path or None
        The leaderboard.
    held_back : dict of str to int
        Predictors that failed too often in a row, and how many of their trials were not begun.
    undone : int
        Trials that were not begun because the run was stopped.
    interrupted : bool
        Whether it was stopped by an interrupt.
    """

    plan: Plan
    results: list[TrialResult]
    new: int
    cached: int
    failed: list[TrialResult]
    seconds: dict[str, float] = field(default_factory=dict)
    page: Path | None = None
    held_back: dict[str, int] = field(default_factory=dict)
    undone: int = 0
    interrupted: bool = False
    failed_trials: int = 0


@dataclass(frozen=True)
class RunOptions:
    """How a plan is carried out; none of it moves a score.

    Parameters
    ----------
    executor : str
        Name of a registered executor.
    workers : int, optional
        One per core by default, divided by the threads of a trial.
    limits : Limits
        Of time and memory.
    cluster : str
        For executors beyond this machine: an address, or a YAML file.
    retry_failed, retry_quarantined : bool
        Try trials again that failed before; also those that killed their process every time.
    fail_fast : bool
        Begin nothing new after the first failure.
    breaker : int
        Failures in a row after which a predictor's other trials are held back; 0: never.
    track : bool
        Log to MLflow and build the page; else ``track sync`` and ``leaderboard build`` do later.
    figures : bool
        Draw the figures of the trials that count.
    """

    executor: str = "local"
    workers: int | None = None
    limits: Limits = field(default_factory=Limits)
    cluster: str = ""
    retry_failed: bool = False
    retry_quarantined: bool = False
    fail_fast: bool = False
    breaker: int = 5
    track: bool = True
    figures: bool = True


class _Silent:
    def planned(self, open_trials: int) -> None:
        return None

    def started(self, job: Job) -> None:
        return None

    def finished(self, outcome: Any) -> None:
        return None

    def progress(self, job: Job, step: int, values: dict[str, float]) -> None:
        return None

    def waiting(self, message: str) -> None:
        return None


def load_protocol(name: str, registry: Registry) -> Protocol:
    """Return a protocol by name, or from a YAML file.

    Parameters
    ----------
    name : str
        Of a registered protocol (``"demo"`` or ``"demo@1"``), or a path that ends in ``.yaml``.
    registry : Registry
    """
    if name.endswith((".yaml", ".yml")):
        return read_protocol(Path(name))
    bare, _, version = name.partition("@")
    entry = registry.get("protocol", bare)
    protocol = parse_protocol(entry.load()(), f"protocol {bare!r}")
    if version and version != str(protocol.version):
        raise UsageError(
            f"Protocol {bare!r} is installed in version {protocol.version}, not {version!r}."
        )
    return protocol


def default_protocol(registry: Registry, datasets: Sequence[str]) -> str:
    """Return the protocol that is meant where none is named.

    Raises
    ------
    UsageError
        If some of the datasets are people's own and others are not.
    """
    entries = [registry.get("dataset", fold) for name in datasets for fold in registry.expand(name)]
    own = {entry.spec.name for entry in entries if entry.spec.factory == DESCRIBED}
    others = {entry.spec.name for entry in entries} - own
    if own and others:
        raise UsageError(
            f"No protocol is named, and it is not clear which one is meant: {min(own)!r} is a"
            f" dataset of your own, which protocol {OWN_PROTOCOL!r} is for, and {min(others)!r} is"
            f" not. Name one with `--suite`: {', '.join(registry.names('protocol'))}."
        )
    return OWN_PROTOCOL if own else DEFAULT_PROTOCOL


def make_bench(
    protocol: str = "",
    *,
    datasets: Sequence[str] = (),
    workspace: Path | None = None,
    data_dir: Path | None = None,
    plugin_files: Sequence[Path] = (),
    device: str = "auto",
    weights: str = "",
    parameters: Mapping[str, Mapping[str, Any]] | None = None,
    offline: bool = False,
    threads: int = 1,
    strict: bool = False,
) -> Bench:
    """Bring a protocol, a workspace and the plugins together.

    Parameters
    ----------
    protocol : str
        Name or YAML file; empty: ``"own"`` for datasets that people described, else ``"demo"``.
    datasets : sequence of str
        What is selected, for that choice.
    workspace, data_dir : Path, optional
    plugin_files : sequence of Path
        Single-file plugins.
    device : str
        ``"auto"``, ``"cpu"``, ``"cuda"``, ``"cuda:1"``.
    weights : str
        ``"pretrained"``, ``"random"`` or a file, for every predictor that has weights.
    parameters : mapping of predictor or completer to mapping
        Values that replace those of the protocol and of the search.
    offline : bool
        Never download.
    threads : int
        CPU threads of a trial. Part of its key: a sum over threads depends on their number.
    strict : bool
        For a run with ``Limits(strict=True)``: no code of other distributions or of
        ``plugin_files`` is imported in this process.

    Raises
    ------
    UsageError
        If ``strict`` is asked for and this system cannot shut a process in.
    """
    files = [Path(file).resolve() for file in plugin_files]
    space = Workspace.at(workspace, data_dir)
    place = _device(device)

    def bench_of(registry: Registry, protocol: Protocol) -> Bench:
        chosen: dict[str, dict[str, Any]] = {}
        for name, values in (parameters or {}).items():
            kind = "completer" if name in registry.names("completer") else "predictor"
            chosen.setdefault(registry.get(kind, name).spec.name, {}).update(values)
        settings = Settings(
            workspace=str(space.root),
            data_dir=str(space.data_dir),
            protocol=protocol.model_dump(mode="json"),
            plugin_files=tuple(map(str, files)),
            device=place,
            weights=weights,
            parameters=chosen,
            offline=offline,
            threads=threads,
        )
        return Bench(settings, registry)

    if not strict:
        registry = discover(files, data_dir=space.data_dir)
        wanted = load_protocol(protocol or default_protocol(registry, datasets), registry)
        return bench_of(registry, wanted)
    require_strict()
    ours = discover(files, data_dir=space.data_dir, only=())
    wanted = load_protocol(protocol or _default_of_ours(ours, datasets), ours)
    return bench_of(listed_apart(files, space, lambda every: bench_of(every, wanted)), wanted)


def _default_of_ours(ours: Registry, datasets: Sequence[str]) -> str:
    """Return the protocol that is meant, where the datasets of others are not known yet."""
    known = {name for name in datasets if name in ours.names("dataset")}
    return default_protocol(ours, sorted(known))


def _device(wanted: str) -> str:
    """Resolve ``"auto"`` without importing torch where there is no sign of an accelerator."""
    if wanted != "auto":
        if not re.fullmatch(r"cpu|mps|cuda(:[0-9]+)?", wanted):
            raise UsageError(
                f"There is no device {wanted!r}: it is auto, cpu, mps, cuda, or one GPU, as in"
                " cuda:1."
            )
        return wanted
    if not Path("/dev/nvidia0").exists():
        return "cpu"
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def load_dataset(
    name: str,
    protocol: str = "",
    *,
    workspace: Path | None = None,
    data_dir: Path | None = None,
) -> Prepared:
    """Return a dataset prepared as a protocol says, with its patches.

    Parameters
    ----------
    name : str
        Of a registered dataset.
    protocol : str
        Name or YAML file; empty: ``"own"`` for a dataset that people described, else ``"demo"``.
    workspace, data_dir : Path, optional

    Returns
    -------
    Prepared
        ``.adata`` holds the AnnData of ``spared_bench.data``; ``.slides("train")`` the slides of a
        split with ``.target``, ``.mask`` and ``.patches``.
    """
    from spared_bench.trials.products import prepare

    bench = make_bench(
        protocol, datasets=[name], workspace=workspace, data_dir=data_dir, device="cpu"
    )
    bench.workspace.make_writable()
    return prepare(bench, name)


def select(
    bench: Bench,
    datasets: Sequence[str] = (),
    completers: Sequence[str] = (),
    predictors: Sequence[str] = (),
) -> Plan:
    """Plan a selection; what is not named is everything of the protocol's suite.

    Unnamed datasets and completers are those of the protocol; unnamed predictors are all. A scheme
    of folds (``"her2st.loso"``) stands for all its folds.
    """
    protocol = bench.protocol

    def known(kind: str, names: Sequence[str]) -> list[str]:
        return list(dict.fromkeys(bench.registry.canonical(kind, name) for name in names))

    wanted = list(datasets or protocol.datasets) or bench.registry.names("dataset")
    return make_plan(
        bench,
        known("dataset", [fold for name in wanted for fold in bench.registry.expand(name)]),
        known("completer", completers or protocol.completers),
        known("predictor", predictors) or bench.registry.names("predictor"),
        named=bool(predictors),
    )


def default_workers(threads: int) -> int:
    """Return one worker per usable core, divided by the threads of a trial."""
    return max(1, min(_MAX_DEFAULT_WORKERS, usable_cores() // threads))


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
        Told of what happens (``orchestrator.Watcher``).
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
    from spared_bench.reports.slide_checks import warn_of_slides
    from spared_bench.running.orchestrator import Orchestrator
    from spared_bench.tracking.recorder import NoRecorder, Recorder

    bench, begun = plan.bench, time.perf_counter()
    bench.workspace.make_writable()
    bench.workspace.store.sweep()
    if chosen.retry_failed or chosen.retry_quarantined:
        forget_failures(plan, quarantined=chosen.retry_quarantined)
    check_machine(plan, chosen)
    if chosen.limits.strict:
        check_strict(plan)
    watcher = _Notifying(watcher or _Silent(), bench.registry, log)
    warn_of_slides(bench, dict.fromkeys(cell.dataset for cell in plan.cells), log)
    notify(bench.registry, "spared_bench_run_started", log, plan=plan)
    leases = Leases(bench.workspace.store.root / "leases")
    recorder = Recorder(plan) if chosen.track else NoRecorder(plan)
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
        )
        with stop_gently(orchestrator, log) as interrupted:
            summary = orchestrator.run()
    finally:
        runner.close()
        leases.sweep()
        leases.close()
    return _finish(plan, summary, recorder, begun, command, log, interrupted.is_set())


def check_machine(plan: Plan, chosen: RunOptions) -> None:
    """Refuse a plan for whose trials this machine lacks something, if they are to run here.

    Raises
    ------
    UsageError, WeightsUnavailableError
        See ``check_requirements``.
    """
    from spared_bench.running.requirements import check_requirements

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
    factory = bench.registry.get("executor", chosen.executor).load()
    runner: Executor = factory(
        settings,
        workers=chosen.workers or default_workers(settings.threads),
        progress=watcher.progress,
    )
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
        page = publish(plan, tracked=error is None, command=command)
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


class _Notifying:
    """Tells a watcher, and the observers among the plugins."""

    def __init__(self, watcher: Watcher, registry: Registry, log: Callable[[str], None]) -> None:
        self._watcher = watcher
        self._registry = registry
        self._log = log
        self.planned = watcher.planned
        self.started = watcher.started
        self.progress = watcher.progress
        # Watchers of earlier versions lack it.
        self.waiting = getattr(watcher, "waiting", lambda message: None)

    def finished(self, outcome: Any) -> None:
        self._watcher.finished(outcome)
        if outcome.result is not None:
            hook = "spared_bench_trial_finished"
            notify(self._registry, hook, self._log, result=outcome.result)


def run(
    datasets: Sequence[str] = (),
    completers: Sequence[str] = (),
    predictors: Sequence[str] = (),
    protocol: str = "",
    **options: Any,
) -> Report:
    """Run a selection and return what came of it.

    Parameters
    ----------
    datasets, completers, predictors : sequence of str
        Names; empty means all of the protocol's suite.
    protocol : str
        Name or YAML file; empty: ``"own"`` for datasets that people described, else ``"demo"``.
    **options
        Of ``make_bench`` and ``execute``.
    """
    ours = {"watcher", *RunOptions.__dataclass_fields__}
    chosen = {name: options.pop(name) for name in ours & set(options)}
    bench = make_bench(protocol, datasets=datasets, **options)
    return execute(select(bench, datasets, completers, predictors), **chosen)


def results_of(plan: Plan) -> list[TrialResult]:
    """Return the results that the store has of a plan, one per cell."""
    return final_results(plan, stored_results(plan))


__all__ = ["Report", "execute", "load_dataset", "make_bench", "replace", "run", "select"]
