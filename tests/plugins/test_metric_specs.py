from __future__ import annotations

import importlib

import numpy as np
import pytest

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

    assert right.shape == {"entry": (), "gene": (4,), "spot": (9,)}[spec.per]
    assert np.all(right < wrong) if spec.better == "lower" else np.all(right > wrong)
