"""The way between counts and target, held against scanpy and against the pipeline's own layers."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pytest
import scanpy as sc

from spared_bench.data import Patches, Slides
from spared_bench.data.transform import TargetTransform
from spared_bench.errors import ContractError, ShapeMismatchError, WithheldError
from spared_bench.processing.annotation import gene_table
from spared_bench.processing.pipeline import prepare
from spared_bench.protocol import Protocol

SPLIT = {"train": ("s1", "s2"), "val": ("s4",), "test": ("s3",)}


@pytest.fixture
def genes():
    table = gene_table("human")
    return table.index[table["gene_type"] == "protein_coding"][:12].tolist()


@pytest.fixture
def raw(rng, genes, make_slide):
    """Slides whose spots differ in depth fourfold."""
    depth = rng.uniform(0.5, 2, size=(4, 30, 1))
    counts = rng.poisson(4 * depth, size=(4, 30, 12))
    return {f"s{i + 1}": make_slide(counts[i], genes) for i in range(4)}


def prepared(raw, make_dataset, **processing):
    settings = {"target": "log1p_cp10k", "n_genes": 5, **processing}
    protocol = Protocol.model_validate({"name": "trial", "version": 1, "processing": settings})
    return prepare(raw, make_dataset(SPLIT, "human"), protocol)


def slides_of(adata, split="train"):
    rows = (adata.obs["split"] == split).to_numpy()
    part = adata[rows]
    return Slides(part, Patches([np.zeros((rows.sum(), 8, 8, 3), np.uint8)]))


def test_counts_become_what_scanpys_own_normalisation_gives(raw, make_dataset):
    train = slides_of(prepared(raw, make_dataset))
    transform = TargetTransform.fitted(train)
    theirs = ad.concat([raw["s1"], raw["s2"]], index_unique="_")
    sc.pp.normalize_total(theirs, target_sum=1e4)
    sc.pp.log1p(theirs)
    expected = theirs[:, train.gene_names].X.toarray()

    ours = transform.to_target(train.counts, transform.size_factors(train))

    assert transform.undefined == ""
    np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(ours[train.mask], train.target[train.mask], rtol=1e-5)


def test_counts_become_the_log2_of_tpm_that_the_pipeline_makes(raw, make_dataset):
    train = slides_of(prepared(raw, make_dataset, target="log2_tpm"))
    transform = TargetTransform.fitted(train)
    ours = transform.to_target(train.counts, transform.size_factors(train))
    np.testing.assert_allclose(ours, train.adata.layers["expression"], rtol=1e-5, atol=1e-6)
    assert transform.base == 2


def test_of_a_spot_of_unknown_depth_counts_are_at_the_median_depth(raw, make_dataset):
    train = slides_of(prepared(raw, make_dataset))
    transform = TargetTransform.fitted(train)
    totals = np.concatenate([np.asarray(raw[s].X.sum(axis=1)).ravel() for s in ("s1", "s2")])
    assert transform.depth == np.median(totals)
    np.testing.assert_allclose(np.median(transform.size_factors(train)), 1)
    expected = np.log1p(3 / np.median(totals) * 1e4)
    np.testing.assert_allclose(transform.to_target(np.full((2, 5), 3.0)), expected)


@pytest.mark.parametrize("target", ["log1p_cp10k", "log2_tpm"])
def test_there_and_back_is_where_one_was(raw, make_dataset, rng, target):
    train = slides_of(prepared(raw, make_dataset, target=target))
    transform = TargetTransform.fitted(train, offset=rng.normal(size=5))
    counts, factors = rng.uniform(0, 50, (7, 5)), rng.uniform(0.5, 2, 7)
    there = transform.to_target(counts, factors)
    np.testing.assert_allclose(transform.to_counts(there, factors), counts, atol=1e-9)


def test_the_means_are_those_of_training_spots_alone(raw, make_dataset):
    adata = prepared(raw, make_dataset)
    train = slides_of(adata)
    before = TargetTransform.fitted(train)
    means = np.ma.masked_array(train.target, ~train.mask).mean(axis=0)
    np.testing.assert_allclose(before.gene_means, means.filled(np.nan), rtol=1e-6)
    scaled = train.counts / transform_factors(raw, train)[:, None]
    np.testing.assert_allclose(before.count_means, scaled.mean(axis=0), rtol=1e-6)

    raw["s3"].X = raw["s3"].X * 7
    after = TargetTransform.fitted(slides_of(prepared(raw, make_dataset)))
    np.testing.assert_array_equal(after.scale, before.scale)
    np.testing.assert_array_equal(after.gene_means, before.gene_means)


def transform_factors(raw, train):
    totals = np.concatenate([np.asarray(raw[s].X.sum(axis=1)).ravel() for s in ("s1", "s2")])
    return totals / np.median(totals)


def test_what_the_harness_subtracts_is_subtracted_here_too(raw, make_dataset):
    train = slides_of(prepared(raw, make_dataset))
    offset = train.target.mean(axis=0)
    plain, delta = TargetTransform.fitted(train), TargetTransform.fitted(train, offset)
    counts = train.counts
    np.testing.assert_allclose(delta.to_target(counts), plain.to_target(counts) - offset)


def test_the_variance_of_the_target_is_that_of_many_draws(raw, make_dataset, rng):
    transform = TargetTransform.fitted(slides_of(prepared(raw, make_dataset)))
    mean, variance = np.full((1, 5), 400.0), np.full((1, 5), 500.0)
    draws = rng.normal(400, np.sqrt(500), size=(40_000, 5))
    drawn = transform.to_target(np.maximum(draws, 0)).var(axis=0)
    np.testing.assert_allclose(transform.to_target_variance(mean, variance)[0], drawn, rtol=0.05)


def test_where_the_target_is_no_function_of_counts_it_says_why(raw, make_dataset):
    train = slides_of(prepared(raw, make_dataset, batch_correction="combat"))
    transform = TargetTransform.fitted(train)
    assert "batch_correction: combat" in transform.undefined
    assert len(transform.gene_means) == 5
    for call in (
        lambda: transform.to_target(train.counts),
        lambda: transform.to_counts(train.target),
        lambda: transform.size_factors(train),
    ):
        with pytest.raises(ContractError, match=r"Counts cannot be turned .* some negative"):
            call()


def test_without_one_a_context_says_so():
    from spared_bench.interfaces import Context

    with pytest.raises(ContractError, match="without a transform of the target"):
        Context().transform.to_target(np.zeros((1, 1)))


def test_negative_counts_other_genes_and_other_spots_are_refused(raw, make_dataset):
    transform = TargetTransform.fitted(slides_of(prepared(raw, make_dataset)))
    with pytest.raises(ContractError, match="Negative or nan counts"):
        transform.to_target(np.full((2, 5), -1.0))
    with pytest.raises(ShapeMismatchError, match=r"\(n_spots, 5\), found \(2, 6\)"):
        transform.to_target(np.zeros((2, 6)))
    with pytest.raises(ShapeMismatchError, match="one size factor for each of 2 spots"):
        transform.to_target(np.zeros((2, 5)), np.ones(3))


def test_the_depth_of_spots_to_be_predicted_is_hidden(raw, make_dataset):
    train = slides_of(prepared(raw, make_dataset))
    blind = slides_of(prepared(raw, make_dataset), "test").without_expression()
    with pytest.raises(WithheldError, match="depth of these spots is not visible"):
        TargetTransform.fitted(train).size_factors(blind)


def test_it_is_kept_in_a_file_of_arrays_alone(raw, make_dataset, tmp_path, rng):
    train = slides_of(prepared(raw, make_dataset, target="log2_tpm"))
    transform = TargetTransform.fitted(train, rng.normal(size=5))
    transform.save(tmp_path / "transform.npz")
    again = TargetTransform.load(tmp_path / "transform.npz")
    np.testing.assert_array_equal(again.to_target(train.counts), transform.to_target(train.counts))
    assert (again.undefined, again.base, again.depth) == ("", 2.0, transform.depth)


@pytest.mark.parametrize("target", ["tpm", "log1p_cpm", "cpm", "log1p_counts", "counts"])
def test_every_target_is_made_of_counts_and_back(raw, make_dataset, target):
    train = slides_of(prepared(raw, make_dataset, target=target))
    transform = TargetTransform.fitted(train)
    factors = transform.size_factors(train)

    ours = transform.to_target(train.counts, factors)

    np.testing.assert_allclose(ours[train.mask], train.target[train.mask], rtol=1e-5)
    np.testing.assert_allclose(
        transform.to_counts(ours, factors), train.counts, rtol=1e-6, atol=1e-6
    )


@pytest.mark.parametrize("target", ["cpm", "log1p_cpm"])
def test_a_variance_is_turned_by_the_slope_that_finite_differences_find(raw, make_dataset, target):
    train = slides_of(prepared(raw, make_dataset, target=target))
    transform = TargetTransform.fitted(train)
    counts, step = np.full((3, train.n_genes), 7.0), 1e-4
    slope = (transform.to_target(counts + step) - transform.to_target(counts - step)) / (2 * step)

    found = transform.to_target_variance(counts, np.full_like(counts, 2.0))

    np.testing.assert_allclose(found, 2 * slope**2, rtol=1e-6)


def test_a_target_scaled_by_gene_says_why_counts_do_not_give_it(raw, make_dataset):
    adata = prepared(raw, make_dataset, target="counts", scaling="min_max")
    train = slides_of(adata)

    assert "scaling: min_max" in TargetTransform.fitted(train).undefined
    seen = np.where(train.mask, train.target, np.nan)
    np.testing.assert_allclose(np.nanmin(seen, axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(np.nanmax(seen, axis=0), 1, atol=1e-6)


def test_scaling_is_fitted_to_training_spots_alone(raw, make_dataset):
    first = prepared(raw, make_dataset, target="counts", scaling="min_max")
    raw["s3"].X = raw["s3"].X * 50  # a test slide
    again = prepared(raw, make_dataset, target="counts", scaling="min_max")

    np.testing.assert_array_equal(slides_of(first).target, slides_of(again).target)


def test_genes_ranked_on_one_target_are_the_same_under_every_other(raw, make_dataset):
    chosen = {
        target: list(prepared(raw, make_dataset, target=target, ranked_on="log1p_cp10k").var_names)
        for target in ("log1p_cp10k", "counts", "cpm", "log2_tpm")
    }
    assert len({tuple(names) for names in chosen.values()}) == 1
