from __future__ import annotations

import importlib
import math
import re

import numpy as np
import pytest

from spared_bench import MetricSpec
from spared_bench.errors import PluginError
from spared_bench.protocol import FURTHER_METRICS
from spared_bench_plugins.metrics import spared_bench_metrics
from spared_bench_plugins.tissue_metrics import tissue_metrics

ALL = {spec.name: spec for spec in spared_bench_metrics()}
ASKED_FOR = [spec.name for spec in tissue_metrics()]
SPECS = {
    name: spec for name, spec in ALL.items() if spec.given == "expression" and name not in ASKED_FOR
}


def function_of(spec):
    module, _, name = spec.factory.partition(":")
    return getattr(importlib.import_module(module), name)


def test_the_six_published_metrics_are_registered_and_those_of_variances_and_classes():
    assert list(SPECS) == ["mse", "mae", "pcc-gene", "pcc-patch", "r2-gene", "r2-patch"]
    assert list(ALL)[len(SPECS) :] == [*FURTHER_METRICS, *ASKED_FOR]
    assert [spec.label for spec in SPECS.values()] == [
        "MSE",
        "MAE",
        "PCC-Gene",
        "PCC-Patch",
        "R2-Gene",
        "R2-Patch",
    ]


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_a_metric_returns_one_value_per_declared_unit_and_is_best_for_the_truth(spec, rng):
    metric = function_of(spec)
    truth = rng.normal(size=(9, 4))
    mask = np.ones_like(truth, dtype=bool)

    right, wrong = metric(truth, truth, mask), metric(truth, rng.normal(size=(9, 4)), mask)

    assert np.all((right == spec.perfect) | np.isclose(right, spec.perfect))
    for values in (right, wrong):
        assert np.all((values >= spec.bounds[0]) & (values <= spec.bounds[1]))
    assert right.shape == {"entry": (), "gene": (4,), "spot": (9,)}[spec.per]
    assert np.all(right < wrong) if spec.better == "lower" else np.all(right > wrong)


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_what_a_constant_prediction_counts_as_is_what_the_spec_says(spec, rng):
    metric = function_of(spec)
    truth = rng.normal(size=(9, 4))
    mask = np.ones_like(truth, dtype=bool)

    undefined = np.isnan(metric(truth, np.ones_like(truth), mask))

    assert np.all(undefined) == (spec.undefined == "correlation")


@pytest.mark.parametrize("spec", [s for s in ALL.values() if s.given == "variance"], ids=str)
def test_a_metric_of_variances_is_one_value_within_its_bounds(spec, rng):
    truth = rng.normal(size=(900, 4))
    mask = np.ones_like(truth, dtype=bool)
    value = function_of(spec)(truth, np.zeros_like(truth), mask, np.ones_like(truth))
    assert value.shape == ()
    assert spec.bounds[0] <= value <= spec.bounds[1]
    if spec.better == "nearest":
        assert value == pytest.approx(spec.perfect, abs=0.03)


@pytest.mark.parametrize("spec", [s for s in ALL.values() if s.given == "classes"], ids=str)
def test_a_metric_of_classes_is_one_value_per_class_and_best_for_the_truth(spec, rng):
    labels = rng.integers(-1, 3, 60)
    right = function_of(spec)(labels, np.eye(3)[labels])
    wrong = function_of(spec)(labels, rng.dirichlet(np.ones(3), 60))
    assert right.shape == (3,)
    np.testing.assert_array_equal(right, spec.perfect)
    assert (wrong < right).all()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"per": "slide"}, "per 'slide' is none of entry, gene, spot"),
        ({"given": "names"}, "given 'names' is none of expression, variance, classes"),
        ({"better": "nearest"}, "`goal` is the perfect value of a metric with `better='nearest'`"),
        ({"goal": 0.5}, "`goal` is the perfect value of a metric with `better='nearest'`"),
        ({"better": "nearest", "goal": 2.0, "bounds": (0.0, 1.0)}, "goal 2.0 is not between"),
        ({"per": "class"}, "a value per class needs `given='classes'`"),
        ({"given": "classes"}, "one value per class, or one of all (`per` is 'gene'"),
        (
            {"given": "variance", "undefined": "correlation"},
            "of a variance, of classes or of tissue",
        ),
        ({"better": "up"}, "better 'up' is none of lower, higher"),
        ({"undefined": "zero"}, "undefined 'zero' is none of left_out, correlation, determination"),
        ({"bounds": (1.0, -1.0)}, "bounds must be the lowest and the highest"),
        ({"bounds": (0.0, math.nan)}, "bounds must be the lowest and the highest"),
        ({"bounds": (0.0, 0.0)}, "bounds must be the lowest and the highest"),
        ({"bounds": 1.0}, "bounds must be the lowest and the highest"),
        ({"label": 3}, "label must be a text"),
    ],
)
def test_a_spec_that_makes_no_sense_is_refused(wrong, message):
    with pytest.raises(PluginError, match=re.escape(message)):
        MetricSpec("odd", "a:b", **wrong)
