"""Methods of known spots against plain arithmetic, on sections made on the spot."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from spared_bench.data import SPATIAL_3D
from spared_bench.errors import PluginError
from spared_bench.interfaces import Context
from spared_bench.models.encoders import ColorEncoder
from spared_bench.testing.known import tiny_sections
from spared_bench_plugins.predictors.known_mean import KnownMean
from spared_bench_plugins.predictors.known_neighbours import (
    InverseDistance,
    Nearest,
    NearestEight,
    Permuted,
    Turned,
    Unregistered,
)
from spared_bench_plugins.predictors.known_propagation import Propagation
from spared_bench_plugins.predictors.known_ridge import KnownRidge, RidgeAndNearest
from spared_bench_plugins.predictors.known_similar import MostSimilar

CONTEXT = Context(seed=1)


@pytest.fixture(scope="module")
def slides():
    return tiny_sections()


def predicted(method, slides):
    method.fit(slides.train, slides.val, CONTEXT)
    return method.predict(slides.test.without_expression())


def distances(slides):
    here, there = slides.test.spatial_3d, slides.test.known.spatial_3d
    return np.linalg.norm(here[:, None] - there[None], axis=-1)


@pytest.mark.parametrize(("method", "k"), [(Nearest(), 1), (NearestEight(), 8)])
def test_the_nearest_are_those_of_all_distances(slides, method, k):
    nearest = np.argsort(distances(slides), axis=1)[:, :k]
    expected = slides.test.known.target[nearest].mean(axis=1)
    np.testing.assert_allclose(predicted(method, slides), expected, rtol=1e-5)


def test_inverse_distances_weigh_as_they_say(slides):
    apart = distances(slides)
    nearest = np.argsort(apart, axis=1)[:, :20]
    weights = 1 / np.maximum(np.take_along_axis(apart, nearest, axis=1), 1) ** 2
    values = slides.test.known.target[nearest]
    expected = (weights[..., None] * values).sum(axis=1) / weights.sum(axis=1)[:, None]
    np.testing.assert_allclose(predicted(InverseDistance(), slides), expected, rtol=1e-4)


def test_the_mean_is_that_of_what_is_known(slides):
    expected = np.tile(slides.test.known.target.mean(axis=0), (len(slides.test), 1))
    np.testing.assert_allclose(predicted(KnownMean(), slides), expected, rtol=1e-5)


def standardised(part):
    features = ColorEncoder().encode(part.patches).astype(np.float64)
    spread = features.std(axis=0)
    return (features - features.mean(axis=0)) / np.where(spread > 1e-12, spread, np.inf)


def test_ridge_is_the_solution_of_its_equations_on_what_is_known(slides):
    found = predicted(KnownRidge(alpha=7.0), slides)
    x, y = standardised(slides.test.known), slides.test.known.target.astype(np.float64)
    solved = np.linalg.solve(x.T @ x + 7.0 * np.eye(x.shape[1]), x.T @ (y - y.mean(axis=0)))
    expected = standardised(slides.test) @ solved + y.mean(axis=0)
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    both = predicted(RidgeAndNearest(alpha=7.0), slides)
    halves = (found + predicted(NearestEight(), slides)) / 2
    np.testing.assert_allclose(both, halves, rtol=1e-4)


def test_the_most_similar_are_those_of_all_comparisons(slides):
    found = predicted(MostSimilar(k=3), slides)
    unit = [standardised(part) for part in (slides.test, slides.test.known)]
    unit = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in unit]
    nearest = np.argsort(-(unit[0] @ unit[1].T), axis=1)[:, :3]
    expected = slides.test.known.target[nearest].mean(axis=1)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_propagation_gives_a_harmonic_function_within_what_is_known(slides):
    found, known = predicted(Propagation(), slides), slides.test.known.target
    assert (found >= known.min(axis=0) - 1e-3).all()
    assert (found <= known.max(axis=0) + 1e-3).all()
    assert found.std(axis=0).min() > 0


def test_controls_take_another_frame(slides):
    usual = predicted(NearestEight(), slides)
    for control in (Turned(), Permuted()):
        assert not np.allclose(predicted(control, slides), usual)
    # On sections that lie on one another, the slide is the frame but for the steps of the kit.
    lying = slides.test.known.spatial_3d.copy()
    lying[:, :2] = slides.test.known.coordinates
    same = slides.test.spatial_3d.copy()
    same[:, :2] = slides.test.coordinates

    def put(part, places):
        adata = part.adata.copy()
        adata.obsm[SPATIAL_3D] = places
        return replace(part, adata=adata)

    test = replace(put(slides.test, same), known=put(slides.test.known, lying))
    exact = slides._replace(test=test)
    np.testing.assert_array_equal(
        predicted(Unregistered(), exact), predicted(NearestEight(), exact)
    )


def test_where_nothing_is_known_of_a_sample_the_training_mean_is_predicted(slides):
    nothing = slides.test.known.subset(np.empty(0, dtype=int))
    method = NearestEight()
    method.fit(slides.train, slides.val, CONTEXT)
    found = method.predict(replace(slides.test.without_expression(), known=nothing))
    mean = slides.train.target.mean(axis=0, dtype=np.float64).astype(np.float32)
    np.testing.assert_array_equal(found, np.tile(mean, (len(found), 1)))


def test_without_a_protocol_that_gives_something_to_know_it_is_said(slides):
    method = NearestEight()
    method.fit(slides.train, slides.val, CONTEXT)
    with pytest.raises(PluginError, match=r"`slides.known` is None"):
        method.predict(replace(slides.test, known=None))


def test_fewer_known_spots_than_asked_for_are_all_taken(slides):
    few = replace(slides.test.without_expression(), known=slides.test.known.subset(np.arange(3)))
    for method in (NearestEight(), Propagation(), MostSimilar()):
        method.fit(slides.train, slides.val, CONTEXT)
        assert np.isfinite(method.predict(few)).all()
