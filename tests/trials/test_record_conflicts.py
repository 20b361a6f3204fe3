"""A dataset that is added while a run goes on is no method's change of a record."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import sparse

from spared_bench.api import make_bench, select
from spared_bench.interfaces import Job
from spared_bench.sources.adding import add_description
from spared_bench.trials.record import blank_record, told_otherwise
from tests import made_slides
from tests.conftest import TOY_PROTOCOL

N_GENES = 600


def add(folder, name, seeds):
    entries = []
    for seed in seeds:
        AnnData(
            sparse.csr_matrix(made_slides.counts(N_GENES, seed), dtype=np.float32),
            var=pd.DataFrame(index=made_slides.gene_ids(N_GENES)),
            obsm={"spatial": made_slides.lattice()[1]},
        ).write_h5ad(folder / f"S{seed}.h5ad")
        entries.append(f"S{seed}: {{path: S{seed}.h5ad, patient: p{seed}}}")
    (folder / f"{name}.yaml").write_text(
        f"{{name: {name}, format: h5ad, organism: human, slides: {{{', '.join(entries)}}},"
        f" split: {{train: [S{seeds[0]}], test: [S{seeds[1]}]}}}}"
    )
    add_description(folder / f"{name}.yaml", folder / "w/data")


def bench_of(folder):
    return make_bench(str(TOY_PROTOCOL), workspace=folder / "w", device="cpu")


def test_datasets_that_were_added_meanwhile_may_share_slides_with_its_own(tmp_path):
    add(tmp_path, "one", (1, 2))
    bench = bench_of(tmp_path)
    (cell,) = select(bench, ["one"], ["none"], ["gene-mean"]).cells
    job = Job("trial", "key", cell.dataset, cell.completer, cell.predictor)
    assert not told_otherwise(bench, job, blank_record(bench, job), strict=False)

    add(tmp_path, "two", (3, 2))
    later = blank_record(bench_of(tmp_path), job)
    assert later.facts["conflicts_with"] == ["two"]
    assert not told_otherwise(bench, job, later, strict=False)
    for names in (["three"], ["two", "three"], "two", [["two"]], 5, None):
        forged = replace(later, facts=later.facts | {"conflicts_with": names})
        assert told_otherwise(bench, job, forged, strict=False) == ["conflicts_with"]
