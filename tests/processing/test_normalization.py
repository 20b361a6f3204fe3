from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spared_bench.processing.normalization import (
    log1p_cp10k,
    log2_tpm,
    transcripts_per_million,
)

LENGTHS = np.array([1000, 2000, 3000])


def test_tpm_divides_by_length_and_adds_up_to_a_million():
    counts = np.array([[10, 0, 30], [0, 0, 0]])
    tpm = transcripts_per_million(counts, LENGTHS)
    np.testing.assert_allclose(tpm, [[500_000, 0, 500_000], [0, 0, 0]])
    np.testing.assert_allclose(log2_tpm(counts, LENGTHS)[0], [18.931572, 0, 18.931572], atol=5e-7)


@given(st.lists(st.integers(0, 10_000), min_size=3, max_size=3), st.integers(2, 50))
def test_tpm_does_not_depend_on_sequencing_depth(counts, depth):
    once = transcripts_per_million(np.array([counts]), LENGTHS)
    np.testing.assert_allclose(transcripts_per_million(np.array([counts]) * depth, LENGTHS), once)


def test_counts_per_ten_thousand_use_the_given_library_size():
    values = log1p_cp10k(np.array([[1, 0], [5, 5], [0, 0]]), np.array([10_000, 100, 0]))
    np.testing.assert_allclose(values, [[np.log(2), 0], [np.log(501)] * 2, [0, 0]])


@pytest.mark.parametrize("dtype", [np.int64, np.float32])
def test_counts_are_not_changed_in_place(dtype):
    counts = np.array([[10, 0, 30]], dtype=dtype)
    log2_tpm(counts, LENGTHS)
    log1p_cp10k(counts, np.array([40]))
    assert counts.tolist() == [[10, 0, 30]]


def test_every_target_is_what_its_name_says(rng):
    from spared_bench.data.targets import TARGETS
    from spared_bench.processing.normalization import normalised

    counts = rng.poisson(3, (20, 6)).astype(float)
    library, lengths = counts.sum(axis=1) + 50, rng.uniform(500, 4_000, 6)
    rates = counts / lengths
    tpm = 1e6 * rates / rates.sum(axis=1, keepdims=True)
    cpm = 1e6 * counts / library[:, None]
    expected = {
        "log2_tpm": np.log2(tpm + 1),
        "tpm": tpm,
        "log1p_cp10k": np.log(cpm / 100 + 1),
        "log1p_cpm": np.log(cpm + 1),
        "cpm": cpm,
        "log1p_counts": np.log(counts + 1),
        "counts": counts,
    }
    assert set(expected) == set(TARGETS)
    for target, values in expected.items():
        np.testing.assert_allclose(normalised(target, counts, library, lengths), values)


def test_log1p_cpm_is_scanpys(rng):
    import scanpy
    from anndata import AnnData

    from spared_bench.processing.normalization import normalised

    counts = rng.poisson(4, (15, 8)).astype(np.float64)
    table = AnnData(counts.copy())
    scanpy.pp.normalize_total(table, target_sum=1e6)
    scanpy.pp.log1p(table)

    found = normalised("log1p_cpm", counts, counts.sum(axis=1), np.empty(0))
    np.testing.assert_allclose(found, table.X)


def test_min_max_is_scikit_learns_on_the_entries_that_count(rng):
    from sklearn.preprocessing import MinMaxScaler

    from spared_bench.processing.normalization import MinMax

    train, other = rng.normal(size=(30, 4)), rng.normal(size=(10, 4))
    found = MinMax.fitted(train, np.ones_like(train, dtype=bool)).apply(other)
    np.testing.assert_allclose(found, MinMaxScaler().fit(train).transform(other))

    counted = rng.random(train.shape) > 0.4
    scaled = MinMax.fitted(train, counted).apply(train)
    seen = np.where(counted, scaled, np.nan)
    np.testing.assert_allclose(np.nanmin(seen, axis=0), 0)
    np.testing.assert_allclose(np.nanmax(seen, axis=0), 1)


def test_a_constant_or_unmeasured_gene_is_scaled_to_something_finite():
    from spared_bench.processing.normalization import MinMax

    values = np.array([[2.0, 5.0], [2.0, 6.0]])
    counted = np.array([[True, False], [True, False]])
    assert np.isfinite(MinMax.fitted(values, counted).apply(values)).all()


def test_pearson_residuals_are_scanpys_on_the_spots_that_are_fitted(rng):
    import scanpy
    from anndata import AnnData

    from spared_bench.processing.normalization import pearson_residuals

    counts = rng.poisson(rng.gamma(0.6, 4, (60, 1)) * rng.gamma(0.5, 3, 30)).astype(np.float64)
    counts[:, 0] = rng.integers(0, 2, 60) * 400  # so far off that it is cut
    counts = counts[counts.sum(axis=1) > 0]
    counts = counts[:, counts.sum(axis=0) > 0]
    fitted = np.arange(len(counts)) < 40
    fitted &= counts.sum(axis=1) > 0
    chosen = [3, 0, 7]  # the others still have their part in each spot's total

    found = pearson_residuals(counts[:, chosen], counts.sum(axis=1), fitted)

    table = AnnData(counts[fitted].copy())
    table = table[:, table.X.sum(axis=0) > 0].copy()
    kept = np.flatnonzero(counts[fitted].sum(axis=0) > 0)
    scanpy.experimental.pp.normalize_pearson_residuals(table)
    expected = table.X[:, [int(np.flatnonzero(kept == gene)[0]) for gene in chosen]]
    np.testing.assert_allclose(found[fitted], expected, atol=1e-9)
    assert np.isclose(np.abs(expected).max(), np.sqrt(fitted.sum())), "nothing was cut"


def test_pearson_residuals_of_other_spots_are_from_the_shares_of_the_fitted():
    from spared_bench.processing.normalization import pearson_residuals

    counts = np.array([[2.0, 0.0], [2.0, 0.0], [9.0, 4.0], [0.0, 0.0]])
    fitted = np.array([True, True, False, False])
    found = pearson_residuals(counts, np.array([4.0, 4.0, 10.0, 0.0]), fitted, theta=50.0)
    # Half of a fitted spot's counts are of the first gene, none of the second.
    expected = (9 - 5) / np.sqrt(5 + 25 / 50)
    np.testing.assert_allclose(found, [[0, 0], [0, 0], [np.sqrt(2), 0], [0, 0]])
    assert expected > np.sqrt(2), "it is cut, as scanpy cuts"


def test_every_target_is_told_in_words():
    from typing import get_args

    from spared_bench.data.targets import IN_WORDS, OF_MORE, TARGETS
    from spared_bench.protocol.processing import Processing

    named = get_args(Processing.model_fields["target"].annotation)
    assert set(named) == set(TARGETS) | set(OF_MORE) == set(IN_WORDS)
