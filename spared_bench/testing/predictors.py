"""What every predictor promises."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np

from spared_bench.contracts import checked_output, lacking
from spared_bench.data import COUNTS, Slides
from spared_bench.errors import PluginError
from spared_bench.geometry import rows_by_slide
from spared_bench.interfaces import Budget, Context, Prediction, TargetTransform
from spared_bench.parameters import Signature, signature_of
from spared_bench.planning.checks import misfits
from spared_bench.registry import Registered, Registry
from spared_bench.specs import PredictorSpec
from spared_bench.store.processes import scratch_folder
from spared_bench.testing.checks import (
    Check,
    CheckSkipped,
    checks_of,
    close,
    construct,
    describes_itself,
    importing_is_light,
    no_pickles,
    registered,
    require,
    same,
)
from spared_bench.testing.known import sections_for, with_other_known
from spared_bench.testing.slides import TinySlides, with_noise
from spared_bench.testing.ties import agree
from spared_bench.testing.views import slides_for
from spared_bench.trials.withheld import predicting

CONTEXT = Context(seed=1, budget=Budget(iterations=4, batch_size=16, validate_every=2))
_ALIKE = 4.0  # times a variance may be another that is taken for it


def predictor_checks(name: str, registry: Registry | None = None) -> list[Check]:
    """Return the checks of a predictor; nothing is trained before one of them runs.

    Parameters
    ----------
    name : str
        Registered name.
    registry : Registry, optional
        The plugins of this environment by default.
    """
    subject = _Subject(registered("predictor", name, registry), registry)
    return checks_of(_CHECKS, subject)


class _Subject:
    """A predictor under examination; trained once for all checks."""

    def __init__(self, entry: Registered, registry: Registry | None) -> None:
        self.entry, self.registry = entry, registry

    @cached_property
    def slides(self) -> TinySlides:
        return sections_for(self.entry) if self.needs_known else slides_for(self.entry)

    @property
    def needs_known(self) -> bool:
        """Whether it predicts partially measured samples."""
        spec = self.entry.spec
        return isinstance(spec, PredictorSpec) and spec.needs_known

    @cached_property
    def predictor(self) -> Any:
        return self.fit(self.slides)

    def fit(self, slides: TinySlides, context: Context = CONTEXT) -> Any:
        predictor = construct(self.entry)
        transform = TargetTransform.fitted(slides.train)
        predictor.fit(slides.train, slides.val, replace(context, transform=transform))
        return predictor

    def values(self, slides: Slides, predictor: Any = None, **settings: Any) -> np.ndarray:
        """Predict; variances and probabilities stand behind the means, column by column."""
        predictor = self.predictor if predictor is None else predictor
        with predicting(slides):
            found = predictor.predict(slides, **settings)
        if not isinstance(found, Prediction):
            return np.asarray(found)
        parts = (found.mean, found.variance, found.classes)
        return np.concatenate([np.asarray(part) for part in parts if part is not None], axis=1)

    @property
    def test(self) -> Any:
        return self.slides.test.without_expression()


def _light(subject: _Subject) -> None:
    importing_is_light(subject.entry)


def _described(subject: _Subject) -> None:
    describes_itself(subject.entry, ("summary",))

    def signature(name: str) -> Signature:
        entry = registered("predictor", name, subject.registry)
        return signature_of(f"predictor {name!r}", entry.load())

    spec = subject.entry.spec
    assert isinstance(spec, PredictorSpec)
    wrong = misfits(spec, subject.entry.qualified_name, signature)
    require(not wrong, " ".join(wrong))


def _interface(subject: _Subject) -> None:
    predictor = construct(subject.entry)
    lacks = lacking("predictor", predictor)
    require(not lacks, f"it {lacks}")
    name = getattr(predictor, "name", subject.entry.spec.name)
    require(
        name == subject.entry.spec.name,
        f"its `name` is {name!r}, and its spec says {subject.entry.spec.name!r}.",
    )


def _shape(subject: _Subject) -> None:
    prediction = _mean(subject.predictor.predict(subject.test))
    wanted = subject.slides.test.target.shape
    require(
        prediction.shape == wanted,
        f"predict returned shape {prediction.shape}; expected {wanted}: a row per spot, a column"
        " per gene.",
    )
    require(np.isfinite(prediction).all(), "predict returned nan or infinite values.")


def _mean(found: Any) -> np.ndarray:
    return np.asarray(found.mean if isinstance(found, Prediction) else found)


def _sound_parts(subject: _Subject) -> None:
    found = subject.predictor.predict(subject.test)
    if not isinstance(found, Prediction):
        raise CheckSkipped("it predicts neither variances nor classes")
    checked_output(found, subject.test, subject.entry.spec.name)


def _order_of_variances(subject: _Subject) -> None:
    """Train on genes whose values scatter ever more, and ask which are held for the surest."""
    found = subject.predictor.predict(subject.test)
    if not isinstance(found, Prediction) or found.variance is None:
        raise CheckSkipped("it predicts no variances")
    scatter = np.geomspace(0.02, 2, subject.test.n_genes)

    def scattered(slides: Any, seed: int) -> Any:
        drawn = np.random.default_rng(seed).normal(size=(len(slides), len(scatter))) * scatter
        found = slides.with_target((5 + drawn).astype(np.float32))
        # The same for a method that learns counts.
        found.adata.layers[COUNTS] = np.rint(200 * np.exp(drawn)).astype(np.float32)
        return found

    slides, predictor = subject.slides, construct(subject.entry)
    if "lr" in vars(predictor):
        predictor.lr = 0.03
    budget = Budget(iterations=60, batch_size=32, validate_every=10)
    context = replace(CONTEXT, budget=budget, transform=TargetTransform.fitted(slides.train))
    predictor.fit(scattered(slides.train, 0), scattered(slides.val, 1), context)
    test = subject.test
    if test.known is not None:
        test = replace(test, known=scattered(test.known, 2))
    variances = np.asarray(predictor.predict(test).variance).mean(axis=0)
    # Only where they are those of the genes in some order: what was not learned has none.
    if not (np.abs(np.log(np.sort(variances) / scatter**2)) < np.log(_ALIKE)).all():
        raise CheckSkipped("its variances do not follow how genes scatter")
    ranks = np.argsort(np.argsort(variances))
    require(
        np.corrcoef(ranks, np.arange(len(ranks)))[0, 1] > 0.5,
        f"of genes that scatter ever more, by {scatter[0]:g} to {scatter[-1]:g}, it predicts the"
        f" variances {[float(f'{each:.2g}') for each in variances]}: columns are not in the order"
        " of the genes.",
    )


def _gene_order(subject: _Subject) -> None:
    apart = np.arange(0, 180, 30, dtype=np.float32)  # so far that any method tells genes apart

    def level(slides: Any) -> Any:
        levelled = slides.with_target(np.tile(apart, (len(slides), 1)))
        # The same order for a method that learns counts.
        counts = np.tile(4.0 ** np.arange(6), (len(slides), 1))
        levelled.adata.layers[COUNTS] = counts.astype(np.float32)
        return levelled

    slides, predictor = subject.slides, construct(subject.entry)
    if "lr" in vars(predictor):
        predictor.lr = 0.03
    budget = Budget(iterations=60, batch_size=32, validate_every=10)
    transform = TargetTransform.fitted(slides.train)
    context = replace(CONTEXT, budget=budget, transform=transform)
    predictor.fit(level(slides.train), level(slides.val), context)
    test = subject.test
    if test.known is not None:
        test = replace(test, known=level(test.known))
    means = _mean(predictor.predict(test)).mean(axis=0)
    require(
        list(np.argsort(means)) == [0, 1, 2, 3, 4, 5],
        f"trained on genes at 0, 30, ... 150 it predicts {np.round(means).tolist()}: columns are"
        " not in the order of the genes, or it learns nothing in 60 steps.",
    )


def _same_seed(subject: _Subject) -> None:
    again = subject.fit(subject.slides)
    same(
        subject.values(subject.test),
        subject.values(subject.test, again),
        "two trainings from one seed predict differently. All randomness must come from"
        " context.seed.",
    )


def _twice(subject: _Subject) -> None:
    first = subject.values(subject.test)
    message = "predicting the same slides twice gives different values."
    same(first, subject.values(subject.test), message)


def _blind(subject: _Subject) -> None:
    seen = subject.values(subject.slides.test)
    blind = subject.values(subject.test)
    noisy = subject.values(with_noise(subject.slides.test))
    message = "the prediction changes with the measured expression of the slides it is made for."
    same(seen, blind, message)
    same(seen, noisy, message)


def _unseen(subject: _Subject) -> None:
    noisy = subject.slides._replace(test=with_noise(subject.slides.test))
    same(
        subject.values(noisy.test.without_expression(), subject.fit(noisy)),
        subject.values(subject.test),
        "noise in place of the test slides' expression changes the prediction.",
    )


def _known(subject: _Subject) -> None:
    if not subject.needs_known:
        raise CheckSkipped("it is given nothing of the samples that it predicts")
    told, other = subject.values(subject.test), subject.values(with_other_known(subject.test))
    require(
        not np.array_equal(told, other),
        "its spec says `needs_known=True`, and it predicts the same whatever `slides.known` holds.",
    )


def _spot_order(subject: _Subject) -> None:
    spec = subject.entry.spec
    if isinstance(spec, PredictorSpec) and spec.control:
        raise CheckSkipped("a control may deal values to places")
    order = np.random.default_rng(3).permutation(len(subject.test))

    def compare(predictor: Any, slides: Slides) -> None:
        close(
            subject.values(slides.subset(order), predictor),
            subject.values(slides, predictor)[order],
            "spots in another order get other predictions.",
        )

    agree(compare, subject.predictor, subject.slides, subject.fit)


def _batch_size(subject: _Subject) -> None:
    if "batch_size" not in inspect.signature(subject.predictor.predict).parameters:
        raise CheckSkipped("its predict takes no batch_size")

    def compare(predictor: Any, slides: Slides) -> None:
        close(
            subject.values(slides, predictor, batch_size=7),
            subject.values(slides, predictor),
            "the prediction depends on the batch size.",
        )

    agree(compare, subject.predictor, subject.slides, subject.fit)


def _one_spot(subject: _Subject) -> None:
    one = subject.test.subset(np.array([3]))
    prediction = subject.values(one)
    means = _mean(subject.predictor.predict(one))
    wanted = (1, subject.slides.test.n_genes)
    require(means.shape == wanted, f"for one spot it returns shape {means.shape}.")
    require(np.isfinite(prediction).all(), "for one spot it returns nan or infinite values.")


def _apart(subject: _Subject) -> None:
    if subject.needs_known:
        raise CheckSkipped("it predicts a sample from its other sections")
    both = subject.slides.train.without_expression()
    together = subject.values(both)
    for rows in rows_by_slide(both.slide_ids):
        close(
            subject.values(both.subset(rows)),
            together[rows],
            "a slide gets other predictions beside other slides, as in a run, than alone, as by"
            " `spared-bench predict`. Take slides one by one (`slides.each()`).",
        )


def _unmoved(subject: _Subject) -> None:
    others = subject.slides.val if subject.needs_known else subject.slides.train
    before = subject.values(others)
    subject.values(with_noise(subject.slides.test))
    after = subject.values(others)
    same(before, after, "predicting one slide changes what it predicts for others.")


def _saved(subject: _Subject) -> None:
    if not (hasattr(subject.predictor, "save") and hasattr(subject.predictor, "load")):
        raise CheckSkipped("it has no save and load, so a trained one cannot be used again")
    with scratch_folder() as folder:
        subject.predictor.save(folder)
        no_pickles(folder)
        loaded = construct(subject.entry)
        loaded.load(folder)
        same(
            subject.values(subject.test, loaded),
            subject.values(subject.test),
            "saved and loaded it predicts differently.",
        )
    counts = [getattr(each, "n_parameters", None) for each in (loaded, subject.predictor)]
    require(counts[0] == counts[1], f"loaded it counts {counts[0]} parameters, before {counts[1]}.")


def _skip(subject: _Subject) -> None:
    from spared_bench.specs import DatasetSpec, SlideInfo

    skip = getattr(construct(subject.entry), "skip", None)
    if skip is None:
        raise CheckSkipped("it uses every dataset")
    slides = (SlideInfo("a"), SlideInfo("b"))
    spec = DatasetSpec("tiny", "a:b", slides=slides, split={"train": ("a",), "test": ("b",)})
    reason = skip(spec)
    if reason is not None and not isinstance(reason, str):
        raise PluginError(
            f"skip(spec) returned {type(reason).__name__}; expected a reason or None."
        )


_CHECKS: dict[str, Callable[[_Subject], None]] = {
    "its module imports nothing heavy": _light,
    "its spec describes it": _described,
    "it has the methods of a predictor and the name of its spec": _interface,
    "skip gives a reason or nothing": _skip,
    "a prediction has a finite value for every spot and gene": _shape,
    "variances are not negative and probabilities of classes sum to one": _sound_parts,
    "genes keep their order": _gene_order,
    "variances keep the order of the genes": _order_of_variances,
    "the same seed gives the same prediction": _same_seed,
    "predicting twice gives the same": _twice,
    "a prediction does not depend on the measured expression": _blind,
    "noise in place of unseen expression changes no prediction": _unseen,
    "what is known of a sample has an effect": _known,
    "the order of the spots is that of the predictions": _spot_order,
    "the batch size does not matter": _batch_size,
    "a slide of one spot survives": _one_spot,
    "slides that are predicted together get what each gets alone": _apart,
    "other slides leave the method as it is": _unmoved,
    "saved and loaded it predicts the same and no file is a pickle": _saved,
}
