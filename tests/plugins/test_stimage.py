"""STimage beyond its network: what it learns, what it returns, its ensemble."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from spared_bench.errors import UsageError
from spared_bench.interfaces import Budget, Context, TargetTransform
from spared_bench.models.freezing import freeze
from spared_bench_plugins.networks.count_units import CountTarget
from spared_bench_plugins.predictors.stimage import STimage

BUDGET = Budget(iterations=4, batch_size=16, validate_every=2)


def count(network):
    return sum(each.numel() for each in network.parameters() if each.requires_grad)


def built(n_genes=128, frozen=False, **settings):
    with torch.device("meta"):
        network = STimage(weights="random", **settings).build(n_genes)
    if frozen:
        freeze(network, STimage.head_parts, "stimage")
    return network


@pytest.fixture
def context(tiny_slides):
    return Context(seed=1, budget=BUDGET, transform=TargetTransform.fitted(tiny_slides.train))


@pytest.mark.parametrize(
    ("settings", "published", "per_gene"),
    [
        ({}, 24_059_136, 4_098),
        ({"frozen": True}, 524_544, 4_098),
        (STimage.configurations["pytorch"], 24_688_448, 1_026),
        (STimage.configurations["pytorch-released"], 24_688_448, 1_026),
    ],
    ids=["keras", "keras-frozen", "pytorch", "pytorch-released"],
)
def test_each_form_has_the_published_number_of_parameters(settings, published, per_gene):
    assert count(built(**settings)) == published
    assert count(built(n_genes=100, **settings)) == published - 28 * per_gene


def test_keras_counts_the_statistics_of_normalisation_too():
    statistics = sum(value.numel() for name, value in built().named_buffers() if "running" in name)
    assert statistics == 53_120
    assert count(built()) + statistics == 24_112_256


def test_dropout_is_where_it_belongs_unless_the_released_form_is_asked_for():
    places = {
        name: (network.before.p, network.after.p)
        for name in ("pytorch", "pytorch-released")
        if (network := built(**STimage.configurations[name]))
    }
    assert places == {"pytorch": (0.5, 0.0), "pytorch-released": (0.0, 0.5)}


def test_what_is_learnt_are_the_measured_counts_and_the_completed_ones(tiny_slides):
    train = tiny_slides.train
    transform = TargetTransform.fitted(train)
    as_measured, factors = CountTarget.fitted("counts", train, transform).learnt(train)
    np.testing.assert_array_equal(as_measured, np.where(train.mask, train.counts, 0))
    np.testing.assert_allclose(factors, train.depth / np.median(train.depth), rtol=1e-5)

    completed = train.with_target(train.prefilled)
    found, _ = CountTarget.fitted("counts", train, transform).learnt(completed)
    np.testing.assert_array_equal(found[train.mask], train.counts[train.mask])
    by_hand = np.expm1(train.prefilled.astype(float)) * train.depth[:, None] / 1e4
    by_hand = np.minimum(by_hand, np.where(train.mask, train.counts, 0).max(axis=0))
    np.testing.assert_allclose(found[~train.mask], by_hand[~train.mask], rtol=1e-3)


def test_the_expected_count_comes_back_as_the_target_and_its_variance_by_the_slope(tiny_slides):
    train = tiny_slides.train
    learns = CountTarget.fitted("counts", train, TargetTransform.fitted(train))
    mean, variance = np.full((3, 6), [[5.0], [50.0], [500.0]]), np.full((3, 6), 1e-4)
    found, spread = learns.returned(mean, variance)
    per_count = 1e4 / np.median(train.depth)
    np.testing.assert_allclose(found, np.log1p(mean * per_count))
    high, low = (np.log1p((mean + sign * 1e-2) * per_count) for sign in (1, -1))
    np.testing.assert_allclose(spread, ((high - low) / 2) ** 2, rtol=1e-4)

    logarithms = CountTarget.fitted("log1p_counts", train, TargetTransform.fitted(train))
    again, spread = logarithms.returned(np.log1p(mean), variance / (1 + mean) ** 2)
    np.testing.assert_allclose(again, found)
    np.testing.assert_allclose(spread, ((high - low) / 2) ** 2, rtol=1e-4)


def test_it_begins_at_the_mean_of_the_training_counts_at_the_median_depth(tiny_slides, context):
    train = tiny_slides.train
    method = STimage(**STimage.tiny)
    method.learns_ = CountTarget.fitted("counts", train, context.transform)
    network = method.build(6)
    method.start(network, train)
    nn.init.zeros_(network.pair.weight)
    found = method.predict_batch(
        network.eval(), method.units(train, "cpu", False).batch(torch.arange(2))
    )
    counts = (
        np.where(train.mask, train.counts, 0).sum(axis=0)
        / (train.depth / np.median(train.depth)).sum()
    )
    expected = np.log1p(counts * 1e4 / np.median(train.depth))
    np.testing.assert_allclose(found, np.tile(expected, (2, 1)), rtol=1e-3)


@pytest.mark.parametrize("fits", CountTarget.KINDS)
def test_it_learns_the_planted_relation_whatever_it_fits(tiny_slides, context, fits):
    train, val, test = (each.with_target(each.prefilled) for each in tiny_slides)
    method = STimage(**(STimage.tiny | {"fits": fits, "members": 1, "lr": 3e-3}))
    method.reduction = "mean"
    budget = Budget(iterations=60, batch_size=32, validate_every=10)
    method.fit(train, val, replace(context, budget=budget))
    found = method.predict(tiny_slides.test.without_expression())
    pairs = zip(test.target.T, found.mean.T, strict=True)
    assert np.mean([np.corrcoef(t, p)[0, 1] for t, p in pairs]) > 0.4
    # In the unit of the target, where a mean over all spots is off by 1 or more.
    assert np.abs(found.mean - test.target).mean() < 1


def test_an_ensemble_is_the_mixture_of_its_members(tiny_slides, context, tmp_path):
    method = STimage(**(STimage.tiny | {"members": 3}))
    method.fit(tiny_slides.train, tiny_slides.val, context)
    bare = tiny_slides.test.without_expression()
    whole = method.predict(bare)
    alone = []
    for member in method.network_:
        one = replace(method, members=1)
        one.learns_, one._device = method.learns_, "cpu"
        one.network_ = nn.ModuleList([member])
        alone.append(one.predict(bare))
    means = np.stack([each.mean for each in alone]).astype(float)
    seconds = np.stack([each.variance + each.mean.astype(float) ** 2 for each in alone])
    np.testing.assert_allclose(whole.mean, means.mean(axis=0), rtol=1e-5)
    expected = seconds.mean(axis=0) - means.mean(axis=0) ** 2
    np.testing.assert_allclose(whole.variance, expected, rtol=1e-3)
    assert means.std(axis=0).max() > 1e-3, "the members are one and the same"
    assert method.n_parameters == 3 * count(method.network_[0])


def test_the_steps_of_the_members_follow_each_other(tiny_slides, context):
    steps = []
    context = replace(context, report=lambda step, values: steps.append(step))
    STimage(**STimage.tiny).fit(tiny_slides.train, tiny_slides.val, context)
    assert steps == [2, 4, 6, 8]


def test_a_frozen_backbone_keeps_weights_and_statistics(tiny_slides, context):
    method = STimage(**(STimage.tiny | {"freeze": True, "members": 1}))
    before = []
    method.start = lambda network, train: before.append(
        {name: value.clone() for name, value in network.body.state_dict().items()}
    )
    method.fit(tiny_slides.train, tiny_slides.val, context)
    after = method.network_[0].body.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before[0].items())


def test_where_the_target_is_none_of_counts_it_says_so_and_what_to_do(tiny_slides):
    with pytest.raises(UsageError, match=r"to learn counts.*Set its parameter `fits` to 'shifted"):
        STimage(**STimage.tiny).fit(tiny_slides.train, tiny_slides.val, Context(budget=BUDGET))
    method = STimage(**(STimage.tiny | {"fits": "shifted_target"}))
    corrected = [each.with_target(each.target - 7) for each in tiny_slides]  # negative in places
    method.fit(*corrected[:2], Context(budget=BUDGET))
    assert np.isfinite(method.predict(tiny_slides.test.without_expression()).mean).all()


@pytest.mark.parametrize(
    "settings", [{"dropout_on": "images"}, {"reduction": "max"}, {"fits": "tpm"}]
)
def test_an_unknown_choice_is_refused(settings):
    (name,) = settings
    with pytest.raises(UsageError, match=rf"stimage\.{name} must be one of"):
        STimage(**(STimage.tiny | settings)).build(3)


def test_it_looks_at_299_pixels_of_the_full_resolution_as_they_are():
    (view,) = STimage().views.values()
    assert (view.pixels, view.size) == (299, 299)
    assert STimage(pixels=0).views == {}
