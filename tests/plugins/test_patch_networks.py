"""The networks of single patches: their size, and what sets each method apart."""

import json
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional
from torchvision.models import shufflenet_v2_x0_5

from spared_bench.errors import UsageError
from spared_bench.interfaces import Budget, Context
from spared_bench.models.units import PatchUnits
from spared_bench_plugins.networks.shuffle_units import with_channels_last
from spared_bench_plugins.predictors import spared_bench_predictors
from spared_bench_plugins.predictors.bleep import Bleep, contrastive_loss, retrieve
from spared_bench_plugins.predictors.egn import EGN
from spared_bench_plugins.predictors.st_net import STNet
from spared_bench_plugins.predictors.vit_b import ViTB
from spared_bench_plugins.predictors.vit_b_delta import ViTBDelta

PUBLISHED = {
    "shufflenet": (472_992, 1_025),
    "vit-b": (85_897_088, 769),
    "vit-b-delta": (85_897_088, 769),
    "st-net": (7_085_056, 1_025),
    "bleep": (24_198_208, 256),
}
BLEEP_LOSS = json.loads(
    (Path(__file__).parents[1] / "golden" / "bleep_loss.json").read_text("utf-8")
)
CONTEXT = Context(seed=1, budget=Budget(iterations=4, batch_size=16, validate_every=2))


def factory(name):
    spec = next(spec for spec in spared_bench_predictors() if spec.name == name)
    module, attribute = spec.factory.split(":")
    return getattr(import_module(module), attribute)


def count(predictor, n_genes):
    with torch.device("meta"):
        return sum(p.numel() for p in predictor.build(n_genes).parameters())


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_published_configuration_has_the_published_number_of_parameters(name):
    at_128, per_gene = PUBLISHED[name]
    predictor = factory(name)(weights="random")
    assert count(predictor, 128) == at_128
    assert count(predictor, 32) == at_128 - 96 * per_gene


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_small_configuration_is_small(name):
    assert count(factory(name)(**factory(name).configurations["small"]), 32) < 3_000_000


def test_vit_b_resizes_patches_to_the_size_its_network_takes(tiny_slides):
    network = ViTB(**ViTB.tiny).build(6).eval()
    images = PatchUnits(tiny_slides.test).batch(torch.arange(3)).images  # of 24 px
    resized = functional.interpolate(images, size=(32, 32), mode="bilinear", antialias=True)
    with torch.inference_mode():
        torch.testing.assert_close(network(images), network(resized))
        torch.testing.assert_close(network(resized), network.head(network.body(resized)))


def test_only_the_delta_method_asks_for_the_difference_from_the_mean():
    assert ViTBDelta().delta
    assert not getattr(ViTB(), "delta", False)


def test_st_net_begins_at_the_training_mean_whatever_the_patch(tiny_slides):
    network = STNet(**STNet.tiny).build(6)
    STNet(**STNet.tiny).start(network, tiny_slides.train)
    with torch.inference_mode():
        first = network.eval()(torch.randn(4, 3, 32, 32)).numpy()
    np.testing.assert_allclose(first, np.tile(tiny_slides.train.target.mean(axis=0), (4, 1)))


def test_st_net_predicts_the_mean_over_the_eight_symmetries(tiny_slides):
    predictor = STNet(**STNet.tiny)
    predictor.fit(tiny_slides.train, tiny_slides.val, CONTEXT)
    batch = PatchUnits(tiny_slides.test).batch(torch.arange(5))
    turned = []
    for flips in ([], [2], [3], [2, 3]):
        for quarters in (0, 1):
            image = batch.images.flip(flips) if flips else batch.images
            turned.append(image.rot90(quarters, (2, 3)))
    with torch.inference_mode():
        expected = torch.stack([predictor.network_(image) for image in turned]).mean(dim=0)
    np.testing.assert_allclose(
        predictor.predict(tiny_slides.test)[:5], expected.numpy(), rtol=1e-4, atol=1e-5
    )
    assert len({image.sum(dim=(0, 1)).numpy().tobytes() for image in turned}) == 8


def test_st_net_has_the_authors_solver_and_refuses_another(tiny_slides):
    predictor = STNet(**STNet.tiny, solver="sgd")
    optimizer = predictor.optimizer(predictor.build(2).parameters())
    assert isinstance(optimizer, torch.optim.SGD)
    assert optimizer.defaults["momentum"] == 0.9
    with pytest.raises(UsageError, match=r"'adam' or 'sgd'; found 'lion'"):
        STNet(**STNet.tiny, solver="lion").build(2)


@pytest.mark.parametrize("at", BLEEP_LOSS["at"], ids=lambda at: f"t={at['temperature']}")
def test_bleeps_loss_and_its_gradient_are_those_worked_out_without_torch(at):
    images, spots = (
        torch.tensor(BLEEP_LOSS[name], dtype=torch.float64, requires_grad=True)
        for name in ("images", "spots")
    )
    loss = contrastive_loss(images, spots, at["temperature"])
    loss.backward()
    assert loss.item() == pytest.approx(at["loss"], rel=1e-10)
    for found, name in ((images, "of_images"), (spots, "of_spots")):
        expected = np.array(at[name])
        np.testing.assert_allclose(found.grad.numpy(), expected, atol=1e-6 * abs(expected).max())


