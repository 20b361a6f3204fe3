from __future__ import annotations

import warnings

import numpy as np
import pytest

from spared_bench.processing.graph import neighbour_graph
from spared_bench.processing.moran import mean_morans_i, morans_i, most_autocorrelated


def literal(column, graph):
    weights = graph.toarray() / graph.toarray().sum(axis=1, keepdims=True)
    z = column - column.mean()
    return len(z) / weights.sum() * (z @ weights @ z) / (z @ z)


@pytest.fixture
def slide(rng):
    xy = rng.uniform(0, 100, size=(50, 2))
    values = np.column_stack([xy[:, 0], rng.normal(size=50), np.full(50, 3.0)])
    return values, neighbour_graph(xy)


def test_morans_i_agrees_with_its_formula_and_is_nan_for_a_constant_gene(slide):
    values, graph = slide
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scores = morans_i(values, graph)
    assert scores[0] == pytest.approx(literal(values[:, 0], graph))
    assert scores[1] == pytest.approx(literal(values[:, 1], graph))
    assert np.isnan(scores[2])


def test_morans_i_agrees_with_squidpy(rng):
    from anndata import AnnData
    from squidpy.gr import spatial_autocorr

    values = rng.normal(size=(60, 300))  # more genes than are taken at a time
    graph = neighbour_graph(rng.uniform(size=(60, 2)))
    adata = AnnData(values, obsp={"spatial_connectivities": graph})
    table = spatial_autocorr(adata, mode="moran", n_perms=None, corr_method=None, copy=True)
    expected = table["I"].reindex(adata.var_names)
    np.testing.assert_allclose(morans_i(values, graph), expected, rtol=1e-10)


def test_slides_where_a_gene_is_constant_do_not_enter_its_mean(slide, rng):
    values, graph = slide
    other = rng.normal(size=values.shape)
    means = mean_morans_i([(values, graph), (other, graph)])
    alone = morans_i(values, graph), morans_i(other, graph)
    np.testing.assert_allclose(means[:2], (alone[0][:2] + alone[1][:2]) / 2)
    assert means[2] == alone[1][2]
    assert np.isnan(mean_morans_i([(values, graph)])[2])


@pytest.mark.parametrize("n_spots", [1, 2, 3])
def test_tiny_slides_do_not_fail(n_spots, rng):
    xy = rng.uniform(size=(n_spots, 2))
    scores = morans_i(rng.normal(size=(n_spots, 2)), neighbour_graph(xy))
    assert scores.shape == (2,)
    assert np.isnan(scores).all() == (n_spots == 1)


def test_genes_are_ranked_downwards_by_id_where_they_tie_and_nan_comes_last():
    scores = np.array([0.1, np.nan, 0.5, 0.5, 0.3])
    names = np.array(["a", "b", "d", "c", "e"])
    assert most_autocorrelated(scores, names, 4).tolist() == [3, 2, 4, 0]
    assert most_autocorrelated(scores, names, 9).tolist() == [3, 2, 4, 0, 1]
