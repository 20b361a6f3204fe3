"""Slides as another process gets them: the same patches, without the store behind them."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

from spared_bench.data.views import View
from spared_bench.models.encoders import ColorEncoder
from spared_bench.trials.products import prepare
from spared_bench.trials.views import spot_view


@pytest.fixture
def train(bench):
    return prepare(bench, "toy").slides("train")


def test_slides_that_were_pickled_are_the_same_slides(train):
    found = pickle.loads(pickle.dumps(train))
    assert found.patches.shape == train.patches.shape
    np.testing.assert_array_equal(found.patches[:], train.patches[:])
    np.testing.assert_array_equal(found.patches.rows, train.patches.rows)
    np.testing.assert_array_equal(found.target, train.target)
    assert list(found.adata.obs_names) == list(train.adata.obs_names)
    encoder = ColorEncoder()
    np.testing.assert_array_equal(found.features(encoder), train.features(encoder))


def test_nothing_but_their_own_rows_goes_with_them(bench, train):
    whole = prepare(bench, "toy").adata
    tested = whole.obs_names[(whole.obs["split"] == "test").to_numpy()]
    assert len(tested) > 0
    assert str(tested[0]).encode() in pickle.dumps(whole)
    assert str(tested[0]).encode() not in pickle.dumps(train)


def test_patches_go_by_the_place_of_their_file(train):
    assert len(pickle.dumps(train.patches)) < train.patches[:].nbytes / 2


def test_patches_in_memory_go_as_they_are(tiny_slides):
    slides = tiny_slides.train
    found = pickle.loads(pickle.dumps(slides.patches.subset(np.array([3, 1]))))
    np.testing.assert_array_equal(found[:], slides.patches[np.array([3, 1])])


def test_a_view_is_cut_before_it_goes(bench):
    names = prepare(bench, "toy").adata.obs_names
    seen = spot_view(bench, "toy", names, View(scale=3, size=16)).subset(np.array([4, 0, 2]))
    found = pickle.loads(pickle.dumps(seen))
    np.testing.assert_array_equal(found.patches[:], seen.patches[:])


def test_a_deep_copy_has_the_rows_of_its_original_and_remembers_features(train):
    found = copy.deepcopy(train)
    assert found.adata.shape == train.adata.shape
    assert found.features_of is train.features_of
    assert type(found.patches) is type(train.patches)
