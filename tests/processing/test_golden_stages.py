"""Every stage against what the published library answers to the same input."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from spared_bench.processing import filtering
from spared_bench.processing.annotation import annotate
from spared_bench.processing.combat import combat
from spared_bench.processing.graph import neighbour_graph
from spared_bench.processing.median import median_filter
from spared_bench.processing.moran import mean_morans_i, most_autocorrelated
from spared_bench.processing.normalization import log2_tpm, transcripts_per_million
from spared_bench.processing.pipeline import prepare
from spared_bench.protocol import Protocol

EXACT = {"rtol": 0, "atol": 1e-9}


@pytest.fixture
def kept_genes(golden):
    """Column and length of each gene of the published TPM layer."""
    column = {gene: i for i, gene in enumerate(golden["gene_ids"])}
    genes = annotate(golden["tpm_genes"].tolist(), golden["organism"]).genes
    return [column[gene] for gene in golden["tpm_genes"]], genes["gene_length_bp"].to_numpy()


@pytest.fixture
def graphs(golden):
    slides = np.unique(golden["slide"])
    rows = [np.flatnonzero(golden["slide"] == slide) for slide in slides]
    return [(here, neighbour_graph(golden["xy"][here])) for here in rows]


def test_the_filters_keep_the_published_spots_and_genes(golden):
    counts = csr_matrix(golden["counts"])
    spots = filtering.between(filtering.totals(counts, axis=1), 10, 1e6)
    counts = counts[spots]
    enough = np.flatnonzero(filtering.between(filtering.totals(counts, axis=0), 10, 1e6))
    smallest, overall = filtering.expressed_fractions(counts, golden["slide"][spots])
    ids = golden["gene_ids"][enough]
    order = filtering.gene_order(smallest[enough], ids, "published")
    prefix = filtering.sparsity_prefix(order, overall[enough], 0.7)

    assert spots.sum() == len(golden["filtered_spots"])
    assert set(ids[prefix]) == set(golden["filtered_genes"])
    column = {gene: i for i, gene in enumerate(golden["gene_ids"])}
    published = [smallest[column[gene]] for gene in golden["filtered_genes"]]
    np.testing.assert_array_equal(smallest[enough][prefix], published)
    # The golden answers are from a numpy that sorts with AVX2: names differ where genes tie.


def test_genes_without_a_length_are_the_published_ones(golden):
    note = annotate(golden["filtered_genes"].tolist(), golden["organism"])
    known = note.genes["gene_length_bp"].notna()

    assert sorted(note.genes["gene_id"][known]) == golden["tpm_genes"].tolist()
    assert set(note.unknown) == set(golden["filtered_genes"]) - set(golden["tpm_genes"])
    assert note.unknown


def test_genes_that_tie_come_in_the_order_that_numpy_without_vectors_gives(golden):
    """The same sort in the same numpy; only on the processor does its order depend."""
    counts = csr_matrix(golden["counts"])
    smallest, _ = filtering.expressed_fractions(counts, golden["slide"])
    script = (
        "import json, sys, pandas;"
        "print(pandas.Series(json.load(sys.stdin)).sort_values(ascending=False).index.tolist())"
    )
    vectors = "X86_V3 X86_V4 AVX2 AVX512F AVX512_SKX AVX512_ICL AVX512_SPR"  # as versions call them
    plain = os.environ | {"NPY_DISABLE_CPU_FEATURES": vectors}
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script],
        input=json.dumps(smallest.tolist()),
        env=plain,
        capture_output=True,
        text=True,
        check=True,
    )
    assert len(set(smallest)) < len(smallest)  # so that some tie
    order = filtering.gene_order(smallest, golden["gene_ids"], "published")
    assert order.tolist() == json.loads(ran.stdout)


def test_tpm_and_its_logarithm_are_the_published_ones(golden, kept_genes):
    columns, lengths = kept_genes
    counts = golden["counts"][:, columns]

    tpm = transcripts_per_million(counts, lengths)

    np.testing.assert_allclose(tpm, golden["tpm"], rtol=1e-12, atol=0)
    np.testing.assert_allclose(log2_tpm(counts, lengths), golden["log1p"], **EXACT)


def test_the_median_filter_is_the_published_one(golden, graphs):
    for here, graph in graphs:
        values = golden["log1p"][here]
        filled = median_filter(values, values == 0, graph, n_hops=4)
        np.testing.assert_allclose(filled, golden["median"][here], **EXACT)


def test_morans_i_and_its_order_are_the_published_ones(golden, graphs):
    scores = mean_morans_i((golden["median"][here], graph) for here, graph in graphs)
    best = most_autocorrelated(scores, golden["tpm_genes"], 32)

    np.testing.assert_allclose(scores, golden["moran"], **EXACT)
    assert golden["tpm_genes"][best].tolist() == golden["moran_kept"].tolist()


def test_combat_with_the_published_defect_is_the_published_one(golden):
    column = {gene: i for i, gene in enumerate(golden["tpm_genes"])}
    values = golden["median"][:, [column[gene] for gene in golden["moran_kept"]]]

    corrected = combat(values, golden["slide"], published=True)

    np.testing.assert_allclose(corrected, golden["combat"], **EXACT)
    assert np.abs(combat(values, golden["slide"]) - golden["combat"]).max() > 1e-3


def test_the_whole_pipeline_repeats_the_published_dataset(golden, golden_slides, golden_spec):
    settings = {"fit_on": "all", "n_genes": 32, "batch_correction": "combat_published"}
    protocol = Protocol.model_validate({"name": "as-is", "version": 1, "processing": settings})

    prepared = prepare(golden_slides, golden_spec, protocol)

    assert prepared.obs_names.tolist() == golden["filtered_spots"].tolist()
    assert prepared.var_names.tolist() == golden["moran_kept"].tolist()
    assert prepared.obs["split"].tolist() == golden["split"].tolist()
    np.testing.assert_array_equal(prepared.layers["mask"], golden["mask"])
    np.testing.assert_allclose(prepared.layers["prefilled"], golden["combat"], **EXACT)
    expected = np.where(golden["mask"], golden["combat"], 0)
    np.testing.assert_allclose(prepared.layers["target"], expected, **EXACT)
    score = dict(zip(golden["tpm_genes"], golden["moran"], strict=True))
    moran = [score[gene] for gene in prepared.var_names]
    np.testing.assert_allclose(prepared.var["moran_i"], moran, **EXACT)
