import json
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import torch

from spared_bench.data import Patches, Slides
from spared_bench.models.graphs import hops, lattice_of_slides
from spared_bench.models.local_graphs import LocalGraphUnits, position_code

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "local_graphs.json").read_text("utf-8"))


@pytest.mark.parametrize("kind", ["meant", "released"])
@pytest.mark.parametrize("array", ["visium", "legacy"])
def test_local_graphs_are_those_built_spot_by_spot(array, kind):
    golden = GOLDEN[array]
    n = len(golden["array"])
    obs = pd.DataFrame(golden["array"], columns=["array_row", "array_col"])
    obs["slide_id"] = "a"
    obs.index = obs.index.astype(str)
    adata = ad.AnnData(obs=obs, obsm={"spatial": np.array(golden["places"])})
    slides = Slides(adata, Patches([np.zeros((n, 4, 4, 3), np.uint8)]))
    numbers = torch.arange(float(n))[:, None]
    units = LocalGraphUnits(
        slides, numbers, torch.zeros(n, 1), golden["hops"], released=kind == "released"
    )

    batch = units.batch(torch.arange(n))

    spot = batch.embeddings[:, 0].long().numpy()
    for graph, (nodes, edges) in enumerate(golden[kind]):
        here = batch.graph.numpy() == graph
        assert sorted(spot[here].tolist()) == nodes
        inside = spot[batch.edges[:, here[batch.edges[0]]].numpy()]
        assert sorted(inside.T.tolist()) == edges
    loops = batch.edges[0] == batch.edges[1]
    assert loops.sum() == (len(spot) if kind == "released" else 0)


@pytest.mark.parametrize("n_hops", [1, 2])
def test_a_local_graph_has_the_nodes_and_edges_that_a_loop_finds(tiny_slides, n_hops):
    train = tiny_slides.train
    near = hops(lattice_of_slides(train), 80, n_hops).toarray()
    rows = torch.tensor([41, 3, 3, 77])
    numbers = torch.arange(80.0)[:, None]  # an embedding that tells which spot it is of

    batch = LocalGraphUnits(train, numbers, torch.zeros(80, 6), n_hops).batch(rows)

    spot = batch.embeddings[:, 0].long().numpy()
    for graph, row in enumerate(rows.tolist()):
        nodes = np.flatnonzero(batch.graph == graph)
        members = [row, *np.flatnonzero(near[row])]
        assert sorted(spot[nodes]) == sorted(members)
        inside = np.isin(batch.edges[0], nodes)
        edges = {(int(spot[a]), int(spot[b])) for a, b in batch.edges[:, inside].T}
        assert edges == {(a, b) for a in members for b in members if near[b, a]}
        expected = train.array_coordinates[spot[nodes]] - train.array_coordinates[row]
        np.testing.assert_array_equal(batch.offsets[nodes], expected)
    np.testing.assert_array_equal(batch.target, train.target[rows])
    assert (batch.graph[batch.edges[0]] == batch.graph[batch.edges[1]]).all()


def test_a_spot_without_neighbours_is_a_graph_of_one_node(tiny_slides):
    one = tiny_slides.test.without_expression().subset(np.array([3]))
    batch = LocalGraphUnits(one, torch.ones(1, 4), torch.ones(1, 6), 3).batch(torch.tensor([0]))
    assert batch.edges.shape == (2, 0)
    assert batch.offsets.tolist() == [[0, 0]]
    assert batch.target.shape == (1, 0)


def test_a_position_code_alternates_sine_and_cosine_of_row_then_column():
    code = position_code(torch.tensor([[2.0, -3.0]]), 8)[0]
    angles = [2 * 1, 2 * 10000**-0.5, -3 * 1, -3 * 10000**-0.5]
    expected = [f(angle) for angle in angles for f in (np.sin, np.cos)]
    np.testing.assert_allclose(code, expected, atol=1e-6)
