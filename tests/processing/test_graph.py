from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from spared_bench.processing.graph import neighbour_graph


def test_row_i_lists_the_nearest_spots_of_i(rng):
    xy = rng.uniform(0, 1000, size=(40, 2))
    graph = neighbour_graph(xy, 6).toarray()
    nearest = np.argsort(cdist(xy, xy), axis=1)[:, 1:7]
    for spot in range(40):
        assert set(np.flatnonzero(graph[spot])) == set(nearest[spot])
    assert not np.array_equal(graph, graph.T)  # so that the direction above is a test


@pytest.mark.parametrize("n_spots", [1, 2, 5, 6, 7])
def test_a_spot_of_a_small_slide_neighbours_all_others(n_spots, rng):
    graph = neighbour_graph(rng.uniform(size=(n_spots, 2)), 6).toarray()
    np.testing.assert_array_equal(graph, np.ones((n_spots, n_spots)) - np.eye(n_spots))


def test_building_a_graph_prints_nothing(rng, capfd):
    neighbour_graph(rng.uniform(size=(10, 2)))
    printed = capfd.readouterr()
    assert "Creating graph" not in printed.out + printed.err
