"""Two distributions that register one name: each is run, set and checked by its qualified name."""

from __future__ import annotations

import pytest

from spared_bench.api import make_bench, select
from spared_bench.errors import AmbiguousNameError, UsageError
from spared_bench.leaderboard.plugin_facts import known_to
from spared_bench.models.encoder_table import known_encoder
from spared_bench.planning.checks import notes_on_methods
from spared_bench.registry import Plugin, Registry
from spared_bench.specs import DatasetSpec, SlideInfo
from spared_bench.testing.conformance import examine

PLUGIN = """
from dataclasses import dataclass

import numpy as np

from spared_bench import PredictorSpec, hookimpl


@hookimpl
def spared_bench_predictors():
    search = {"shrink": [1.0]}
    return [PredictorSpec("linear-probe", "called_alike:Mean", summary="A mean", search=search)]


@dataclass
class Mean:
    name = "linear-probe"
    shrink: float = 1.0

    def fit(self, train, val, context):
        self.mean_ = train.target.mean(axis=0)

    def predict(self, slides):
        return np.tile(self.mean_, (slides.n_spots, 1))
"""
SQUATTER = """
from spared_bench import (
    CompleterSpec, DatasetSpec, EncoderSpec, MetricSpec, PredictorSpec, ProtocolSpec,
    SlideInfo, hookimpl,
)

@hookimpl
def spared_bench_completers():
    return [CompleterSpec(name, "nowhere:Completer") for name in ("none", "median")]

@hookimpl
def spared_bench_metrics():
    return [MetricSpec("mse", "nowhere:mse", better="higher")]

@hookimpl
def spared_bench_protocols():
    return [ProtocolSpec(name, f"{__name__}:settings") for name in ("demo", "other-demo")]

def settings():
    return "{name: demo, version: 1, ranking: {metric: pcc-gene}}"

@hookimpl
def spared_bench_predictors():
    return [PredictorSpec("gene-mean", "nowhere:Mean")]

@hookimpl
def spared_bench_encoders():
    return [EncoderSpec("uni", "nowhere:Uni", loader="factory", width=3)]

@hookimpl
def spared_bench_datasets():
    return [DatasetSpec("planted", "nowhere:read", summary="taken", slides=(SlideInfo("a"),),
                        split={"train": ("a",)})]
"""
OURS, THEIRS = "spared-bench:linear-probe", "called_alike.py:linear-probe"


@pytest.fixture(scope="module")
def bench_of(tmp_path_factory):
    """Make the bench of an environment in which a stranger's method is called as one of ours."""
    folder = tmp_path_factory.mktemp("same-names")
    (folder / "called_alike.py").write_text(PLUGIN)

    def made(**parameters):
        files = [folder / "called_alike.py"]
        return make_bench("demo", workspace=folder, plugin_files=files, parameters=parameters)

    return made


def planned(bench, *predictors):
    return {cell.predictor for cell in select(bench, ["mob_demo"], ["none"], predictors).cells}


def test_methods_of_one_name_are_planned_by_their_qualified_names(bench_of):
    assert planned(bench_of(), OURS, THEIRS, "gene-mean") == {"linear-probe", THEIRS, "gene-mean"}
    assert planned(bench_of(), f"{OURS}+color") == {"linear-probe+color"}


def test_a_name_of_ours_means_ours_and_the_keys_do_not_know_who_else_has_it(bench_of, tmp_path):
    (alone,) = select(
        make_bench("demo", workspace=tmp_path), ["mob_demo"], ["none"], ["linear-probe"]
    ).cells
    (beside,) = select(bench_of(), ["mob_demo"], ["none"], ["linear-probe"]).cells
    assert [job.key for job in beside.search] == [job.key for job in alone.search]
    registry = bench_of().registry
    assert {"linear-probe", THEIRS} <= set(registry.names("predictor"))
    assert OURS not in registry.names("predictor")


def test_a_plugin_that_takes_the_names_of_a_protocol_stops_no_run(tmp_path):
    (tmp_path / "name_squatter.py").write_text(SQUATTER)
    bench = make_bench("demo", workspace=tmp_path, plugin_files=[tmp_path / "name_squatter.py"])
    plan = select(bench, ["planted"], [], ["gene-mean"])
    assert {cell.completer for cell in plan.cells} == {"none", "median", "spackle"}
    known = known_to(bench.registry)
    assert known.metrics["mse"].better == "lower"
    assert known.rankings["demo@1"] == bench.protocol.ranking
    assert known.datasets["planted"]["summary"] != "taken"
    assert bench.metric("mse").__module__.startswith("spared_bench")
    assert bench.registry.get("dataset", "planted").plugin.distribution == "spared-bench"
    assert bench.registry.get("dataset", "name_squatter.py:planted").spec.summary == "taken"
    assert known_encoder("uni").distribution == "spared-bench"
    with pytest.raises(
        UsageError, match=r"The encoder 'uni' of name_squatter\.py is called as one that"
    ):
        select(bench, ["planted"], ["none"], ["linear-probe+name_squatter.py:uni"])


def test_methods_of_two_strangers_are_refused_by_the_name_that_they_share(tmp_path):
    for name in ("called_one", "called_two"):
        text = PLUGIN.replace("called_alike:Mean", f"{name}:Mean").replace(
            "linear-probe", "shared-name"
        )
        (tmp_path / f"{name}.py").write_text(text)
    files = [tmp_path / "called_one.py", tmp_path / "called_two.py"]
    bench = make_bench("demo", workspace=tmp_path, plugin_files=files)
    with pytest.raises(
        AmbiguousNameError, match=r"Ask for one of: called_one\.py:shared-name, called_two"
    ):
        planned(bench, "shared-name")
    assert planned(bench, "called_two.py:shared-name") == {"called_two.py:shared-name"}


def test_what_is_set_of_one_of_them_is_not_set_of_the_other(bench_of):
    bench = bench_of(**{OURS: {"alpha": 7.0}, THEIRS: {"shrink": 0.5}})

    assert planned(bench, OURS, THEIRS) == {"linear-probe", THEIRS}
    assert bench.chosen("predictor", OURS).values["alpha"] == 7.0
    assert bench.chosen("predictor", f"{OURS}+color").values["alpha"] == 7.0
    assert bench.chosen("predictor", THEIRS).values == {"shrink": 0.5}
    assert notes_on_methods(bench, ["none"], [OURS, THEIRS]) == []
    assert "parameters of 'linear-probe'" in notes_on_methods(bench, ["none"], [THEIRS])[0]
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


def test_a_dataset_that_people_described_is_never_passed_over_for_one_of_ours():
    slide = SlideInfo("a")
    spec = DatasetSpec("skin", "a:read", slides=(slide,), split={"train": ("a",)})
    ours = Plugin("spared-bench", "", "skins", "spared_bench_plugins.skins", specs=(spec,))
    described = Plugin("data", "", "skin", "/data/skin/dataset.yaml", specs=(spec,))
    theirs = Plugin("stranger", "", "skins", "strange_skins", specs=(spec,))
    assert Registry([ours, theirs]).get("dataset", "skin").plugin is ours
    assert Registry([ours, theirs]).canonical("dataset", "spared-bench:skin") == "skin"
    everything = Registry([described, ours, theirs])
    with pytest.raises(AmbiguousNameError, match="Ask for one of: data:skin, spared-bench:skin"):
        everything.get("dataset", "skin")
    assert everything.names("dataset") == ["data:skin", "spared-bench:skin", "stranger:skin"]
    named = "spared-bench:skin"
    assert everything.canonical("dataset", named) == named
    assert not everything.is_shadowed(everything.get("dataset", "data:skin"))
