from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import r2_score

from spared_bench.errors import ShapeMismatchError
from spared_bench.metrics.r2 import r2_gene, r2_spot


def test_r2_gene_matches_scikit_learn_on_the_measured_spots(trio):
    scores = r2_gene(*trio)
    for score, truth, prediction, seen in zip(scores, *(part.T for part in trio), strict=True):
        assert score == pytest.approx(r2_score(truth[seen], prediction[seen]), rel=1e-13)


def test_r2_spot_is_r2_gene_of_the_transposed_arrays(trio):
    np.testing.assert_array_equal(r2_spot(*trio), r2_gene(*(part.T for part in trio)))


def test_every_gene_keeps_its_place_and_is_nan_only_where_the_truth_leaves_it_undefined(rng):
    truth, prediction = rng.normal(size=(2, 6, 5))
    mask = np.ones((6, 5), dtype=bool)
    truth[:, 0] = prediction[:, 0] = 0.1
    prediction[:, 1] = 0.1
    mask[1:, 2] = False
    mask[:, 3] = False
    scores = r2_gene(truth, prediction, mask)
    assert np.isnan(scores).tolist() == [True, False, True, True, False]
    assert scores[1] <= 0


def test_predicting_the_mean_scores_zero(trio):
    truth, _, mask = trio
    means = np.ma.masked_array(truth, ~mask).mean(axis=0).data
    np.testing.assert_allclose(r2_gene(truth, np.tile(means, (40, 1)), mask), 0, atol=1e-12)


def test_arrays_of_different_shape_are_refused():
    with pytest.raises(ShapeMismatchError, match=r"\(n_spots, n_genes\)"):
        r2_gene(np.ones((3, 2)), np.ones((3, 3)), np.ones((3, 2)))
