"""A method that is edited while a notebook has it in memory is not passed off as the new one."""

from __future__ import annotations

import pytest

import spared_bench
from spared_bench.errors import UsageError

PLUGIN = """
from spared_bench import PredictorSpec, hookimpl


@hookimpl
def spared_bench_predictors():
    return [PredictorSpec("edited-mean", "edited_mean_model:Mean", summary="The mean")]
"""
MODEL = """
import numpy as np

SHRINK = 1.0


class Mean:
    name = "edited-mean"

    def fit(self, train, val, context):
        self.mean_ = train.target.mean(axis=0) * SHRINK

    def predict(self, slides):
        return np.tile(self.mean_, (slides.n_spots, 1))
"""


def test_a_method_that_was_edited_after_it_was_read_is_refused(tmp_path):
    plugin, model = tmp_path / "edited_mean_plugin.py", tmp_path / "edited_mean_model.py"
    plugin.write_text(PLUGIN)
    model.write_text(MODEL)
    given = {"workspace": tmp_path / "workspace", "plugin_files": plugin}
    first = spared_bench.fit("edited-mean", "her2st_demo", **given)
    assert spared_bench.fit("edited-mean", "her2st_demo", **given).trial.key == first.trial.key

    model.write_text(MODEL.replace("1.0", "0.5"))
    for ask in (
        lambda: spared_bench.fit("edited-mean", "her2st_demo", **given),
        lambda: spared_bench.run("her2st_demo", "none", "edited-mean", **given),
    ):
        with pytest.raises(UsageError, match=r"'edited-mean' .* was edited .* Restart the process"):
            ask()
    assert spared_bench.fit("gene-mean", "her2st_demo", **given).trial.ok

    model.unlink()
    with pytest.raises(UsageError, match="was edited after this process had read it"):
        spared_bench.fit("edited-mean", "her2st_demo", **given)
    model.write_text(MODEL)
    assert spared_bench.fit("edited-mean", "her2st_demo", **given).trial.key == first.trial.key
