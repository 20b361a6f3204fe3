"""Spots with those around them: against brute force, and whatever the order of the spots."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from spared_bench.models.neighbour_units import NeighbourUnits, neighbours


def lattice(kind, rng):
    rows, columns = np.mgrid[:9, :9].reshape(2, -1)
    if kind == "square":
        return np.stack([columns, rows], 1) * 200.0
    if kind == "hexagonal":
        return np.stack([columns + rows % 2 / 2, rows * np.sqrt(3) / 2], 1) * 100.0
    return rng.uniform(0, 900, size=(81, 2))


@pytest.mark.parametrize("kind", ["square", "hexagonal", "scattered"])
def test_neighbours_are_those_of_brute_force_in_any_order(kind, rng):
    xy = lattice(kind, rng)
    apart = np.linalg.norm(xy[:, None] - xy[None], axis=2)
    pitch = np.median(np.sort(apart, axis=1)[:, 1])
    around, there, distance = neighbours(xy, reach=2.0, most=80)
    for spot in range(len(xy)):
        expected = set(np.flatnonzero(apart[spot] <= 2.02 * pitch)) - {spot}
        assert around[spot, 0] == spot
        assert set(around[spot][there[spot]]) == expected | {spot}
        assert (around[spot][~there[spot]] == spot).all()
        found = apart[spot][around[spot]] / pitch
        np.testing.assert_allclose(distance[spot][there[spot]], found[there[spot]], rtol=1e-6)

    order = rng.permutation(len(xy))
    again, there_again, _ = neighbours(xy[order], reach=2.0, most=7)
    few, there_few, _ = neighbours(xy, reach=2.0, most=7)
    for place, spot in enumerate(order):
        assert set(order[again[place][there_again[place]]]) == set(few[spot][there_few[spot]])


def test_one_spot_and_spots_on_one_place_are_no_error():
    around, there, _ = neighbours(np.array([[3.0, 4.0]]), 2.0, 4)
    assert around.tolist() == [[0] * 5] and there.tolist() == [[True] + [False] * 4]
    _, there, distance = neighbours(np.zeros((3, 2)), 2.0, 4)
    assert there.sum(axis=1).tolist() == [3, 3, 3]
    assert not distance.any()


def test_a_batch_holds_each_spot_that_is_seen_once(tiny_slides):
    slides = tiny_slides.train
    features = np.arange(len(slides) * 2, dtype=np.float32).reshape(-1, 2)
    units = NeighbourUnits(slides, features, reach=1.0, most=6)
    rows = torch.tensor([50, 3, 7])
    batch = units.batch(rows)
    own = batch.features[batch.around[:, 0]]
    np.testing.assert_array_equal(own, features[rows])
    assert len({tuple(each) for each in batch.features.tolist()}) == len(batch.features)
    seen = (batch.features[batch.around][..., 0] / 2).long()  # rows of the slides
    slide = slides.slide_ids[seen]
    assert (slide == slides.slide_ids[rows][:, None]).all()
    np.testing.assert_array_equal(batch.target, slides.target[rows])
