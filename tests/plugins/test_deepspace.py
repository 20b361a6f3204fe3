"""DeepSpaCE beyond its network: ranges, and the stage of teacher and student."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional

from spared_bench.data import MASK
from spared_bench.errors import UsageError
from spared_bench.interfaces import Budget, Context
from spared_bench.models.device_patches import resized
from spared_bench.models.freezing import freeze
from spared_bench.models.units import PatchUnits
from spared_bench.testing import with_noise, with_views
from spared_bench_plugins.predictors.deepspace import DeepSpaCE, JoinedUnits

CONTEXT = Context(seed=1, budget=Budget(iterations=4, batch_size=16, validate_every=4))


def count(frozen=False):
    with torch.device("meta"):
        network = DeepSpaCE(weights="random").build(128)
    if frozen:
        freeze(network, DeepSpaCE.head_parts, "deepspace")
    return sum(each.numel() for each in network.parameters() if each.requires_grad)


def test_it_has_the_published_number_of_parameters():
    assert count() == 134_784_960
    assert count(frozen=True) == 524_416


def test_genes_are_learnt_between_their_least_and_largest_training_value(tiny_slides):
    method = DeepSpaCE(**DeepSpaCE.tiny)
    network = method.build(6)
    train = tiny_slides.train
    train = train.with_target(np.concatenate([train.target[:, :5], np.ones((80, 1))], axis=1))
    method.start(network, train)
    target = torch.from_numpy(train.target)
    ranged = network.ranged(target)
    assert ranged[:, :5].amin(dim=0).tolist() == [0.0] * 5
    assert ranged[:, :5].amax(dim=0).tolist() == pytest.approx([1.0] * 5)
    assert (ranged[:, 5] == 0).all()  # it does not vary, and spans 1
    batch = method.units(train, "cpu", False).batch(torch.arange(9))
    network.eval()
    with torch.no_grad():
        low, high = target.min(dim=0).values, target.max(dim=0).values
        span = torch.where(high > low, high - low, 1.0)
        within = (network(batch.images) - low) / span
        expected = functional.smooth_l1_loss(within, (target[:9] - low) / span)
        torch.testing.assert_close(method.loss(network, batch), expected)
        torch.testing.assert_close(network.body(resized(batch.images, 32)), within)


def test_it_may_begin_at_the_training_mean(tiny_slides):
    method = DeepSpaCE(**(DeepSpaCE.tiny | {"start_at_mean": True}))
    network = method.build(6).eval()
    method.start(network, tiny_slides.train)
    found = network(torch.randn(2, 3, 32, 32)).detach()
    mean = torch.from_numpy(tiny_slides.train.target.mean(axis=0))
    torch.testing.assert_close(found, mean.expand(2, 6), rtol=1e-4, atol=1e-4)


def test_joined_units_are_those_of_both_sets(tiny_slides):
    first, second = PatchUnits(tiny_slides.train), PatchUnits(tiny_slides.val)
    joined = JoinedUnits(first, second)
    assert len(joined) == 120
    rows = torch.tensor([85, 3, 119, 80])
    batch = joined.batch(rows)
    images = torch.cat([first.batch(rows[1:2]).images, second.batch(rows[[0, 2, 3]] - 80).images])
    assert torch.equal(batch.images, images)
    assert torch.equal(
        joined.batch(torch.tensor([1])).target, first.batch(torch.tensor([1])).target
    )


def test_students_learn_from_what_the_teacher_says_of_the_images_and_not_from_their_expression(
    tiny_slides,
):
    curves = set()
    context = replace(CONTEXT, report=lambda step, values: curves.add((step, *values)))
    method = DeepSpaCE(**(DeepSpaCE.tiny | {"students": 2}))
    method.fit(tiny_slides.train, tiny_slides.val, context)
    assert {step for step, *_ in curves} == {4, 8, 12}
    assert {names[1] for names in curves} == {
        "teacher_train_smooth_l1", "student_1_train_smooth_l1", "train_smooth_l1",
    }  # fmt: skip
    bare = tiny_slides.test.without_expression()
    other = DeepSpaCE(**(DeepSpaCE.tiny | {"students": 2}))
    other.fit(tiny_slides.train, with_noise(tiny_slides.val), CONTEXT)
    np.testing.assert_array_equal(other.predict(bare), method.predict(bare))
    teacher = DeepSpaCE(**DeepSpaCE.tiny)
    teacher.fit(tiny_slides.train, tiny_slides.val, CONTEXT)
    assert not np.array_equal(teacher.predict(bare), method.predict(bare))


def test_a_student_is_trained_on_the_measured_and_on_the_labelled_images(tiny_slides):
    method = DeepSpaCE(**(DeepSpaCE.tiny | {"students": 1}))
    fed = []
    plain = method.units
    method.units = lambda slides, *rest, **more: fed.append(slides) or plain(slides, *rest, **more)
    method.fit(tiny_slides.train, tiny_slides.val, CONTEXT)
    train, labelled, val = fed[-3:]
    assert train is tiny_slides.train
    assert val is tiny_slides.val
    teacher = DeepSpaCE(**DeepSpaCE.tiny)
    teacher.fit(tiny_slides.train, tiny_slides.val, CONTEXT)
    expected = teacher.predict(tiny_slides.val.without_expression())
    np.testing.assert_allclose(labelled.target, expected, rtol=1e-5)
    assert labelled.adata.layers[MASK].all()


def test_a_vgg16_of_another_width_has_no_pretrained_weights():
    with pytest.raises(UsageError, match=r"no pretrained weights for a VGG16 of channels=8"):
        DeepSpaCE(channels=8).build(3)
    with pytest.raises(UsageError, match="must be 'validation' or 'around'; found 'test'"):
        DeepSpaCE(weights="random", channels=4, unlabelled="test").build(3)


def test_the_patch_is_of_the_spot_and_150_percent_more_unless_the_protocols_is_asked_for():
    (view,) = DeepSpaCE().views.values()
    assert (view.scale, view.size) == (2.5, 224)
    assert DeepSpaCE(view_scale=0.0).views == {}


def test_students_may_learn_from_the_squares_around_each_training_spot(tiny_slides):
    method = DeepSpaCE(**(DeepSpaCE.tiny | {"students": 1, "unlabelled": "around"}))
    slides = with_views(tiny_slides, method.views)
    fed = []
    plain = method.units
    method.units = lambda slides, *rest, **more: fed.append(slides) or plain(slides, *rest, **more)
    method.fit(slides.train, slides.val, CONTEXT)
    _, labelled, _ = fed[-3:]
    inside = slides.train.tiles_inside("around")
    inside[:, 4] = False  # the spot itself
    assert len(labelled) == inside.sum() > 0
    tiles = slides.train.tiles("around")[np.arange(len(slides.train))]
    np.testing.assert_array_equal(labelled.patches[np.arange(len(labelled))], tiles[inside])
    assert np.isfinite(labelled.target).all()
