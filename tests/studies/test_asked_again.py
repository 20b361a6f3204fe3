"""Trained methods of others on changed images: asked where they can end and change nothing."""

from __future__ import annotations

import math

import numpy as np
import pytest
from typer.testing import CliRunner

from spared_bench.api import execute, make_bench
from spared_bench.cli import app
from spared_bench.errors import MissingFileError
from spared_bench.studies.asked_again import ask_apart, ask_here, strangers_in
from spared_bench.studies.loading import Opened
from spared_bench.studies.model import parse_study
from spared_bench.studies.planning import plan_study
from spared_bench.studies.results import collect
from spared_bench.studies.robustness import shift_all
from spared_bench.studies.shifts import chosen_shifts
from tests.conftest import TOY_PLUGIN, TOY_PROTOCOL
from tests.studies.test_robustness import MSE

STUDY = """
name: toy-robust
kind: robustness
base: toy
methods: [{methods}]
metric: mse
shifts: [brightness, template]
"""
PLUGIN = '''
import gc, os, sys, time
from types import SimpleNamespace

import numpy as np

from spared_bench import PredictorSpec, hookimpl


class Mean:
    """As it was trained, until it was saved and brought back."""

    again = False

    def fit(self, train, val, context):
        self.mean_ = train.target.mean(axis=0)

    def predict(self, slides):
        if self.again:
            self.spoil(slides)
        return np.tile(self.mean_, (len(slides), 1))

    def save(self, folder):
        np.save(folder / "mean.npy", self.mean_)

    def load(self, folder):
        self.mean_, self.again = np.load(folder / "mean.npy"), True


class Ends(Mean):
    def spoil(self, slides):
        os._exit(0)


class EndsOnce(Mean):
    """Ends where it is bright."""

    def spoil(self, slides):
        if slides.patches[:].mean() > 150:
            os.kill(os.getpid(), 11)


class Hangs(Mean):
    def spoil(self, slides):
        time.sleep(3600)


class Returns(Mean):
    def spoil(self, slides):
        if os.fork() == 0:
            self.mean_ = self.mean_ + 100


class Replaces(Mean):
    """Replaces what scores, and tells how many measured entries it finds."""

    def spoil(self, slides):
        import spared_bench.studies.shifted_scores as shifted

        shifted.score = lambda *_, **__: SimpleNamespace(by_gene={}, means={"mse": 0.0})
        print("to standard output")
        found = 0
        for table in [each for each in gc.get_objects() if type(each).__name__ == "AnnData"]:
            if "mask" in table.layers:
                test = (table.obs["split"] == "test").to_numpy()
                found += int(np.asarray(table.layers["mask"])[test].sum())
            elif table.X is not None:
                found += int((table.X != 0).sum())
        self.mean_ = self.mean_ * 0 + found


@hookimpl
def spared_bench_predictors():
    kinds = (Ends, EndsOnce, Hangs, Returns, Replaces)
    return [PredictorSpec(f"bad-{kind.__name__.lower()}", f"{__name__}:{kind.__name__}")
            for kind in kinds]
'''


@pytest.fixture
def trained(workspace, tmp_path):
    """Return the bench and the trained cell of each of some methods."""
    file = tmp_path / "bad.py"
    file.write_text(PLUGIN)
    bench = make_bench(
        str(TOY_PROTOCOL), workspace=workspace, plugin_files=[TOY_PLUGIN, file], device="cpu"
    )

    def of(*methods):
        study = parse_study(STUDY.format(methods=", ".join(methods)), "study.yaml")
        plan = plan_study(Opened(study, bench).study, bench)
        execute(plan.groups[0].plan, track=False, figures=False, log=lambda _: None, workers=1)
        return bench, collect(plan)

    return of


def shifted(bench, collected):
    found = {}
    for each in shift_all(bench, collected, ("brightness", "template"), MSE, lambda _: None):
        found.setdefault(each.cell.method, []).append(each)
    return found


def test_a_strangers_method_predicts_what_it_would_here(trained, tmp_path):
    bench, collected = trained("toy-network")
    (result,) = [cell.result for cell in collected.done]
    shifts = chosen_shifts(("brightness", "template"))
    ask = ask_apart(bench, result, shifts, tmp_path)

    assert strangers_in(bench, result) == ["toy_plugin.py"]
    for shift in shifts:
        assert np.array_equal(ask(shift), ask_here(bench, result, shift)), shift.name


def test_a_strangers_method_ends_no_study_and_changes_no_score_of_another(trained, capfd):
    bench, collected = trained(
        "linear-probe", "bad-ends", "bad-endsonce", "bad-returns", "bad-replaces", "toy-network"
    )
    found = shifted(bench, collected)

    assert [each.gap for each in found["bad-ends"]] == [
        "Its process ended with status 0 before it had answered."
    ] * 5
    gaps = {each.shift: each.gap for each in found["bad-endsonce"]}
    assert {name for name, gap in gaps.items() if not gap} == {
        "brightness × 0.7",
        "brightness × 0.85",
    }
    assert "was killed by SIGSEGV" in gaps["brightness × 1.3"]
    for method in ("bad-returns", "linear-probe", "toy-network"):
        assert all(0 < each.score < 1 and not each.gap for each in found[method]), method
    # It predicts how many measured entries it finds, of its own slide as well: none.
    truth = [each.score for each in found["bad-replaces"]]
    assert len(truth) == 5 and len(set(truth)) == 1
    assert 0 < truth[0] < 100
    assert "to standard output" not in capfd.readouterr().out


def test_a_method_that_does_not_answer_is_ended_as_a_trial_is(trained, tmp_path):
    bench, _ = trained("bad-hangs")
    study = tmp_path / "study.yaml"
    study.write_text(
        STUDY.format(methods="bad-hangs").replace("base: toy", f"base: {TOY_PROTOCOL}")
    )
    space = ["-w", str(bench.workspace.root), "--timeout", "2", "--device", "cpu"]
    files = [f"--plugin={file}" for file in bench.settings.plugin_files]
    answer = CliRunner().invoke(app, ["study", "report", str(study), *space, *files])

    assert answer.exit_code == 0, answer.output
    page = bench.workspace.root / "studies/toy-robust/index.html"
    assert "was ended after 2 s" in page.read_text()


def test_a_method_that_left_no_model_is_not_begun_for(trained, tmp_path):
    bench, collected = trained("toy-mean")
    (result,) = [cell.result for cell in collected.done]

    with pytest.raises(MissingFileError, match="left no model"):
        ask_apart(bench, result, chosen_shifts(("brightness",)), tmp_path)
    rows = shifted(bench, collected)["toy-mean"]
    assert len(rows) == 5
    assert all("left no model" in each.gap and math.isnan(each.score) for each in rows)
