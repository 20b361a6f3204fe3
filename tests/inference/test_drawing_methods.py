"""A method that draws random numbers where it predicts: the same prediction at every call."""

import numpy as np
import pytest

import spared_bench
from spared_bench.api import execute, make_bench, select
from spared_bench.trials.products import prepare
from tests.conftest import TOY_PLUGIN, TOY_PROTOCOL

PLUGIN = """
from random import random

import numpy as np
import torch

from spared_bench import PredictorSpec, hookimpl


class Draws:
    def fit(self, train, val, context):
        np.random.rand(7), torch.rand(7)
        self.n_genes_ = train.n_genes

    def predict(self, slides):
        shape = len(slides), self.n_genes_
        return np.random.rand(*shape) + torch.rand(*shape).numpy() + random()

    def save(self, folder):
        np.save(folder / "genes.npy", self.n_genes_)

    def load(self, folder):
        self.n_genes_ = int(np.load(folder / "genes.npy"))


@hookimpl
def spared_bench_predictors():
    return [PredictorSpec("draws", factory="drawing_toys:Draws")]
"""


@pytest.fixture
def report(workspace, tmp_path):
    plugin = tmp_path / "drawing_toys.py"
    plugin.write_text(PLUGIN, encoding="utf-8")
    bench = make_bench(
        str(TOY_PROTOCOL), workspace=workspace, plugin_files=[TOY_PLUGIN, plugin], device="cpu"
    )
    plan = select(bench, ["toy"], ["none"], ["draws"])
    return bench, plugin, execute(plan, executor="inline", workers=1, track=False, figures=False)


def test_the_tested_slide_given_anew_gets_the_prediction_of_the_run(report):
    bench, plugin, done = report
    slides = prepare(bench, "toy").slides("test")
    image = bench.folder("toy") / "three.png"
    result = done.result("draws")
    folder = bench.workspace.store.folder("trials", result.key)
    with np.load(folder / "predictions.npz") as arrays:
        expected = arrays["test_prediction"]

    for _ in range(2):
        np.random.rand(), np.random.rand()  # whatever the caller has drawn before
        found = spared_bench.predict(
            result,
            image,
            spots=slides.coordinates,
            um_per_px=6.25,
            workspace=bench.workspace.root,
            plugin_files=[TOY_PLUGIN, plugin],
        )
        np.testing.assert_array_equal(found.X, expected)
    assert expected.std() > 0.1
