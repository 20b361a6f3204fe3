"""View attention: its variance against a simulation, and what it looks at."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from spared_bench.errors import UsageError
from spared_bench.interfaces import Budget, Context
from spared_bench.models.neighbour_units import NeighbourBatch
from spared_bench.testing import with_views
from spared_bench_plugins.predictors.view_attention import Ensemble, Member, ViewAttention


def batch_of(rng, n=7, seen=20, most=4, width=6):
    return NeighbourBatch(
        torch.tensor(rng.normal(size=(seen, width)), dtype=torch.float32),
        torch.tensor(rng.integers(seen, size=(n, 1 + most))),
        torch.ones(n, 1 + most, dtype=torch.bool),
        torch.rand(n, 1 + most),
        torch.empty(n, 0),
        torch.empty(n, 0),
    )


def members_of(n, rng):
    members = [Member(6, 3, 8, 2, 0.0).eval() for _ in range(n)]
    for member in members:
        for last in (member.mean, member.log_variance):
            torch.nn.init.normal_(last.weight)
        member.spread.copy_(torch.tensor([1.0, 0.5, 2.0]))
    return members


def test_mean_and_variance_of_the_ensemble_are_those_of_draws_from_its_members(rng):
    torch.manual_seed(0)
    members, batch = members_of(4, rng), batch_of(rng)
    with torch.no_grad():
        mean, variance = Ensemble(members)(batch)
        each = [member(batch) for member in members]
    draws = np.concatenate(
        [
            rng.normal(m, np.sqrt(member.spread * v.exp()), size=(200_000, *m.shape))
            for member, (m, v) in zip(members, each, strict=True)
        ]
    )
    np.testing.assert_allclose(mean, draws.mean(axis=0), atol=0.03)
    np.testing.assert_allclose(variance, draws.var(axis=0), rtol=0.03)


def test_what_is_not_there_gets_no_attention(rng):
    (member,) = members_of(1, rng)
    batch = batch_of(rng)
    there = batch.there.clone()
    there[:, 3:] = False
    with torch.no_grad():
        hidden = member(replace(batch, there=there))
        fewer = member(
            replace(
                batch,
                there=there[:, :3],
                around=batch.around[:, :3],
                distance=batch.distance[:, :3],
            )
        )
    for found, expected in zip(hidden, fewer, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_the_variance_is_that_of_the_noise_where_nothing_can_be_predicted(tiny_slides, rng):
    method = ViewAttention(width=16, members=1, dropout=0.0, scales=(2.0,), lr=1e-2)
    seen = with_views(tiny_slides, method.views)
    deviations = np.array([0.2, 0.5, 1.0, 2.0, 3.0, 4.0])
    noise = rng.normal(scale=deviations, size=seen.train.target.shape).astype(np.float32)
    budget = Budget(iterations=150, batch_size=64, validate_every=150)
    method.fit(seen.train.with_target(noise), seen.val, Context(budget=budget))
    found = method.predict(seen.test.without_expression())
    # Of 64 spots of noise, it takes some for signal, and errs the more on others.
    ratio = np.sqrt(found.variance.mean(axis=0)) / deviations
    assert (ratio > 0.7).all() and (ratio < 1.8).all()
    assert np.corrcoef(np.log(found.variance.mean(axis=0)), np.log(deviations))[0, 1] > 0.95


def test_a_shift_of_a_whole_slide_changes_nothing(tiny_slides):
    """As another stain does; the patches of this slide are darker by a constant."""
    method = ViewAttention(**ViewAttention.tiny)
    seen = with_views(tiny_slides, method.views)
    features = method.features(seen.test)
    shifted = replace(
        seen.test,
        features_of=lambda encoder, slides, view="": (
            replace(slides, features_of=None).features(encoder, view) * 1.5 + 3
        ),
    )
    np.testing.assert_allclose(method.features(shifted), features, atol=2e-3)


@pytest.mark.parametrize("wrong", [{"width": 10, "heads": 4}, {"members": 0}])
def test_sizes_that_no_network_has_are_refused(wrong):
    with pytest.raises(UsageError, match="view-attention has"):
        ViewAttention(**wrong).build(3)
