"""What MLflow shows of a run beside its numbers: its dataset, its model, its commit."""

from __future__ import annotations

import os
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest

import spared_bench
from spared_bench.errors import MissingFileError, SparedBenchError
from spared_bench.tracking.inputs import LOGGED_MODEL, source_tags
from spared_bench.tracking.tracker import Tracker
from tests.board_samples import trial
from tests.conftest import TOY_PLUGIN, TOY_PROTOCOL


@pytest.fixture(scope="module")
def tracked(prepared_workspace, tmp_path_factory):
    """A workspace with a tracked run of a network, and the folder it was made in."""
    import shutil

    root = tmp_path_factory.mktemp("tracked")
    here = Path.cwd()
    shutil.copytree(prepared_workspace, root / "workspace")
    (root / "here").mkdir()
    os.chdir(root / "here")
    try:
        report = spared_bench.run(
            ["toy"],
            ["none"],
            ["shufflenet"],
            str(TOY_PROTOCOL),
            workspace=root / "workspace",
            plugin_files=[TOY_PLUGIN],
            device="cpu",
            executor="inline",
            figures=False,
        )
    finally:
        os.chdir(here)
    assert not report.failed
    return report, root


def run_of(root):
    client = Tracker(root / "workspace").connection.client
    (experiment,) = client.search_experiments()
    (run,) = client.search_runs([experiment.experiment_id], "tags.`spared_bench.role` = 'cell'")
    return client, experiment, run


def test_the_dataset_is_an_input_with_the_key_of_what_was_trained_on(tracked):
    report, root = tracked
    _, _, run = run_of(root)

    (given,) = run.inputs.dataset_inputs

    bench = report.plan.bench
    assert given.dataset.name == "toy"
    assert bench.completed_key("toy", "none").startswith(given.dataset.digest)
    assert [tag.value for tag in given.tags] == ["training"]
    source = mlflow.data.get_source(given)
    assert source.to_dict()["tags"]["protocol"] == "toy@1"


def test_there_is_no_default_experiment_and_all_artifacts_lie_in_the_workspace(tracked):
    _, root = tracked
    client, experiment, _ = run_of(root)

    assert [each.name for each in client.search_experiments()] == ["spared-bench/toy@1"]
    assert experiment.artifact_location.startswith((root / "workspace").as_uri())
    assert list((root / "here").iterdir()) == []


def test_the_logged_model_predicts_what_predict_does(tracked, monkeypatch):
    report, root = tracked
    client, _, run = run_of(root)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", client.tracking_uri)
    result = report.results[0]
    image = next(root.rglob("one.png"))
    centres = np.array([[40.0, 40.0], [60.0, 80.0], [100.0, 20.0]])

    model = mlflow.pyfunc.load_model(f"models:/{run.data.tags[LOGGED_MODEL]}")
    table = pd.DataFrame(centres, columns=["x", "y"]).assign(image=str(image), um_per_px=6.25)
    predicted = model.predict(table)

    wanted = spared_bench.predict(
        result, image, spots=centres, um_per_px=6.25, workspace=root / "workspace"
    )
    np.testing.assert_array_equal(predicted.to_numpy(), np.asarray(wanted.X))
    assert list(predicted.columns) == result.genes
    assert run.outputs.model_outputs[0].model_id == run.data.tags[LOGGED_MODEL]
    with pytest.raises(SparedBenchError, match="columns image"):
        model.predict(table[["x", "y"]])
    with pytest.raises(SparedBenchError, match=r"'array_row' of `spots` holds 0\.5"):  # it is used
        model.predict(table.assign(array_row=[0.5, 1, 2], array_col=0))


def test_a_model_whose_weights_have_gone_says_where_they_were(tmp_path):
    from spared_bench.api.pyfunc_model import _load_pyfunc

    (tmp_path / "trial.json").write_text('{"key": "k", "trial": "/nowhere/a/b/c/d"}')
    with pytest.raises(MissingFileError, match=r"not at /nowhere/a/b/c/d.*a pointer"):
        _load_pyfunc(str(tmp_path / "trial.json"))


def test_the_commit_is_a_tag_of_mlflow():
    clean = trial("a", environment={"git": "0" * 40})
    dirty = trial("a", environment={"git": f"{'1' * 40} with changes"})
    assert source_tags(clean)["mlflow.source.git.commit"] == "0" * 40
    assert source_tags(dirty)["mlflow.source.git.commit"] == "1" * 40
    assert source_tags(dirty)["mlflow.source.git.dirty"] == "true"
    assert "mlflow.source.git.commit" not in source_tags(trial("a", environment={}))
