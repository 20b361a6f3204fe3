"""What a plan will take: trials, products, downloads, hours and disk, from what is there."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from spared_bench.bench import Bench
from spared_bench.interfaces import Job
from spared_bench.keys.hashing import digest
from spared_bench.planning.asked import AskedSize
from spared_bench.planning.figures import (
    Figures,
    absent_trainings,
    by_figures,
    to_fetch,
    trainings_of,
    without_figures,
)
from spared_bench.planning.past import PastTrials
from spared_bench.planning.plan import MAKES, Cell, Plan
from spared_bench.planning.stored import stored_results, stored_scores
from spared_bench.results import TrialResult

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
        By class of device, one trial at a time, from past trials of the same predictors in the
        same size (``planning.past``).
    without_past : int
        Open trials of predictors that no class of device has run in this size: not in ``hours``.
    absent_trials : int
        Trainings on the datasets that are still to be fetched.
    figures : dict of str to Figures
        By class of machine, what the trials of ``without_past`` and ``absent_trials`` take by
        figures that were measured elsewhere.
    without_figures : list of str
        Predictors of these trials that have no figure on any machine.
    disk_bytes : int or None
        Of the open trials' entries, from past ones; ``None`` where some have none like them.
    asked : dict of dataset to AskedSize
        Where the servers were asked, what they say of the datasets of unknown size.
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
    without_figures: list[str] = field(default_factory=list)
    disk_bytes: int | None = None
    asked: dict[str, AskedSize] = field(default_factory=dict)

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
            "asked_sizes": {name: asdict(each) for name, each in self.asked.items()},
            "hours": {name: round(hours, 3) for name, hours in self.hours.items()},
            "open_trials_without_past": self.without_past,
            "absent_trials": self.absent_trials,
            "figures": {name: asdict(each) for name, each in self.figures.items()},
            "without_figures": self.without_figures,
            "disk_bytes": self.disk_bytes,
        }


def forecast(plan: Plan, past: PastTrials | None = None) -> Forecast:
    """Work out what a plan will take; nothing is made and nothing is fetched.

    Parameters
    ----------
    plan : Plan
    past : PastTrials, optional
        Of the plan's store, where several plans are asked of it.
    """
    results = stored_results(plan)
    wanted = open_trials(plan, results)
    past = past or PastTrials(plan.bench.workspace.store)
    hours, without = past.hours(plan.bench, wanted)
    absent = absent_trainings(plan)
    untold = [*trainings_of(plan.bench, without), *absent]
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
        by_figures([(plan.bench, untold)]),
        without_figures(plan.bench, untold),
        past.bytes_of(plan.bench, wanted),
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
    """Return the bytes of what is missing, by the datasets to fetch (``fetched_together``)."""
    return {name: _bytes(bench, name) for name in fetched_together(bench, names)}


def fetched_together(bench: Bench, names: Iterable[str]) -> dict[str, list[str]]:
    """Return which datasets to fetch, and which others come with each of them.

    Folds, and datasets of one source, are fetched once.
    """
    sources: dict[str, dict[str, None]] = {}
    for name in names:
        spec = bench.dataset(name)
        files = " ".join(sorted(file.url for file in spec.files))
        whole = spec.fold_of or spec.name
        sources.setdefault(files or whole, {})[whole] = None
    return {first: others for first, *others in map(list, sources.values())}


def _bytes(bench: Bench, dataset: str) -> int | None:
    sizes = [file.size for file in bench.dataset(dataset).files]
    known = [size for size in sizes if size]
    return sum(known) if sizes and len(known) == len(sizes) else None
