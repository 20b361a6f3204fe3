"""How a method's augmentation is made, applied and refused."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import nn
from torchvision.transforms import v2

from spared_bench.errors import PluginError, UsageError
from spared_bench.interfaces import Budget, Context
from spared_bench.models import TorchPredictor
from spared_bench.models.augment import apply_symmetries, draw_symmetries
from spared_bench.models.augmentation import Augmenter, Blur, Noise, PerPatch
from spared_bench.models.units import PatchUnits

ROWS = torch.arange(12)


@dataclass
class Plain(TorchPredictor):
    name = "plain"

    def build(self, n_genes):
        return nn.Sequential(nn.Flatten(), nn.Linear(3 * 24 * 24, n_genes))


def trained(method, tiny_slides, augment=True, seed=4):
    method.fit(
        tiny_slides.train, tiny_slides.val, Context(seed=seed, budget=Budget(5, 16, 5, augment))
    )
    return method.predict(tiny_slides.test.without_expression())


def images(n=12):
    made = torch.randint(0, 256, (n, 16, 16, 3), generator=torch.Generator().manual_seed(8))
    return made.byte().permute(0, 3, 1, 2)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_by_default_patches_are_turned_by_the_symmetries_that_the_generator_draws(tiny_slides):
    stored = torch.from_numpy(tiny_slides.train.patches[ROWS.numpy()])
    expected = apply_symmetries(stored, draw_symmetries(12, generator(6)))
    units = [
        PatchUnits(tiny_slides.train, normalisation="raw"),
        Plain(normalisation="raw").units(tiny_slides.train, "cpu", True),
    ]
    for each in units:
        batch = each.batch(ROWS, generator(6))
        np.testing.assert_allclose(
            batch.images.permute(0, 2, 3, 1).numpy(), expected.numpy(), atol=1e-4
        )
        assert not torch.equal(batch.images, each.batch(ROWS).images)


def test_a_callable_of_the_method_gets_bytes_on_the_device_and_our_generator(tiny_slides):
    given = []

    @dataclass
    class Own(Plain):
        def augmentation(self):
            return invert

    def invert(batch, drawn_from):
        given.append((batch.dtype, tuple(batch.shape), drawn_from.device.type))
        return 255 - batch

    units = Own(normalisation="raw").units(tiny_slides.train, "cpu", True)

    inverted, plain = units.batch(ROWS, generator()), units.batch(ROWS)

    assert given == [(torch.uint8, (12, 3, 24, 24), "cpu")]
    torch.testing.assert_close(inverted.images, 255 - plain.images)


def test_a_method_may_be_the_augmentation_or_hold_it():
    @dataclass
    class Method(Plain):
        def augmentation(self, images, generator):
            return images // 2

    @dataclass
    class Attribute(Plain):
        augmentation = v2.RandomInvert(p=1.0)

    torch.testing.assert_close(Method().augmenter(images(), generator()), images() // 2)
    torch.testing.assert_close(Attribute().augmenter(images(), generator()), 255 - images())


def test_names_replace_the_methods_own_and_false_means_none(tiny_slides):
    @dataclass
    class Own(Plain):
        def augmentation(self):
            return Blur(p=1.0)

    noise = Own(augment=["flips", {"noise": {"sigma": [0.1, 0.1]}}]).augmenter
    assert [type(part).__name__ for part in noise.parts] == ["Flips", "Noise"]
    assert [type(part).__name__ for part in Own().augmenter.parts] == ["Blur"]
    assert Own(augment=False).augmenter.parts == Own(augment=[]).augmenter.parts == []


def test_what_augment_says_is_what_a_network_trains_on(tiny_slides):
    results = {
        name: trained(Plain(augment=augment), tiny_slides)
        for name, augment in {
            "default": True, "named": "symmetries", "none": False, "empty": [],
            "noise": [{"noise": {"sigma": [0.3, 0.3]}}],
        }.items()
    }  # fmt: skip
    np.testing.assert_array_equal(results["default"], results["named"])
    np.testing.assert_array_equal(results["none"], results["empty"])
    np.testing.assert_array_equal(
        results["none"], trained(Plain(augment="noise"), tiny_slides, augment=False)
    )
    distinct = [results[name] for name in ("default", "none", "noise")]
    for i, first in enumerate(distinct):
        assert not any(np.array_equal(first, other) for other in distinct[i + 1 :])


class Spread(nn.Module):
    """A user's own transform, which draws from torch's global state."""

    def forward(self, image):
        return image * 0 + torch.randint(0, 256, (), dtype=torch.uint8)


def test_a_transform_of_torchvision_draws_per_patch_and_from_the_seed_alone():
    one = images(1).repeat(40, 1, 1, 1)
    wanted = v2.Compose([v2.RandomRotation(30), v2.ColorJitter(0.3, 0.3), v2.RandomErasing(p=0.5)])
    augmenter = Augmenter(wanted)

    torch.manual_seed(1)
    first = augmenter(one, generator(5))
    torch.manual_seed(77)
    torch.rand(13)
    state = torch.get_rng_state()
    again = augmenter(one, generator(5))

    assert torch.equal(first, again)
    assert torch.equal(torch.get_rng_state(), state)
    assert len({patch.numpy().tobytes() for patch in first}) == 40
    following = generator(5)
    augmenter(one, following)
    assert not torch.equal(augmenter(one, following), first)
    # Each patch is what the transform makes of it on its own.
    seed = int(torch.randint(2**63 - 1, (), generator=generator(5)))
    torch.manual_seed(seed)
    assert torch.equal(first, torch.stack([wanted(patch) for patch in one]))


def test_a_method_trained_on_transforms_of_torchvision_is_reproducible(tiny_slides):
    @dataclass
    class Vision(Plain):
        def augmentation(self):
            return [v2.RandomHorizontalFlip(), v2.GaussianBlur(3), Noise((0.0, 0.1))]

    torch.manual_seed(0)
    first = trained(Vision(), tiny_slides)
    torch.manual_seed(9)
    np.testing.assert_array_equal(trained(Vision(), tiny_slides), first)
    assert not np.array_equal(trained(Vision(), tiny_slides, seed=5), first)


def returns(value):
    def broken(batch, drawn_from):
        return value(batch)

    return broken


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (returns(lambda x: x.float()), r"augmentation broken was given uint8 of shape \(12, 3, 16, "
         r"16\) on cpu and returned float32 of shape \(12, 3, 16, 16\) on cpu"),
        (returns(lambda x: x[..., :8]), r"returned uint8 of shape \(12, 3, 16, 8\)"),
        (returns(lambda x: x[:5]), r"returned uint8 of shape \(5, 3, 16, 16\)"),
        (returns(lambda x: x.numpy()), r"returned a ndarray"),
        (returns(lambda x: None), r"returned a NoneType"),
        (v2.Resize(8), r"augmentation Resize was given .* returned uint8 of shape \(1, 3, 8, 8\)"),
        (v2.ToDtype(torch.float32, scale=True), r"augmentation ToDtype .* returned float32"),
        (v2.RandomCrop(9), r"augmentation RandomCrop"),
        ([v2.RandomInvert(), v2.ToPILImage()], r"augmentation ToPILImage .* returned a Image"),
        (PerPatch(Spread()), None),
    ],
)  # fmt: skip
def test_another_shape_or_type_is_refused_by_the_name_of_method_and_part(wanted, found):
    augmenter = Augmenter(wanted, "predictor 'mine'")
    if found is None:
        assert augmenter(images(), generator()).shape == images().shape
        return
    with pytest.raises(PluginError, match=rf"predictor 'mine': its .*{found}"):
        augmenter(images(), generator())


def test_a_training_with_a_wrong_augmentation_says_whose_it_is(tiny_slides):
    @dataclass
    class Wrong(Plain):
        name = "wrong-one"

        def augmentation(self):
            return v2.ToDtype(torch.float32)

    with pytest.raises(PluginError, match=r"predictor 'wrong-one': its augmentation ToDtype"):
        trained(Wrong(), tiny_slides)


def test_what_cannot_be_called_and_names_that_there_are_not_are_refused():
    with pytest.raises(PluginError, match=r"'mine' has 3 as an augmentation\. Expected a callable"):
        Augmenter(3, "predictor 'mine'")
    with pytest.raises(PluginError, match=r"'mine' has the class RandomHorizontalFlip .*Make one"):
        Augmenter(v2.RandomHorizontalFlip, "predictor 'mine'")
    with pytest.raises(PluginError, match=r"'mine': its augmentation <lambda> takes other arg"):
        Augmenter(lambda images: images, "predictor 'mine'")
    with pytest.raises(UsageError, match=r"Did you mean 'noise'"):
        _ = Plain(augment="noize").augmenter
