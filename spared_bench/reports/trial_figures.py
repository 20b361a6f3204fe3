"""The figures of a trial as an entry of the store, drawn once the trial is known to count.

The candidates of a search need none.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from spared_bench.bench import Bench
from spared_bench.interfaces import Job
from spared_bench.metrics.pearson import pearson_gene
from spared_bench.reports.expression_map import expression_map
from spared_bench.store.entries import Entry
from spared_bench.store.trials import FIGURE, FIGURES, PREDICTIONS, TRIALS
from spared_bench.trials.products import prepare, prepared_target


def draw_figures(bench: Bench, job: Job) -> Entry:
    """Return the entry of a trial's figures, drawn from its predictions if the store has none."""
    store = bench.workspace.store

    def make(folder: Path) -> None:
        trial = store.open(TRIALS, job.trial)
        assert trial is not None
        prepared = prepare(bench, job.dataset)
        split = bench.dataset(job.dataset).evaluation_split
        slides, truth = prepared.slides(split), prepared_target(prepared, split)
        with np.load(trial.folder / PREDICTIONS, allow_pickle=False) as arrays:
            prediction = arrays[f"{split}_prediction"]
        expression_map(
            folder / FIGURE,
            coordinates=slides.coordinates,
            slide_ids=slides.slide_ids,
            truth=truth,
            prediction=prediction,
            mask=slides.mask,
            genes=list(map(str, prepared.adata.var["gene_name"])),
            scores=pearson_gene(truth, prediction.astype(np.float64), slides.mask),
        )

    return store.obtain(FIGURES, bench.figure_inputs(job.trial), make)
