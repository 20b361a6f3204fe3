"""What every completer promises."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np

from spared_bench.contracts import completion_of, lacking
from spared_bench.data import Slides
from spared_bench.interfaces import Budget, Context
from spared_bench.registry import Registered, Registry
from spared_bench.store.processes import scratch_folder
from spared_bench.testing.checks import (
    Check,
    CheckSkipped,
    checks_of,
    construct,
    describes_itself,
    importing_is_light,
    no_pickles,
    registered,
    require,
    same,
)
from spared_bench.testing.slides import TinySlides, with_noise
from spared_bench.testing.views import slides_for

CONTEXT = Context(seed=1, budget=Budget(6, 16, 3, augment=False))


def completer_checks(name: str, registry: Registry | None = None) -> list[Check]:
    """Return the checks of a completer; see ``predictor_checks``."""
    subject = _Subject(registered("completer", name, registry))
    return checks_of(_CHECKS, subject)


class _Subject:
    """A completer under examination; fitted once for all checks."""

    def __init__(self, entry: Registered) -> None:
        self.entry = entry

    @cached_property
    def slides(self) -> TinySlides:
        return slides_for(self.entry)

    @cached_property
    def completer(self) -> Any:
        return self.fit(self.slides)

    def fit(self, slides: TinySlides) -> Any:
        completer = construct(self.entry)
        completer.fit(slides.train, slides.val, CONTEXT)
        return completer

    def complete(self, slides: Slides) -> np.ndarray:
        """Complete, and check shape, finiteness and measured entries as a run does."""
        return completion_of(self.completer, slides, self.entry.spec.name)


def _light(subject: _Subject) -> None:
    importing_is_light(subject.entry)


def _described(subject: _Subject) -> None:
    describes_itself(subject.entry, ("summary",))


def _interface(subject: _Subject) -> None:
    lacks = lacking("completer", construct(subject.entry))
    require(not lacks, f"it {lacks}")


def _gene_order(subject: _Subject) -> None:
    """Raise some genes, and ask whether it is they of which more is filled in.

    Which are raised are the digits of a gene's number in base two, so that no two genes are raised
    alike.
    """
    plain = _filled(subject, np.zeros(subject.slides.train.n_genes))
    numbers = np.arange(len(plain))
    for digit in range(len(plain).bit_length()):
        raised = (numbers >> digit) % 2 == 1
        more = _filled(subject, 2.0 * raised) - plain
        # As much in all, if not where it should: else it fills in something else than levels, such
        # as zeros, or the mean of spots that were chosen by their expression.
        if more.sum() < raised.sum():
            raise CheckSkipped("what it fills in does not follow the level of a gene")
        require(
            not raised.any() or bool(more[raised].min() > more[~raised].max()),
            f"where the values of genes {numbers[raised].tolist()} are raised by 2, it fills in"
            f" {np.round(more, 2).tolist()} more, gene by gene: columns are not in the order of the"
            " genes, or it learns nothing in 60 steps.",
        )


def _filled(subject: _Subject, higher: np.ndarray) -> np.ndarray:
    """Return the mean of what is filled in of each gene, where genes are higher by as much."""

    def raised(slides: Slides) -> Slides:
        adata = slides.adata.copy()
        values = adata.layers["prefilled"] + higher.astype(np.float32)
        adata.layers["prefilled"] = values
        adata.layers["expression"] = adata.layers["target"] = values * slides.mask
        return replace(slides, adata=adata)

    completer = construct(subject.entry)
    if "lr" in vars(completer):
        completer.lr = 0.03
    slides = TinySlides(*map(raised, subject.slides))
    budget = Budget(60, 32, 10, augment=False)
    completer.fit(slides.train, slides.val, replace(CONTEXT, budget=budget))
    completed = completion_of(completer, slides.train, subject.entry.spec.name)
    means: np.ndarray = np.nanmean(np.where(slides.train.mask, np.nan, completed), axis=0)
    return means


def _untouched(subject: _Subject) -> None:
    slides = subject.slides.train
    before = slides.target.copy()
    try:
        subject.complete(slides)
    finally:  # the cause, where measured entries changed, too
        same(before, slides.target, "complete changed the slides that it was given.")


def _same_seed(subject: _Subject) -> None:
    again = subject.fit(subject.slides)
    same(
        np.asarray(again.complete(subject.slides.val)),
        subject.complete(subject.slides.val),
        "two fits from one seed complete differently. All randomness must come from context.seed.",
    )


def _blind(subject: _Subject) -> None:
    before = subject.complete(subject.slides.train)
    subject.completer.complete(with_noise(subject.slides.test))
    after = subject.complete(subject.slides.train)
    same(before, after, "completing one slide changes the completion of others.")


def _one_spot(subject: _Subject) -> None:
    subject.complete(subject.slides.train.subset(np.array([3])))


def _empty_gene(subject: _Subject) -> None:
    slides = subject.slides.train
    adata = slides.adata.copy()
    for layer in ("mask", "target", "expression", "prefilled", "counts"):
        values = np.array(adata.layers[layer])
        values[:, 2] = 0
        adata.layers[layer] = values
    subject.complete(replace(slides, adata=adata))


def _saved(subject: _Subject) -> None:
    if not (hasattr(subject.completer, "save") and hasattr(subject.completer, "load")):
        raise CheckSkipped("it has no save and load: it is fitted again where it is needed again")
    with scratch_folder() as scratch:
        subject.completer.save(scratch)
        no_pickles(scratch)
        loaded = construct(subject.entry)
        loaded.load(scratch)
        completed = np.asarray(loaded.complete(subject.slides.val))
    message = "saved and loaded it completes differently."
    same(completed, subject.complete(subject.slides.val), message)


_CHECKS: dict[str, Callable[[_Subject], None]] = {
    "its module imports nothing heavy": _light,
    "its spec describes it": _described,
    "it has the methods of a completer": _interface,
    "every measured value is left as it is, and the others are finite": _untouched,
    "what is filled in is of the gene whose column it stands in": _gene_order,
    "the same seed gives the same completion": _same_seed,
    "test slides leave the method as it is": _blind,
    "a slide of one spot survives": _one_spot,
    "a gene that is never measured survives": _empty_gene,
    "saved and loaded it completes the same and no file is a pickle": _saved,
}
