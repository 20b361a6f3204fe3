import numpy as np
import pytest
from scipy.spatial.distance import cdist

from spared_bench.geometry import nearest_distances, rows_by_slide, spacing

SQUARE = np.stack(np.meshgrid(np.arange(4), np.arange(4)), axis=-1).reshape(-1, 2) * 100


def test_the_nearest_other_spot_is_the_one_that_all_distances_say(rng):
    places = rng.uniform(size=(60, 2))
    apart = cdist(places, places) + np.diag(np.full(60, np.inf))
    np.testing.assert_allclose(nearest_distances(places), apart.min(axis=1))
    assert spacing(places) == pytest.approx(np.median(apart.min(axis=1)))
    assert spacing(places * 7) == pytest.approx(7 * spacing(places))


def test_two_spots_on_one_place_are_no_distance_apart_but_do_not_change_the_spacing():
    twice = np.concatenate([SQUARE, SQUARE])
    assert nearest_distances(twice).tolist() == [0.0] * 32
    assert spacing(twice) == spacing(SQUARE) == 100


def test_a_spot_that_is_alone_has_no_neighbour_and_a_spacing_of_one():
    assert nearest_distances(SQUARE[:1]).tolist() == [np.inf]
    assert spacing(SQUARE[:1]) == spacing(np.zeros((3, 2))) == spacing(np.empty((0, 2))) == 1


@pytest.mark.parametrize("kind", [str, object])
def test_rows_of_slides_that_lie_mixed_are_found_in_the_order_of_first_spots(kind):
    rows = rows_by_slide(np.array(["b", "a", "b", "c", "a"], dtype=kind))
    assert [each.tolist() for each in rows] == [[0, 2], [1, 4], [3]]
    assert rows_by_slide(np.array([], dtype=kind)) == []