def test_bleep_hands_its_loss_images_and_spots_in_their_places(tiny_slides):
    predictor = Bleep(**Bleep.tiny)
    network = predictor.build(6).eval()
    batch = PatchUnits(tiny_slides.train).batch(torch.arange(8))
    with torch.inference_mode():
        images = network.embed_images(batch.images)
        spots = network.embed_expression(batch.target)
        found = predictor.loss(network, batch)
        torch.testing.assert_close(found, contrastive_loss(images, spots))
        assert abs(found - contrastive_loss(spots, images)) > 1e-4 * found


@pytest.mark.parametrize("pooling", ["average", "weighted", "nearest"])
def test_bleep_retrieves_what_a_search_by_hand_retrieves(rng, pooling):
    queries, reference = rng.normal(size=(4, 3)), rng.normal(size=(20, 3))
    expression = rng.normal(size=(20, 5))

    found = retrieve(*map(torch.tensor, (queries, reference, expression)), 6, pooling)

    for row, query in enumerate(queries):
        cosine = reference @ query / np.linalg.norm(reference, axis=1) / np.linalg.norm(query)
        nearest = np.argsort(-cosine)[: 1 if pooling == "nearest" else 6]
        distance = np.square(reference[nearest] - query).sum(axis=1)
        weights = np.exp(-(distance - distance.min() + 1))
        if pooling == "average":
            weights = np.ones(6)
        expected = weights @ expression[nearest] / weights.sum()
        np.testing.assert_allclose(found[row].numpy(), expected)


def test_bleep_keeps_every_training_spot_as_its_reference(tiny_slides, tmp_path):
    predictor = Bleep(**Bleep.tiny)
    predictor.fit(tiny_slides.train, tiny_slides.val, CONTEXT)
    predictor.save(tmp_path)
    loaded = Bleep(**Bleep.tiny)
    loaded.load(tmp_path)
    np.testing.assert_array_equal(loaded.network_.reference.numpy(), tiny_slides.train.target)
    one = Bleep(**{**Bleep.tiny, "pooling": "nearest"})
    one.load(tmp_path)
    rows = {row.tobytes() for row in tiny_slides.train.target}
    assert all(row.tobytes() in rows for row in one.predict(tiny_slides.test))


@pytest.mark.parametrize("method", [Bleep, EGN])
def test_a_loss_over_the_spots_of_a_step_cannot_be_cut_into_micro_batches(method, tiny_slides):
    predictor = method(**method.tiny, micro_batch=4)
    message = rf"{method.__name__} cannot train with micro_batch=4.*with each other"
    with pytest.raises(UsageError, match=message):
        predictor.fit(tiny_slides.train, tiny_slides.val, CONTEXT)


def test_bleep_refuses_an_unknown_pooling():
    with pytest.raises(UsageError, match=r"'weighted'.*found 'median'"):
        Bleep(pooling="median", weights="random").build(3)


def test_units_that_keep_the_layout_give_the_bits_of_torchvisions():
    torch.manual_seed(0)
    memory = torch.channels_last
    theirs = shufflenet_v2_x0_5(num_classes=5).to(memory_format=memory)
    ours = with_channels_last(shufflenet_v2_x0_5(num_classes=5)).to(memory_format=memory)
    ours.load_state_dict(theirs.state_dict())
    images = torch.rand(6, 3, 64, 64).to(memory_format=memory)
    optimizers = [torch.optim.Adam(network.parameters(), lr=1e-2) for network in (theirs, ours)]
    for _ in range(3):
        for network, optimizer in zip((theirs, ours), optimizers, strict=True):
            optimizer.zero_grad()
            network(images).square().mean().backward()
            optimizer.step()
    for name, value in theirs.state_dict().items():
        # In torchvision's layout the sums of convolutions run in another order.
        close = torch.equal if memory is torch.channels_last else torch.allclose
        assert close(ours.state_dict()[name], value), name
    assert not [
        name for name, _ in ours.named_modules() if name not in dict(theirs.named_modules())
    ]


def test_shufflenet_hands_its_layers_channels_last_alone():
    network = factory("shufflenet")(weights="random").build(5)
    network, seen = network.to(memory_format=torch.channels_last), []
    for name, part in network.named_modules():
        if isinstance(part, torch.nn.Conv2d):
            part.register_forward_hook(
                lambda part, given, made, name=name: seen.append(
                    (name, given[0].is_contiguous(memory_format=torch.channels_last))
                )
            )
    network(torch.rand(2, 3, 64, 64).to(memory_format=torch.channels_last))
    # Of a stride of one, a unit's second half is a view into its input.
    odd = [name for name, last in seen if not last and "branch2.0" not in name]
    assert len(seen) > 50
    assert not odd
