"""Hours of trainings by figures that were measured elsewhere, for what has no past trial here.

A method brings them in its spec (``PredictorSpec.speeds``): spots a second, in a configuration, on
a class of machine. They serve datasets that are still to be fetched, too. Steps and their batch are
the protocol's; predictions take the number of spots, and hours are told without them where it is
unknown.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from spared_bench.bench import Bench
from spared_bench.interfaces import Job
from spared_bench.planning.plan import REDUCTION, Plan
from spared_bench.planning.selection import rung_budgets
from spared_bench.protocol import PUBLISHED
from spared_bench.sources.description import FACTORY as DESCRIBED
from spared_bench.specs import SPLITS, DatasetSpec, Speed

_WINDOW = "max_spots"  # of methods that see a large slide in windows (``models.windows``)


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
    unknown_spots : list of str
        Datasets whose number of spots is unknown. Left out of ``hours`` is what depends on it:
        predictions, and the whole training of a method that takes no steps or sees whole slides.
    """

    hours: float = 0.0
    trainings: int = 0
    without: list[str] = field(default_factory=list)
    unknown_spots: list[str] = field(default_factory=list)

    def add(self, other: Figures) -> None:
        """Take in what further trainings take on the same class of machine."""
        self.hours += other.hours
        self.trainings += other.trainings
        for mine, theirs in (
            (self.without, other.without),
            (self.unknown_spots, other.unknown_spots),
        ):
            mine += [name for name in theirs if name not in mine]


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


def by_figures(parts: Iterable[tuple[Bench, list[Training]]]) -> dict[str, Figures]:
    """Return, by class of machine, what the trainings of several benches take there."""
    parts = list(parts)
    found = {
        machine: Figures()
        for bench, trainings in parts
        for each in trainings
        for machine in _speeds_of(bench, each.predictor)
    }
    for machine, figures in found.items():
        for bench, trainings in parts:
            for each in trainings:
                figures.add(_of_one(bench, each, machine))
    told = ((m, each) for m, each in found.items() if each.trainings or each.unknown_spots)
    return dict(told)


def _of_one(bench: Bench, training: Training, machine: str) -> Figures:
    """Return what one training takes on a class of machine."""
    speed = _speeds_of(bench, training.predictor).get(machine)
    if speed is None:
        return Figures(without=[_method(bench, training.predictor)])
    spec = bench.dataset(training.dataset)
    seconds = _seconds(bench, training, speed)
    unknown = [] if spec.n_spots else [spec.fold_of or spec.name]
    return Figures(seconds / 3600, int(seconds > 0), unknown_spots=unknown)


def without_figures(bench: Bench, trainings: Iterable[Training]) -> list[str]:
    """Return the predictors of trainings that have no figure on any machine, each once."""
    names = dict.fromkeys(each.predictor for each in trainings)
    return [_method(bench, name) for name in names if not _speeds_of(bench, name)]


def _method(bench: Bench, predictor: str) -> str:
    """Return a predictor's name, with its configuration where that is not the protocol's."""
    configuration = bench.chosen("predictor", predictor).configuration
    if configuration in (PUBLISHED, bench.protocol.configuration):
        return predictor
    return f"{predictor} ({configuration})"


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
    """Return the seconds of one training with its predictions, as far as anything can be said."""
    spec = bench.dataset(training.dataset)
    spots = _spots_by_split(spec, bench.protocol.validation.held_out_fraction)
    evaluated = sum(spots[split] for split in dict.fromkeys(["val", spec.evaluation_split]))
    if not speed.training:
        return (spots["train"] + evaluated) / speed.prediction
    validations = math.ceil(training.iterations / bench.protocol.training.validate_every)
    return (
        training.iterations * _per_step(bench, training.predictor, spec) / speed.training
        + (validations * spots["val"] + evaluated) / speed.prediction
    )


def _per_step(bench: Bench, predictor: str, spec: DatasetSpec) -> float:
    """Return the spots of a step: a batch, or a mean slide, or of a slide what is seen at once."""
    if bench.predictor(predictor).scope != "slide":
        return bench.protocol.training.batch_size
    slide = spec.n_spots / len(spec.slides)
    most = bench.chosen("predictor", predictor).values.get(_WINDOW)
    if most is None and (known := bench.signature("predictor", predictor).parameters.get(_WINDOW)):
        most = known.default
    return min(slide, most) if isinstance(most, int) and most > 0 else slide


def _spots_by_split(spec: DatasetSpec, held_out: float) -> dict[str, float]:
    """Return about how many spots a split has: its share of the slides, or of the training."""
    per_slide = spec.n_spots / len(spec.slides)
    spots = {split: per_slide * len(spec.split.get(split, ())) for split in SPLITS}
    if not spots["val"]:  # a strip of every training slide chooses
        spots["val"] = held_out * spots["train"]
        spots["train"] -= spots["val"]
    return spots
