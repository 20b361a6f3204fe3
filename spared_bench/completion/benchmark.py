"""The completion benchmark: hide measured entries of slides, complete them, compare.

One *unit* is (dataset, completer, rule, rate) with all its repetitions: one entry of the store, so
that the same command goes on where it was interrupted. All completers get the same masks.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np

from spared_bench.bench import HARNESS_VERSION, Bench
from spared_bench.completion.asking import Asked, asked_apart, asked_here
from spared_bench.completion.masking import draw_hidden, hiding_probabilities
from spared_bench.completion.patience import told_meanwhile
from spared_bench.completion.scoring import score_hidden
from spared_bench.data import Slides
from spared_bench.errors import CorruptEntryError, in_words
from spared_bench.interfaces import Completer
from spared_bench.keys.code import code_hash
from spared_bench.keys.hashing import digest
from spared_bench.results import checked_record, nan_to_none
from spared_bench.store.entries import Store
from spared_bench.trials.completed import fitted_completer, seen_by_completer
from spared_bench.trials.products import Prepared, prepare
from spared_bench.trials.shared import read_by_others

KIND = "completion"
RESULT = "result.json"


@dataclass(frozen=True, order=True)
class Condition:
    """How entries are hidden.

    Parameters
    ----------
    rule : str
        Of ``completion.masking``.
    rate : float
        0 where the rule has none.
    """

    rule: str
    rate: float = 0.0

    @property
    def label(self) -> str:
        """For columns and axes: ``"0.3"``, ``"prob_median"``."""
        return f"{self.rate:g}" if self.rule == "fraction" else self.rule


def conditions(rules: Sequence[str], rates: Sequence[float]) -> list[Condition]:
    """Return every rate of the rule that has rates, then the other rule."""
    found = [Condition("fraction", rate) for rate in rates] if "fraction" in rules else []
    return found + [Condition(rule) for rule in rules if rule != "fraction"]


#: A mask: how it is drawn, and which of those drawn so.
Draw = tuple[Condition, int]


@dataclass(frozen=True)
class CompletionResult:
    """How well one completer did under one condition.

    Parameters
    ----------
    key : str
        Of its entry in the store.
    protocol, dataset, completer, split : str
        ``split`` is the one whose entries were hidden: test where there is one, else val.
    condition : Condition
    repeats : list of dict
        One per mask: ``mse``, ``pcc``, ``n_hidden``, and ``slides`` with the same per slide.
    n_parameters : int or None
    seconds : dict
        ``fit`` (of the one fit that all conditions share) and ``complete`` (of one mask, mean).
    facts : dict
        Spots, genes, missing part.
    settings, data : str
        Hashes of the protocol's settings and of the dataset, as they were when it was asked for
        last (``Protocol.hash_of_a_seed``, ``Bench.data_hash``); empty where that is not known.
    """

    key: str
    protocol: str
    dataset: str
    completer: str
    split: str
    condition: Condition
    repeats: list[dict[str, Any]]
    n_parameters: int | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    settings: str = ""
    data: str = ""

    def mean(self, metric: str, slide: str = "") -> float:
        """Mean over the masks of ``mse`` or ``pcc``, of all slides or of one; nan is left out."""
        known = self._known(metric, slide)
        return fmean(known) if known else math.nan

    def sd(self, metric: str, slide: str = "") -> float:
        """Standard deviation over the masks; nan for fewer than two."""
        known = self._known(metric, slide)
        return stdev(known) if len(known) > 1 else math.nan

    def _known(self, metric: str, slide: str) -> list[float]:
        each = [repeat["slides"][slide] if slide else repeat for repeat in self.repeats]
        return [scores[metric] for scores in each if scores[metric] is not None]

    @property
    def slides(self) -> list[str]:
        """The slides that were scored."""
        return list(self.repeats[0]["slides"]) if self.repeats else []

    def as_dict(self) -> dict[str, Any]:
        """Return JSON-ready values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> CompletionResult:
        """Read what ``as_dict`` wrote; unknown keys are left aside.

        Raises
        ------
        ValueError
            If it is no such record: the folder of tables is the user's, to read and to edit.
        """
        try:
            known = {name: values[name] for name in cls.__dataclass_fields__ if name in values}
            read: CompletionResult = checked_record(cls, known)
        except (TypeError, ValueError) as error:
            reason = " ".join(str(error).split())[:200]
            raise ValueError(f"this is no record of a completion: {reason}") from error
        return read


