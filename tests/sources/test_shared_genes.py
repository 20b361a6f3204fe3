"""Slides of one dataset that share few genes are told of when it is added."""

from __future__ import annotations

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import sparse

from spared_bench.sources.adding import add_description
from tests import made_slides

N_GENES = 1_200


def test_a_slide_without_most_genes_of_the_others_is_told_of(rng, tmp_path):
    genes = made_slides.gene_ids(N_GENES)
    means = rng.lognormal(0, 1, (made_slides.SIDE**2, N_GENES))
    entries = []
    for name, kept in {"A": N_GENES, "B": N_GENES, "C": 30}.items():
        values = rng.poisson(means)[:, :kept]
        AnnData(
            sparse.csr_matrix(values, dtype=np.float32),
            var=pd.DataFrame(index=genes[:kept]),
            obsm={"spatial": made_slides.lattice()[1]},
        ).write_h5ad(tmp_path / f"{name}.h5ad")
        entries.append(f"{name}: {{path: {name}.h5ad, patient: {name}}}")

    def lines(slides):
        (tmp_path / "own.yaml").write_text(
            f"{{name: own, format: h5ad, organism: human, slides: {{{', '.join(slides)}}},"
            " split: {train: [A]}}"
        )
        found: list[str] = []
        add_description(tmp_path / "own.yaml", tmp_path / "d", replace=True, tell=found.append)
        return [line for line in found if "not all slides have" in line]

    first, second = lines(entries)
    assert first.startswith("Slide 'A': ")
    assert "slide 'C' lacks 1,170 of its 1,200, and 30 are left" in second
    assert lines(entries[:1]) == []
