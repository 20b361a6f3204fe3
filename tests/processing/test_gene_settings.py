"""Ranking by the mean, smoothing over neighbours, and the thresholds of SEPAL."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from spared_bench.data import Patches, Slides
from spared_bench.data.transform import TargetTransform
from spared_bench.errors import CountsError
from spared_bench.processing.pipeline import prepare
from spared_bench.processing.smoothing import array_mean
from spared_bench.protocol import Protocol, parse_protocol

SPLIT = {"train": ("s1", "s2"), "val": ("s4",), "test": ("s3",)}
GENES = [f"g{i:02d}" for i in range(12)]


def protocol(**processing) -> Protocol:
    settings = {"target": "log1p_cp10k", "n_genes": 5, **processing}
    return Protocol.model_validate({"name": "trial", "version": 1, "processing": settings})


@pytest.fixture
def slides(rng, make_slide):
    """Four slides on a square array of 6 columns, genes of unlike mean."""
    rate = rng.permutation(np.linspace(0.6, 9, 12))
    made = {f"s{i}": make_slide(rng.poisson(rate, size=(30, 12)), GENES) for i in (3, 1, 2, 4)}
    for slide in made.values():
        slide.obs["array_row"], slide.obs["array_col"] = np.divmod(np.arange(30), 6)
    return made


@pytest.fixture
def spec(make_dataset):
    return make_dataset(SPLIT)


def test_the_genes_of_highest_mean_are_those_of_the_training_spots(slides, spec):
    prepared = prepare(slides, spec, protocol(ranking="mean"))
    raw = np.concatenate([slides[name].X.toarray() for name in ("s1", "s2")])
    logged = np.log1p(raw / raw.sum(axis=1, keepdims=True) * 1e4)
    expected = [GENES[i] for i in np.argsort(-logged.mean(axis=0))[:5]]
    assert list(prepared.var_names) == expected
    assert prepared.uns["spared_bench"]["genes"]["after"][-1] == "highest mean"

    slides["s3"].X = csr_matrix(slides["s3"].X.toarray()[:, ::-1] * 3)
    assert list(prepare(slides, spec, protocol(ranking="mean")).var_names) == expected


def neighbours_by_names(values, array):
    """Smooth as the authors say it: a spot and those whose position is one step away in x or y."""
    names = {(int(r), int(c)): k for k, (r, c) in enumerate(array)}
    smoothed = np.empty_like(values)
    for spot, (row, column) in enumerate(array):
        near = [
            names[place]
            for place in ((row + i, column + j) for i in (-1, 0, 1) for j in (-1, 0, 1))
            if place in names
        ]
        smoothed[spot] = np.mean([values[k] for k in near], axis=0)
    return smoothed


def test_a_smoothed_target_is_the_mean_over_the_spots_that_are_one_step_away(slides, spec):
    settings = {"zeros": "measured", "filtering": {"real_fraction": 0}}
    plain = prepare(slides, spec, protocol(**settings))
    smooth = prepare(slides, spec, protocol(**settings, smoothing="array_neighbours"))

    assert list(smooth.var_names) == list(plain.var_names)
    np.testing.assert_array_equal(smooth.layers["expression"], plain.layers["expression"])
    for name in ("s1", "s2", "s3", "s4"):
        here = (plain.obs["slide_id"] == name).to_numpy()
        array = plain.obs.loc[here, ["array_row", "array_col"]].to_numpy()
        expected = neighbours_by_names(plain.layers["target"][here], array)
        np.testing.assert_allclose(smooth.layers["target"][here], expected)


def test_nothing_of_a_held_out_strip_is_smoothed_into_training(slides, make_dataset):
    spec = make_dataset({"train": ("s1", "s2"), "test": ("s3",)})
    settings = protocol(smoothing="array_neighbours", zeros="measured")
    before = prepare(slides, spec, settings)
    strip = before.obs_names[(before.obs["split"] == "val").to_numpy()]
    for name in ("s1", "s2"):
        rows = [int(spot.split("_")[1]) for spot in strip if spot.startswith(name)]
        counts = slides[name].X.toarray()
        counts[rows] = counts[rows][:, ::-1] + 2
        slides[name].X = csr_matrix(counts)
    after = prepare(slides, spec, settings)
    train = (before.obs["split"] == "train").to_numpy()
    np.testing.assert_array_equal(
        after[train].to_df("target"), before[train].to_df("target")[list(after.var_names)]
    )


def test_a_hexagonal_array_has_six_neighbours():
    rows, columns = np.divmod(np.arange(35), 7)
    array = np.stack([rows, 2 * columns + rows % 2], axis=1)  # as Visium numbers them
    values = np.zeros((35, 1))
    values[17] = 7.0
    touched = np.flatnonzero(array_mean(values, array))
    distance = np.hypot((array[:, 0] - array[17, 0]) * np.sqrt(3), array[:, 1] - array[17, 1])
    np.testing.assert_array_equal(touched, np.flatnonzero(distance < 2.01))
    assert array_mean(values, array)[17, 0] == 1.0


def test_a_spot_without_neighbours_keeps_its_values():
    values = np.array([[1.0, 2.0]])
    np.testing.assert_array_equal(array_mean(values, np.array([[4, 4]])), values)


def test_of_a_smoothed_target_no_counts_can_be_told(slides, spec):
    smooth = prepare(slides, spec, protocol(smoothing="array_neighbours"))
    rows = (smooth.obs["split"] == "train").to_numpy()
    train = Slides(smooth[rows], Patches([np.zeros((rows.sum(), 8, 8, 3), np.uint8)]))
    assert "smoothed over neighbouring spots" in TargetTransform.fitted(train).undefined


def shares(slides):
    seen = {name: (slides[name].X.toarray() > 0) for name in ("s1", "s2")}
    total = np.concatenate(list(seen.values())).mean(axis=0)
    return total, np.min([each.mean(axis=0) for each in seen.values()], axis=0)


@pytest.mark.parametrize(("total", "each"), [(0.9, -1), (-1, 0.85), (0.9, 0.85)])
def test_genes_stay_whose_shares_are_above_both_thresholds(slides, spec, total, each):
    bounds = {"real_fraction": 0, "min_fraction": total, "min_slide_fraction": each}
    kept = prepare(slides, spec, protocol(filtering=bounds, n_genes=12))
    overall, smallest = shares(slides)
    expected = {
        g for g, o, s in zip(GENES, overall, smallest, strict=True) if o > total and s > each
    }
    assert set(kept.var_names) == expected
    assert 0 < len(expected) < 12
    assert "thresholds" in kept.uns["spared_bench"]["genes"]["after"]


def test_thresholds_that_no_gene_passes_say_which(slides, spec):
    with pytest.raises(CountsError, match=r"more than 1 of all spots.*0 thresholds.*Lower"):
        prepare(slides, spec, protocol(filtering={"min_fraction": 1.0}))


def test_a_protocol_without_these_settings_keeps_its_hash_and_one_with_them_does_not():
    text = "name: small\nversion: 1\n"
    base = parse_protocol(text, "x")
    for said in (
        "scored_genes: []",
        "processing: {smoothing: none, filtering: {min_fraction: -1}}",
    ):
        assert parse_protocol(f"{text}{said}\n", "x").hash == base.hash
    for said in (
        "scored_genes: [ERBB2]",
        "further_metrics: [nll]",
        "processing: {smoothing: array_neighbours}",
        "processing: {filtering: {min_slide_fraction: 0.1}}",
        "processing: {ranking: mean}",
    ):
        assert parse_protocol(f"{text}{said}\n", "x").hash != base.hash


def test_what_makes_scores_another_quantity_is_remarked():
    text = "name: small\nversion: 1\n"
    assert parse_protocol(text, "x").remarks == ()
    other = parse_protocol(
        f"{text}scored_genes: [A, B]\nprocessing: {{smoothing: array_neighbours}}\n", "x"
    )
    smoothed, some = other.remarks
    assert smoothed.startswith("Targets are smoothed")
    assert some.startswith("Scores are of 2 of the trained genes")


def test_pearson_residuals_are_of_the_chosen_genes_by_all_counts_of_the_training_spots(
    slides, spec
):
    import scanpy
    from anndata import AnnData

    settings = {"target": "pearson_residuals", "ranked_on": "log1p_cp10k", "zeros": "measured"}
    prepared = prepare(slides, spec, protocol(**settings, ranking="mean"))
    logged = prepare(slides, spec, protocol(zeros="measured", ranking="mean"))
    assert list(prepared.var_names) == list(logged.var_names)
    assert prepared.layers["mask"].all()

    raw = AnnData(np.concatenate([slides[name].X.toarray() for name in ("s1", "s2")]))
    scanpy.experimental.pp.normalize_pearson_residuals(raw)
    columns = [GENES.index(gene) for gene in prepared.var_names]
    train = prepared[prepared.obs["split"] == "train"]
    assert train.n_obs == 60
    np.testing.assert_allclose(train.layers["target"], raw.X[:, columns], rtol=1e-4, atol=1e-5)

    slides["s3"].X = csr_matrix(slides["s3"].X.toarray()[:, ::-1] * 3)
    again = prepare(slides, spec, protocol(**settings, ranking="mean"))
    same = again[again.obs["split"] == "train"].layers["target"]
    np.testing.assert_array_equal(same, train.layers["target"])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"zeros": "measured"}, "needs `ranked_on: log1p_cp10k`"),
        ({"ranked_on": "log1p_cp10k"}, "needs `zeros: measured`: it is a residual"),
        (
            {"ranked_on": "log1p_cp10k", "zeros": "measured", "batch_correction": "combat"},
            "needs `batch_correction: none`",
        ),
    ],
)
def test_pearson_residuals_say_what_they_need(settings, message):
    with pytest.raises(ValueError, match=message):
        protocol(target="pearson_residuals", **settings)


def test_pearson_residuals_are_no_function_of_a_count(slides, spec):
    settings = {"target": "pearson_residuals", "genes": GENES[:3], "zeros": "measured"}
    prepared = prepare(slides, spec, protocol(**settings))
    train = prepared[prepared.obs["split"] == "train"].copy()
    patches = Patches([np.zeros((train.n_obs, 2, 2, 3), dtype=np.uint8)])
    assert "a residual from" in TargetTransform.fitted(Slides(train, patches)).undefined
