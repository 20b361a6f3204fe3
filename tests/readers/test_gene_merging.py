"""Duplicated genes are added up, and nothing else changes."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from spared_bench.errors import CountsError
from spared_bench.readers import merge_duplicated_genes
from spared_bench.readers.genes import without_version


@given(st.lists(st.sampled_from("abcdef"), min_size=1, max_size=12), st.integers(0, 1000))
def test_merged_columns_are_the_sums_of_the_columns_of_one_name(names, seed):
    counts = np.random.default_rng(seed).poisson(2, size=(4, len(names))).astype(np.float32)

    merged, unique, repairs = merge_duplicated_genes(sparse.csr_matrix(counts), names)

    assert unique == list(dict.fromkeys(names))
    for column, name in enumerate(unique):
        mine = [index for index, other in enumerate(names) if other == name]
        np.testing.assert_array_equal(
            merged[:, [column]].toarray().ravel(), counts[:, mine].sum(axis=1)
        )
    assert bool(repairs) == (len(unique) < len(names))


def test_a_merge_is_recorded_with_its_numbers_and_an_example():
    counts = sparse.csr_matrix(np.ones((1, 4)))
    _, _, repairs = merge_duplicated_genes(counts, ["b", "a", "b", "b"])
    assert repairs == [
        "Columns that repeated the name of another gene, added to it: 2 ('b', for example)."
    ]


def test_only_ensembl_ids_lose_what_follows_a_dot():
    names = ["ENSG00000000003.15", "ENSMUSG00000064339.1", "FO538757.1", "RP11-34P13.7", "MT-CO1"]
    assert without_version(names) == [
        "ENSG00000000003",
        "ENSMUSG00000064339",
        "FO538757.1",
        "RP11-34P13.7",
        "MT-CO1",
    ]


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA])
def test_genes_without_a_name_are_not_one(missing):
    with pytest.raises(CountsError, match="2 columns of the counts: no gene's name"):
        merge_duplicated_genes(sparse.csr_matrix(np.eye(3)), ["a", missing, missing])
