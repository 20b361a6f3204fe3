"""Files whose counts lack genes that were counted, and files of several slides taken for one."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from typer.testing import CliRunner

from spared_bench.cli import app
from tests import made_slides

N_GENES, N_KEPT = 40, 8
COUNTS = made_slides.counts(N_GENES, 3)
LETTERS = np.array(list("ACGT"))
BARCODES = ["".join(row) for row in LETTERS[np.random.default_rng(0).integers(0, 4, (64, 16))]]


def adata_of(names, counts, **obs):
    centres = made_slides.lattice()[1]
    places = [at % len(centres) for at in range(len(names))]
    return ad.AnnData(
        sparse.csr_matrix(counts[places], dtype=np.float32),
        obs=pd.DataFrame(obs, index=names),
        var=pd.DataFrame(index=made_slides.gene_ids(counts.shape[1])),
        obsm={"spatial": centres[places]},
    )


def add(adata, tmp_path, more="", slides="{T1: {path: mine.h5ad}}"):
    adata.write_h5ad(tmp_path / "mine.h5ad")
    (tmp_path / "mine.yaml").write_text(
        f"{{name: mine, format: h5ad, organism: human, slides: {slides},"
        f" split: {{train: [T1]}}, {more} parameters: {{n_genes: 7}}}}"
    )
    arguments = ["data", "add", str(tmp_path / "mine.yaml"), "-w", str(tmp_path / "w")]
    return CliRunner().invoke(app, arguments)


@pytest.mark.parametrize("column", ["total_counts", "nCount_Spatial", "n_counts", "sum", "nUMI"])
@pytest.mark.parametrize("named", [False, True], ids=["one slide", "of several"])
def test_genes_that_were_left_out_after_counting_are_told_of(column, named, tmp_path):
    names = [f"{barcode}-1" for barcode in BARCODES]
    sums = COUNTS.sum(axis=1)
    adata = adata_of(names, COUNTS[:, :N_KEPT], **{column: sums.astype(np.float32), "s": "T1"})
    added = add(adata, tmp_path, "slide_column: s," if named else "")
    assert added.exit_code == 0, added.output
    assert f"Slide 'T1': Column '{column}' tells of more counts than are read" in added.stderr
    left = COUNTS[:, :N_KEPT].sum(axis=1)
    assert f"(median {np.median(sums):,.0f}, and {np.median(left):,.0f} are read)" in added.stderr


@pytest.mark.parametrize(
    "sums",
    [
        COUNTS.sum(axis=1),  # as they are
        COUNTS.sum(axis=1) // 0.95,  # without a few genes
        np.full(64, 1e4),  # after a normalisation
        COUNTS.sum(axis=1) * 3.3,
        COUNTS.sum(axis=1) // 2,
        COUNTS[:, :N_KEPT].sum(axis=1),  # of fewer genes
        np.where(np.arange(64) % 2, 1e6, 10),  # of something else
        ["many"] * 64,
    ],
)
def test_sums_that_tell_of_no_other_genes_are_passed_over(sums, tmp_path):
    added = add(adata_of([f"{name}-1" for name in BARCODES], COUNTS, total_counts=sums), tmp_path)
    assert (added.exit_code, "more counts" in added.stderr) == (0, False), added.output


@pytest.mark.parametrize(("factor", "told"), [(2, True), (10, True), (1, False)])
def test_counts_that_were_multiplied_are_told_of(factor, told, tmp_path):
    adata = adata_of([f"{name}-1" for name in BARCODES], COUNTS * factor)
    adata.obs["total_counts"] = COUNTS.sum(axis=1)
    added = add(adata, tmp_path)
    assert added.exit_code == 0, added.output
    assert (f"about {factor} times the counts are read that column" in added.stderr) == told


def test_sums_of_some_genes_are_no_counts_times_a_number(tmp_path):
    sums = COUNTS[:, :N_KEPT].sum(axis=1)
    added = add(adata_of([f"{name}-1" for name in BARCODES], COUNTS, total_counts=sums), tmp_path)
    assert "times the counts" not in added.stderr


def test_counts_that_were_made_smaller_are_told_of(tmp_path):
    """As those of which a background was taken away, or the half."""
    adata = adata_of([f"{name}-1" for name in BARCODES], np.maximum(COUNTS - 2, 0))
    adata.obs["total_counts"] = COUNTS.sum(axis=1)
    assert "or counts made smaller, as where a background is taken" in add(adata, tmp_path).stderr


@pytest.mark.parametrize(
    "names", ["{}-1-0 {}-1-1", "{}-1_1 {}-1_2", "A1_{}-1 B1_{}-1", "{}-1 {}-2"]
)
def test_slides_that_were_joined_are_not_taken_for_one(names, tmp_path):
    both = [name.format(barcode) for name in names.split() for barcode in BARCODES]
    adata = adata_of(both, COUNTS, batch=["T1"] * 64 + ["T2"] * 64)
    adata.obsm["spatial"][64:] += 7
    added = add(adata, tmp_path)
    assert added.exit_code == 1
    assert "64 barcodes stand in the names of several spots" in str(added.exception)
    assert "write `slide_column: batch` in the description" in str(added.exception)
    without = adata.copy()
    del without.obs["batch"]
    told = str(add(without, tmp_path).exception)
    assert "write a file for each of them, or a column of obs" in told

    slides = "{T1: {path: mine.h5ad}, T2: {path: mine.h5ad}}"
    both_counts = np.vstack([made_slides.counts(N_GENES, 4), COUNTS])
    adata.X = sparse.csr_matrix(both_counts, dtype=np.float32)
    assert add(adata, tmp_path, "slide_column: batch,", slides).exit_code == 0


@pytest.mark.parametrize("names", ["{}-1", "s_008um_{:05d}_00045-1", "{}x3", "spot{}", "AAAC{}-1"])
def test_spots_of_one_slide_are_taken_as_such(names, tmp_path):
    told = BARCODES if names == "{}-1" else range(64)
    added = add(adata_of([names.format(each) for each in told], COUNTS), tmp_path)
    assert added.exit_code == 0, added.output
