"""The metrics of one split: pooled as the protocol says, per slide, and per gene."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from spared_bench.errors import PluginError
from spared_bench.metrics.classes import confusion
from spared_bench.metrics.summary import (
    Rule,
    answered,
    by_slide,
    mean_over_slides,
    pooled_mean,
)
from spared_bench.metrics.tissue import Tissue
from spared_bench.metrics.uncertainty import calibration_curve
from spared_bench.specs import MetricSpec

MetricFunction = Callable[..., np.ndarray]
Metrics = Mapping[str, tuple[MetricSpec, MetricFunction]]


@dataclass(frozen=True, eq=False)
class Beside:
    """What a prediction may hold beside its means, and what is known of its spots and genes.

    Parameters
    ----------
    variance : ndarray of shape (n_spots, n_genes), optional
    probabilities : ndarray of shape (n_spots, n_classes), optional
    labels : ndarray of int, of shape (n_spots,), optional
        Columns of ``probabilities``; -1 where unlabelled.
    tissue : Tissue, optional
        What metrics of maps, domains and pathways need, and those of some genes alone.
    """

    variance: np.ndarray | None = None
    probabilities: np.ndarray | None = None
    labels: np.ndarray | None = None
    tissue: Tissue | None = None

    def has(self, spec: MetricSpec) -> bool:
        """Whether a metric can be computed: it is undefined where a method gives no such values."""
        if spec.given == "variance" and self.variance is None:
            return False
        if spec.given == "classes":
            return self.probabilities is not None and self.labels is not None
        if spec.genes != "all" and (self.tissue is None or spec.genes not in self.tissue.chosen):
            return False
        return spec.given != "tissue" or self.tissue is not None

    def rows(self, here: np.ndarray) -> Beside:
        """Return the same of some spots."""
        parts = {name: getattr(self, name) for name in ("variance", "probabilities", "labels")}
        found = {n: part[here] for n, part in parts.items() if part is not None}
        tissue = None if self.tissue is None else self.tissue.rows(here)
        return replace(self, **found, tissue=tissue)

    def columns(self, here: np.ndarray) -> Beside:
        """Return the same of some genes, by their numbers."""
        return replace(
            self,
            variance=None if self.variance is None else self.variance[:, here],
            tissue=None if self.tissue is None else self.tissue.columns(here),
        )


NOTHING = Beside()


@dataclass(frozen=True)
class Scoring:
    """The scores of one split.

    Parameters
    ----------
    means : dict of metric to float
        Over slides or over the whole split, as the protocol pools. A metric of a variance or of
        classes is not among them where the prediction has none.
    by_slide : dict of slide to dict of metric to float
    by_gene : dict of metric to list of float
        Metrics that have one value per gene, over the whole split, in the order of the columns.
    calibration : list of float
        Share of the measured entries within the interval of each of ``uncertainty.LEVELS``, over
        the whole split; empty without a variance.
    confusion : list of list of int
        Labelled spots by label and predicted class; empty without classes.
    """

    means: dict[str, float] = field(default_factory=dict)
    by_slide: dict[str, dict[str, float]] = field(default_factory=dict)
    by_gene: dict[str, list[float]] = field(default_factory=dict)
    calibration: list[float] = field(default_factory=list)
    confusion: list[list[int]] = field(default_factory=list)


def means(
    metrics: Metrics,
    truth: np.ndarray,
    prediction: np.ndarray,
    mask: np.ndarray,
    slide_ids: np.ndarray,
    *,
    beside: Beside = NOTHING,
    pooling: str = "slide",
    rule: Rule = "strict",
) -> dict[str, float]:
    """Return ``score(...).means`` alone, which takes a fraction of the time; see ``score``."""
    found = {}
    for name, (spec, metric) in metrics.items():
        if beside.has(spec):
            arrays, of_them, _ = _of_its_genes(spec, (truth, prediction, mask), beside)
            found[name] = (
                mean_over_slides(_per_slide(spec, metric, arrays, slide_ids, of_them, rule))
                if pooling == "slide"
                else _pooled(spec, metric, arrays, of_them, rule)
            )
    return found


def score(
    metrics: Metrics,
    truth: np.ndarray,
    prediction: np.ndarray,
    mask: np.ndarray,
    slide_ids: np.ndarray,
    *,
    beside: Beside = NOTHING,
    pooling: str = "slide",
    rule: Rule = "strict",
) -> Scoring:
    """Score a prediction of one split.

    Parameters
    ----------
    metrics : mapping of name to (MetricSpec, callable)
    truth, prediction : ndarray of shape (n_spots, n_genes)
    mask : ndarray of bool, of shape (n_spots, n_genes)
        True where measured.
    slide_ids : ndarray of str, of shape (n_spots,)
    beside : Beside
        Variances and classes, where the method predicts them.
    pooling : {"slide", "split"}
        Mean over the slides' scores, or one score over all spots.
    rule : {"strict", "published"}
        How undefined values enter a mean (``spared_bench.metrics.summary``).
    """
    n_genes = truth.shape[1]
    means: dict[str, float] = {}
    slides: dict[str, dict[str, float]] = {
        str(slide): {} for slide in dict.fromkeys(slide_ids.tolist())
    }
    by_gene = {}
    for name, (spec, metric) in metrics.items():
        if not beside.has(spec):
            continue
        arrays, of_them, columns = _of_its_genes(spec, (truth, prediction, mask), beside)
        per_slide = _per_slide(spec, metric, arrays, slide_ids, of_them, rule)
        for slide, value in per_slide.items():
            slides[slide][name] = value
        means[name] = (
            mean_over_slides(per_slide)
            if pooling == "slide"
            else _pooled(spec, metric, arrays, of_them, rule)
        )
        if spec.per == "gene":
            values = np.full(n_genes, np.nan)
            values[columns] = answered(spec, _bound(spec, metric, of_them)(*arrays))
            by_gene[name] = [float(value) for value in values]
    return Scoring(means, slides, by_gene)


def details(
    truth: np.ndarray, prediction: np.ndarray, mask: np.ndarray, beside: Beside
) -> tuple[list[float], list[list[int]]]:
    """Return the calibration curve and the table of confusion of a split, empty without either."""
    curve: list[float] = []
    table: list[list[int]] = []
    if beside.variance is not None:
        curve = [float(v) for v in calibration_curve(truth, prediction, mask, beside.variance)]
    if beside.probabilities is not None and beside.labels is not None:
        table = [list(map(int, row)) for row in confusion(beside.labels, beside.probabilities)]
    return curve, table


_Arrays = tuple[np.ndarray, np.ndarray, np.ndarray]


def _of_its_genes(
    spec: MetricSpec, arrays: _Arrays, beside: Beside
) -> tuple[_Arrays, Beside, np.ndarray | slice]:
    """Return what a metric is called with, and the columns that it is of."""
    if spec.genes == "all" or beside.tissue is None:
        return arrays, beside, slice(None)
    columns = np.flatnonzero(beside.tissue.chosen[spec.genes])
    truth, prediction, mask = (array[:, columns] for array in arrays)
    return (truth, prediction, mask), beside.columns(columns), columns


def _bound(spec: MetricSpec, metric: MetricFunction, beside: Beside) -> MetricFunction:
    """Return the metric as one of truth, prediction and mask alone."""
    if spec.given not in ("variance", "tissue"):
        return metric
    fourth = beside.variance if spec.given == "variance" else beside.tissue
    return lambda truth, prediction, mask: metric(truth, prediction, mask, fourth)


def _pooled(
    spec: MetricSpec, metric: MetricFunction, arrays: _Arrays, beside: Beside, rule: Rule
) -> float:
    if spec.given == "classes":
        return _class_mean(spec, metric, beside)
    if spec.given == "tissue" and not np.isfinite(arrays[1][arrays[2]]).all():
        return float("nan")  # what is undefined is left out, and nothing is gained by failing
    return pooled_mean(spec, _bound(spec, metric, beside), *arrays, rule=rule)


def _per_slide(
    spec: MetricSpec,
    metric: MetricFunction,
    arrays: _Arrays,
    slide_ids: np.ndarray,
    beside: Beside,
    rule: Rule,
) -> dict[str, float]:
    if spec.given == "expression":
        return by_slide(spec, metric, *arrays, slide_ids, rule=rule)
    found = {}
    for slide in dict.fromkeys(slide_ids.tolist()):
        here = slide_ids == slide
        truth, prediction, mask = (array[here] for array in arrays)
        part = truth, prediction, mask
        found[str(slide)] = _pooled(spec, metric, part, beside.rows(here), rule)
    if spec.given == "tissue" and not np.isfinite(arrays[1][arrays[2]]).all():
        return dict.fromkeys(found, float("nan"))  # as ``by_slide``
    return found


def _class_mean(spec: MetricSpec, metric: MetricFunction, beside: Beside) -> float:
    """Mean over classes, undefined ones left out; nan where none is defined."""
    assert beside.labels is not None
    assert beside.probabilities is not None
    values = answered(spec, metric(beside.labels, beside.probabilities))
    wanted = (beside.probabilities.shape[1],) if spec.per == "class" else (1,)
    if values.shape != wanted:
        raise PluginError(
            f"Metric {spec.name!r} is declared to have one value per {spec.per}: expected shape"
            f" {wanted}, found {values.shape}. Correct the metric, or `per` of its spec."
        )
    values = values[~np.isnan(values)]
    return float(values.mean()) if values.size else float("nan")
