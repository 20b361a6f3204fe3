from __future__ import annotations

import importlib
import math
import re

import numpy as np
import pytest

from spared_bench import MetricSpec
from spared_bench.errors import PluginError
from spared_bench_plugins.metrics import spared_bench_metrics

SPECS = {spec.name: spec for spec in spared_bench_metrics()}


def test_the_six_published_metrics_are_registered():
    assert list(SPECS) == ["mse", "mae", "pcc-gene", "pcc-patch", "r2-gene", "r2-patch"]
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
    module, _, name = spec.factory.partition(":")
    metric = getattr(importlib.import_module(module), name)
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
    module, _, name = spec.factory.partition(":")
    metric = getattr(importlib.import_module(module), name)
    truth = rng.normal(size=(9, 4))
    mask = np.ones_like(truth, dtype=bool)

    undefined = np.isnan(metric(truth, np.ones_like(truth), mask))

    assert np.all(undefined) == (spec.undefined == "correlation")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"per": "slide"}, "per 'slide' is none of entry, gene, spot"),
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
