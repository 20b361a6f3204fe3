"""The named configurations that methods bring along, for protocols to choose from."""

from __future__ import annotations

from dataclasses import fields

import pytest
import timm
from torchvision import models

from spared_bench.api import load_protocol, make_bench
from spared_bench.registry import discover

REGISTRY = discover()
DEMO = load_protocol("demo", REGISTRY)
METHODS = {
    entry.spec.name: entry.load()
    for kind in ("predictor", "completer")
    for entry in REGISTRY.all(kind)
}
NAMED = [
    (method, name)
    for method, factory in METHODS.items()
    for name in getattr(factory, "configurations", {})
]
SMALL = sorted(method for method, name in NAMED if name == "small")


@pytest.mark.parametrize(("method", "name"), NAMED)
def test_a_configuration_constructs_the_method(method, name):
    values = METHODS[method].configurations[name]
    built = METHODS[method](**values)
    assert {field: getattr(built, field) for field in values} == values
    assert name != "published", "that name stands for the defaults"


def test_every_network_has_a_small_configuration():
    networks = {name for name, factory in METHODS.items() if hasattr(factory, "build")}
    assert networks & set(REGISTRY.names("predictor")) == set(SMALL)


def test_the_demo_runs_every_network_small_and_repeats_no_values():
    bench = make_bench("demo", device="cpu")
    assert not DEMO.overrides
    for method in SMALL:
        chosen = bench.chosen("predictor", method)
        assert chosen.configuration == "small"
        assert chosen.values == METHODS[method].configurations["small"]


def test_the_demo_names_what_is_there():
    assert set(DEMO.datasets) <= set(REGISTRY.names("dataset"))
    assert set(DEMO.completers) <= set(REGISTRY.names("completer"))


# Which published weights a method begins with by default, as file names of torchvision's: what
# `pretrained=True` fetched when the methods were published. BLEEP took timm's own of the time.
PUBLISHED_WEIGHTS = {
    "shufflenet": models.ShuffleNet_V2_X0_5_Weights.IMAGENET1K_V1,
    "vit-b": models.ViT_B_16_Weights.IMAGENET1K_V1,
    "vit-b-delta": models.ViT_B_16_Weights.IMAGENET1K_V1,
    "sepal": models.ViT_B_16_Weights.IMAGENET1K_V1,
    "st-net": models.DenseNet121_Weights.IMAGENET1K_V1,
    "egn": models.ResNet50_Weights.IMAGENET1K_V1,
    "eggn": models.ResNet18_Weights.IMAGENET1K_V1,
    "asign-2d": models.ResNet50_Weights.IMAGENET1K_V1,
    "stimage": models.ResNet50_Weights.IMAGENET1K_V1,
    "deepspace": models.VGG16_Weights.IMAGENET1K_V1,
    "hist2st-encoder": models.ResNet50_Weights.IMAGENET1K_V1,
    "hist2st-gat": models.ResNet50_Weights.IMAGENET1K_V1,
}


def backbone_of(factory):
    """Return the default of the parameter that names a network, if there is one."""
    named = {each.name: each.default for each in fields(factory)}
    return next((named[name] for name in ("encoder", "backbone") if name in named), None)


@pytest.mark.parametrize("method", PUBLISHED_WEIGHTS)
def test_the_default_weights_are_the_published_ones(method):
    name, published = backbone_of(METHODS[method]), PUBLISHED_WEIGHTS[method]
    if timm.is_model(name):
        config = timm.get_pretrained_cfg(name)
        assert config.tag == "tv_in1k"
        if config.url:  # where timm has no copy of its own under other names
            assert config.url.rpartition("/")[2] == published.url.rpartition("/")[2]
    else:  # torchvision's IMAGENET1K_V1, which `build_backbone` takes
        assert published == models.get_model_weights(name).IMAGENET1K_V1


def test_no_default_leaves_the_choice_of_weights_to_the_version_of_timm():
    for method, factory in METHODS.items():
        name = backbone_of(factory)
        if isinstance(name, str) and timm.is_model(name):
            assert "." in name, f"{method} begins with whatever {name} means today"
    assert backbone_of(METHODS["bleep"]) == "resnet50.a1_in1k"
