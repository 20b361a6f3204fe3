"""What is to be run: protocol x dataset x completer x predictor x seed, as jobs that need others.

A *cell* is one (dataset, completer, predictor, seed): one number on the leaderboard. Where a
predictor has a searched parameter, the candidates are trained once per dataset, on the completer
that the protocol names, and the one with the lowest validation error is used in every cell.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from spared_bench.bench import Bench
from spared_bench.errors import SparedBenchError
from spared_bench.results import TrialResult
from spared_bench.specs import conflicts
from spared_bench.store import digest

JobKind = Literal["prepare", "complete", "trial"]


@dataclass(frozen=True)
class Job:
    """One piece of work with one entry of the store as its outcome.

    Parameters
    ----------
    kind : {"prepare", "complete", "trial"}
    key : str
        Of the entry that it makes.
    dataset : str
    completer, predictor : str
        Empty where they do not apply.
    parameters : dict
        Set and searched ones; the others have their defaults.
    seed : int
    """

    kind: JobKind
    key: str
    dataset: str
    completer: str = ""
    predictor: str = ""
    parameters: dict[str, Any] = field(default_factory=dict)
    seed: int = 0

    @property
    def label(self) -> str:
        """For progress lines."""
        parts = [self.dataset, self.completer, self.predictor]
        searched = ", ".join(f"{name}={value}" for name, value in self.parameters.items())
        return " · ".join(part for part in [*parts, searched] if part)

    def as_dict(self) -> dict[str, Any]:
        """Return JSON-ready values."""
        return asdict(self)


@dataclass(frozen=True)
class Cell:
    """One number on the board, and the trials that it takes.

    Parameters
    ----------
    dataset, completer, predictor : str
    seed : int
    search : tuple of Job
        The candidates' trials; empty where nothing is searched.
    finals : tuple of Job
        One per candidate: the trial whose result counts if that candidate is chosen.
    """

    dataset: str
    completer: str
    predictor: str
    seed: int
    search: tuple[Job, ...]
    finals: tuple[Job, ...]

    @property
    def label(self) -> str:
        """For messages."""
        return f"{self.dataset} · {self.completer} · {self.predictor} · seed {self.seed}"

    def chosen(self, results: Mapping[str, TrialResult]) -> Job | None:
        """Return the trial that counts, ``None`` while candidates are missing.

        The lowest validation error wins, the first on a tie; also where every candidate failed, so
        that the cell shows why.
        """
        if not self.search:
            return self.finals[0]
        if any(job.key not in results for job in self.search):
            return None
        errors = [_validation_error(results[job.key]) for job in self.search]
        return self.finals[errors.index(min(errors))]


def _validation_error(result: TrialResult) -> float:
    usable = result.ok and math.isfinite(result.validation_mse)
    return result.validation_mse if usable else math.inf


@dataclass
class Plan:
    """All cells of a run.

    Parameters
    ----------
    bench : Bench
    cells : list of Cell
    unavailable : dict of str to str
        Datasets that cannot be used, and why.
    """

    bench: Bench
    cells: list[Cell]
    unavailable: dict[str, str] = field(default_factory=dict)

    @property
    def warnings(self) -> list[str]:
        """What one should know of this selection of datasets before believing its averages."""
        names = dict.fromkeys(cell.dataset for cell in self.cells)
        return conflicts(self.bench.dataset(name) for name in names)

    def prepare_job(self, dataset: str) -> Job:
        """Return the job that makes the prepared dataset and its patches."""
        return Job("prepare", digest(self.bench.prepared_inputs(dataset)), dataset)

    def complete_job(self, dataset: str, completer: str) -> Job:
        """Return the job that makes a completed layer."""
        key = digest(self.bench.completed_inputs(dataset, completer))
        return Job("complete", key, dataset, completer)

    def needs(self, job: Job) -> list[Job]:
        """Return the jobs whose products this one consumes."""
        if job.kind == "trial":
            return [self.complete_job(job.dataset, job.completer)]
        return [self.prepare_job(job.dataset)] if job.kind == "complete" else []


def make_plan(
    bench: Bench, datasets: Sequence[str], completers: Sequence[str], predictors: Sequence[str]
) -> Plan:
    """Enumerate all cells of a selection.

    Raises
    ------
    UnknownNameError, AmbiguousNameError
        If a selected plugin cannot be looked up.
    """
    search_completer = bench.protocol.search.completer
    for kind, names in (
        ("dataset", datasets),
        ("completer", [*completers, search_completer]),
        ("predictor", predictors),
        ("metric", bench.protocol.metrics),
    ):
        for name in names:
            bench.registry.get(kind, name)
    plan = Plan(bench, [])
    for dataset in datasets:
        try:
            bench.data_inputs(dataset)
        except SparedBenchError as error:
            plan.unavailable[dataset] = str(error)
            continue
        plan.cells += [
            cell
            for predictor in predictors
            for cell in _cells(bench, dataset, completers, predictor, search_completer)
        ]
    return plan


def _cells(
    bench: Bench, dataset: str, completers: Sequence[str], predictor: str, search_completer: str
) -> list[Cell]:
    candidates = bench.candidates(predictor)
    seeds = bench.protocol.seeds

    def trials(completer: str, seed: int) -> tuple[Job, ...]:
        return tuple(
            Job(
                "trial",
                digest(bench.trial_inputs(dataset, completer, predictor, parameters, seed)),
                dataset,
                completer,
                predictor,
                parameters,
                seed,
            )
            for parameters in candidates
        )

    search = trials(search_completer, seeds[0]) if len(candidates) > 1 else ()
    return [
        Cell(dataset, completer, predictor, seed, search, trials(completer, seed))
        for completer in completers
        for seed in seeds
    ]
