"""Two distributions that register one name: each is run, set and checked by its qualified name."""

from __future__ import annotations

import pytest

from spared_bench.api import make_bench, select
from spared_bench.errors import AmbiguousNameError, UsageError
from spared_bench.planning.checks import notes_on_methods
from spared_bench.testing.conformance import examine

PLUGIN = """
from dataclasses import dataclass

import numpy as np

from spared_bench import PredictorSpec, hookimpl


@hookimpl
def spared_bench_predictors():
    spec = PredictorSpec("linear-probe", "theirs:Mean", summary="A mean", search={"shrink": [1.0]})
    return [spec]


@dataclass
class Mean:
    name = "linear-probe"
    shrink: float = 1.0

    def fit(self, train, val, context):
        self.mean_ = train.target.mean(axis=0)

    def predict(self, slides):
        return np.tile(self.mean_, (slides.n_spots, 1))
"""
OURS, THEIRS = "spared-bench:linear-probe", "theirs.py:linear-probe"


@pytest.fixture(scope="module")
def bench_of(tmp_path_factory):
    """Make the bench of an environment in which a stranger's method is called as one of ours."""
    folder = tmp_path_factory.mktemp("same-names")
    (folder / "theirs.py").write_text(PLUGIN)

    def made(**parameters):
        files = [folder / "theirs.py"]
        return make_bench("demo", workspace=folder, plugin_files=files, parameters=parameters)

    return made


def planned(bench, *predictors):
    return {cell.predictor for cell in select(bench, ["mob_demo"], ["none"], predictors).cells}


def test_methods_of_one_name_are_planned_by_their_qualified_names(bench_of):
    assert planned(bench_of(), OURS, THEIRS, "gene-mean") == {OURS, THEIRS, "gene-mean"}
    assert planned(bench_of(), f"{OURS}+color") == {f"{OURS}+color"}
    with pytest.raises(AmbiguousNameError, match="Ask for one of: spared-bench:linear-probe"):
        planned(bench_of(), "linear-probe")


def test_what_is_set_of_one_of_them_is_not_set_of_the_other(bench_of):
    bench = bench_of(**{OURS: {"alpha": 7.0}, THEIRS: {"shrink": 0.5}})

    assert planned(bench, OURS, THEIRS) == {OURS, THEIRS}
    assert bench.chosen("predictor", OURS).values["alpha"] == 7.0
    assert bench.chosen("predictor", f"{OURS}+color").values["alpha"] == 7.0
    assert bench.chosen("predictor", THEIRS).values == {"shrink": 0.5}
    assert notes_on_methods(bench, ["none"], [OURS, THEIRS]) == []
    assert f"parameters of {OURS!r}" in notes_on_methods(bench, ["none"], [THEIRS])[0]
    with pytest.raises(UsageError, match="no parameter 'alfa'"):
        planned(bench_of(**{OURS: {"alfa": 7.0}}), OURS)


def test_a_qualified_name_sets_a_method_that_is_asked_for_by_its_own(tmp_path):
    bench = make_bench("demo", workspace=tmp_path, parameters={OURS: {"alpha": 7.0}})
    assert bench.chosen("predictor", "linear-probe").values["alpha"] == 7.0


@pytest.mark.parametrize("name", [OURS, THEIRS])
def test_the_conformance_kit_checks_one_of_them_by_its_qualified_name(bench_of, name):
    found = examine(bench_of().registry, [("predictor", name)])
    told = next(each for each in found if each.name == "its spec describes it")
    assert told.status == "passed", told
