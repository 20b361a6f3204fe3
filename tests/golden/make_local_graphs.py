"""Build SEPAL's graphs spot by spot, and write ``local_graphs.json`` beside this file.

Two arrays with a gap: Visium's, in its indices, and a square one. For every spot the nodes and the
edges of its graph, as sets: of the graph that was meant (steps to the spots around, no edge from a
node to itself), by networkx from the indices alone; and of the released one, by the operations that
its description names: a matrix of neighbours, transposed as in the squidpy of the time, its powers
added up, zeros written on the diagonal, parts of it cut out, and every stored entry an edge.

    python tests/golden/make_local_graphs.py
"""

import json
import warnings
from pathlib import Path

import networkx
import numpy as np
from scipy.sparse import csr_matrix

FILE = Path(__file__).with_name("local_graphs.json")
HEXAGONAL = [(0, 2), (0, -2), (1, 1), (1, -1), (-1, 1), (-1, -1)]
SQUARE = [(a, b) for a in (-1, 0, 1) for b in (-1, 0, 1) if (a, b) != (0, 0)]


def meant(array, steps, n_hops):
    graph = networkx.Graph()
    graph.add_nodes_from(array)
    graph.add_edges_from(
        ((r, c), (r + a, c + b)) for r, c in array for a, b in steps if (r + a, c + b) in graph
    )
    place = {spot: i for i, spot in enumerate(array)}
    reach = {
        place[spot]: {place[other] for other in found}
        for spot, found in networkx.all_pairs_shortest_path_length(graph, cutoff=n_hops)
    }
    return [
        [sorted(reach[i]), sorted([a, b] for a in reach[i] for b in reach[a] & reach[i] - {a})]
        for i in range(len(array))
    ]


def released(neighbours, n_hops):
    power = total = neighbours
    for _ in range(n_hops - 1):
        power = power @ neighbours
        total = total + power
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        total.setdiag(0)
    total = total.astype(bool).astype(int)
    graphs = []
    for i in range(total.shape[0]):
        nodes = np.array([i, *total[[i]].nonzero()[1]])
        part = total[nodes][:, nodes].tocoo()
        edges = sorted(zip(nodes[part.row].tolist(), nodes[part.col].tolist(), strict=True))
        graphs.append([sorted(nodes.tolist()), [list(edge) for edge in edges]])
    return graphs


def six_nearest(places):
    distances = np.linalg.norm(places[:, None] - places[None], axis=2)
    np.fill_diagonal(distances, np.inf)
    chosen = np.zeros(distances.shape)
    for spot, row in enumerate(distances):
        chosen[spot, np.argsort(row)[:6]] = 1
    return csr_matrix(chosen.T)  # row: those that chose the spot


def eight_around(array):
    spots = np.array(array)
    return csr_matrix((np.abs(spots[:, None] - spots[None]).max(axis=2) == 1).astype(float))


def main():
    rng = np.random.default_rng(2023)
    gap = {(2, 4), (2, 6), (3, 5)}
    visium = [(r, c) for r in range(5) for c in range(r % 2, 10, 2) if (r, c) not in gap]
    legacy = [(r, c) for r in range(4) for c in range(5) if (r, c) != (2, 3)]
    values = {}
    for name, array, steps, scale, n_hops in (
        ("visium", visium, HEXAGONAL, (173.0, 100.0), 3),
        ("legacy", legacy, SQUARE, (200.0, 200.0), 1),
    ):
        # Jittered by a pixel or so, as registered centres are: so no two spots are equally far.
        places = np.round(np.array(array) * scale + rng.normal(scale=0.7, size=(len(array), 2)), 2)
        steps_taken = six_nearest(places) if name == "visium" else eight_around(array)
        values[name] = {
            "array": array,
            "places": places[:, ::-1].tolist(),  # x, y
            "hops": n_hops,
            "meant": meant(array, steps, n_hops),
            "released": released(steps_taken, n_hops),
        }
    FILE.write_text(json.dumps(values) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
