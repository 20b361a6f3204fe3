from __future__ import annotations

import numpy as np
import pytest

from spared_bench.completion.neighbourhoods import nearest, nearest_points, two_hops
from spared_bench.data import Slides
from tests.completion.making import slides_of


def placed(array: np.ndarray, pixels: np.ndarray) -> Slides:
    slides = slides_of([len(array)])
    slides.adata.obs["array_row"], slides.adata.obs["array_col"] = array.T
    slides.adata.obsm["spatial"] = pixels
    return slides


def neighbours(table, spot: int) -> set[int]:
    row = table.index[spot][table.present[spot]]
    assert row[0] == spot
    return set(row[1:].tolist())


def grid(n: int) -> np.ndarray:
    return np.stack(np.divmod(np.arange(n * n), n), axis=1)


def test_inside_a_hexagonal_lattice_the_two_rings_are_eighteen_spots():
    slides = slides_of([80], columns=8)
    table = two_hops(slides)
    counts = table.present.sum(axis=1) - 1
    assert counts.max() == 18
    for spot in (0, 27, 36, 79):
        gap = np.linalg.norm(slides.coordinates - slides.coordinates[spot], axis=1)
        assert neighbours(table, spot) == set(np.flatnonzero((gap > 0) & (gap < 201)))


def test_inside_a_square_lattice_the_two_rings_are_twelve_spots():
    array = grid(7)
    table = two_hops(placed(array, array * 90.0))
    steps = np.abs(array - array[24]).sum(axis=1)
    assert neighbours(table, 24) == set(np.flatnonzero((steps > 0) & (steps <= 2)))
    assert len(neighbours(table, 24)) == 12


def test_inside_a_staggered_lattice_the_two_rings_are_twelve_spots():
    array = grid(11)
    array = array[array.sum(axis=1) % 2 == 0]
    centre = int(np.flatnonzero((array == 5).all(axis=1))[0])
    table = two_hops(placed(array, array * 32.0))
    assert len(neighbours(table, centre)) == 12


def test_rotation_and_adjustment_of_the_spots_change_no_neighbour(rng):
    array = grid(8)
    turn = np.array([[0.8, -0.6], [0.6, 0.8]])
    pixels = array @ turn * 90.0 + rng.normal(scale=5, size=array.shape)
    table, straight = two_hops(placed(array, pixels)), two_hops(placed(array, array * 90.0))
    for spot in range(len(array)):
        assert neighbours(table, spot) == neighbours(straight, spot)


def test_without_usable_array_indices_pixels_decide():
    array = grid(7)
    table = two_hops(placed(np.zeros_like(array), array * 90.0))
    assert len(neighbours(table, 24)) == 12


def test_array_indices_that_stand_twice_or_elsewhere_are_not_gone_by(rng):
    array = grid(7)
    wanted = two_hops(placed(array, array * 90.0))
    twice, elsewhere = array.copy(), array[rng.permutation(len(array))]
    twice[48] = twice[47]
    for other in (twice, elsewhere):
        table = two_hops(placed(other, array * 90.0))
        for spot in range(49):
            assert neighbours(table, spot) == neighbours(wanted, spot)
            assert sorted(table.distance[spot]) == pytest.approx(sorted(wanted.distance[spot]))


@pytest.mark.parametrize("scale", [1e-3, 90.0])
def test_distances_are_in_steps_of_the_lattice_and_0_where_there_is_nobody(scale):
    array = grid(7)
    table = two_hops(placed(array, array * scale))
    for spot in range(49):
        there = table.present[spot]
        gaps = np.linalg.norm(array[table.index[spot]] - array[spot], axis=1)
        np.testing.assert_allclose(table.distance[spot][there], gaps[there], rtol=1e-6)
        assert not table.distance[spot][~there].any()
        assert (np.diff(table.distance[spot][there]) >= 0).all()


def test_of_spots_on_no_lattice_the_nearest_24_within_reach_are_taken(rng):
    pixels = rng.uniform(0, 100, size=(300, 2))
    table = two_hops(placed(np.zeros_like(pixels), pixels))
    assert table.index.shape[1] <= 25
    gaps = np.linalg.norm(pixels[:, None] - pixels, axis=2)
    step = table.distance[0][table.present[0]][1] / np.sort(gaps[0])[1]
    for spot in range(0, 300, 25):
        near = np.argsort(gaps[spot])[1:25].tolist()
        surely, perhaps = ({n for n in near if gaps[spot, n] * step <= far} for far in (2, 2.2))
        assert surely <= neighbours(table, spot) <= perhaps


def test_a_missing_spot_between_does_not_make_a_neighbour_farther():
    array = np.array([[0, 0], [0, 2], [1, 0], [1, 1], [1, 2], [2, 0], [2, 1], [2, 2]])
    table = two_hops(placed(array, array * 90.0))
    assert 1 in neighbours(table, 0)


def test_neighbours_are_on_the_same_slide_though_all_lie_at_the_same_pixels():
    slides = slides_of([30, 30, 12])
    for table in (two_hops(slides), nearest(slides, 5)):
        same = slides.slide_ids[table.index] == slides.slide_ids[:, None]
        assert same.all()
        np.testing.assert_array_equal(table.index[:, 0], np.arange(72))


@pytest.mark.parametrize("sizes", [[1], [2], [1, 20]])
def test_spots_without_neighbours_have_only_themselves(sizes):
    table = two_hops(slides_of(sizes))
    assert table.present[0].sum() == (2 if sizes == [2] else 1)
    assert table.present[:, 0].all()
    np.testing.assert_array_equal(table.index[~table.present], np.nonzero(~table.present)[0])


def test_the_nearest_points_are_those_of_brute_force_in_storage_order(rng):
    points = rng.integers(0, 6, size=(40, 2)).astype(float)  # many at the same place and distance
    index, distance = nearest_points(points, 4)
    for spot, row in enumerate(index):
        gap = np.linalg.norm(points - points[spot], axis=1)
        order = sorted(range(40), key=lambda other: (other != spot, round(gap[other], 9), other))
        assert gap[row[1:]] == pytest.approx(gap[order[1:5]])
        assert row[0] == spot
        assert distance[spot] == pytest.approx(gap[row])


@pytest.mark.parametrize("n_neighbours", [1, 3, 24])
def test_a_point_is_the_first_of_its_list_however_many_share_its_place(rng, n_neighbours):
    points = np.repeat(rng.normal(size=(3, 2)), 50, axis=0)
    index, distance = nearest_points(points, n_neighbours)
    assert index[:, 0].tolist() == list(range(150))
    assert all(len(set(row)) == 1 + n_neighbours for row in index.tolist())
    assert not distance.any()
