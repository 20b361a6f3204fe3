from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from anndata import AnnData
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


def places_of(kind, rng):
    """Return spots as they lie on slides, where many are equally far."""
    x, y = np.meshgrid(np.arange(26), np.arange(20))
    if kind == "hexagonal":
        x, y = x + 0.5 * (y % 2), y * np.sqrt(0.75)
    places = 100.0 * np.stack([x.ravel(), y.ravel()], axis=1)
    if kind == "holes":
        return rng.permutation(places)[:300]
    return np.repeat(places[:40], 3, axis=0) if kind == "twice" else places


@pytest.mark.parametrize("kind", ["square", "hexagonal", "holes", "twice"])
@pytest.mark.parametrize("n_neighbours", [4, 6])
def test_it_is_squidpys_graph_also_where_spots_are_equally_far(kind, n_neighbours, rng):
    import squidpy

    slide = AnnData(obsm={"spatial": places_of(kind, rng)})
    squidpy.gr.spatial_neighbors(slide, coord_type="generic", n_neighs=n_neighbours)
    wanted = slide.obsp["spatial_connectivities"].astype(np.float64).tocsr()
    wanted.eliminate_zeros()
    graph = neighbour_graph(slide.obsm["spatial"], n_neighbours)
    for part in ("indptr", "indices", "data"):  # as stored, for sums run in that order
        found, there = getattr(graph, part), getattr(wanted, part)
        np.testing.assert_array_equal(found, there)
        assert found.dtype == there.dtype


def test_no_process_that_asks_for_neighbours_waits_for_squidpy():
    code = (
        "import sys, numpy; from spared_bench.processing.graph import neighbour_graph;"
        "neighbour_graph(numpy.random.rand(9, 2)); print('squidpy' in sys.modules)"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.split() == ["False"]
