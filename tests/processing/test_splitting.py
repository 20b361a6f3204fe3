from __future__ import annotations

import numpy as np
import pytest

from spared_bench.processing.splitting import assign_splits, held_out_strip


def test_the_strip_lies_across_the_far_end_of_the_longer_side(rng):
    wide = np.column_stack([rng.uniform(0, 100, 50), rng.uniform(0, 40, 50)])
    for xy, longer in ((wide, 0), (wide[:, ::-1], 1)):
        strip = held_out_strip(xy, 0.2)
        assert strip.sum() == 10
        assert xy[strip, longer].min() > xy[~strip, longer].max()


@pytest.mark.parametrize(("n_spots", "held_out"), [(1, 0), (2, 1), (3, 1), (10, 2)])
def test_small_slides_keep_a_training_spot(n_spots, held_out, rng):
    assert held_out_strip(rng.uniform(size=(n_spots, 2)), 0.2).sum() == held_out


def test_a_strip_is_held_out_of_training_slides_only_where_no_slide_is_for_validation(rng):
    slide_ids, xy = np.repeat(["a", "b", "c"], 10), rng.uniform(size=(30, 2))

    held = assign_splits(slide_ids, xy, {"train": ("a", "b"), "test": ("c",)}, 0.3)
    kept = assign_splits(slide_ids, xy, {"train": ("a",), "val": ("b",), "test": ("c",)}, 0.3)

    assert [(held[slide_ids == s] == "val").sum() for s in "abc"] == [3, 3, 0]
    assert set(held[slide_ids == "c"]) == {"test"}
    assert kept.tolist() == ["train"] * 10 + ["val"] * 10 + ["test"] * 10


def test_the_strip_does_not_depend_on_the_order_of_spots(rng):
    xy = np.array([(x, y) for x in range(6) for y in range(4)], dtype=float)
    order = rng.permutation(24)
    np.testing.assert_array_equal(held_out_strip(xy[order], 0.3), held_out_strip(xy, 0.3)[order])
