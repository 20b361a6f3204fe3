"""Overlap of circles and edges across sections, against drawn points and brute force."""

from __future__ import annotations

import numpy as np
import pytest

from spared_bench.errors import ShapeMismatchError, UsageError
from spared_bench.models.section_graphs import (
    circle_overlap,
    most_similar,
    overlaps,
    section_graph,
)


def drawn_share(distance, radius, other, n=400_000):
    """The share of a circle that lies in another, of points that are drawn in it."""
    rng = np.random.default_rng(0)
    r, angle = radius * np.sqrt(rng.random(n)), 2 * np.pi * rng.random(n)
    x, y = r * np.cos(angle) - distance, r * np.sin(angle)
    return (x**2 + y**2 < other**2).mean()


@pytest.mark.parametrize("other", [50.0, 30.0, 80.0])
@pytest.mark.parametrize("distance", [0.0, 10.0, 25.0, 49.0, 77.0, 99.0, 131.0])
def test_the_overlap_of_circles_is_that_of_drawn_points(distance, other):
    found = circle_overlap(np.array([distance]), 50.0, other)[0]
    assert found == pytest.approx(drawn_share(distance, 50.0, other), abs=4e-3)


def test_circles_on_one_place_cover_each_other_and_touching_ones_do_not():
    np.testing.assert_allclose(circle_overlap(np.array([0.0, 100.0, 1e9]), 50.0), [1, 0, 0])
    with pytest.raises(UsageError, match="positive radii"):
        circle_overlap(np.array([1.0]), 0.0)


@pytest.fixture
def stack():
    """Three sections of a square array, 200 um apart, each moved and turned a little."""
    rng = np.random.default_rng(1)
    grid = np.stack(np.meshgrid(np.arange(7), np.arange(6)), axis=-1).reshape(-1, 2) * 200.0
    points, sections = [], []
    for at in range(3):
        angle = 0.2 * at
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        points.append(grid @ turn.T + rng.uniform(-60, 60, 2))
        sections += [f"s{at}"] * len(grid)
    order = np.repeat([1, 2, 3], len(grid))
    return np.concatenate(points), np.array(sections), order


def test_overlaps_are_those_of_all_pairs_of_neighbouring_sections(stack):
    points, sections, order = stack
    found = overlaps(points, sections, order, 100.0).toarray()

    apart = np.linalg.norm(points[:, None] - points[None], axis=-1)
    expected = circle_overlap(apart, 50.0) * (np.abs(order[:, None] - order[None]) == 1)
    np.testing.assert_allclose(found, expected, atol=1e-12)
    assert 0.5 < (found > 0).sum(axis=1).mean() < 3  # and not twelve, on a 200 um array


def test_edges_across_are_the_overlapping_spots_filled_up_with_the_nearest(stack):
    points, sections, order = stack
    graph = section_graph(points, sections, order, 100.0, within=4, across=5)

    apart = np.linalg.norm(points[:, None] - points[None], axis=-1)
    there = np.zeros(apart.shape, dtype=bool)
    there[graph.edges[1][graph.across], graph.edges[0][graph.across]] = True
    assert not (there & (np.abs(order[:, None] - order[None]) != 1)).any()
    np.testing.assert_array_equal(there, there.T)
    for spot in range(len(points)):
        for place in (order[spot] - 1, order[spot] + 1):
            others = np.flatnonzero(order == place)
            nearest = others[np.argsort(apart[spot, others])[:5]]
            assert there[spot, nearest].all()
    share = circle_overlap(apart[graph.edges[1], graph.edges[0]], 50.0) * graph.across
    np.testing.assert_allclose(graph.overlap, share, atol=1e-12)
    heavier = graph.across & (share > 0.1)
    np.testing.assert_allclose(graph.weights[heavier], share[heavier])
    assert (graph.weights[graph.across & (share == 0)] <= 0.1).all()
    assert (graph.weights > 0).all()


def test_edges_within_stay_within_and_every_edge_goes_both_ways(stack):
    points, sections, order = stack
    graph = section_graph(points, sections, order, 100.0, within=4, across=0)

    source, spot = graph.edges
    assert (sections[source] == sections[spot]).all()
    matrix = graph.matrix
    assert abs(matrix - matrix.T).max() == 0
    assert matrix.diagonal().sum() == 0


def test_by_similarity_the_most_alike_are_joined(stack):
    points, sections, order = stack
    rng = np.random.default_rng(3)
    features = rng.normal(size=(len(points), 5))
    graph = section_graph(points, sections, order, 100.0, 0, 2, "similarity", features)

    a, b = np.flatnonzero(order == 1), np.flatnonzero(order == 2)
    unit = [
        (x - x.mean(0)) / x.std(0) / np.linalg.norm((x - x.mean(0)) / x.std(0), axis=1)[:, None]
        for x in (features[a], features[b])
    ]
    cosine = unit[0] @ unit[1].T
    joined = {(int(i), int(j)) for i, j in graph.edges.T}
    for row, spot in enumerate(a):
        assert all((int(b[at]), int(spot)) in joined for at in np.argsort(-cosine[row])[:2])


def test_the_most_similar_rows_are_those_of_all_comparisons():
    rng = np.random.default_rng(5)
    some, others = rng.normal(size=(40, 6)), rng.normal(size=(30, 6)) * 3 + 1
    cosine, place = most_similar(some, others, 4, at_once=7)

    unit = [(x - x.mean(0)) / x.std(0) for x in (some, others)]
    unit = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in unit]
    expected = np.argsort(-(unit[0] @ unit[1].T), axis=1)[:, :4]
    np.testing.assert_array_equal(place, expected)
    assert (np.diff(cosine, axis=1) <= 0).all()
    assert most_similar(some, others[:2], 9)[1].shape == (40, 2)


def test_what_cannot_be_a_graph_is_refused(stack):
    points, sections, order = stack
    with pytest.raises(ShapeMismatchError, match="one of each per spot"):
        section_graph(points, sections[:-1], order, 100.0)
    with pytest.raises(UsageError, match="similarity of features, which must be given"):
        section_graph(points, sections, order, 100.0, by="similarity")
