"""What is made by a plugin is made by the object that its spec names now."""

from __future__ import annotations

import spared_bench
from tests.conftest import TOY_PLUGIN, TOY_PROTOCOL

MODEL = """
import numpy as np


class Mean:
    times = 1.0

    def fit(self, train, val, context):
        self.mean_ = train.target.mean(axis=0) * self.times

    def predict(self, slides):
        return np.tile(self.mean_, (len(slides), 1))


class Double(Mean):
    times = 2.0


def one(truth, prediction, mask):
    return 1.0


def two(truth, prediction, mask):
    return 2.0
"""
SPECS = """
from spared_bench import MetricSpec, PredictorSpec, hookimpl


@hookimpl
def spared_bench_predictors():
    return [PredictorSpec("either-mean", "factories_model:{method}")]


@hookimpl
def spared_bench_metrics():
    return [MetricSpec("either-number", "factories_model:{metric}", per="entry")]
"""


def test_a_spec_that_names_another_object_gets_no_results_of_the_one_before(workspace, tmp_path):
    plugin, protocol = tmp_path / "factories_plugin.py", tmp_path / "either.yaml"
    (tmp_path / "factories_model.py").write_text(MODEL)
    protocol.write_text(TOY_PROTOCOL.read_text() + "metrics: [mse, either-number]\n")

    def run(method, metric):
        plugin.write_text(SPECS.format(method=method, metric=metric))
        report = spared_bench.run(
            ["toy"],
            ["none"],
            ["either-mean"],
            str(protocol),
            workspace=workspace,
            plugin_files=[TOY_PLUGIN, plugin],
            apart=True,
            device="cpu",
            track=False,
            figures=False,
        )
        return report.new, report.results[0].scores["test"]

    _, once = run("Mean", "one")
    new, twice = run("Double", "two")
    assert new == 1
    assert (once["either-number"], twice["either-number"]) == (1.0, 2.0)
    assert twice["mse"] > 2 * once["mse"]  # the mean fits, and twice the mean does not

    assert run("Mean", "one") == (0, once)
