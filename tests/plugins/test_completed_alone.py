"""A slide is completed alike alone and beside others, however many neighbours theirs have."""

from __future__ import annotations

import numpy as np
import pytest

from spared_bench.geometry import rows_by_slide
from spared_bench.interfaces import Budget, Context
from spared_bench.registry import discover
from spared_bench_plugins.completers import spared_bench_completers

# The released code lets the spots of a batch see each other, whatever their slide.
SLIDE_BY_SLIDE = [
    spec.name for spec in spared_bench_completers() if spec.name != "spackle-released"
]


@pytest.mark.parametrize("name", SLIDE_BY_SLIDE)
def test_a_strip_of_spots_is_completed_alike_alone_and_beside_a_whole_slide(name, tiny_slides):
    factory = discover().get("completer", name).load()
    completer = factory(**getattr(factory, "tiny", {}))
    train = tiny_slides.train
    budget = Budget(iterations=30, batch_size=16, validate_every=10, augment=False)
    completer.fit(train, tiny_slides.val, Context(seed=1, budget=budget))

    strip = (train.slide_ids == train.slide_ids[-1]) & (train.array_coordinates[:, 1] < 1)
    both = train.subset((train.slide_ids == train.slide_ids[0]) | strip)
    together = completer.complete(both)
    for rows in rows_by_slide(both.slide_ids):
        alone = completer.complete(both.subset(rows))
        np.testing.assert_allclose(alone, together[rows], atol=1e-5)
