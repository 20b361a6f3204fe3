import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist

from spared_bench.errors import ContractError
from spared_bench.models import exemplars
from spared_bench.models.encoders import ColorEncoder
from spared_bench.models.exemplars import Bank, ExemplarUnits, find_exemplars


def bank_of(slides):
    features = slides.features(ColorEncoder())
    return Bank(features, slides.target, slides.slide_ids, slides.adata.obs_names.to_numpy(str))


@pytest.mark.parametrize(("norm", "metric"), [(1.0, "cityblock"), (2.0, "euclidean")])
def test_exemplars_are_the_nearest_spots_of_other_slides(tiny_slides, norm, metric, monkeypatch):
    monkeypatch.setattr(exemplars, "_CHUNK_ENTRIES", 300)  # several blocks
    train = tiny_slides.train
    bank = bank_of(train)
    distances = cdist(bank.features, bank.features, metric)
    distances[train.slide_ids[:, None] == train.slide_ids[None]] = np.inf

    found = find_exemplars(bank.features, train, bank, 4, norm)

    np.testing.assert_array_equal(found, np.argsort(distances, axis=1)[:, :4])


def test_compiled_distances_are_those_of_scipy(rng):
    queries, reference = (rng.normal(size=(n, 9)).astype(np.float32) for n in (7, 150))
    expected = cdist(queries, reference, "cityblock")
    np.testing.assert_allclose(
        exemplars._absolute_differences(queries, reference), expected, rtol=1e-5
    )


def test_of_a_single_training_slide_a_spot_has_all_exemplars_but_itself(tiny_slides):
    only = tiny_slides.train.subset(np.arange(12))
    bank = bank_of(only)
    found = find_exemplars(bank.features, only, bank, 11, 2.0)
    for spot, theirs in enumerate(found):
        assert sorted([spot, *theirs]) == list(range(12))


def test_where_exemplars_are_few_the_nearest_are_repeated(tiny_slides):
    bank = bank_of(tiny_slides.train.subset(np.array([5, 6])))
    test = tiny_slides.test
    found = find_exemplars(test.features(ColorEncoder()), test, bank, 5, 2.0)
    assert (found[:, [0, 1, 0]] == found[:, 2:]).all()
    assert (found[:, 0] != found[:, 1]).all()


def test_a_lone_training_spot_has_no_exemplar_and_the_message_says_so(tiny_slides):
    one = tiny_slides.train.subset(np.array([0]))
    bank = bank_of(one)
    with pytest.raises(ContractError, match=r"one training spot.*Train on two or more"):
        find_exemplars(bank.features, one, bank, 3, 2.0)


def test_a_batch_holds_the_features_and_expression_of_the_exemplars(tiny_slides):
    train, test = tiny_slides.train, tiny_slides.test.without_expression()
    bank, features = bank_of(train), test.features(ColorEncoder())
    found = find_exemplars(features, test, bank, 3, 2.0)
    batch = ExemplarUnits(test, features, bank, found).batch(torch.tensor([9, 2]))
    np.testing.assert_array_equal(batch.features.numpy(), features[[9, 2]])
    np.testing.assert_array_equal(batch.exemplar_features.numpy(), bank.features[found[[9, 2]]])
    np.testing.assert_array_equal(batch.exemplar_expression.numpy(), train.target[found[[9, 2]]])


def test_a_bank_is_read_as_it_was_written(tiny_slides, tmp_path):
    bank = bank_of(tiny_slides.train)
    bank.save(tmp_path)
    for name, value in vars(Bank.load(tmp_path)).items():
        np.testing.assert_array_equal(value, getattr(bank, name))


def test_exemplars_of_the_own_slide_are_found_where_they_are_asked_for(tiny_slides):
    train = tiny_slides.train
    bank = bank_of(train)
    found = find_exemplars(bank.features, train, bank, 4, 2.0, own_slide=True)
    distances = cdist(bank.features, bank.features)
    np.fill_diagonal(distances, np.inf)
    expected = np.sort(distances, axis=1)[:, :4]
    np.testing.assert_allclose(
        np.take_along_axis(distances, found, axis=1), expected, rtol=1e-4, atol=1e-5
    )
    same = train.slide_ids[found] == train.slide_ids[:, None]
    assert same.any()
