"""What the object behind a spec must do.

These are structural: a plugin's class needs no base class of ours, only these methods. Predictors
and completers are constructed as ``factory(**parameters)``; a dataclass is the natural form, and
its fields are what the harness logs and hashes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

from spared_bench.data.transform import TargetTransform
from spared_bench.prediction import Prediction

if TYPE_CHECKING:
    import numpy as np

    from spared_bench.data import Slides
    from spared_bench.results import TrialResult


__all__ = [
    "Budget",
    "Completer",
    "Context",
    "Executor",
    "Job",
    "JobKind",
    "Metric",
    "Outcome",
    "Prediction",
    "Predictor",
    "Report",
    "TargetTransform",
]

#: Called with (step, values) while a method trains.
Report = Callable[[int, dict[str, float]], None]


def _silent(step: int, values: dict[str, float]) -> None:
    return None


@dataclass(frozen=True)
class Budget:
    """How long a method may train: the protocol's, and the same for every method.

    Parameters
    ----------
    iterations : int
        Optimisation steps, whatever a step's unit is.
    batch_size : int
        Spots per step.
    validate_every : int
        Steps between validations; the weights of the lowest validation MSE are kept.
    augment : bool
        Flips and quarter turns, drawn for every patch.
    """

    iterations: int = 1000
    batch_size: int = 256
    validate_every: int = 10
    augment: bool = True


@dataclass(frozen=True)
class Context:
    """What the harness tells a method besides the data.

    Parameters
    ----------
    seed : int
        All randomness must come from it.
    budget : Budget
    device : str
        A torch device: ``"cpu"``, ``"cuda:0"``.
    report : callable
        ``report(step, {"train_mse": ..., "val_mse": ...})``: the curves.
    scratch : Path, optional
        A folder of this trial alone, for what an interrupted training needs to go on; it may not
        exist yet, and is gone once the result is stored.
    stages : mapping of str to Predictor
        The fitted networks that the predictor's spec asks for; do not train them further, or
        train a copy.
    transform : TargetTransform
        The way between counts and the target that ``predict`` must return, fitted on the training
        slides; for a method that learns something else than ``train.target``.
    """

    seed: int = 0
    budget: Budget = field(default_factory=Budget)
    device: str = "cpu"
    report: Report = _silent
    scratch: Path | None = None
    stages: Mapping[str, Any] = field(default_factory=dict)
    transform: TargetTransform = field(default_factory=TargetTransform)


@runtime_checkable
class Completer(Protocol):
    """Fills the unmeasured entries of the target.

    Optional members: ``save(folder)`` and ``load(folder)``, which keep and bring back what ``fit``
    learnt; a completer without them is fitted again where it is needed again. ``views``: as a
    predictor's.
    """

    def fit(self, train: Slides, val: Slides, context: Context) -> None:
        """Learn from the training slides; ``val`` may choose a checkpoint, nothing else."""
        ...

    def complete(self, slides: Slides) -> np.ndarray:
        """Return (n_spots, n_genes) in which every measured entry is untouched."""
        ...


@runtime_checkable
class Predictor(Protocol):
    """Maps patches to expression.

    Optional members: ``n_parameters`` (int, trainable ones, after ``fit``), ``skip(spec)`` (the
    reason why a dataset cannot be used, or ``None``), ``save(folder)`` and ``load(folder)``,
    ``weights_used`` (``"pretrained"``, ``"random"``, a file, or ``None``) where the field
    ``weights`` does not say it, ``precision_used`` (``"float32"`` or ``"bfloat16"``, after ``fit``,
    for the record), ``precision`` (an attribute; where it is ``"auto"`` and the protocol's
    ``training.precision`` is not, the harness sets it to that before ``fit`` and ``predict``),
    ``delta`` (True where the method learns the difference from the training mean whatever the
    protocol says: the harness subtracts and adds that mean), and ``check_parameters()``, which
    raises a ``UsageError`` where parameters cannot go together; where the method's code is imported
    in the process that plans, it is asked before anything runs.

    ``views`` (a mapping of names to ``spared_bench.data.views.View``; a class attribute, or a
    property of the fields) is what a method looks at beside the patches: ``slides.view(name)``,
    ``slides.tiles(name)``, ``slides.windows(name)``, ``slides.features(encoder, view=name)``. The
    view ``"target"`` replaces ``slides.patches``.
    """

    def fit(self, train: Slides, val: Slides, context: Context) -> None:
        """Learn ``train.target`` from the patches of ``train``."""
        ...

    def predict(self, slides: Slides) -> np.ndarray | Prediction:
        """Return (n_spots, n_genes); expression and labels of these slides are not visible.

        A ``Prediction`` may carry a variance and probabilities of classes beside.
        """
        ...


class Metric(Protocol):
    """The factory of a metric."""

    def __call__(self, truth: np.ndarray, prediction: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """Return one value per gene or per spot, or a scalar, nan where undefined."""
        ...


@dataclass(frozen=True)
class Outcome:
    """What became of a job.

    Parameters
    ----------
    job : Job
    status : str
        ``"ok"``; ``"error"`` for a product that could not be made; ``"killed"`` if its process
        died; ``"timeout"`` or ``"out_of_memory"`` if it was ended for that; ``"damaged"`` if what
        a trial left cannot be scored or drawn, of which nothing is stored, as the next run makes
        the trial again; ``"unwritable"`` if the disk takes no more, ``"mismatch"`` if the job
        would do something else than was planned, and ``"refused"`` if the worker has other plugins,
        which end the run: the first two where no code of others could have told them. A trial's own
        failure is ``"ok"`` here and is told by its result.
    message, traceback : str
    result : TrialResult, optional
        Of a trial.
    overhead : float
        Seconds that the harness took of the job's time.
    """

    job: Job
    status: str = "ok"
    message: str = ""
    traceback: str = ""
    result: TrialResult | None = None
    overhead: float = 0.0


class Executor(Protocol):
    """Does jobs somewhere; what becomes of a failure is the orchestrator's to decide.

    The factory of an executor is called as ``factory(settings, workers=..., progress=...)`` with a
    ``spared_bench.bench.Settings``, and ``progress(job, step, values)`` to tell how a job goes.
    What its ``note`` says, if it has one, is logged before the first job. Where a static method
    ``works_here(cluster)`` of the factory says so, device and weights are looked for on this
    machine before anything runs. Where it has a static method ``check(limits, cluster)``, that
    raises ``UsageError`` for what it cannot do, for a plan as for a run; nothing is started by it.
    """

    capacity: int

    def submit(self, job: Job) -> None:
        """Take a job; never called with more than ``capacity`` jobs open."""
        ...

    def wait(self, timeout: float | None = None) -> list[Outcome]:
        """Block until a submitted job has ended, or so many seconds; return all that have."""
        ...

    def close(self) -> None:
        """End all workers, at once, whatever they do."""
        ...


JobKind = Literal["prepare", "complete", "network", "trial", "score", "draw"]


@dataclass(frozen=True)
class Job:
    """One piece of work with one entry of the store as its outcome.

    Parameters
    ----------
    kind : {"prepare", "complete", "network", "trial", "score", "draw"}
    key : str
        Of the entry that it makes.
    dataset : str
    completer, predictor : str
        Empty where they do not apply.
    parameters : dict
        Set and searched ones; the others have their defaults.
    seed : int
    iterations : int
        Of a trial that a search ends early; 0: the protocol's.
    trial : str
        Key of the trial that is scored, or of which figures are drawn.
    views : tuple of dict
        Of ``prepare``: the views that the plan's methods declare, cut together with the patches.
        They determine no result and are in no key.
    attempt, micro_batch : int
        How often it was tried before, and the spots that go through the network at once after
        the memory did not hold a batch (0: all). They determine no result and are in no key.
    """

    kind: JobKind
    key: str
    dataset: str
    completer: str = ""
    predictor: str = ""
    parameters: dict[str, Any] = field(default_factory=dict)
    seed: int = 0
    iterations: int = 0
    trial: str = ""
    views: tuple[dict[str, Any], ...] = ()
    attempt: int = 0
    micro_batch: int = 0

    @property
    def name(self) -> str:
        """Of its lease."""
        return f"{self.kind}-{self.key}"

    @property
    def label(self) -> str:
        """For progress lines."""
        parts = [self.dataset, self.completer, self.predictor]
        searched = ", ".join(f"{name}={value}" for name, value in self.parameters.items())
        seed = f"seed {self.seed}" if self.kind == "trial" else ""
        return " · ".join(part for part in [*parts, searched, seed] if part)

    def as_dict(self) -> dict[str, Any]:
        """Return JSON-ready values."""
        return asdict(self)
