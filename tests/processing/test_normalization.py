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
