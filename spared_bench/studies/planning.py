"""A plan for every variant of a study, and what all of them together will take."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from spared_bench.bench import Bench
from spared_bench.errors import SparedBenchError, StudyError, UsageError, did_you_mean
from spared_bench.interfaces import Job
from spared_bench.planning.asked import AskedSize
from spared_bench.planning.figures import (
    Figures,
    Training,
    by_figures,
    trainings_of,
    without_figures,
)
from spared_bench.planning.forecast import (
    Forecast,
    bytes_to_fetch,
    forecast,
    open_trials,
)
from spared_bench.planning.past import PastTrials
from spared_bench.planning.plan import Plan
from spared_bench.planning.selection import make_plan
from spared_bench.planning.stored import stored_results
from spared_bench.running.requirements import unreadable_weights, weights_of
from spared_bench.studies.model import Study
from spared_bench.studies.shifts import chosen_shifts
from spared_bench.studies.variants import Variant, variants_of


@dataclass(frozen=True)
class Group:
    """Variants of one protocol and the same parameters, and their cells in one plan."""

    variants: tuple[Variant, ...]
    plan: Plan

    @property
    def label(self) -> str:
        """For people: what its first variant is."""
        more = f" (and {len(self.variants) - 1} more)" if len(self.variants) > 1 else ""
        return self.variants[0].label + more


@dataclass(frozen=True)
class StudyPlan:
    """Everything that a study runs.

    Parameters
    ----------
    study : Study
    base : Bench
    groups : list of Group
        In the order in which they are run.
    away : dict of str to str
        Of a study that trains nothing: datasets that are not here, and why.
    source : str
        Where the study was read (``Opened``).
    """

    study: Study
    base: Bench
    groups: list[Group] = field(default_factory=list)
    away: dict[str, str] = field(default_factory=dict)
    source: str = ""

    @property
    def variants(self) -> list[Variant]:
        """All variants, the base first."""
        return [variant for group in self.groups for variant in group.variants]

    @property
    def n_cells(self) -> int:
        """Cells of all variants, those of datasets that are still to be fetched included."""
        return sum(len(variant.places) for variant in self.variants)

    @property
    def unavailable(self) -> dict[str, str]:
        """Datasets that are not here, and why."""
        found = dict(self.away)
        for group in self.groups:
            found |= group.plan.unavailable
        return found


def plan_study(study: Study, base: Bench) -> StudyPlan:
    """Plan all variants of a study; nothing is made and nothing is fetched.

    Raises
    ------
    StudyError
        See ``variants_of``; also where a variant's methods cannot be set so, no variant has a cell
        that can be run, the metric is best at a value in between, or a study of robustness compares
        by variances or classes.
    """
    _require_direction(study, base)
    if study.kind == "difficulty":
        return StudyPlan(study, base, [], _away(base, study.datasets))
    if study.kind == "robustness":
        _require_expression(study, base)
        chosen_shifts(study.shifts)
    groups: dict[str, list[Variant]] = {}
    for variant in variants_of(study, base):
        groups.setdefault(variant.group, []).append(variant)
    made = [_planned(study, base, tuple(variants)) for variants in groups.values()]
    plan = StudyPlan(study, base, made)
    _require_slides(plan)
    return plan


def _require_slides(plan: StudyPlan) -> None:
    """Refuse a laboratory of slides that no dataset of the study has."""
    datasets = {name for variant in plan.variants for name in variant.datasets}
    known = [slide.slide_id for name in datasets for slide in plan.base.dataset(name).slides]
    for laboratory, slides in plan.study.laboratories.items():
        for slide in slides:
            if slide not in known:
                raise StudyError(
                    f"study {plan.study.name!r}: `laboratories` names slide {slide!r} of"
                    f" {laboratory!r}, which none of its datasets has."
                    f" {did_you_mean(slide, known)}".rstrip()
                )


def _require_direction(study: Study, base: Bench) -> None:
    """Refuse a metric that is best in between: no difference of two values says which is better."""
    metric = base.metric(study.metric)
    if metric.better == "nearest":
        raise StudyError(
            f"study {study.name!r} compares by {metric.name!r}, which is best at {metric.goal:g}:"
            " higher is better below, and lower above, so a difference says nothing. Name a"
            " `metric` that is better the higher or the lower it is; the scores by"
            f" {metric.name!r} stand in cells.csv where the protocol has it among its `metrics`."
        )


def _require_expression(study: Study, base: Bench) -> None:
    """Refuse a metric of variances or classes: of changed images, expression alone is predicted."""
    metric = base.metric(study.metric)
    if metric.given in ("variance", "classes"):
        raise StudyError(
            f"study {study.name!r} compares by {metric.name!r}, which is of predicted"
            f" {'variances' if metric.given == 'variance' else 'classes'}, and from changed images"
            " nothing but expression is predicted. Name another `metric`, such as 'pcc-gene'."
        )


def _away(base: Bench, names: Sequence[str]) -> dict[str, str]:
    """Return which datasets are not here, and why."""
    found = {}
    for name in names or base.listed():
        try:
            base.data_inputs(name)
        except SparedBenchError as error:
            found[name] = str(error)
    return found


def _planned(study: Study, base: Bench, variants: tuple[Variant, ...]) -> Group:
    bench = variants[0].bench(base)

    def every(name: str) -> list[Any]:
        return list(dict.fromkeys(each for v in variants for each in getattr(v, name)))

    try:
        plan = make_plan(
            bench, every("datasets"), every("completers"), every("methods"), named=True
        )
    except StudyError:
        raise
    except UsageError as error:
        raise StudyError(f"study {study.name!r}, {variants[0].label}: {error}") from error
    unfit = [plan.unavailable[name] for name in plan.unfit]
    if problems := "\n".join([*unfit, *unreadable_weights(plan)]):
        raise StudyError(f"study {study.name!r}, {variants[0].label}: {problems}")
    wanted = {place for variant in variants for place in variant.places}
    plan.cells = [
        cell
        for cell in plan.cells
        if (cell.dataset, cell.completer, cell.predictor, cell.seed) in wanted
    ]
    return Group(variants, plan)


@dataclass(frozen=True)
class StudyForecast:
    """What a study will take.

    Parameters
    ----------
    parts : list of (Group, Forecast)
    hours : dict of str to float
        By class of device, from past trials of the same methods in the same size, those of datasets
        that are still to be fetched included.
    without_past : int
        Open trainings of methods that no class of device has trained in this size.
    figures : dict of str to Figures
        By class of machine, what the trainings of ``without_past`` take by figures that were
        measured elsewhere.
    without_figures : list of str
        Methods of these trainings that have no figure on any machine.
    open_trials : int
        Trainings to come, searches included; of datasets to be fetched as many as there may be.
    downloads : dict of dataset to int or None
        Bytes to fetch first; ``None`` where the source does not say.
    asked : dict of dataset to AskedSize
        Where the servers were asked, what they say of the datasets of unknown size.
    done : int
        Cells that have their scores.
    disk_bytes : int or None
    weights : list of str
        Networks whose pretrained weights are to be fetched.
    """

    parts: list[tuple[Group, Forecast]]
    hours: dict[str, float]
    without_past: int
    open_trials: int
    downloads: dict[str, int | None]
    done: int
    disk_bytes: int | None
    weights: list[str] = field(default_factory=list)
    figures: dict[str, Figures] = field(default_factory=dict)
    without_figures: list[str] = field(default_factory=list)
    asked: dict[str, AskedSize] = field(default_factory=dict)

    def as_dict(self, plan: StudyPlan) -> dict[str, Any]:
        """Return JSON-ready values."""
        return {
            "study": plan.study.id,
            "base": plan.base.protocol.id,
            "cells": plan.n_cells,
            "done": self.done,
            "open_trials": self.open_trials,
            "open_trials_without_past": self.without_past,
            "hours": {name: round(hours, 3) for name, hours in self.hours.items()},
            "figures": {name: asdict(each) for name, each in self.figures.items()},
            "without_figures": self.without_figures,
            "downloads": self.downloads,
            "asked_sizes": {name: asdict(each) for name, each in self.asked.items()},
            "weights": self.weights,
            "unavailable": plan.unavailable,
            "disk_bytes": self.disk_bytes,
            "variants": [
                {
                    "levels": variant.levels,
                    "cells": len(variant.places),
                    "done": _done_of(variant, ahead),
                }
                for group, ahead in self.parts
                for variant in group.variants
            ],
        }


def forecast_study(plan: StudyPlan) -> StudyForecast:
    """Work out what a study will take, on a machine that may have none of its data."""
    past = PastTrials(plan.base.workspace.store)
    parts = [(group, forecast(group.plan, past)) for group in plan.groups]
    hours: dict[str, float] = defaultdict(float)
    all_untold: list[tuple[Bench, list[Training]]] = []
    seen, methods, n_trials, n_without = set[str](), set[str](), 0, 0
    lacking: dict[str, None] = {}
    sizes: list[int | None] = []
    for group in plan.groups:
        bench = group.plan.bench
        new = {job.key: job for job in _jobs_to_come(group) if job.key not in seen}
        seen |= set(new)
        jobs = [*new.values(), *_jobs_away(group)]
        methods |= {job.predictor for job in jobs}
        sizes.append(past.bytes_of(bench, jobs))
        took, without = past.hours(bench, jobs)
        for device, more in took.items():
            hours[device] += more
        untold = trainings_of(bench, without)
        all_untold.append((bench, untold))
        lacking |= dict.fromkeys(without_figures(bench, untold))
        n_trials, n_without = n_trials + len(jobs), n_without + len(without)
    return StudyForecast(
        parts,
        dict(hours),
        n_without,
        n_trials,
        bytes_to_fetch(plan.base, plan.unavailable),
        sum(state == "done" for _, ahead in parts for _, state in ahead.states),
        None if None in sizes else sum(filter(None, sizes)),
        _weights_to_fetch(plan, methods),
        by_figures(all_untold),
        list(lacking),
    )


def _weights_to_fetch(plan: StudyPlan, methods: Collection[str]) -> list[str]:
    """Return the networks whose weights open trainings begin with, and that are not here."""
    found: dict[str, None] = {}
    for group in plan.groups:
        trained = {each for v in group.variants for each in v.methods if each in methods}
        lacking = weights_of(group.plan.bench, (), sorted(trained)) if trained else {}
        found |= dict.fromkeys(name for name, reason in lacking.items() if reason)
    return list(found)


def _jobs_to_come(group: Group) -> list[Job]:
    return open_trials(group.plan, stored_results(group.plan))


def _jobs_away(group: Group) -> list[Job]:
    """Return trainings on datasets that are not here: as many as there are candidates and cells."""
    bench, found = group.plan.bench, []
    places = {place for variant in group.variants for place in variant.places}
    away = sorted(place for place in places if place[0] in group.plan.unavailable)
    searched: set[tuple[str, str]] = set()
    for dataset, completer, method, seed in away:
        candidates = bench.candidates(method)
        extra = 0 if len(candidates) == 1 or (dataset, method) in searched else len(candidates) - 1
        searched.add((dataset, method))
        job = Job("trial", "", dataset, completer, method, candidates[0], seed)
        found += [replace(job) for _ in range(1 + extra)]
    return found


def _done_of(variant: Variant, ahead: Forecast) -> int:
    places = set(variant.places)
    return sum(
        state == "done" and (cell.dataset, cell.completer, cell.predictor, cell.seed) in places
        for cell, state in ahead.states
    )
