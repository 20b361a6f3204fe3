"""Heads on frozen features: attention in a window, and a flow."""

import numpy as np
import pytest
import torch

from spared_bench.errors import UsageError
from spared_bench.interfaces import Budget, Context
from spared_bench_plugins.networks.around import AroundUnits, RelativeAttention
from spared_bench_plugins.predictors.feature_attention import FeatureAttention
from spared_bench_plugins.predictors.feature_flow import FeatureFlow, FlowNet

HEADS = [FeatureAttention(hidden=16, depth=1, heads=2), FeatureFlow(hidden=16, depth=1, heads=2)]


def turned(offset, angle):
    c, s = np.cos(angle), np.sin(angle)
    return offset @ torch.tensor([[c, s], [-s, c]], dtype=torch.float32)


@pytest.mark.parametrize("by_distance", [True, False])
def test_attention_by_distance_alone_does_not_see_how_a_slide_is_turned(by_distance):
    torch.manual_seed(0)
    block = RelativeAttention(8, 2, 0.0, by_distance)
    tokens, offset = torch.randn(3, 5, 8), torch.randn(3, 5, 2)
    there = torch.ones(3, 5, dtype=torch.bool)
    same = torch.allclose(
        block(tokens, offset, there), block(tokens, turned(offset, 0.7), there), atol=1e-5
    )
    assert same == by_distance


def test_attention_depends_on_differences_of_positions_alone():
    torch.manual_seed(0)
    block = RelativeAttention(8, 2, 0.0)
    tokens, offset = torch.randn(3, 5, 8), torch.randn(3, 5, 2)
    there = torch.ones(3, 5, dtype=torch.bool)
    torch.testing.assert_close(
        block(tokens, offset, there), block(tokens, offset + 3.0, there), rtol=1e-4, atol=1e-5
    )


def test_a_neighbour_that_is_not_there_is_not_looked_at():
    torch.manual_seed(0)
    block = RelativeAttention(8, 2, 0.0)
    tokens, offset = torch.randn(2, 4, 8), torch.randn(2, 4, 2)
    there = torch.tensor([[True, True, True, False]] * 2)
    changed = tokens.clone()
    changed[:, 3] += 9.0
    torch.testing.assert_close(
        block(tokens, offset, there)[:, :3], block(changed, offset, there)[:, :3]
    )


def test_windows_hold_the_offsets_of_the_neighbours(tiny_slides):
    slides = tiny_slides.train
    units = AroundUnits(slides, np.arange(len(slides), dtype=np.float32)[:, None], 1.5, 4)
    batch = units.batch(torch.arange(3))
    rows = batch.features[batch.around][..., 0].long().numpy()
    places = slides.coordinates
    apart = places[rows] - places[rows[:, :1]]
    there = batch.there.numpy()
    ratio = batch.offset.numpy()[there & (np.abs(apart).sum(-1) > 0)]
    known = apart[there & (np.abs(apart).sum(-1) > 0)]
    scale = np.linalg.norm(known, axis=1) / np.linalg.norm(ratio, axis=1)
    np.testing.assert_allclose(ratio * scale[:, None], known, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("head", HEADS, ids=lambda head: head.name)
def test_a_head_learns_what_colour_tells(head, tiny_slides):
    train, test = tiny_slides.train, tiny_slides.test
    context = Context(seed=1, budget=Budget(iterations=80, batch_size=64, validate_every=20))
    head.fit(train, tiny_slides.val, context)
    found = head.predict(test.without_expression())
    found = getattr(found, "mean", found) if not isinstance(found, np.ndarray) else found
    assert found.shape == (len(test), test.n_genes)
    assert np.isfinite(found).all()
    error = np.square(found - test.target)[test.mask].mean()
    mean = np.square(train.target.mean(axis=0) - test.target)[test.mask].mean()
    assert error < 1.1 * mean


def test_the_last_step_of_a_flow_is_the_predicted_end(tiny_slides):
    """A network that always predicts the same end is followed there, in however many steps."""
    for steps in (1, 2, 7):
        flow = FeatureFlow(hidden=8, depth=1, heads=2, steps=steps)
        context = Context(seed=1, budget=Budget(iterations=1, batch_size=8, validate_every=1))
        flow.fit(tiny_slides.train, tiny_slides.val, context)
        network: FlowNet = flow.network_
        with torch.no_grad():
            network.head.weight.zero_()
            network.head.bias.fill_(2.0)
        found = flow.predict(tiny_slides.test)
        expected = (2.0 * network.gene_spread + network.gene_mean).cpu().numpy()
        np.testing.assert_allclose(found, np.tile(expected, (len(found), 1)), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("values", [{"hidden": 10, "heads": 4}, {"heads": 0}])
def test_a_head_that_cannot_be_is_refused(values):
    for factory in (FeatureAttention, FeatureFlow):
        with pytest.raises(UsageError, match="divisible by the heads"):
            factory(**values).build(24, 5)
