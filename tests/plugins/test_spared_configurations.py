"""The configuration `spared` of the ten predictors, against the list of what it repeats."""

from __future__ import annotations

from dataclasses import fields, replace
from importlib import import_module
from importlib.resources import files

import numpy as np
import pytest
import torch
import yaml
from pydantic import BaseModel

from spared_bench.interfaces import Budget, Context
from spared_bench.protocol import Protocol
from spared_bench.registry import discover
from spared_bench_plugins.predictors.bleep import Bleep
from spared_bench_plugins.predictors.hist2st import Hist2ST
from spared_bench_plugins.predictors.histogene import HisToGene
from spared_bench_plugins.predictors.shufflenet import ShuffleNet
from spared_bench_plugins.predictors.st_net import STNet

LIST = yaml.safe_load(
    (files("spared_bench_plugins.protocols") / "spared_differences.yaml").read_text("utf-8")
)
REGISTRY = discover()
TEN = list(LIST["methods"])
BUDGET = Budget(iterations=1000, batch_size=256, validate_every=10)


def spared(name, **others):
    factory = REGISTRY.get("predictor", name).load()
    return factory(**(factory.configurations["spared"] | others))


def test_the_list_has_the_ten_predictors_of_the_benchmark():
    assert sorted(TEN) == [
        "bleep", "eggn", "egn", "hist2st", "histogene", "sepal", "shufflenet", "st-net", "vit-b",
        "vit-b-delta",
    ]  # fmt: skip


@pytest.mark.parametrize("name", TEN)
def test_a_method_trains_with_what_the_list_says(name):
    method, facts = spared(name), LIST["methods"][name]
    weight = torch.nn.Parameter(torch.zeros(2))
    optimizer = method.optimizer([weight])
    decay = optimizer.defaults["weight_decay"]
    kind = type(optimizer).__name__
    assert ("Adam" if kind == "AdamW" and decay == 0 else kind) == facts["optimiser"]
    assert decay == facts["weight_decay"]
    schedule = method.schedule(optimizer, BUDGET)
    assert ("none" if schedule is None else type(schedule).__name__) == facts["schedule"]
    assert method.units_per_step(BUDGET) == {"spots": 256, "slide": 1}[facts["unit"]]
    assert (method.augment, method.normalisation) == (facts["augment"], facts["normalisation"])


@pytest.mark.parametrize("name", TEN)
def test_a_method_has_the_parameters_that_the_list_says(name):
    with torch.device("meta"):  # hist2st would take 3.6 GB
        network = replace(spared(name), weights="random").build(128)
    trained = sum(each.numel() for each in network.parameters() if each.requires_grad)
    assert trained == LIST["methods"][name]["parameters"]


@pytest.mark.parametrize("entry", LIST["differences"], ids=lambda entry: entry["what"])
def test_what_makes_a_difference_is_there(entry):
    keys = {"what", "method", "published", "here", "why", "made_by", "spared"}
    assert {"what", "published", "here", "why", "made_by"} <= set(entry) <= keys
    kind, _, place = entry["made_by"].partition(":")
    if kind in {"predictor", "completer"}:
        name, _, field = place.partition(".")
        factory = REGISTRY.get(kind, name).load()
        assert field in {each.name for each in fields(factory)}
        assert entry["method"] == name
        assert factory.configurations["spared"].get(field) == entry.get("spared")
    elif kind == "protocol":
        model = Protocol
        for part in place.split("."):
            assert isinstance(model, type) and issubclass(model, BaseModel)
            model = model.model_fields[part].annotation
    else:
        assert kind == "function"
        module, _, path = place.partition(":")
        found = import_module(module)
        for part in path.split("."):
            found = getattr(found, part)
        assert callable(found)


def test_all_that_the_configurations_set_is_in_the_list():
    listed = [entry["made_by"] for entry in LIST["differences"] if "spared" in entry]
    here = [
        f"predictor:{name}.{field}"
        for name in TEN
        for field in REGISTRY.get("predictor", name).load().configurations["spared"]
    ]
    assert sorted(listed) == sorted(here)


def test_bleep_without_decay_moves_as_adam_does():
    torch.manual_seed(0)
    start = torch.randn(5, dtype=torch.float64)
    theirs, ours = (torch.nn.Parameter(start.clone()) for _ in range(2))
    adam = torch.optim.Adam([theirs], lr=1e-2)
    bleep = Bleep(**Bleep.configurations["spared"]).optimizer([ours])
    for step in range(20):
        for weights, optimizer in ((theirs, adam), (ours, bleep)):
            optimizer.zero_grad()
            (weights - step).square().sum().backward()
            optimizer.step()
    torch.testing.assert_close(ours, theirs)


def test_a_method_that_turns_no_patch_trains_as_without_augmentation(tiny_slides):
    def trained(method_augments, protocol_augments):
        method = ShuffleNet(**ShuffleNet.tiny, augment=method_augments)
        budget = Budget(3, 16, 3, augment=protocol_augments)
        method.fit(tiny_slides.train, tiny_slides.val, Context(budget=budget))
        return method.predict(tiny_slides.test.without_expression())

    np.testing.assert_array_equal(trained(False, True), trained(True, False))
    assert not np.array_equal(trained(False, True), trained(True, True))


def test_st_net_of_spared_starts_with_the_layers_default_values(tiny_slides):
    method = STNet(**(STNet.tiny | STNet.configurations["spared"]))
    network = method.build(6)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    method.start(network, tiny_slides.train)
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert network.classifier.weight.any()


def test_hist2st_of_spared_sees_pieces_without_dropout_and_bytes_as_they_are(tiny_slides):
    small = {"image_size": 14, "head_width": 16, "depth": 1, "heads": 1, "n_positions": 16}
    method = Hist2ST(**(Hist2ST.configurations["spared"] | small | {"n_views": 2}))
    method.fit(tiny_slides.train, tiny_slides.val, Context(budget=Budget(2, 16, 2)))
    units = method.units(tiny_slides.train, "cpu", False)
    assert len(units) == 8
    batch = units.batch(torch.tensor([0]))
    np.testing.assert_allclose(
        batch.images.permute(0, 2, 3, 1).numpy(),
        tiny_slides.train.patches[units.predicted[0]],
        atol=1e-3,
    )
    dropouts = [each for each in method.network_.modules() if isinstance(each, torch.nn.Dropout)]
    assert len(dropouts) > 2 and not any(each.p for each in dropouts)
    assert np.isfinite(method.predict(tiny_slides.test.without_expression())).all()


def test_histogene_of_spared_sees_whole_slides(tiny_slides):
    small = {"image_size": 12, "n_positions": 16, "width": 32, "depth": 1, "heads": 1}
    method = HisToGene(**(HisToGene.configurations["spared"] | small))
    assert len(method.units(tiny_slides.train, "cpu", False)) == 2
