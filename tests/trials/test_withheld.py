"""What a method is told that looks for expression where it predicts."""

from __future__ import annotations

import numpy as np
import pytest

from spared_bench.errors import WithheldError
from spared_bench.testing import tiny_slides as make_tiny_slides
from spared_bench.trials.withheld import predicting


@pytest.fixture(scope="module")
def slides():
    return make_tiny_slides().test.without_expression()


ASKING = {
    "an item": lambda adata: adata.X[0],
    "a sum": lambda adata: adata.X.sum(),
    "a logarithm": lambda adata: np.log1p(adata.X),
    "a matrix": lambda adata: adata.X @ np.ones(3),
    "numbers": lambda adata: np.asarray(adata.X, dtype=float).sum() + adata.X,
    "counts": lambda adata: adata.layers["counts"],
    "the target of some": lambda adata: adata[:3].layers["target"],
    "a table": lambda adata: adata.to_df(),
    "raw": lambda adata: adata.raw.X,
    "a label": lambda adata: adata.obs["label"],
    "depth": lambda adata: adata.obsm["depth"],
    "a gene": lambda adata: adata.obs_vector(adata.var_names[0]),
}


@pytest.mark.parametrize("name", ASKING)
def test_who_asks_for_expression_is_told_that_it_is_not_there_and_what_is(slides, name):
    with pytest.raises(WithheldError) as told, predicting(slides):
        ASKING[name](slides.adata)
    assert "does not see measured expression" in str(told.value)
    assert "`adata.obs` with 'slide_id'" in str(told.value)
    assert "`fit`" in str(told.value)
    assert str(told.value).startswith(f"{type(told.value.__cause__).__name__}: ")


def test_another_mistake_keeps_its_own_words(slides):
    with pytest.raises(TypeError, match="not subscriptable"), predicting(slides):
        len(slides)[0]
    with pytest.raises(KeyError), predicting(slides):
        {}["label"]


class Network:
    raw = None

    def __init__(self):
        self.layers = [np.asarray]

    def forward(self, x):
        return self.layers[1](x)

    def shaped(self, adata):
        return self.layers[0](np.ones(len(adata))).reshape(7, 7, 7)


@pytest.mark.parametrize("mistake", [Network().forward, Network().shaped])
def test_a_mistake_beside_the_layers_of_a_network_keeps_its_own_words(slides, mistake):
    with pytest.raises((IndexError, ValueError)) as told, predicting(slides):
        mistake(slides.adata)
    assert "measured expression" not in str(told.value)


def test_where_there_is_expression_nothing_is_said_of_it():
    slides = make_tiny_slides().train
    slides.adata.X = np.zeros(slides.adata.shape)
    with pytest.raises(IndexError), predicting(slides):
        slides.adata.X[10**6]
