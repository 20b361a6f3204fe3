"""Scores on changed images beside a stranger's plugin, which attacks them when it is imported."""

from __future__ import annotations

import csv
import json
import os

import numpy as np
import pytest
from anndata import read_h5ad

from spared_bench.errors import StudyError
from spared_bench.store.trials import PREDICTIONS, RESULT, TRIALS
from spared_bench.studies import kinds, shifted_scores
from spared_bench.studies.loading import Opened
from spared_bench.studies.model import parse_study
from spared_bench.studies.planning import plan_study
from spared_bench.studies.results import collect
from tests.conftest import TOY_PLUGIN, TOY_PROTOCOL

STUDY = """
name: toy-robust
kind: robustness
base: toy
methods: [METHODS]
metric: mse
shifts: [brightness × 0.7, half resolution, look of a training slide]
"""
#: The module says where it is imported. Not in the process of the tests, which would be changed.
STRANGERS = """
import json
import os
import sys
from pathlib import Path
import numpy as np
from spared_bench import MetricSpec, PredictorSpec, hookimpl

SIGN = Path(os.environ["STRANGER_SIGN"])
if "pytest" not in sys.modules:
    import spared_bench.metrics.scoring as scoring
    import spared_bench.studies.shifted_scores as shifted

    scoring.score = shifted.score = lambda *_, **__: None
    with SIGN.open("a") as file:
        file.write(json.dumps(os.getpid()) + "\\n")

class Light:
    \"\"\"Predicts the mean, times how light the patches are.\"\"\"

    def fit(self, train, val, context):
        self.mean_ = train.target.mean(axis=0)

    def predict(self, slides):
        light = slides.patches[:].reshape(len(slides), -1).mean(axis=1) / 255
        return light[:, None] * self.mean_[None]

    def save(self, folder):
        (folder / "mean.json").write_text(json.dumps(self.mean_.tolist()))

    def load(self, folder):
        self.mean_ = np.array(json.loads((folder / "mean.json").read_text()))

class Wide(Light):
    def load(self, folder):
        super().load(folder)
        save, wrong = np.save, np.zeros((9, 9))
        np.save = lambda to, values: save(to, wrong if hasattr(to, "write") else values)

class Pipes(Light):
    def load(self, folder):
        super().load(folder)
        save = np.save
        np.save = lambda to, values: self.pipe(to) if hasattr(to, "write") else save(to, values)

    def pipe(self, file):
        os.remove(file.name)
        os.mkfifo(file.name)

NAMES = {"light": "Light", "wide": "Wide", "pipes": "Pipes"}

@hookimpl
def spared_bench_predictors():
    return [PredictorSpec(name, f"{__name__}:{cls}") for name, cls in NAMES.items()]

def far(truth, prediction, mask):
    return np.abs(truth - prediction)[mask].mean()

@hookimpl
def spared_bench_metrics():
    return [MetricSpec("far", f"{__name__}:far", per="entry", better="lower")]
"""


@pytest.fixture
def studied(workspace, tmp_path, monkeypatch):
    """Run a study of robustness of some methods, beside strangers or not."""
    from spared_bench.api import make_bench

    monkeypatch.setenv("STRANGER_SIGN", str(tmp_path / "sign"))
    plugin = tmp_path / "strange_methods.py"
    plugin.write_text(STRANGERS)

    def run(*methods, beside=True, metrics=()):
        files = [TOY_PLUGIN, plugin] if beside else [TOY_PLUGIN]
        protocol = tmp_path / "toy.yaml"
        more = f"metrics: [{', '.join(metrics)}]\n" if metrics else ""
        protocol.write_text(TOY_PROTOCOL.read_text() + more)
        bench = make_bench(str(protocol), workspace=workspace, plugin_files=files, device="cpu")
        study = parse_study(STUDY.replace("METHODS", ", ".join(methods)), "study.yaml")
        done = kinds.run_and_report(
            Opened(study, bench), track=False, board=False, log=lambda line: None, workers=1
        )
        return rows(done), bench.workspace.store

    return run


