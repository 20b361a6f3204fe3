"""Completers without training: against literal loops."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import pearsonr

from spared_bench.data import Slides
from spared_bench.errors import UsageError
from spared_bench.interfaces import Context
from spared_bench.processing.graph import neighbour_graph
from spared_bench.processing.median import median_filter, radial_windows
from spared_bench_plugins.completers.median import Median
from spared_bench_plugins.completers.stlearn import StLearn
from tests.completion.making import changed, create, hexagonal, slides_of


def test_none_leaves_zeros_where_nothing_was_measured():
    slides = slides_of([20])
    np.testing.assert_array_equal(create("none").complete(slides), slides.target)


def test_gene_mean_is_the_mean_of_what_was_measured_in_training():
    train, other = slides_of([30, 20], seed=1), slides_of([15], seed=2)
    completer = create("gene-mean")
    completer.fit(train, other, Context())
    completed = completer.complete(other)
    for gene in range(4):
        expected = train.target[train.mask[:, gene], gene].mean()
        assert completed[~other.mask[:, gene], gene] == pytest.approx(expected)


def test_knn_spatial_is_the_weighted_mean_of_the_measured_neighbours():
    train, slides = slides_of([30], seed=1), slides_of([36], seed=2, measured=0.3)
    completer = create("knn-spatial", n_neighbours=5)
    completer.fit(train, train, Context())
    completed = completer.complete(slides)
    gap = np.linalg.norm(slides.coordinates[:, None] - slides.coordinates, axis=2).round(6)
    for spot, gene in zip(*np.nonzero(~slides.mask), strict=True):
        near = sorted(range(36), key=lambda other: (other != spot, gap[spot, other], other))[1:6]
        near = [other for other in near if slides.mask[other, gene]]
        if near:
            weights = 1 / gap[spot, near]
            expected = np.average(slides.target[near, gene], weights=weights)
        else:
            expected = slides.target[slides.mask[:, gene], gene].mean()
        assert completed[spot, gene] == pytest.approx(expected, rel=1e-5)


def test_median_fills_each_slide_from_its_own_spots():
    slides = slides_of([15, 25])
    completed = Median(n_hops=2, n_neighbours=4).complete(slides)
    for name, slide in slides.each():
        graph = neighbour_graph(slide.coordinates, 4)
        expected = median_filter(slide.target, ~slide.mask, graph, 2)
        np.testing.assert_array_equal(completed[slides.slide_ids == name], expected)
    assert (completed[~slides.mask] != 0).all()


def literal_median(slide, windows):
    """Windows: for each size, for each spot, the set of spots in it."""
    filled = slide.target.astype(float)
    for gene in range(slide.n_genes):
        column = slide.target[:, gene].astype(float)
        seen = column[slide.mask[:, gene]]
        for spot in np.flatnonzero(~slide.mask[:, gene]):
            medians = [np.median(column[sorted(window[spot])]) for window in windows]
            usual = np.median(seen) if len(seen) else 0.0
            filled[spot, gene] = next((median for median in medians if median != 0), usual)
    return filled


@pytest.mark.parametrize("n_hops", [3, 4])
def test_hop_windows_fill_as_the_literal_filter_does(n_hops):
    slide = slides_of([40], seed=3, measured=0.25)
    near = neighbour_graph(slide.coordinates, 6).toarray() > 0
    reach, windows = np.eye(40, dtype=bool), []
    for _ in range(n_hops):
        reach = reach | (reach @ near)
        windows.append([set(np.flatnonzero(row)) for row in reach])
    completed = Median(n_hops=n_hops).complete(slide)
    np.testing.assert_allclose(completed, literal_median(slide, windows), rtol=1e-6)


@pytest.mark.parametrize("n_distances", [3, 7])
def test_radial_windows_fill_as_the_literal_filter_does(n_distances):
    slides = slides_of([48, 30], seed=4, measured=0.25)
    completed = Median(n_distances=n_distances).complete(slides)
    for name, slide in slides.each():
        array = slide.array_coordinates
        square = np.square(array[:, None] - array).sum(axis=2)
        radii = np.unique(square[square > 0])[:n_distances]
        windows = [[set(np.flatnonzero(row <= radius)) for row in square] for radius in radii]
        expected = literal_median(slide, windows)
        np.testing.assert_allclose(completed[slides.slide_ids == name], expected, rtol=1e-6)


def test_on_visium_indices_the_radial_windows_have_the_published_sizes():
    array, _ = hexagonal(400, columns=20)
    _, ends = radial_windows(array, 7)
    middle = 10 * 20 + 10
    assert (ends[middle] - ends[middle - 1, -1]).tolist() == [1, 5, 9, 13, 21, 25, 29, 37]


def test_median_leaves_a_gene_zero_on_a_slide_where_it_was_never_measured():
    slides = slides_of([12, 12])
    first = slides.slide_ids == "slide0"
    mask = slides.mask.copy()
    mask[first, 1] = False
    blank = changed(slides, mask=mask, target=np.where(mask, slides.target, 0))
    for completer in (Median(), Median(n_distances=7)):
        completed = completer.complete(blank)
        assert not completed[first, 1].any()
        assert completed[~first, 1].all()


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10_000))
def test_permuting_the_spots_permutes_what_radial_median_fills_in(seed):
    slides = slides_of([9, 14], seed=seed)
    order = np.random.default_rng(seed).permutation(len(slides))
    completer = Median(n_distances=7)
    permuted = completer.complete(slides.subset(order))
    np.testing.assert_array_equal(permuted, completer.complete(slides)[order])


def test_the_fields_of_median_are_its_parameters():
    assert asdict(Median()) == {"n_hops": 4, "n_neighbours": 6, "n_distances": 0}


def literal_stlearn(slide, completer, own: bool, looks=None, reach=3.0):
    """Every pair of spots, one at a time."""
    from sklearn.decomposition import PCA

    if looks is None:
        features = slide.features(completer.encoder).astype(float)
        looks = (features - features.mean(0)) / features.std(0)
    scores = PCA(min(50, *slide.target.shape), svd_solver="full").fit_transform(slide.target)
    (x, y), (row, column) = slide.coordinates.T, slide.array_coordinates.T
    along, down = np.polyfit(column, x, 1)[0], np.polyfit(row, y, 1)[0]
    unit = np.sqrt(2) * abs(along) if own else np.hypot(along, down)
    n, filled = len(slide), slide.target.astype(float)
    for spot in range(n):
        weights = np.zeros(n)
        for other in range(n):
            gap = np.linalg.norm(slide.coordinates[spot] - slide.coordinates[other])
            if round(gap, 6) >= round(reach * unit, 6) or (spot == other and not own):
                continue
            lengths = np.linalg.norm(looks[spot]) * np.linalg.norm(looks[other])
            cosine = looks[spot] @ looks[other] / lengths
            weights[other] = max(0, cosine) * pearsonr(scores[spot], scores[other]).statistic
        best = np.argsort(weights)[-3:]
        taken = np.maximum(weights[best], 0)
        if taken.sum() > 0:
            mean = (taken / taken.sum()) @ slide.target[best]
            filled[spot, ~slide.mask[spot]] = mean[~slide.mask[spot]]
    return filled


@pytest.mark.parametrize(("name", "own"), [("stlearn", True), ("stlearn-corrected", False)])
def test_stlearn_fills_as_the_literal_version_does(name, own):
    slide = slides_of([40], n_genes=8, seed=5)
    completer = create(name)
    expected = literal_stlearn(slide, completer, own)
    np.testing.assert_allclose(completer.complete(slide), expected, rtol=1e-4, atol=1e-4)


def lying_otherwise(slide, matrix):
    """The same spots on an image that was turned or mirrored, with the patches as they were."""
    adata = slide.adata.copy()
    adata.obsm["spatial"] = slide.coordinates @ np.array(matrix, dtype=float) + 5000.0
    return Slides(adata, slide.patches)


@pytest.mark.parametrize("name", ["stlearn", "stlearn-corrected"])
@pytest.mark.parametrize(
    "matrix",
    [[[0, 1], [-1, 0]], [[-1, 0], [0, -1]], [[0, 1], [1, 0]], [[0.6, 0.8], [-0.8, 0.6]]],
    ids=["a quarter", "half", "transposed", "53 degrees"],
)
def test_stlearn_fills_a_slide_that_lies_turned_on_its_image_as_an_upright_one(name, matrix):
    slide, completer = slides_of([60], n_genes=8, seed=6), create(name)
    upright = completer.complete(slide)
    assert not np.allclose(upright, slide.target), "nothing was filled at all"

    turned = completer.complete(lying_otherwise(slide, matrix))

    np.testing.assert_allclose(turned, upright, rtol=1e-5, atol=1e-6)


def test_stlearns_own_zero_pulls_what_it_fills_in_towards_zero():
    slide = slides_of([60], n_genes=8, seed=6, measured=0.95)
    gone = ~slide.mask
    published, corrected = (
        create(name).complete(slide)[gone] for name in ("stlearn", "stlearn-corrected")
    )
    assert published.mean() < 0.75 * corrected.mean()


@pytest.mark.parametrize("wrong", [{"n_hops": 0}, {"n_neighbours": 0}, {"n_distances": -1}])
def test_a_median_of_no_neighbourhood_is_refused(wrong):
    with pytest.raises(UsageError, match=r"1 or more and n_distances 0 or more; found .*(0|-1)"):
        Median(**wrong)


def on_a_square_array(slide):
    """The same spots on a legacy array."""
    row, column = np.divmod(np.arange(len(slide)), 6)
    adata = slide.adata.copy()
    adata.obs["array_row"], adata.obs["array_col"] = row, column
    adata.obsm["spatial"] = np.column_stack([column, row]) * 100.0
    return Slides(adata, slide.patches)


@pytest.mark.parametrize("square", [False, True], ids=["visium", "legacy"])
def test_stlearn_with_a_network_fills_as_its_own_function_does(square):
    settings = StLearn.configurations["resnet50"]
    assert settings["backbone"] == "resnet50.tv_in1k"
    small = {"backbone": "test_resnet", "weights": "random", "n_image_components": 7}
    completer = create("stlearn", **(settings | small))
    slide = slides_of([40], seed=8, measured=0.4)
    slide = on_a_square_array(slide) if square else slide

    features = slide.features(completer.encoder).astype(float)
    left, scale, _ = np.linalg.svd(features - features.mean(axis=0), full_matrices=False)
    looks = (left * scale)[:, :7]
    reach = 1.5 if square else 3.0
    expected = literal_stlearn(slide, completer, own=True, looks=looks, reach=reach)

    np.testing.assert_allclose(completer.complete(slide), expected, rtol=1e-4, atol=1e-5)
    other = literal_stlearn(slide, completer, own=True, looks=looks, reach=4.5 - reach)
    assert not np.allclose(expected, other), "the reach makes no difference here"
