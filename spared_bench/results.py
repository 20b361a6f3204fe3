"""What a trial leaves behind: one JSON record, in the store, in MLflow and on the board."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from spared_bench.pretty import facts_html

if TYPE_CHECKING:
    from pydantic import TypeAdapter

Status = Literal["ok", "error", "diverged", "skipped", "killed", "out_of_memory", "timeout"]
Scores = dict[str, float]
#: The fact of a result that ``store import`` brought it, and those that the board gives.
IMPORTED, ORIGIN, UNLISTED = "imported", "origin", "unlisted"
#: The fact of a result whose predictions were made elsewhere, and what of them is missing.
BROUGHT = "brought"
#: The fact of a cell's result which parameters of its methods were set by hand: ``"st-net.lr"`` to
#: value. Its record says it; the same trial may also be one that a search chose.
BY_HAND = "by_hand"
#: Which metrics of others gave nothing, and why.
UNSCORED = "unscored"


_T = TypeVar("_T", "TrialResult", "TrialScores")


@dataclass(frozen=True)
class TrialScores:
    """The scores of one trial's predictions.

    Parameters
    ----------
    status : {"ok", "error"}
    scores, slide_scores, gene_scores, calibration, confusion : dict
        As in ``TrialResult``.
    message, traceback : str
        Of a metric that failed; beside scores, of a stranger's, which the others do not lack.
    imported : list or bool
        Where they came from, if they were not made here (``store.imports``). It is no part of what
        is written: nobody can say it of himself.
    """

    status: Literal["ok", "error"] = "error"
    scores: dict[str, Scores] = field(default_factory=dict)
    slide_scores: dict[str, dict[str, Scores]] = field(default_factory=dict)
    gene_scores: dict[str, list[float]] = field(default_factory=dict)
    calibration: dict[str, list[float]] = field(default_factory=dict)
    confusion: dict[str, list[list[int]]] = field(default_factory=dict)
    message: str = ""
    traceback: str = ""
    imported: list[Any] | bool = False

    @property
    def ok(self) -> bool:
        """Whether there are scores."""
        return self.status == "ok"

    def as_dict(self) -> dict[str, Any]:
        """Return JSON-ready values; nan, which JSON lacks, becomes ``None``."""
        return {name: nan_to_none(value) for name, value in vars(self).items() if name != IMPORTED}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> TrialScores:
        """Read what ``as_dict`` wrote.

        Raises
        ------
        ValueError
            For what is no record of scores.
        """
        try:
            later = {name: values.get(name, {}) for name in ("calibration", "confusion")}
            values = later | values
            known = {name: values[name] for name in cls.__dataclass_fields__ if name != IMPORTED}
            for name in ("scores", "slide_scores", "gene_scores", "calibration"):
                known[name] = _none_to_nan(dict(known[name]))
            read: TrialScores = checked_record(cls, known)
        except (TypeError, KeyError, AttributeError, ValueError) as error:
            raise ValueError(f"this is no record of scores: {error}") from error
        return read


@dataclass(frozen=True, repr=False)
class TrialResult:
    """The outcome of one trial.

    The store keeps it without what is computed of its predictions, which is an entry of its own.

    Parameters
    ----------
    key : str
        Of the trial.
    status : str
        ``"ok"``, or why there are no scores. A failure is a result too.
    protocol, dataset, completer, predictor : str
        ``protocol`` with its version: ``"demo@1"``.
    parameters : dict
        Every field of the predictor, the searched ones as they were in this trial.
    seed : int
        Number of the repetition, as in the protocol's ``seeds``.
    scores : dict of split to dict of metric to float
        Means as the protocol pools them; nan where undefined.
    slide_scores : dict of split to dict of slide to dict of metric to float
    gene_scores : dict of metric to list of float
        On the evaluation split, in the order of ``genes``; nan for a gene that is not scored.
    calibration : dict of split to list of float
        Share of the measured entries within the predicted central interval of each of
        ``metrics.uncertainty.LEVELS``; empty for a method without variances.
    confusion : dict of split to list of list of int
        Labelled spots by label (rows) and predicted class (columns), in the order of ``classes``.
    classes : list of str
        Those of the dataset, where the method predicts them.
    genes, gene_symbols : list of str
    curves : dict of str to list of (step, value)
    n_parameters : int or None
        Trainable; ``None`` where the method has none to count.
    seconds : dict
        ``fit`` (with the training of the networks that it builds on, whenever that was),
        ``predict``, ``total`` (of the trial itself).
    validation_mse : float
        Mean squared error at measured validation entries: what a search chooses by.
    message, traceback : str
        For a failure.
    facts : dict
        What the board shows beside the scores: tier, evaluation split, weights, control, ...
    environment : dict
        Packages, Python, device.
    """

    key: str
    status: Status
    protocol: str
    dataset: str
    completer: str
    predictor: str
    parameters: dict[str, Any] = field(default_factory=dict)
    seed: int = 0
    scores: dict[str, Scores] = field(default_factory=dict)
    slide_scores: dict[str, dict[str, Scores]] = field(default_factory=dict)
    gene_scores: dict[str, list[float]] = field(default_factory=dict)
    calibration: dict[str, list[float]] = field(default_factory=dict)
    confusion: dict[str, list[list[int]]] = field(default_factory=dict)
    classes: list[str] = field(default_factory=list)
    genes: list[str] = field(default_factory=list)
    gene_symbols: list[str] = field(default_factory=list)
    curves: dict[str, list[tuple[int, float]]] = field(default_factory=dict)
    n_parameters: int | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    validation_mse: float = math.nan
    message: str = ""
    traceback: str = ""
    facts: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, Any] = field(default_factory=dict)

    @property
    def by_hand(self) -> list[str]:
        """What was set by hand for it, each as ``st-net.lr=0.1``."""
        values = self.facts.get(BY_HAND, {}).items()
        return [f"{n}={v if isinstance(v, str) else json.dumps(v)}" for n, v in sorted(values)]

    @property
    def ok(self) -> bool:
        """Whether it was trained and scored without a failure."""
        return self.status == "ok"

    @property
    def cell(self) -> tuple[str, str, str, str, int]:
        """Protocol, dataset, completer, predictor and seed: of these a board has one result."""
        return self.protocol, self.dataset, self.completer, self.predictor, self.seed

    def __repr__(self) -> str:
        cell = f"{self.dataset} / {self.completer} / {self.predictor}, seed {self.seed}"
        return f"TrialResult({self.protocol}: {cell}: {self.status})"

    def _repr_html_(self) -> str:
        split = str(self.facts.get("evaluation_split", "test"))
        facts = {
            "message": self.message,
            **{f"{split} {name}": value for name, value in self.scores.get(split, {}).items()},
            "parameters": self.parameters,
            "trainable parameters": self.n_parameters,
            "seconds": self.seconds,
            "key": self.key,
        }
        return facts_html(repr(self), facts.items())

    def scored(self, scores: TrialScores) -> TrialResult:
        """Return the result with its scores, or with the reason why there are none."""
        if not self.ok:
            return self
        n_genes = len(self.genes)  # 0 where they were not wanted
        if n_genes and any(len(values) != n_genes for values in scores.gene_scores.values()):
            return replace(
                self,
                status="error",
                message="The record of its scores is of another number of genes than its"
                " predictions. `spared-bench store verify` says what is damaged.",
            )
        facts = {IMPORTED: scores.imported, **self.facts} if scores.imported else self.facts
        if not scores.ok:
            return replace(
                self,
                status="error",
                message=f"Its predictions could not be scored: {scores.message}",
                traceback=scores.traceback,
                facts=facts,
            )
        if scores.message:
            facts = {**facts, UNSCORED: scores.message}
        known, new = vars(self), {name: getattr(scores, name) for name in _COMPUTED}
        new["facts"] = facts
        if all(known[name] == value for name, value in new.items()):
            return self
        return record_of(TrialResult, known | new)

    def as_dict(self) -> dict[str, Any]:
        """Return JSON-ready values; nan, which JSON lacks, becomes ``None``."""
        return {name: nan_to_none(value) for name, value in vars(self).items()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> TrialResult:
        """Read what ``as_dict`` wrote; unknown keys of later versions are left aside.

        Raises
        ------
        ValueError
            For what is no record of a trial.
        """
        try:
            return cls._read(values)
        except (TypeError, KeyError, AttributeError, ValueError) as error:
            raise ValueError(f"this is no record of a trial: {error}") from error

    @classmethod
    def _read(cls, values: dict[str, Any]) -> TrialResult:
        known = {name: values[name] for name in cls.__dataclass_fields__ if name in values}
        undefined = ("scores", "slide_scores", "gene_scores", "calibration")
        for name in (*undefined, "curves", "validation_mse"):
            if name in known:
                known[name] = _none_to_nan(known[name])
        known["curves"] = {
            name: [(int(step), float(value)) for step, value in points]
            for name, points in known.get("curves", {}).items()
        }
        for field_name, kinds in (("facts", _KINDS_OF_FACTS), ("environment", _KINDS_OF_MAKING)):
            said = known.get(field_name, {})
            for name, kind in kinds.items():
                if not isinstance(said.get(name, kind()), kind):
                    raise TypeError(f"{name!r} in its {field_name} is {said[name]!r:.80}")
        failed = known.get("facts", {}).get("slide_checks", {}).get("failed", {})
        if not all(isinstance(told, list) for told in failed.values()):
            raise TypeError(f"which slides failed their checks is told as {failed!r:.80}")
        read: TrialResult = checked_record(cls, known)
        of_genes = {"symbols": len(read.gene_symbols)}
        of_genes |= {name: len(values) for name, values in read.gene_scores.items()}
        for name, number in of_genes.items():
            if number != len(read.genes):
                raise ValueError(f"it has {len(read.genes)} genes, and {name} of {number}")
        return read


#: What a result has of its scores.
_COMPUTED = ("scores", "slide_scores", "gene_scores", "calibration", "confusion")
#: What the board computes with; other facts it shows as text.
_KINDS_OF_FACTS: dict[str, type] = {
    "evaluation_split": str,
    "fold_of": str,
    "conflicts_with": list,
    "shared_donors": list,
    "synthetic": bool,
    "comparable": bool,
    "control": bool,
    "encoder": dict,
    "slide_checks": dict,
    BY_HAND: dict,
}
#: And of what it says of where and by what it was made.
_KINDS_OF_MAKING: dict[str, type] = {
    **dict.fromkeys(("plugins", "packages"), dict),
    **dict.fromkeys(("device", "accelerator", "driver", "machine"), str),
    **dict.fromkeys(("git", "platform", "python"), str),
    "attempts": int,
}


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    from pydantic import TypeAdapter

    return TypeAdapter(kind)


def record_of(kind: type[_T], values: dict[str, Any]) -> _T:
    """Return a record of values that were checked before, without a look at each of 25 fields.

    Setting them one by one, as a frozen class does, takes a tenth of the time of a large board.

    Parameters
    ----------
    kind : type
        ``TrialResult`` or ``TrialScores``.
    values : dict
        Of every field.

    Raises
    ------
    TypeError
        If a field is missing, or there is another.
    """
    names = kind.__dataclass_fields__
    if list(values) != list(names):
        if values.keys() != names.keys():
            raise TypeError(f"these are not the fields of a {kind.__name__}: {', '.join(values)}")
        values = {name: values[name] for name in names}
    made = object.__new__(kind)
    vars(made).update(values)
    return made


def checked_record(kind: type, values: dict[str, Any]) -> Any:
    """Return a record, whose fields have the types that they are said to have.

    Raises
    ------
    ValueError
        If one of them has not, or is missing.
    """
    return _adapter(kind).validate_python(values)


def nan_to_none(value: Any) -> Any:
    """Return values in which nan and infinities, which JSON lacks, are ``None``."""
    if isinstance(value, dict):
        return {key: nan_to_none(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [nan_to_none(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _none_to_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _none_to_nan(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_none_to_nan(item) for item in value]
    return math.nan if value is None else value


def without_times(result: TrialResult) -> dict[str, Any]:
    """Return what must be equal when a trial is run again: all but times and environment."""
    values = result.as_dict()
    for volatile in ("seconds", "environment", "traceback"):
        values.pop(volatile)
    return values


#: How often a job is tried again by itself, by what became of it.
RETRIES = {"killed": 1, "out_of_memory": 1}


def goes_again(status: str, attempt: int) -> bool:
    """Whether a job that ended so in its ``attempt`` (0 is the first) is tried again at once."""
    return attempt < RETRIES.get(status, 0)