def rows(done):
    with done.page.with_name("drops.csv").open(encoding="utf-8") as file:
        return {(row["method"], row["shift"]): row for row in csv.DictReader(file)}


def scores(store):
    return sorted(
        json.dumps(entry.read_json("score.json"), sort_keys=True)
        for entry in store.entries("shifts")
    )


def test_ours_lose_what_they_lose_alone_and_strangers_only_their_own(studied, tmp_path):
    alone, store = studied("linear-probe", beside=False)
    before = scores(store)
    for entry in list(store.entries("shifts")):
        store.remove("shifts", entry.key)
    found, store = studied("light", "wide", "linear-probe")

    assert len(alone) == 3
    assert {name: found[name] for name in alone} == alone
    assert set(before) < set(scores(store))
    assert len(scores(store)) == 6  # `wide` has none
    imported = [json.loads(line) for line in (tmp_path / "sign").read_text().splitlines()]
    assert imported and os.getpid() not in imported


def test_a_stranger_is_scored_by_what_it_predicts_and_its_faults_are_gaps(studied):
    found, store = studied("light", "wide", "pipes")
    shifts = sorted(shift for method, shift in found if method == "light")

    assert len(shifts) == 3
    # Images of 0.7 of the light make 0.7 of the prediction, as near as bytes can.
    darker = found["light", "brightness × 0.7"]
    of_light = [e for e in store.entries(TRIALS) if e.read_json(RESULT)["predictor"] == "light"]
    stored = np.load(of_light[0].folder / PREDICTIONS)["test_prediction"]
    (prepared,) = store.entries("prepared")
    table = read_h5ad(prepared.folder / "dataset.h5ad")
    table = table[table.obs["split"] == "test"]
    wrong = np.square(0.7 * stored - table.layers["target"])[table.layers["mask"]]
    assert float(darker["mse shifted"]) == pytest.approx(wrong.mean(), rel=0.01)
    assert float(darker["drop"]) == pytest.approx(wrong.mean() - float(darker["mse"]), rel=0.05)
    assert all("left no finite values of shape" in found["wide", each]["gap"] for each in shifts)
    said = {found["pipes", each]["gap"] for each in shifts}
    assert said == {"Its process answered without a prediction."}


def test_a_protocol_may_have_metrics_of_others_beside_the_studys(studied):
    found, _ = studied("light", "linear-probe", metrics=["mse", "far"])

    assert len(found) == 6
    assert {row["gap"] for row in found.values()} == {""}
    assert all(float(row["mse shifted"]) > 0 for row in found.values())


@pytest.mark.parametrize("metric", ["pcc-hvg", "moran-error", "domains-ari"])
def test_a_study_by_a_metric_of_maps_or_of_some_genes_has_what_its_trials_have(opened, metric):
    text = STUDY.replace("METHODS", "linear-probe").replace("metric: mse", f"metric: {metric}")
    text = text.replace("brightness × 0.7, half resolution, look of a training slide", "jpeg")
    of = opened(text)
    done = kinds.run_and_report(
        of, track=False, board=False, log=lambda line: None, executor="inline"
    )
    assert all(row["gap"] == "" and row[f"{metric} shifted"] for row in rows(done).values())

    plan = plan_study(of.study, of.base)
    (cell,), bench = collect(plan).done, plan.groups[0].plan.bench
    trial = bench.workspace.store.open(TRIALS, cell.result.key).folder
    predicted = np.load(trial / PREDICTIONS)[f"{cell.split}_prediction"].astype(np.float64)
    unchanged = shifted_scores._scored(bench, cell.dataset, predicted, bench.metric(metric))
    assert unchanged["score"] == pytest.approx(cell.score(metric))


@pytest.mark.parametrize("metric", ["nll", "f1-class"])
def test_a_study_of_robustness_is_refused_by_what_is_not_predicted_again(opened, metric):
    text = STUDY.replace("METHODS", "linear-probe").replace("metric: mse", f"metric: {metric}")
    of = opened(text)
    with pytest.raises(StudyError, match=f"compares by '{metric}'.* nothing but expression"):
        plan_study(of.study, of.base)
