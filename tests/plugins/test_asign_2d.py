"""ASIGN as a predictor, beyond what the contract asks of all and the golden files of its network.

The small slides are served with the views that it declares, cut from a picture of their patches:
regions of 200 px, of which each holds four spots, and global patches of 400.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch

from spared_bench.data import Patches
from spared_bench.data.transform import TargetTransform
from spared_bench.data.views import View
from spared_bench.interfaces import Budget, Context
from spared_bench.testing import tiny_slides, with_views
from spared_bench_plugins.networks.sections import coarse_labels, graph_of, random_projection
from spared_bench_plugins.predictors.asign_2d import ASIGN2D

QUICK = Context(budget=Budget(3, 16, 3))
RELEASED = ASIGN2D.tiny | {"released": True}


@pytest.fixture(scope="module")
def seen():
    return with_views(tiny_slides(), ASIGN2D(**ASIGN2D.tiny).views)


def fitted(seen, context=QUICK, **changed):
    method = ASIGN2D(**(ASIGN2D.tiny | changed))
    method.fit(seen.train, seen.val, context)
    return method


@pytest.mark.parametrize(("released", "number"), [(True, 111_030_720), (False, 83_463_360)])
def test_it_has_the_published_number_of_parameters_where_it_is_as_released(released, number):
    with torch.device("meta"):
        network = ASIGN2D(weights="random", released=released).build(128)
    assert sum(each.numel() for each in network.parameters()) == number


def test_it_looks_at_regions_and_global_patches_on_grids():
    assert ASIGN2D().views == {
        "region": View(pixels=512, grid=True),
        "globe": View(pixels=1024, grid=True),
    }


def sections(method, slides):
    return method.units(slides, "cpu", resident=True)._sections


def test_labels_are_the_target_of_the_summed_counts(seen):
    train = seen.train
    depth = np.linspace(50, 90, 80)
    transform = TargetTransform(
        "", scale=np.arange(1.0, 7.0), base=2.0, depth=70.0, offset=np.full(6, 0.5)
    )
    transform_of = replace(train, adata=train.adata.copy())
    transform_of.adata.obsm["depth"] = depth[:, None]
    found = coarse_labels(transform_of, sections(fitted(seen), train), transform)
    x, y = train.coordinates.T
    for slide, labels in zip(("a", "b"), found, strict=True):
        place = 0
        for top in (0, 200, 400):
            for left in (0, 200, 400, 600):
                here = (train.slide_ids == slide) & (x // 200 == left // 200)
                here &= y // 200 == top // 200
                counts = train.counts[here].sum(axis=0)
                per_depth = counts * transform.scale / (depth[here].sum() / 70)
                expected = np.log2(1 + per_depth) - 0.5
                np.testing.assert_allclose(labels["region"][place], expected, rtol=1e-5)
                place += 1
        assert place == len(labels["region"])


def test_where_counts_give_no_target_labels_are_means(seen):
    found = coarse_labels(seen.train, sections(fitted(seen), seen.train), TargetTransform())
    x, y = seen.train.coordinates.T
    here = (seen.train.slide_ids == "b") & (x < 400) & (y < 400)
    expected = seen.train.target[here].mean(axis=0)
    np.testing.assert_allclose(found[1]["globe"][0], expected, rtol=1e-5)


@pytest.mark.parametrize("released", [False, True])
def test_a_step_sees_a_part_of_a_slide_and_a_prediction_all_of_it(seen, released):
    method = ASIGN2D(**(ASIGN2D.tiny | {"released": released, "margin": 1.0}))
    method._training = (seen.train, QUICK)
    units = method.units(seen.train, "cpu", resident=True)
    assert len(units) > 2
    batches = [units.batch(torch.tensor([i])) for i in range(len(units))]
    assert all(len(batch.nodes["spot"].of_spot) <= 30 for batch in batches)
    assert sorted(np.concatenate(units.predicted)) == list(range(80))
    for batch, spots in zip(batches, units.predicted, strict=True):
        np.testing.assert_array_equal(batch.target, seen.train.target[spots])
        x, y = seen.train.coordinates[spots].T
        at = (y // 200 * 4 + x // 200).astype(int)
        np.testing.assert_array_equal(batch.of_core["region"], at)
        assert len(batch.region) == 12
    whole = method.units(seen.test, "cpu", resident=True)
    assert [len(spots) for spots in whole.predicted] == [40]


def test_parts_as_released_follow_the_seed(seen):
    parts = []
    for seed in (0, 0, 1):
        method = ASIGN2D(**RELEASED)
        method._training = (seen.train, replace(QUICK, seed=seed))
        parts.append(np.concatenate(method.units(seen.train, "cpu", True).predicted).tolist())
    assert parts[0] == parts[1] != parts[2]


def changed_images(slides):
    noise = np.random.default_rng(4).integers(0, 256, slides.patches.shape, dtype=np.uint8)
    return replace(slides, patches=Patches([noise]))


def test_as_released_the_patches_of_spots_change_nothing_and_corrected_they_do(seen):
    bare = seen.test.without_expression()
    released, corrected = fitted(seen, released=True), fitted(seen)
    other = changed_images(bare)
    np.testing.assert_array_equal(released.predict(other), released.predict(bare))
    assert np.abs(corrected.predict(other) - corrected.predict(bare)).max() > 1e-3


def test_as_released_the_encoder_stays_as_it_begins_and_corrected_it_learns(seen):
    for released in (True, False):
        once, longer = (fitted(seen, Context(budget=Budget(n, 16, n)), released=released)
                        for n in (1, 3))  # fmt: skip
        pair = zip(
            once.network_.encoder.parameters(), longer.network_.encoder.parameters(), strict=True
        )
        assert all(torch.equal(a, b) for a, b in pair) == released


@pytest.mark.parametrize("released", [False, True])
def test_the_order_of_the_spots_and_of_the_slides_is_no_matter(seen, released):
    method, bare = fitted(seen, released=released), seen.train.without_expression()
    alone = np.concatenate([method.predict(slide) for _, slide in bare.each()])
    mixed = np.random.default_rng(0).permutation(80)
    together = method.predict(bare.subset(mixed))
    np.testing.assert_allclose(together, alone[mixed], rtol=1e-4, atol=1e-5)


def test_it_learns_the_planted_relation_of_a_slide_whose_neighbours_are_alike(seen):
    def around(slides):
        """Take for a spot's expression the mean of those at most a step away."""
        target, xy = slides.adata.layers["prefilled"].copy(), slides.coordinates
        for i in range(len(target)):
            near = (slides.slide_ids == slides.slide_ids[i]) & (
                np.abs(xy - xy[i]).max(axis=1) < 110
            )
            target[i] = slides.adata.layers["prefilled"][near].mean(axis=0)
        return slides.with_target(target)

    parts = seen._replace(train=around(seen.train), val=around(seen.val))
    context = Context(budget=Budget(iterations=150, batch_size=1, validate_every=10))
    method = fitted(parts, context, max_spots=0, lr=3e-2, n_neighbours=8)
    truth, prediction = around(seen.test).target, method.predict(seen.test.without_expression())
    found = [np.corrcoef(t, p)[0, 1] for t, p in zip(truth.T, prediction.T, strict=True)]
    assert np.mean(found) > 0.4