class Task:
    """One dataset under one protocol: prepared when first needed, each completer fitted once.

    ``doing`` says what it is at, for people.
    """

    def __init__(self, bench: Bench, dataset: str) -> None:
        self.bench, self.dataset = bench, dataset
        self.doing = "waiting for its data"
        self._fitted: dict[str, tuple[Completer, dict[str, Any]]] = {}

    @property
    def split(self) -> str:
        """The split whose entries are hidden."""
        return self.bench.dataset(self.dataset).evaluation_split

    @cached_property
    def prepared(self) -> Prepared:
        """The prepared dataset."""
        read_by_others(self.bench, self.dataset)
        return prepare(self.bench, self.dataset)

    @cached_property
    def slides(self) -> Slides:
        """The slides whose entries are hidden."""
        return self.prepared.slides(self.split)

    def fitted(self, completer: str) -> tuple[Completer, dict[str, Any]]:
        """Return a completer fitted on the training slides, and how its fit went."""
        if completer not in self._fitted:
            found = fitted_completer(self.bench, self.dataset, completer, self.prepared)
            self._fitted[completer] = found
        return self._fitted[completer]

    def hidden(self, condition: Condition, repeat: int) -> np.ndarray:
        """Return which entries are hidden; the same for all completers."""
        mask = self.slides.mask
        chances = hiding_probabilities(mask.mean(axis=0), condition.rule, condition.rate)
        drawn = condition.rule, f"{condition.rate:g}", repeat
        return draw_hidden(mask, chances, self.bench.seed_of("completion", self.dataset, *drawn))

    def inputs(self, completer: str, condition: Condition, repeats: int) -> dict[str, Any]:
        """What determines a result."""
        return {
            "harness": HARNESS_VERSION,
            "completed": digest(self.bench.completed_inputs(self.dataset, completer)),
            "split": self.split,
            "pooling": self.bench.protocol.pooling,
            "condition": asdict(condition),
            "repeats": repeats,
            "seed": self.bench.seed_of("completion", self.dataset),
            "code": code_hash("spared_bench.completion.scoring"),
        }

    @contextmanager
    def asked(self, completer: str, draws: Sequence[Draw]) -> Iterator[Callable[[], Asked]]:
        """Give what fits a completer, when it is called first, to be asked about some masks."""
        if self.bench.registry.get("completer", completer).told is None:

            def ask() -> Asked:
                slides = seen_by_completer(self.prepared, completer).slides(self.split)
                return asked_here(self.fitted(completer), slides, self._hidden, completer)

            yield ask
        else:
            of = (self.bench, self.dataset, completer)
            with asked_apart(*of, lambda: self.slides, self._hidden, draws) as ask:
                yield ask

    def _hidden(self, draw: Draw) -> np.ndarray:
        return self.hidden(*draw)

    def measure(
        self, completer: str, wanted: Sequence[Condition], repeats: int
    ) -> list[CompletionResult]:
        """Return a result per condition, from the store where it is there."""
        inputs = {each: self.inputs(completer, each, repeats) for each in wanted}
        lacking = [each for each in wanted if not self._is_sound(inputs[each])]
        self.doing = "preparing and fitting"
        draws = [(condition, repeat) for condition in lacking for repeat in range(repeats)]
        with self.asked(completer, draws) as ask:
            return [self._obtain(completer, each, inputs[each], ask) for each in wanted]

    def _is_sound(self, inputs: dict[str, Any]) -> bool:
        try:
            return self.bench.workspace.store.find(KIND, inputs) is not None
        except CorruptEntryError:
            return False  # and made again

    def _obtain(
        self,
        completer: str,
        condition: Condition,
        inputs: dict[str, Any],
        ask: Callable[[], Asked],
    ) -> CompletionResult:
        def make(folder: Path) -> None:
            values = self._measure(digest(inputs), completer, condition, inputs["repeats"], ask())
            text = json.dumps(nan_to_none(values.as_dict()), indent=1, allow_nan=False)
            (folder / RESULT).write_text(text, encoding="utf-8")

        entry = self.bench.workspace.store.obtain(KIND, inputs, make)
        result = CompletionResult.from_dict(entry.read_json(RESULT))
        settings = self.bench.protocol.hash_of_a_seed
        return replace(result, settings=settings, data=self.bench.data_hash(self.dataset))

    def _measure(
        self, key: str, completer: str, condition: Condition, repeats: int, asked: Asked
    ) -> CompletionResult:
        slides, pooling = self.slides, self.bench.protocol.pooling
        spent, scores = 0.0, []
        for repeat in range(repeats):
            self.doing = f"completing ({condition.label}), mask {repeat + 1} of {repeats}"
            completed, seconds = asked.complete((condition, repeat))
            spent += seconds
            hidden = self.hidden(condition, repeat)
            scores.append(score_hidden(slides, completed, hidden, pooling))
        mask = slides.mask
        return CompletionResult(
            key,
            self.bench.protocol.id,
            self.dataset,
            completer,
            self.split,
            condition,
            scores,
            asked.n_parameters,
            {"fit": asked.fit_seconds, "complete": round(spent / max(repeats, 1), 4)},
            {
                "n_spots": len(slides),
                "n_genes": slides.n_genes,
                "missing_fraction": round(1 - float(mask.mean()), 4),
            },
        )


