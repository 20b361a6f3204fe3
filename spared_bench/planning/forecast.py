"""What a plan will take: trials, products, downloads, hours and disk, from what is there."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

from spared_bench.bench import Bench
from spared_bench.files import bytes_below
from spared_bench.interfaces import Job
from spared_bench.keys.hashing import digest
from spared_bench.planning.figures import (
    Figures,
    Training,
    absent_trainings,
    by_figures,
    to_fetch,
)
from spared_bench.planning.plan import MAKES, Cell, Plan
from spared_bench.planning.stored import stored_results, stored_scores
from spared_bench.results import TrialResult
from spared_bench.store.entries import Store
from spared_bench.store.index import Records
from spared_bench.store.trials import TRIALS

_AT_ONCE = 200  # trials whose records are looked up together
_TO_SCORE = "scores to compute"
_ORDER = ("prepare", "complete", "network")


@dataclass(frozen=True)
class Forecast:
    """What is ahead of a run.

    Parameters
    ----------
    states : list of (Cell, str)
        Every cell and how it stands.
    cached, open_trials : int
        Trials of the plan; where a search is still open, the one it will lead to is counted.
    open_scores : int
        Trials of the store that count and whose predictions are still to be scored.
    products : list of (Job, bool)
        Shared products in the order in which they are needed, and whether they are there.
    features : list of (dataset, network, bool)
        Features of patches that trials and completers ask for; the first that does makes them,
        after the dataset is prepared.
    downloads : dict of dataset to int or None
        Bytes to fetch first; ``None`` where the source does not say.
    hours : dict of str to float
        By class of device, one trial at a time, from past trials of the same predictors.
    without_past : int
        Open trials of predictors that no class of device has run before: not in ``hours``.
    absent_trials : int
        Trainings on the datasets that are still to be fetched.
    figures : dict of str to Figures
        By class of machine, what the trials of ``without_past`` and ``absent_trials`` take by
        figures that were measured elsewhere.
    disk_bytes : int or None
        Of the open trials' entries, from past ones; ``None`` without any.
    """

    states: list[tuple[Cell, str]]
    cached: int
    open_trials: int
    open_scores: int
    products: list[tuple[Job, bool]]
    downloads: dict[str, int | None]
    features: list[tuple[str, str, bool]] = field(default_factory=list)
    hours: dict[str, float] = field(default_factory=dict)
    without_past: int = 0
    absent_trials: int = 0
    figures: dict[str, Figures] = field(default_factory=dict)
    disk_bytes: int | None = None

    @property
    def shared(self) -> list[tuple[str, str, bool]]:
        """Kind and name of all that is shared, in the order of need, and whether it is there."""
        jobs = [(job.kind, job.label, made) for job, made in self.products]
        asked = [("features", f"{data} · {network}", made) for data, network, made in self.features]
        first = [each for each in jobs if each[0] == "prepare"]
        return [*first, *asked, *(each for each in jobs if each[0] != "prepare")]

    def as_dict(self) -> dict[str, Any]:
        """Return JSON-ready values."""
        return {
            "cells": [
                {
                    "dataset": cell.dataset,
                    "completer": cell.completer,
                    "predictor": cell.predictor,
                    "seed": str(cell.seed),
                    "state": state,
                }
                for cell, state in self.states
            ],
            "cached_trials": self.cached,
            "open_trials": self.open_trials,
            "open_scores": self.open_scores,
            "products": [
                {"kind": MAKES.get(kind, kind), "of": label, "made": made}
                for kind, label, made in self.shared
            ],
            "downloads": self.downloads,
            "hours": {name: round(hours, 3) for name, hours in self.hours.items()},
            "open_trials_without_past": self.without_past,
            "absent_trials": self.absent_trials,
            "figures": {name: asdict(each) for name, each in self.figures.items()},
            "disk_bytes": self.disk_bytes,
        }


def forecast(plan: Plan) -> Forecast:
    """Work out what a plan will take; nothing is made and nothing is fetched."""
    results = stored_results(plan)
    wanted = open_trials(plan, results)
    past = _Past(plan.bench.workspace.store)
    hours, without = past.hours(wanted)
    absent = absent_trainings(plan)
    steps = plan.bench.protocol.training.iterations
    unknown = [Training(job.dataset, job.predictor, job.iterations or steps) for job in without]
    products = needed_products(plan, wanted)
    states = [(cell, _state(plan, cell, results)) for cell in plan.cells]
    return Forecast(
        states,
        len(results),
        len(wanted),
        sum(state == _TO_SCORE for _, state in states),
        products,
        bytes_to_fetch(plan.bench, to_fetch(plan)),
        needed_features(plan, [*wanted, *(job for job, _ in products)]),
        hours,
        len(without),
        len(absent),
        by_figures(plan.bench, [*unknown, *absent]),
        past.bytes_of(wanted),
    )


def _state(plan: Plan, cell: Cell, results: dict[str, TrialResult]) -> str:
    job = cell.chosen(results)
    if job is None:
        return f"after a search of {cell.n_candidates}"
    if job.key not in results:
        return "to run"
    if not results[job.key].ok:
        return f"failed ({results[job.key].status})"
    scores = stored_scores(plan, job)
    if scores is None:
        return _TO_SCORE
    return "done" if scores.ok else "failed (error)"


def open_trials(plan: Plan, results: dict[str, TrialResult]) -> list[Job]:
    """Return the trials still to be run, one standing for a choice that is open."""
    wanted = {job.key: job for cell in plan.cells for job in cell.expected(results)}
    return list(wanted.values())


def needed_products(plan: Plan, wanted: Iterable[Job]) -> list[tuple[Job, bool]]:
    """Return what the open trials consume, first what others are made from."""
    found: dict[str, Job] = {}
    waiting = list(wanted)
    while waiting:
        for need in plan.needs(waiting.pop()):
            if need.key not in found:
                found[need.key] = need
                waiting.append(need)
    ordered = sorted(found.values(), key=lambda job: (_ORDER.index(job.kind), job.label))
    return [(job, plan.is_made(job)) for job in ordered]


def needed_features(plan: Plan, jobs: Iterable[Job]) -> list[tuple[str, str, bool]]:
    """Return dataset and network of the features that jobs ask for, and whether they are made.

    Folds of one dataset share theirs, which stand under the first of them.
    """
    bench = plan.bench
    asked = set()
    for job in jobs:
        if job.kind == "complete":
            asked.add((job.dataset, bench.encoder_of("completer", job.completer)))
        elif job.kind == "trial":
            network = bench.encoder_of("predictor", job.predictor, job.parameters)
            asked.add((job.dataset, network))
    made = {
        (entry.inputs["patches"], _network(entry.inputs["encoder"]))
        for entry in bench.workspace.store.entries("features")
    }
    needed: dict[tuple[str, str], str] = {}
    for dataset, network in sorted(asked):
        if network:
            needed.setdefault((digest(bench.patches_inputs(dataset)), network), dataset)
    return [(dataset, each[1], each in made) for each, dataset in needed.items()]


def _network(identity: dict[str, Any]) -> str:
    """Return what a parameter calls an encoder: its backbone, or its own name where it has none."""
    return str(identity.get("backbone") or identity.get("encoder"))


def bytes_to_fetch(bench: Bench, names: Iterable[str]) -> dict[str, int | None]:
    """Return the bytes of what is missing; folds, and datasets of one source, are fetched once."""
    sources: dict[str, str] = {}
    for name in names:
        spec = bench.dataset(name)
        files = " ".join(sorted(file.url for file in spec.files))
        sources.setdefault(files or spec.fold_of or spec.name, spec.fold_of or spec.name)
    return {name: _bytes(bench, name) for name in sources.values()}


def hours_of(store: Store, jobs: Iterable[Job]) -> tuple[dict[str, float], int]:
    """Return the hours of trainings by class of device, from past ones, and how many have none."""
    hours, unknown = _Past(store).hours(list(jobs))
    return hours, len(unknown)


def _bytes(bench: Bench, dataset: str) -> int | None:
    sizes = [file.size for file in bench.dataset(dataset).files]
    known = [size for size in sizes if size]
    return sum(known) if sizes and len(known) == len(sizes) else None


class _Past:
    """Seconds and bytes of the trials of a store."""

    def __init__(self, store: Store) -> None:
        self._seconds: dict[tuple[str, ...], list[float]] = defaultdict(list)
        self._bytes: dict[str, list[int]] = defaultdict(list)
        self._classes: set[str] = set()
        keys = store.keys(TRIALS)
        with Records(store) as records:
            for start in range(0, len(keys), _AT_ONCE):
                some = keys[start : start + _AT_ONCE]
                records.read_ahead(TRIALS, some)
                for key in some:
                    result = records.trial(key)
                    if result is not None and result.ok and "total" in result.seconds:
                        self._note(result)
                        size = bytes_below(store.folder(TRIALS, key))
                        self._bytes[result.predictor].append(size)

    def _note(self, result: TrialResult) -> None:
        kind = result.environment.get("accelerator") or result.environment.get("device", "cpu")
        self._classes.add(kind)
        for key in ((kind, result.predictor, result.dataset), (kind, result.predictor)):
            self._seconds[key].append(result.seconds["total"])

    def hours(self, wanted: list[Job]) -> tuple[dict[str, float], list[Job]]:
        """Return hours by class of device, and the trials of which nothing is known."""
        hours: dict[str, float] = {}
        unknown = []
        for job in wanted:
            known = {kind: took for kind in self._classes if (took := self._of(kind, job))}
            if not known:
                unknown.append(job)
            for kind, took in known.items():
                hours[kind] = hours.get(kind, 0.0) + took / 3600
        return hours, unknown

    def _of(self, kind: str, job: Job) -> float:
        for key in ((kind, job.predictor, job.dataset), (kind, job.predictor)):
            if key in self._seconds:
                return median(self._seconds[key])
        return 0.0

    def bytes_of(self, wanted: list[Job]) -> int | None:
        """Return the bytes of so many trials like the past ones."""
        everything = [size for sizes in self._bytes.values() for size in sizes]
        if not everything:
            return None
        return sum(int(median(self._bytes.get(job.predictor) or everything)) for job in wanted)
