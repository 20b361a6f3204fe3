from __future__ import annotations

import importlib
import subprocess
import sys
from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from spared_bench.data import Patches, Slides
from spared_bench.interfaces import Completer, Context
from spared_bench.processing.graph import neighbour_graph
from spared_bench.processing.median import median_filter
from spared_bench_plugins.completers import spared_bench_completers
from spared_bench_plugins.completers.median import Median

SPECS = {spec.name: spec for spec in spared_bench_completers()}


def slides_of(sizes: list[int], n_genes: int = 4, seed: int = 0) -> Slides:
    """Slides with these numbers of spots; about half of the entries are measured."""
    rng = np.random.default_rng(seed)
    n_spots = sum(sizes)
    mask = rng.random((n_spots, n_genes)) > 0.5
    names = np.repeat([f"slide{i}" for i in range(len(sizes))], sizes)
    adata = AnnData(
        X=csr_matrix(mask.astype(np.float32)),
        obs=pd.DataFrame({"slide_id": names}, index=[str(i) for i in range(n_spots)]),
        obsm={"spatial": rng.uniform(0, 1000, size=(n_spots, 2))},
        layers={"mask": mask, "target": np.where(mask, rng.normal(6, 2, mask.shape), 0)},
    )
    return Slides(adata, Patches([np.zeros((n_spots, 2, 2, 3), dtype=np.uint8)]))


def create(name: str) -> Completer:
    module, _, attribute = SPECS[name].factory.partition(":")
    return getattr(importlib.import_module(module), attribute)()


@pytest.mark.parametrize("name", SPECS)
@pytest.mark.parametrize("sizes", [[1], [2, 30], [6, 1, 20]])
def test_measured_entries_stay_bit_for_bit_on_slides_of_any_size(name, sizes):
    slides, completer = slides_of(sizes), create(name)
    before, mask = slides.target.copy(), slides.mask
    assert isinstance(completer, Completer)
    completer.fit(slides, slides, Context())

    completed = completer.complete(slides)

    assert completed.shape == before.shape
    assert np.isfinite(completed).all()
    np.testing.assert_array_equal(completed[mask], before[mask])
    completed += 1  # what is returned belongs to the caller
    np.testing.assert_array_equal(slides.target, before)


def test_none_leaves_zeros_where_nothing_was_measured():
    slides = slides_of([20])
    np.testing.assert_array_equal(create("none").complete(slides), slides.target)


def test_median_fills_each_slide_from_its_own_spots():
    slides = slides_of([15, 25])
    completed = Median(n_hops=2, n_neighbours=4).complete(slides)
    for name, slide in slides.each():
        graph = neighbour_graph(slide.coordinates, 4)
        expected = median_filter(slide.target, ~slide.mask, graph, 2)
        np.testing.assert_array_equal(completed[slides.slide_ids == name], expected)
    assert (completed[~slides.mask] != 0).all()


def test_median_leaves_a_gene_zero_on_a_slide_where_it_was_never_measured():
    slides = slides_of([12, 12])
    first = slides.slide_ids == "slide0"
    slides.adata.layers["mask"][first, 1] = False
    slides.adata.layers["target"][first, 1] = 0
    completed = Median().complete(slides)
    assert not completed[first, 1].any()
    assert completed[~first, 1].all()


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000))
def test_permuting_the_spots_permutes_what_median_fills_in(seed):
    slides = slides_of([9, 14], seed=seed)
    order = np.random.default_rng(seed).permutation(len(slides))
    permuted = Median().complete(slides.subset(order))
    np.testing.assert_array_equal(permuted, Median().complete(slides)[order])


def test_the_fields_of_median_are_its_parameters():
    assert asdict(Median()) == {"n_hops": 4, "n_neighbours": 6}


def test_naming_the_completers_and_metrics_imports_nothing_heavy():
    code = (
        "import sys, spared_bench_plugins.completers as c, spared_bench_plugins.metrics as m;"
        "c.spared_bench_completers(), m.spared_bench_metrics();"
        "print([n for n in ('numpy', 'numba', 'scipy', 'squidpy', 'torch') if n in sys.modules])"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert answer.stdout.strip() == "[]"
