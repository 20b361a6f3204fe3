"""Hours of trainings by figures that were measured elsewhere, for what has no past trial here.

A method brings them in its spec (``PredictorSpec.speeds``): spots a second, in a configuration, on
a class of machine. They serve datasets that are still to be fetched, too, of which the published
number of spots is known.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from spared_bench.bench import Bench
from spared_bench.interfaces import Job
from spared_bench.planning.plan import REDUCTION, Plan
from spared_bench.planning.selection import rung_budgets
from spared_bench.sources.description import FACTORY as DESCRIBED
from spared_bench.specs import SPLITS, DatasetSpec, Speed


@dataclass(frozen=True)
class Training:
    """One training of a predictor on a dataset, with so many steps."""

    dataset: str
    predictor: str
    iterations: int


@dataclass
class Figures:
    """What trainings take on a class of machine.

    Parameters
    ----------
    hours : float
        Of one worker, for the trainings that have a figure.
    trainings : int
        How many these are.
    without : list of str
        Predictors that have none, each once.
    """

    hours: float = 0.0
    trainings: int = 0
    without: list[str] = field(default_factory=list)

    def add(self, other: Figures) -> None:
        """Take in what further trainings take on the same class of machine."""
        self.hours += other.hours
        self.trainings += other.trainings
        self.without += [name for name in other.without if name not in self.without]


def trainings_of(bench: Bench, jobs: Iterable[Job]) -> list[Training]:
    """Return the trainings that jobs do, with the protocol's steps where they name none."""
    steps = bench.protocol.training.iterations
    return [Training(job.dataset, job.predictor, job.iterations or steps) for job in jobs]


def absent_trainings(plan: Plan) -> list[Training]:
    """Return what a plan would train on the datasets whose files are to be fetched."""
    return [
        Training(dataset, predictor, iterations)
        for dataset in to_fetch(plan)
        for predictor in plan.predictors
        for iterations in _of_one_dataset(plan.bench, plan.completers, predictor)
    ]


def to_fetch(plan: Plan) -> list[str]:
    """Return the datasets that are left out and can be fetched: not those that a user describes."""
    away = (name for name in plan.unavailable if name not in plan.unfit)
    return [name for name in away if plan.bench.dataset(name).factory != DESCRIBED]


def by_figures(bench: Bench, trainings: Iterable[Training]) -> dict[str, Figures]:
    """Return, by class of machine, what trainings take there."""
    trainings = list(trainings)
    speeds = {each.predictor: _speeds_of(bench, each.predictor) for each in trainings}
    found = {machine: Figures() for mine in speeds.values() for machine in mine}
    for machine, figures in found.items():
        for each in trainings:
            speed = speeds[each.predictor].get(machine)
            seconds = 0.0 if speed is None else _seconds(bench, each, speed)
            if seconds:
                figures.hours += seconds / 3600
                figures.trainings += 1
            elif each.predictor not in figures.without:
                figures.without.append(each.predictor)
    return {machine: figures for machine, figures in found.items() if figures.trainings}


def _of_one_dataset(bench: Bench, completers: Iterable[str], predictor: str) -> Iterator[int]:
    """Yield the steps of every training: those of a search, and of each number on the board."""
    whole, search = bench.protocol.training.iterations, bench.protocol.search
    candidates, alive = len(bench.candidates(predictor)), 0
    if candidates > 1:
        alive = candidates
        for budget in rung_budgets(bench, candidates):
            yield from [budget] * alive
            alive = math.ceil(alive / REDUCTION)
        yield from [whole] * alive
    completers = list(completers)
    # The best candidate is the number of the completer on which it was searched.
    known = 1 if alive and search.completer in completers else 0
    yield from [whole] * (len(completers) * len(bench.protocol.seeds) - known)


def _speeds_of(bench: Bench, predictor: str) -> dict[str, Speed]:
    """Return the speeds of a predictor in the configuration in which it runs here, by machine."""
    configuration = bench.chosen("predictor", predictor).configuration
    speeds = bench.predictor(predictor).speeds
    return {each.machine: each for each in speeds if each.configuration == configuration}


def _seconds(bench: Bench, training: Training, speed: Speed) -> float:
    """Return the seconds of one training with its predictions; 0 where nothing can be said."""
    spec = bench.protocol.divide(bench.dataset(training.dataset))
    spots = _spots_by_split(spec)
    if not spec.n_spots:
        return 0.0
    evaluated = sum(spots[split] for split in dict.fromkeys(["val", spec.evaluation_split]))
    if not speed.training:
        return (spots["train"] + evaluated) / speed.prediction
    budget = bench.protocol.training
    slide = bench.predictor(training.predictor).scope == "slide"
    per_step = spec.n_spots / len(spec.slides) if slide else budget.batch_size
    validations = math.ceil(training.iterations / budget.validate_every)
    return (
        training.iterations * per_step / speed.training
        + (validations * spots["val"] + evaluated) / speed.prediction
    )


def _spots_by_split(spec: DatasetSpec) -> dict[str, float]:
    """Return about how many spots a split has: its share of the slides."""
    per_slide = spec.n_spots / len(spec.slides)
    return {split: per_slide * len(spec.split.get(split, ())) for split in SPLITS}
