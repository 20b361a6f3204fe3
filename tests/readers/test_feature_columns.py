"""Columns of ``var`` as other programs call them: ids and types of features."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from spared_bench.readers import read_anndata
from tests import made_slides

N_GENES = 12
IDS = made_slides.gene_ids(N_GENES)
SYMBOLS = [f"S{i}" for i in range(N_GENES)]


def read(var, tmp_path):
    array, centres = made_slides.lattice()
    adata = ad.AnnData(
        sparse.csr_matrix(made_slides.counts(N_GENES, 3), dtype=np.float32),
        obs=pd.DataFrame(index=[f"AAAC{i}-1" for i in range(len(array))]),
        var=var,
        obsm={"spatial": centres},
    )
    adata.write_h5ad(tmp_path / "slide.h5ad")
    return read_anndata(tmp_path / "slide.h5ad")


# DropletUtils and SpatialExperiment, through zellkonverter; what R makes of blanks; a short word
@pytest.mark.parametrize(
    ("column", "genes"),
    [("Type", "Gene Expression"), ("feature.type", "Gene.Expression"), ("kind", "GENE_EXPRESSION")],
)
@pytest.mark.parametrize("form", [list, pd.Categorical])
def test_features_that_are_no_genes_are_left_out_whatever_their_column_is_called(
    column, genes, form, tmp_path
):
    types = form([genes] * 10 + ["Antibody Capture"] * 2)
    slide = read(pd.DataFrame({"ID": IDS, "Symbol": SYMBOLS, column: types}, SYMBOLS), tmp_path)
    np.testing.assert_array_equal(slide.X.toarray(), made_slides.counts(N_GENES, 3)[:, :10])
    assert "Features that are no genes, dropped: 2." in slide.uns["slide"]["repairs"]


def test_a_column_that_tells_no_types_changes_nothing(tmp_path):
    columns = {"Type": ["a", "b"] * 6, "n": range(N_GENES), "seen": [True, False] * 6}
    slide = read(pd.DataFrame(columns, index=SYMBOLS), tmp_path)
    assert slide.var_names.tolist() == SYMBOLS


@pytest.mark.parametrize("column", ["ID", "Accession", "id"])
def test_ids_of_genes_are_read_from_the_columns_of_r_and_of_loom(column, tmp_path):
    slide = read(pd.DataFrame({column: IDS}, index=SYMBOLS), tmp_path)
    assert slide.var_names.tolist() == IDS
    assert slide.var["gene_name"].tolist() == SYMBOLS


def test_a_column_of_other_ids_names_no_gene(tmp_path):
    other = [f"NM_{i:06d}" for i in range(N_GENES)]
    slide = read(pd.DataFrame({"ID": other}, index=SYMBOLS), tmp_path)
    assert slide.var_names.tolist() == SYMBOLS
