"""Which jobs run code that is not our own, and in which process they run.

A worker either does jobs itself, and then imports our own plugins only, or forks a child for each
job, which imports the strangers' plugins of this job and ends with it. Nothing that one plugin does
to its process is there in a job of another.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from spared_bench.bench import Bench, Settings
from spared_bench.executors.needs import make_needs
from spared_bench.executors.slot import Slot
from spared_bench.interfaces import Job
from spared_bench.registry import Registry, discover
from spared_bench.told import with_imported, with_told

#: What a kind of job runs of its plugins beside the dataset's; metrics are the protocol's.
_METHODS = {
    "complete": ("completer",),
    "network": ("completer", "predictor"),
    "trial": ("completer", "predictor"),
}
#: Kinds of jobs that are done without any plugin but metrics.
_OF_A_TRIAL = ("score", "draw")
SlotType = TypeVar("SlotType", bound=Slot)


def runs_apart(settings: Settings, job: Job) -> bool:
    """Return whether a job gets a process of its own."""
    if settings.limits.isolate or settings.strangers is None:
        return True
    if job.kind in _METHODS and _named(settings, "encoder"):
        return True  # which of the methods asks for it, the child finds out
    return bool(_strangers(settings, job, _importing(job))) or bool(
        job.kind == "score" and _named(settings, "metric")
    )


def _importing(job: Job) -> tuple[str, ...]:
    """Return of which kinds a job may need the code; what is made of a trial needs none."""
    return () if job.kind in _OF_A_TRIAL else ("dataset", *_METHODS.get(job.kind, ()))


def settings_of(settings: Settings, apart: bool) -> Settings:
    """Return what a worker is told that does jobs itself, or forks a child for each."""
    return replace(settings, limits=replace(settings.limits, isolate=apart))


def choose(slots: Iterable[SlotType], apart: bool) -> tuple[SlotType | None, int]:
    """Return an idle slot of a kind, or ``None`` and the number with which to start one.

    Two slots of one number, one of each kind, share a GPU, and only one of them is busy.
    """
    slots = list(slots)
    busy = {slot.number for slot in slots if slot.job is not None}
    for slot in slots:
        if slot.forks == apart and slot.number not in busy and slot.alive:
            return slot, slot.number
    return None, next(number for number in range(len(busy) + 1) if number not in busy)


def own_bench(settings: Settings) -> Bench:
    """Return the bench of a process that imports our plugins only, and is told of others."""
    bench = Bench(settings)
    return Bench(settings, with_told(_discover(bench, ()), settings.told))


def bench_for(own: Bench, job: Job) -> Bench:
    """Return the bench of a process that is there for one job, with the plugins of this job.

    ``own`` is that of the process from which it was forked, with our plugins (``own_bench``).
    A predictor's stages, which its spec names, are among them. No stranger's code is imported for
    scores and figures, nor, in a strict run, for a method, which a child of this process imports.
    """
    settings = own.settings
    if settings.strangers is None:
        return Bench(settings)
    kinds = _METHODS.get(job.kind, ())
    methods = _strangers(settings, job, kinds)
    if "predictor" in kinds:
        stages = own.predictor(job.predictor).stages.values()
        named = (settings.strangers.get(f"predictor {stage.predictor}") for stage in stages)
        methods = list(dict.fromkeys([*methods, *(name for name in named if name is not None)]))
    methods = list(dict.fromkeys([*methods, *_of_encoders(own, job, kinds)]))
    strict = settings.limits.strict and methods
    if methods and not strict:  # of a strict run, a child of its own makes them
        from spared_bench.trials.shared import make_shared  # which imports pandas

        make_shared(own, job)
    if methods:
        make_needs(own, job, bench_for)
    wanted = [] if strict else [*methods, *_strangers(settings, job, _importing(job))]
    registry = with_imported(own.registry, settings.plugin_files, wanted)
    return Bench(settings, registry, tuple(methods))


def _discover(bench: Bench, only: Sequence[str]) -> Registry:
    files = [Path(file) for file in bench.settings.plugin_files]
    return discover(files, data_dir=bench.workspace.data_dir, only=only)


def _strangers(settings: Settings, job: Job, kinds: Sequence[str]) -> list[str]:
    """Return the distributions of a job's plugins of these kinds that are not our own."""
    known = settings.strangers or {}
    named = (known.get(f"{kind} {getattr(job, kind)}") for kind in kinds)
    return list(dict.fromkeys(name for name in named if name is not None))


def _of_encoders(bench: Bench, job: Job, kinds: Sequence[str]) -> list[str]:
    """Return the distributions of strangers' networks whose features the job's methods ask for.

    One that is described by values alone is made by our own code, and is not among them.
    """
    if not _named(bench.settings, "encoder"):
        return []
    asked = []
    if "completer" in kinds:
        asked.append(bench.known_encoder_of("completer", job.completer))
    if "predictor" in kinds:
        asked.append(bench.known_encoder_of("predictor", job.predictor, job.parameters))
        for stage in bench.stages(job.predictor, job.parameters).values():
            asked.append(bench.known_encoder_of("predictor", stage.predictor, stage.parameters))
    known = bench.settings.strangers or {}
    named = (known.get(f"encoder {each.qualified_name}") for each in asked if each is not None
             and each.runs_code)  # fmt: skip
    return [name for name in named if name is not None]


def _named(settings: Settings, kind: str) -> list[str]:
    """Return the distributions of the plan's plugins of a kind that are not our own."""
    known = settings.strangers or {}
    return [name for plugin, name in known.items() if plugin.startswith(f"{kind} ")]