@dataclass
class Measured:
    """What a run of the benchmark came to.

    Parameters
    ----------
    results : list of CompletionResult
    failures : dict of str to str
        ``"dataset · completer"`` to what went wrong.
    """

    results: list[CompletionResult] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)


def measure(
    bench: Bench,
    datasets: Sequence[str],
    completers: Sequence[str],
    wanted: Sequence[Condition],
    repeats: int = 10,
    log: Callable[[str], None] = lambda line: None,
) -> Measured:
    """Measure completers on datasets; a completer that fails is told and does not stop others.

    Parameters
    ----------
    bench : Bench
    datasets, completers : sequence of str
    wanted : sequence of Condition
    repeats : int
        Masks per condition.
    log : callable
        Told a line per completer, and now and then what a slow one is at, in another thread.
    """
    bench.workspace.make_writable()
    measured = Measured()
    for task in [Task(bench, dataset) for dataset in datasets]:
        for completer in completers:
            label = f"{task.dataset} · {completer}"

            def tell(seconds: float, task: Task = task, label: str = label) -> None:
                log(f"{label}: {task.doing}, {seconds:.0f} s since it began")

            try:
                with told_meanwhile(tell):
                    found = task.measure(completer, wanted, repeats)
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # a stranger's completer may call sys.exit
                measured.failures[label] = in_words(error)[0]
                log(f"{label}: failed: {measured.failures[label]}")
                continue
            measured.results += found
            log(f"{label}: MSE {_told(found)}")
    return measured


def comparable(results: Sequence[CompletionResult]) -> list[CompletionResult]:
    """Return the results that can stand in one table.

    The protocol's settings and the data of a dataset are those of its last result. An earlier one
    of others is left out; one that does not say it is not.
    """
    settings = {each.protocol: each.settings for each in results if each.settings}
    data = {(each.protocol, each.dataset): each.data for each in results if each.data}
    return [
        each
        for each in results
        if each.settings in ("", settings.get(each.protocol))
        and each.data in ("", data.get((each.protocol, each.dataset)))
    ]


def stored_results(store: Store, protocol: str = "") -> Iterator[CompletionResult]:
    """Yield all results that a store has, of one protocol (``"demo@1"``) or of all.

    Results of earlier code or settings are among them: a later one of the same dataset, completer
    and condition does not replace its entry.
    """
    for entry in store.entries(KIND):
        result = CompletionResult.from_dict(entry.read_json(RESULT))
        if not protocol or result.protocol == protocol:
            yield result


def _told(found: Sequence[CompletionResult]) -> str:
    return ", ".join(f"{each.mean('mse'):.3f} ({each.condition.label})" for each in found)
