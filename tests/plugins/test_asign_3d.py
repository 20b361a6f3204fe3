"""ASIGN across sections: what it is given, what it is judged by, and what it learns."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from spared_bench.interfaces import Budget, Context, TargetTransform
from spared_bench.testing.known import tiny_sections, with_other_known
from spared_bench_plugins.predictors.asign_2d import ASIGN2D
from spared_bench_plugins.predictors.asign_3d import ASIGN3D

CONTEXT = Context(seed=3, budget=Budget(iterations=6, batch_size=16, validate_every=3))


def method(**changes) -> ASIGN3D:
    return ASIGN3D(**(ASIGN3D.tiny | changes))


@pytest.fixture(scope="module")
def slides():
    return tiny_sections(method().views)


def fitted(slides, **changes) -> ASIGN3D:
    found = method(**changes)
    context = replace(CONTEXT, transform=TargetTransform.fitted(slides.train))
    found.fit(slides.train, slides.val, context)
    return found


def test_as_released_it_has_the_published_number_of_parameters():
    network = ASIGN3D(released=True).build(128)
    assert sum(p.numel() for p in network.parameters() if p.requires_grad) == 94_237_248


@pytest.mark.parametrize("released", [False, True])
def test_only_unknown_spots_are_predicted_and_each_once(slides, released):
    units = method(released=released).units(slides.test.without_expression(), "cpu", False)

    predicted = np.concatenate(units.predicted)
    assert sorted(predicted) == list(range(len(slides.test)))
    batch = units.batch(torch.tensor([0]))
    assert int(batch.known.sum()) == len(slides.test.known)
    assert not batch.known[batch.core].any()
    assert not batch.known_labels[~batch.known].any()


def test_a_step_is_judged_by_spots_that_it_does_not_know(slides):
    found = method(max_spots=0)
    found._training = (
        slides.train,
        replace(CONTEXT, transform=TargetTransform.fitted(slides.train)),
    )
    units = found.units(slides.train, "cpu", True)
    generator = torch.Generator().manual_seed(0)
    seen = [units.batch(torch.tensor([0]), generator) for _ in range(6)]

    for batch in seen:
        assert batch.known.any()
        assert not batch.known[batch.core].any()
    drawn = {tuple(batch.known.tolist()) for batch in seen}
    assert len(drawn) == 2  # one of the two sections, or the other


def test_what_is_known_moves_the_prediction_and_without_mixing_it_does_not(slides):
    test = slides.test.without_expression()
    mixing = fitted(slides)
    assert not np.allclose(mixing.predict(test), mixing.predict(with_other_known(test)))
    alone = fitted(slides, mixes=False)
    np.testing.assert_array_equal(alone.predict(test), alone.predict(with_other_known(test)))


def test_released_and_corrected_and_the_ablations_all_learn(slides):
    test = slides.test.without_expression()
    changes = [{}, {"released": True}, {"attends": False}, {"spreads": False},
               {"across_by": "similarity"}]  # fmt: skip
    found = [fitted(slides, **each).predict(test) for each in changes]
    assert all(np.isfinite(each).all() for each in found)
    for other in found[1:]:
        assert not np.allclose(found[0], other)


def test_2d_and_3d_share_the_network_and_its_views():
    assert issubclass(ASIGN3D, ASIGN2D)
    assert ASIGN3D().views == ASIGN2D().views
