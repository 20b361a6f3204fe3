"""The configuration `spared` of the ten predictors, against the list of what it repeats."""

from __future__ import annotations

from dataclasses import fields, replace
from importlib import import_module
from importlib.resources import files

import numpy as np
import pytest
import torch
import yaml
from PIL import Image, ImageFilter
from pydantic import BaseModel
from torchvision.models import ViT_B_16_Weights

from spared_bench.interfaces import Budget, Context
from spared_bench.models import PatchUnits
from spared_bench.models.augment import normalisation_of, normalise
from spared_bench.protocol import Protocol
from spared_bench.registry import discover
from spared_bench_plugins.predictors.bleep import Bleep
from spared_bench_plugins.predictors.hist2st import Hist2ST
from spared_bench_plugins.predictors.histogene import HisToGene
from spared_bench_plugins.predictors.sepal import SEPAL
from spared_bench_plugins.predictors.shufflenet import ShuffleNet
from spared_bench_plugins.predictors.st_net import STNet
from spared_bench_plugins.predictors.vit_b import magnified

LIST = yaml.safe_load(
    (files("spared_bench_plugins.protocols") / "spared_differences.yaml").read_text("utf-8")
)
REGISTRY = discover()
TEN = list(LIST["methods"])
BUDGET = Budget(iterations=1000, batch_size=256, validate_every=10)
SMALL = {"image_size": 14, "head_width": 16, "depth": 1, "heads": 1, "n_positions": 16}  # Hist2ST


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
    method = Hist2ST(**(Hist2ST.configurations["spared"] | SMALL | {"n_views": 2}))
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


def test_hist2st_of_spared_lowers_its_rate_every_fifty_times_all_pieces(tiny_slides):
    method = Hist2ST(**(Hist2ST.configurations["spared"] | SMALL))
    method.start(method.build(tiny_slides.train.n_genes), tiny_slides.train)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = method.schedule(optimizer, BUDGET)
    rates = []
    for _ in range(1000):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    epochs = np.arange(1000) // 8  # two slides of four pieces each
    np.testing.assert_allclose(rates, 0.9 ** (epochs // 50))


def test_hist2st_of_spared_begins_its_counts_as_pytorch_begins_a_layer(tiny_slides):
    method = Hist2ST(**(Hist2ST.configurations["spared"] | SMALL))
    network = method.build(tiny_slides.train.n_genes)
    before = network.mean.bias.clone()
    method.start(network, tiny_slides.train)
    assert torch.equal(network.mean.bias, before)
    assert before.abs().max() <= 1 / 4  # of a layer that is 16 wide: 1 / sqrt(16); exp is about 1


def test_hist2st_of_spared_sees_rows_first_where_the_authors_see_columns(tiny_slides):
    method = Hist2ST(**(Hist2ST.configurations["spared"] | SMALL))
    torch.manual_seed(0)
    network = method.build(tiny_slides.train.n_genes).eval()
    theirs = replace(method, columns_first=True).build(tiny_slides.train.n_genes).eval()
    theirs.load_state_dict(network.state_dict())
    batch = method.units(tiny_slides.test, "cpu", False).batch(torch.tensor([0]))
    turned = replace(batch, images=batch.images.transpose(2, 3))
    with torch.no_grad():
        found = network(batch)
        assert torch.allclose(found, theirs(turned), rtol=0, atol=1e-5)
        assert not torch.allclose(found, theirs(batch), rtol=0, atol=1e-4)


def test_sepal_of_spared_embeds_what_torchvisions_transform_makes_of_a_patch(rng):
    """Of the patch as an image; it resizes bytes by Pillow, which rounds to whole ones."""
    patch = rng.integers(0, 256, size=(224, 224, 3), dtype=np.uint8)
    smooth = Image.fromarray(patch).filter(ImageFilter.GaussianBlur(3))
    expected = ViT_B_16_Weights.IMAGENET1K_V1.transforms()(smooth)
    pixels = torch.tensor(np.asarray(smooth))[None]
    found = magnified(normalise(pixels, *normalisation_of("imagenet")), 224)[0]
    assert found.shape == expected.shape
    assert (found - expected).abs().max() < 1 / 255 / 0.22  # one level of a byte


def test_sepal_of_spared_hands_enlarged_patches_to_its_first_stage(tiny_slides):
    assert SEPAL.configurations["spared"]["enlarged"]
    method = SEPAL(**SEPAL.tiny)
    method.fit(tiny_slides.train, tiny_slides.val, Context(budget=Budget(1, 16, 1)))
    rows = torch.arange(8)
    images = PatchUnits(tiny_slides.test, "cpu", 0).batch(rows).images
    with torch.no_grad():
        first = method.first_.network_.eval()
        plain, large = first.embed(images), first.embed(magnified(images, first.size))
    assert not torch.allclose(plain, large, atol=1e-4)
    for enlarged, expected in ((False, plain), (True, large)):
        units = replace(method, enlarged=enlarged)
        units.first_ = method.first_
        batch = units.units(tiny_slides.test, "cpu", False).batch(rows)
        own = batch.embeddings[(batch.offsets == 0).all(dim=1)]
        torch.testing.assert_close(own, expected, rtol=1e-4, atol=1e-5)


def test_sepal_of_spared_ends_with_an_elu(tiny_slides):
    assert SEPAL.configurations["spared"]["last_elu"]
    method = SEPAL(**SEPAL.tiny)
    method.fit(tiny_slides.train, tiny_slides.val, Context(budget=Budget(1, 16, 1)))
    torch.nn.init.normal_(method.network_.after.weight, std=30)
    batch = method.units(tiny_slides.test, "cpu", False).batch(torch.arange(40))
    bounded = replace(method, last_elu=True).build(tiny_slides.train.n_genes).eval()
    bounded.load_state_dict(method.network_.state_dict())
    with torch.no_grad():
        plain, found = method.network_.eval()(batch).numpy(), bounded(batch).numpy()
    assert plain.min() < -1 and plain.max() > 1
    np.testing.assert_allclose(found, np.where(plain > 0, plain, np.expm1(plain)), rtol=1e-5)


def test_histogene_of_spared_sees_whole_slides(tiny_slides):
    small = {"image_size": 12, "n_positions": 16, "width": 32, "depth": 1, "heads": 1}
    method = HisToGene(**(HisToGene.configurations["spared"] | small))
    assert len(method.units(tiny_slides.train, "cpu", False)) == 2
