import numpy as np
import pytest
from scipy.sparse import csr_matrix
from scipy.spatial.distance import cdist

from spared_bench.models.graphs import hops, lattice, lattice_of_slides, nearest, within


def square(n):
    return np.stack(np.meshgrid(np.arange(n), np.arange(n)), axis=-1).reshape(-1, 2) * 100.0


def hexagonal(n):
    places = [(c + 0.5 * (r % 2), r * np.sqrt(3) / 2) for r in range(n) for c in range(n)]
    return np.array(places) * 100.0


def dense(edges, n):
    matrix = np.zeros((n, n), dtype=bool)
    matrix[edges[1], edges[0]] = True
    return matrix


def test_within_a_radius_are_the_spots_that_all_distances_say(rng):
    places = rng.uniform(size=(60, 2))
    expected = cdist(places, places) <= 0.3
    np.fill_diagonal(expected, False)
    np.testing.assert_array_equal(dense(within(places, 0.3), 60), expected)


def test_nearest_are_those_that_all_distances_say(rng):
    places = rng.uniform(size=(60, 2))
    distances = cdist(places, places) + np.diag(np.full(60, np.inf))
    expected = distances <= np.sort(distances, axis=1)[:, [3]]
    np.testing.assert_array_equal(dense(nearest(places, 4), 60), expected)


def test_of_equally_distant_spots_all_are_neighbours_and_the_order_of_spots_is_no_matter(rng):
    places = square(5)
    order = rng.permutation(25)
    graph, again = dense(nearest(places, 6), 25), dense(nearest(places[order], 6), 25)
    assert graph[12].sum() == 8
    np.testing.assert_array_equal(graph[np.ix_(order, order)], again)


def test_spots_beyond_the_limit_are_no_neighbours_and_a_lone_spot_has_none():
    places = np.array([[0, 0], [1, 0], [9, 0]])
    assert dense(nearest(places, 2, max_distance=2.0), 3).sum(axis=1).tolist() == [1, 1, 0]
    assert nearest(places[:1], 4).shape == lattice(places[:1]).shape == (2, 0)


@pytest.mark.parametrize(("places", "inside"), [(square(7), 8), (hexagonal(7), 6)])
def test_inside_an_array_the_lattice_is_the_ring_around_a_spot(places, inside, rng):
    jittered = places + rng.uniform(-3, 3, places.shape)
    graph = dense(lattice(jittered), 49)
    assert graph[24].sum() == inside
    assert graph[0].sum() < inside
    np.testing.assert_array_equal(graph, graph.T)


def test_hops_reach_what_walks_of_that_length_reach(rng):
    edges = nearest(rng.uniform(size=(30, 2)), 3)
    step = csr_matrix((np.ones(edges.shape[1]), (edges[1], edges[0])), shape=(30, 30)).toarray()
    walks = step + step @ step + step @ step @ step > 0
    np.fill_diagonal(walks, False)
    np.testing.assert_array_equal(hops(edges, 30, 3).toarray(), walks)


def test_no_edge_joins_two_slides(tiny_slides):
    train = tiny_slides.train
    edges = lattice_of_slides(train)
    assert edges.shape[1] > 0
    np.testing.assert_array_equal(train.slide_ids[edges[0]], train.slide_ids[edges[1]])
