"""Scores of a split, of variances and of classes too, held against scipy and scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import confusion_matrix, f1_score

from spared_bench import MetricSpec
from spared_bench.errors import PluginError
from spared_bench.metrics.classes import f1_class
from spared_bench.metrics.mse import mse
from spared_bench.metrics.scoring import Beside, details, means, score
from spared_bench.metrics.tissue import Tissue
from spared_bench.metrics.uncertainty import LEVELS, nll

NLL = MetricSpec("nll", "x:y", per="entry", better="lower", given="variance")
NLL_OF_SOME = MetricSpec(
    "nll-variable", "x:y", per="entry", better="lower", given="variance", genes="variable"
)
MSE = MetricSpec("mse", "x:y", per="entry", better="lower")
F1 = MetricSpec("f1", "x:y", per="class", given="classes")
SLIDES = np.repeat(["one", "two"], [12, 28])
EACH = [slice(12), slice(12, 40)]
POOLINGS = ["slide", "split"]


@pytest.fixture
def variance(trio, rng):
    return rng.uniform(0.2, 3, size=trio[0].shape)


@pytest.fixture
def classes(rng):
    """Labels of 40 spots, some without one, and the probabilities of three classes."""
    labels = rng.integers(-1, 3, size=40)
    return labels, rng.dirichlet(np.ones(3), 40)


def surprise(trio, variance, rows=slice(None), columns=slice(None)):
    truth, prediction, mask = (each[rows][:, columns] for each in trio)
    return -stats.norm.logpdf(truth, prediction, np.sqrt(variance[rows][:, columns]))[mask].mean()


def both_ways(metrics, trio, beside, pooling):
    """Return the means, which ``score`` and ``means`` must give alike."""
    given = (metrics, *trio, SLIDES)
    found = score(*given, beside=beside, pooling=pooling)
    assert means(*given, beside=beside, pooling=pooling) == found.means
    return found


@pytest.mark.parametrize("pooling", POOLINGS)
def test_a_metric_of_variances_is_given_those_of_its_slide(trio, variance, pooling):
    parts = [surprise(trio, variance, rows) for rows in EACH]
    wanted = np.mean(parts) if pooling == "slide" else surprise(trio, variance)

    found = both_ways({"nll": (NLL, nll)}, trio, Beside(variance), pooling)

    assert found.means["nll"] == pytest.approx(wanted)
    assert [each["nll"] for each in found.by_slide.values()] == pytest.approx(parts)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_a_metric_of_some_genes_is_given_their_variances(trio, variance, pooling):
    chosen = np.arange(7) % 3 == 1
    tissue = Tissue(
        SLIDES, np.zeros((40, 2)), np.zeros((40, 2)), tuple("abcdefg"), None, {"variable": chosen}
    )
    parts = [surprise(trio, variance, rows, chosen) for rows in EACH]
    wanted = np.mean(parts) if pooling == "slide" else surprise(trio, variance, columns=chosen)

    found = both_ways({"some": (NLL_OF_SOME, nll)}, trio, Beside(variance, tissue=tissue), pooling)

    assert found.means["some"] == pytest.approx(wanted)


def test_what_a_method_does_not_predict_has_no_score_and_takes_none_away(trio):
    metrics = {"nll": (NLL, nll), "mse": (MSE, mse), "f1": (F1, f1_class)}

    found = both_ways(metrics, trio, Beside(), "slide")

    assert list(found.means) == ["mse"]
    assert [list(each) for each in found.by_slide.values()] == [["mse"], ["mse"]]


@pytest.mark.parametrize("pooling", POOLINGS)
def test_a_metric_of_classes_is_that_of_the_labelled_spots(trio, classes, pooling):
    labels, probabilities = classes

    def f1(rows):
        seen = np.flatnonzero(labels >= 0)
        seen = seen[np.isin(seen, np.arange(40)[rows])]
        predicted = probabilities[seen].argmax(axis=1)
        return f1_score(labels[seen], predicted, average="macro", labels=range(3))

    parts = [f1(rows) for rows in EACH]
    wanted = np.mean(parts) if pooling == "slide" else f1(slice(None))
    beside = Beside(probabilities=probabilities, labels=labels)

    found = both_ways({"f1": (F1, f1_class)}, trio, beside, pooling)

    assert found.means["f1"] == pytest.approx(wanted)


def test_one_value_over_all_classes_may_be_asked_for_and_is_all_there_is(trio, classes):
    labels, probabilities = classes
    beside = Beside(probabilities=probabilities, labels=labels)
    one = MetricSpec("one", "x:y", per="entry", given="classes")
    given = (*trio, SLIDES)

    found = score({"one": (one, lambda *_: np.array([0.25]))}, *given, beside=beside)

    assert found.means == {"one": 0.25}
    for spec, values in ((one, np.zeros(3)), (F1, np.zeros(1))):
        with pytest.raises(PluginError, match="expected shape"):
            score({spec.name: (spec, lambda *_, v=values: v)}, *given, beside=beside)


def test_details_are_of_what_was_predicted(trio, variance, classes):
    labels, probabilities = classes
    seen = labels >= 0

    curve, table = details(*trio, Beside(variance, probabilities, labels))

    truth, prediction, mask = trio
    for level, share in zip(LEVELS, curve, strict=True):
        low, high = stats.norm.interval(level, prediction, np.sqrt(variance))
        assert share == pytest.approx(((low <= truth) & (truth <= high))[mask].mean())
    by_class = probabilities[seen].argmax(axis=1)
    np.testing.assert_array_equal(table, confusion_matrix(labels[seen], by_class, labels=range(3)))
    assert details(*trio, Beside()) == ([], [])
    assert details(*trio, Beside(probabilities=probabilities)) == ([], [])


def test_a_slide_of_which_nothing_was_measured_is_left_out_of_a_mean_of_variances(trio, variance):
    truth, prediction, mask = trio
    mask = mask & (SLIDES == "two")[:, None]

    found = both_ways({"nll": (NLL, nll)}, (truth, prediction, mask), Beside(variance), "slide")

    assert found.means["nll"] == pytest.approx(surprise((truth, prediction, mask), variance))
    assert math.isnan(found.by_slide["one"]["nll"])
