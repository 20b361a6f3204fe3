"""What methods have against their parameters is told before anything is read or run."""

from __future__ import annotations

import pytest

from spared_bench.api import make_bench, select
from spared_bench.errors import UsageError
from spared_bench.models.encoders import TimmEncoder
from spared_bench.planning.own_checks import unfit
from spared_bench.planning.selection import make_plan


@pytest.mark.parametrize(
    ("method", "values", "told"),
    [
        ("linear-probe", {"components": 25}, r"25 principal components of the 24 .*'color'\."),
        ("linear-probe", {"components": 513, "encoder": "resnet18"}, "of the 512 features"),
        ("linear-probe", {"components": 769, "encoder": "h0-mini"}, "of the 768 features"),
        ("linear-probe", {"penalty": "hesst"}, "penalty='hesst'.*Did you mean 'hest'"),
        ("shuffled", {"components": 25}, r"`--set shuffled\.components=` fewer"),
        ("feature-attention", {"heads": 3}, "divisible by the heads"),
        ("vit-b", {"image_size": 50}, "image_size=50.* do not go together"),
        ("vit-b", {"backbone": "densenet121", "image_size": 8}, "Output size is too small"),
        ("vit-b-delta", {"options": {"num_heads": 5}}, "num_heads.* do not go together"),
        ("vit-b", {"options": {"depht": 1}}, "cannot be built with .*depht"),
        ("sepal", {"backbone": "squeezenet1_0"}, "ends in no linear layer"),
    ],
)
def test_parameters_that_cannot_go_together_are_refused_when_planning(
    method, values, told, tmp_path
):
    bench = make_bench("demo", workspace=tmp_path, parameters={method: values}, device="cpu")
    with pytest.raises(UsageError, match=f"Predictor {method!r} cannot run so: .*{told}"):
        select(bench, ["her2st_demo"], ["none"], [method])
    assert not (tmp_path / "store").exists()


def test_weights_of_an_encoder_that_has_none_are_refused(tmp_path):
    """A forgotten `encoder`: the features of colour were taken, whatever the file was called."""
    bench = make_bench(
        "demo", workspace=tmp_path, parameters={"linear-probe": {"weights": "uni.bin"}}
    )
    told = (
        r"The weights 'uni\.bin' of predictor 'linear-probe' have no effect: its encoder is 'color'"
    )
    with pytest.raises(UsageError, match=told):
        select(bench, ["her2st_demo"], ["none"], ["linear-probe"])
    for harmless in ("random", "pretrained"):
        given = {"linear-probe": {"weights": harmless}}
        bench = make_bench("demo", workspace=tmp_path, parameters=given)
        select(bench, ["her2st_demo"], ["none"], ["linear-probe"])


def test_sepal_is_asked_whether_a_position_fits_into_its_embeddings(tmp_path, monkeypatch):
    monkeypatch.setattr(TimmEncoder, "width", 6)
    asked = {"sepal": {"backbone": "resnet18"}}
    bench = make_bench("demo", workspace=tmp_path, parameters=asked, device="cpu")
    assert "are 6 wide; SEPAL's code of a position" in unfit(bench, predictors=["sepal"])


@pytest.mark.parametrize(
    ("method", "values", "told"),
    [
        ("spackle", {"weights": "nowhere.pt"}, "must name a file"),
        ("graph-mae", {"weights": "pretrained"}, "must name a file"),
    ],
)
def test_completers_are_asked_too(method, values, told, tmp_path):
    bench = make_bench("demo", workspace=tmp_path, parameters={method: values}, device="cpu")
    with pytest.raises(UsageError, match=f"Completer {method!r} cannot run so: .*{told}"):
        select(bench, ["her2st_demo"], [method], ["linear-probe"])


@pytest.mark.parametrize(
    ("kind", "method", "values", "told"),
    [
        ("predictor", "linear-probe", {"alpha": -1.0}, "'alpha'.* is -1.0; expected at least 0"),
        ("predictor", "feature-mlp", {"depth": -1}, "'depth'.* is -1; expected at least 0"),
        ("predictor", "feature-attention", {"most": -1}, "'most'.* is -1; expected at least"),
        ("predictor", "feature-flow", {"steps": 0}, "'steps'.* is 0; expected at least 1"),
        ("predictor", "feature-flow", {"dropout": 1.0}, "'dropout'.* is 1.0; .* less than 1"),
        ("completer", "spackle-released", {"n_neighbours": 0}, "'n_neighbours'.* is 0; expected"),
        ("completer", "knn-spatial", {"n_neighbours": -1}, "'n_neighbours'.* is -1; expected"),
        ("completer", "stlearn", {"n_similar": 0}, "'n_similar'.* is 0; expected at least 1"),
        ("completer", "stlearn", {"reach": -3.0}, "'reach'.* is -3.0; expected at least 0"),
    ],
)
def test_numbers_out_of_their_bounds_are_refused_when_planning(
    kind, method, values, told, tmp_path
):
    bench = make_bench("demo", workspace=tmp_path, parameters={method: values}, device="cpu")
    names = ([method], ["gene-mean"]) if kind == "completer" else (["none"], [method])
    with pytest.raises(UsageError, match=told):
        select(bench, ["her2st_demo"], *names)
    assert not (tmp_path / "store").exists()


def test_the_choice_of_weights_for_all_is_none_of_a_saved_completer(tmp_path):
    bench = make_bench("demo", workspace=tmp_path, weights="random", device="cpu")
    assert bench.chosen("completer", "spackle").values.get("weights", "") == ""
    assert bench.chosen("predictor", "st-net").values["weights"] == "random"


def test_as_many_components_as_features_are_allowed(tmp_path):
    values = {"linear-probe": {"components": 24}}
    bench = make_bench("demo", workspace=tmp_path, parameters=values, device="cpu")
    assert unfit(bench, predictors=["linear-probe"]) == ""


def test_a_probe_that_nobody_named_is_left_out_with_the_reason(tmp_path):
    """HEST's probe takes 256 components, and its default encoder has 24 features."""
    bench = make_bench("hest", workspace=tmp_path, device="cpu")
    plan = make_plan(bench, ["her2st_demo"], ["none"], ["linear-probe", "gene-mean"])
    assert plan.predictors == ["gene-mean"]
    assert "256 principal components of the 24 features" in plan.left_out[0]