def test_edges_are_weighted_by_the_inverse_of_their_length():
    places = np.array([[0.0, 0], [1, 0], [0, 3], [10, 0]])
    graph = graph_of(places, 2, weighted=True)
    edges = {
        (int(a), int(b)): float(w) for a, b, w in zip(*graph.edges, graph.weights, strict=True)
    }
    step = np.median([1, 1, 3, 9])
    assert edges[0, 1] == pytest.approx(step)
    assert edges[2, 0] == pytest.approx(step / 3)
    assert edges[2, 1] == pytest.approx(step / 10**0.5)
    assert {b for _, b in edges} == {0, 1, 2, 3}
    assert (3, 0) not in edges
    assert set(graph_of(places, 2, weighted=False).weights.tolist()) == {1.0}


def test_spots_on_one_place_have_finite_weights():
    graph = graph_of(np.array([[0.0, 0], [0, 0], [5, 0]]), 2, weighted=True)
    assert graph.weights.isfinite().all()


def test_a_random_projection_belongs_to_its_slide():
    features = np.random.default_rng(0).normal(size=(5, 300)).astype(np.float32)
    first = random_projection(features, 8, "a")
    np.testing.assert_array_equal(first, random_projection(features, 8, "a"))
    assert np.abs(first - random_projection(features, 8, "b")).max() > 0.1
    # As a linear layer begins: rows of variance 1/3 of the mean square of the features.
    many = random_projection(features, 4000, "a")
    np.testing.assert_allclose(many.var(axis=1), (features**2).mean(axis=1) / 3, rtol=0.1)


def test_the_rate_falls_to_nothing_by_a_power():
    method = ASIGN2D()
    optimizer = method.optimizer([torch.nn.Parameter(torch.zeros(1))])
    schedule = method.schedule(optimizer, Budget(iterations=4))
    rates = []
    for _ in range(5):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert rates == pytest.approx([1e-3 * (1 - i / 4) ** 0.9 for i in range(5)])
    assert optimizer.param_groups[0]["momentum"] == 0.9
