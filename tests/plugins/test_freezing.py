"""Every network of ours with its body frozen: what moves stands here by hand, and no bit else."""

import inspect
from dataclasses import replace
from importlib import import_module

import pytest
import torch

from spared_bench.interfaces import TargetTransform
from spared_bench.models import TorchPredictor
from spared_bench.testing import with_views
from spared_bench.testing.known import tiny_sections
from spared_bench.testing.predictors import CONTEXT
from spared_bench_plugins.predictors import spared_bench_predictors

#: Beginnings of the names of what trains, in the network of each method's tiny form.
HEADS = {
    "shufflenet": ("fc.",),
    "st-net": ("classifier.",),
    "vit-b": ("head.",),
    "vit-b-delta": ("head.",),
    "deepspace": ("body.39.",),
    "stimage": ("0.hidden.", "0.pair.", "1.hidden.", "1.pair."),
    "bleep": ("image_head.", "expression_head."),
    "histogene": ("head.",),
    "hist2st": ("head.", "mean.", "dispersion.", "zero.", "weigh."),
    "hist2st-regclass": ("head.", "mean.", "dispersion.", "zero.", "weigh.", "classifier."),
    "egn": ("head.",),
    "eggn": ("head.",),
    "triplex": ("",),
    "asign-2d": ("",),
    "asign-3d": ("",),
    "sepal": ("",),
}
#: Of networks around an image network, where that lies; its last layer, if it has one.
BODIES = {
    "triplex": ("backbone.", None),
    "asign-2d": ("encoder.", "encoder.fc."),
    "asign-3d": ("encoder.", "encoder.fc."),
}
#: They stand on a network that is always frozen, and have no parameter `freeze`.
FROZEN_ANYWAY = {
    "feature-attention", "feature-flow", "feature-mlp", "hist2st-encoder", "hist2st-gat",
    "view-attention",
}  # fmt: skip


def factory_of(spec):
    module, attribute = spec.factory.split(":")
    return getattr(import_module(module), attribute)


NETWORKS = {
    spec.name: spec
    for spec in spared_bench_predictors()
    if inspect.isclass(factory_of(spec)) and issubclass(factory_of(spec), TorchPredictor)
}


def test_every_network_can_be_frozen_or_always_is():
    assert set(NETWORKS) == set(HEADS) | FROZEN_ANYWAY
    for name, spec in NETWORKS.items():
        assert ("freeze" in inspect.signature(factory_of(spec)).parameters) == (name in HEADS), name


@pytest.mark.parametrize("name", HEADS)
def test_a_frozen_body_keeps_every_bit(name, tiny_slides):
    spec, factory = NETWORKS[name], factory_of(NETWORKS[name])
    predictor = factory(**(factory.tiny | {"freeze": True}))
    views = getattr(predictor, "views", None)
    slides = tiny_sections(views) if spec.needs_known else with_views(tiny_slides, views)
    begun = []
    place = predictor._place

    def watched(network, device):
        begun.append({key: value.clone() for key, value in network.state_dict().items()})
        return place(network, device)

    predictor._place = watched
    context = replace(CONTEXT, transform=TargetTransform.fitted(slides.train))
    predictor.fit(slides.train, slides.val, context)
    before = {
        f"{number}.{key}" if len(begun) > 1 else key: value
        for number, state in enumerate(begun)
        for key, value in state.items()
    }
    after = predictor.network_.state_dict()
    assert set(before) == set(after)
    moved = {key for key, value in before.items() if not torch.equal(value, after[key])}
    body, last = BODIES.get(name, ("", None))
    expected = tuple(HEADS[name])
    for key in moved:
        assert key.startswith(expected), key
        if name in BODIES:
            assert not key.startswith(body) or (last and key.startswith(last)), key
    assert moved, "nothing was trained"
    if name not in BODIES:
        for part in expected:
            assert any(key.startswith(part) for key in moved), f"{part} does not train"
    assert predictor.n_parameters > 0


def test_the_body_of_sepal_is_its_first_stage(tiny_slides):
    from spared_bench_plugins.predictors.sepal import SEPAL
    from spared_bench_plugins.predictors.vit_b_delta import ViTBDelta

    method = SEPAL(**(SEPAL.tiny | {"freeze": True}))
    method.fit(tiny_slides.train, tiny_slides.val, CONTEXT)
    alone = ViTBDelta(lr=method.first_lr, backbone=method.backbone, weights="random", freeze=True)
    train, val = (
        part.with_target(part.target - tiny_slides.train.target.mean(axis=0))
        for part in tiny_slides[:2]
    )
    alone.fit(train, val, CONTEXT)
    for key, value in alone.network_.state_dict().items():
        assert torch.equal(value, method.first_.network_.state_dict()[key]), key
