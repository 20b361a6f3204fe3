"""TRIPLEX as a predictor, beyond what the contract asks of all and the golden files of its network.

The small slides are served with the views that it declares, cut from a picture of their patches.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch

from spared_bench.data.views import View
from spared_bench.errors import UsageError
from spared_bench.interfaces import Budget, Context
from spared_bench.models.encoders import ColorEncoder
from spared_bench.testing import tiny_slides, with_views
from spared_bench_plugins.networks.slide_grid import array_cells, first_grid, pixel_cells
from spared_bench_plugins.predictors.triplex import Triplex

QUICK = Context(budget=Budget(3, 16, 3))


@pytest.fixture(scope="module")
def seen():
    return with_views(tiny_slides(), Triplex(**Triplex.tiny).views)


@pytest.fixture(scope="module")
def wider():
    """Tiles of 70 µm, of which some leave the picture."""
    return with_views(tiny_slides(), Triplex(**(Triplex.tiny | {"side_um": 70.0})).views)


def fitted(seen, context=QUICK, **changed):
    method = Triplex(**(Triplex.tiny | changed))
    method.fit(seen.train, seen.val, context)
    return method


@pytest.mark.parametrize(
    ("version", "configuration", "published"),
    [
        ("2024", "", 28_781_296),
        ("2024", "cscc", 27_209_344),
        ("2024", "st-net-data", 39_807_840),
        ("2025", "2025", 29_043_952),
        ("2025", "cscc", 27_472_000),
        ("2025", "st-net-data", 40_070_496),
    ],
)
def test_the_published_sizes_have_the_published_number_of_parameters(
    version, configuration, published
):
    values = Triplex.configurations.get(configuration, {}) | {"version": version}
    with torch.device("meta"):
        network = Triplex(weights="random", **values).build(128)
    assert sum(each.numel() for each in network.parameters()) == published


def test_it_looks_at_112_um_and_at_five_by_five_of_them_unless_told_otherwise():
    assert Triplex().views == {
        "target": View(size=224, um=112),
        "neighbours": View(size=224, um=112, tiles=5),
    }
    assert Triplex(side_um=0).views == {"neighbours": View(size=224, tiles=5)}


def test_a_batch_has_every_slide_of_its_spots_once_and_every_spot_its_own_token(seen):
    method = fitted(seen)
    units = method.units(seen.train, "cpu", resident=True)
    rows = torch.tensor([61, 3, 79, 0, 3])
    batch = units.batch(rows)
    assert [len(slide.features) for slide in batch.slides] == [40, 40]
    tiles = seen.train.features(ColorEncoder(), view="neighbours")
    np.testing.assert_array_equal(batch.neighbours, tiles[rows])
    tokens = torch.cat([slide.features for slide in batch.slides])[batch.token]
    np.testing.assert_array_equal(tokens, tiles[rows, 12])
    assert len(units.batch(torch.tensor([3, 4])).slides) == 1


def test_two_slides_predicted_together_are_predicted_as_alone(seen):
    method, bare = fitted(seen), seen.train.without_expression()
    mixed = np.random.default_rng(0).permutation(80)
    alone = np.concatenate([method.predict(slide) for _, slide in bare.each()])
    together = method.predict(bare.subset(mixed), batch_size=11)
    np.testing.assert_allclose(together, alone[mixed], rtol=1e-4, atol=1e-5)


def test_validation_predicts_what_prediction_predicts(seen):
    method, bare = fitted(seen), seen.val.without_expression()
    batch = method.units(bare, "cpu", resident=False).batch(torch.arange(40))
    with torch.no_grad():
        found = method.predict_batch(method.network_.eval(), batch)
    np.testing.assert_allclose(found, method.predict(bare), rtol=1e-4, atol=1e-5)


def test_it_learns_the_planted_relation(seen):
    filled = seen._replace(
        train=seen.train.with_target(seen.train.adata.layers["prefilled"]),
        val=seen.val.with_target(seen.val.adata.layers["prefilled"]),
    )
    context = Context(budget=Budget(iterations=80, batch_size=32, validate_every=10))
    prediction = fitted(filled, context, lr=3e-3).predict(seen.test.without_expression())
    truth = seen.test.adata.layers["prefilled"]
    found = [np.corrcoef(t, p)[0, 1] for t, p in zip(truth.T, prediction.T, strict=True)]
    assert np.mean(found) > 0.4


def test_the_cells_of_a_slide_are_its_columns_and_rows():
    rows_and_columns = np.array([[4, 7], [6, 2], [4, 2]])
    assert array_cells(rows_and_columns).tolist() == [[5, 0], [0, 2], [0, 0]]


def test_as_released_in_2024_tokens_are_dealt_by_column(seen):
    method = fitted(seen, released=True)
    assert method.released
    batch = method.units(seen.test, "cpu", resident=True).batch(torch.arange(40))
    # The spots are stored row by row, in eight columns of five.
    by_column = np.arange(40).reshape(5, 8).T.ravel()
    np.testing.assert_array_equal(batch.token, by_column)
    right = fitted(seen).units(seen.test, "cpu", resident=True).batch(torch.arange(40))
    np.testing.assert_array_equal(right.token, np.arange(40))


def test_as_released_in_2025_masks_are_open_and_the_first_slide_gives_the_grid(wider, tmp_path):
    first = wider.train.coordinates[:40]
    method = fitted(wider, version="2025", released=True)
    assert method.grid_.tolist() == [8, 5] == first_grid(first).tolist()
    units = method.units(wider.test, "cpu", resident=True)
    assert units.batch(torch.arange(40)).inside.all()
    assert not wider.test.tiles_inside("neighbours").all()
    assert (method.predict(wider.test) >= 0).all()
    method.save(tmp_path)
    other = Triplex(**(Triplex.tiny | {"version": "2025", "released": True}))
    other.load(tmp_path)
    np.testing.assert_array_equal(other.grid_, method.grid_)


def test_the_released_grid_closes_columns_that_are_empty():
    coordinates = np.array([[0.0, 0], [300, 0], [305, 100], [900, 100]])
    assert first_grid(coordinates).tolist() == [3, 2]
    assert pixel_cells(coordinates, np.array([3, 2])).tolist() == [[0, 0], [1, 0], [1, 1], [2, 1]]


def test_without_the_faults_of_2025_every_slide_has_its_own_grid_and_its_mask(wider):
    method = fitted(wider, version="2025")
    units = method.units(wider.test, "cpu", resident=True)
    inside = units.batch(torch.arange(40)).inside
    assert not inside.all()
    np.testing.assert_array_equal(inside, wider.test.tiles_inside("neighbours"))
    shifted = wider.test.adata.copy()
    shifted.obs["array_col"] += 30
    moved = method.units(replace(wider.test, adata=shifted), "cpu", resident=True)
    np.testing.assert_array_equal(moved.contexts[0].around, units.contexts[0].around)


def test_with_its_released_dropout_it_still_predicts_twice_the_same(seen):
    for version in ("2024", "2025"):
        method = fitted(seen, version=version, released=True, slide=(2, 2, 1, 0.5))
        first, second = (method.predict(seen.test) for _ in range(2))
        np.testing.assert_array_equal(first, second)


def test_the_two_forms_move_their_weights_as_published():
    weights = [torch.nn.Parameter(torch.zeros(2))]
    optimizer = Triplex().optimizer(weights)
    schedule = Triplex().schedule(optimizer, Budget(iterations=8))
    rates = []
    for _ in range(8):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert rates == pytest.approx([1e-4 * 0.9**i for i in (0, 0, 1, 1, 2, 2, 3, 3)])
    newer = Triplex(version="2025")
    assert type(newer.optimizer(weights)) is torch.optim.AdamW
    assert newer.schedule(optimizer, Budget()) is None


def test_another_version_and_a_network_without_a_map_are_refused():
    with pytest.raises(UsageError, match="no version '2026'"):
        Triplex(version="2026")
    with pytest.raises(UsageError, match="'shufflenet_v2_x0_5' gives no map"):
        Triplex(backbone="shufflenet_v2_x0_5", weights="random", encoder="color").build(3)


def test_augmentation_turns_the_target_and_leaves_the_features(seen):
    method = fitted(seen, augment="symmetries")
    units = method.units(seen.train, "cpu", resident=True)
    rows = torch.arange(20)
    plain, turned = units.batch(rows), units.batch(rows, torch.Generator().manual_seed(0))
    assert not torch.equal(turned.images, plain.images)
    assert torch.equal(turned.neighbours, plain.neighbours)
    assert torch.equal(turned.images.sum(dim=(2, 3)).round(), plain.images.sum(dim=(2, 3)).round())
