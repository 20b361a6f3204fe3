"""The files of a trial beside its record: predictions, a table of genes, the model; its figures.

Figures are entries of their own, drawn once a trial is known to count: the candidates of a search
need none.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from spared_bench.applying import APPLICATION, describe_application
from spared_bench.bench import Bench
from spared_bench.metrics.pearson import pearson_gene
from spared_bench.plan import Job
from spared_bench.products import Prepared, prepare, prepared_target
from spared_bench.saving import save_apart
from spared_bench.scoring import Scoring
from spared_bench.store import Entry

PREDICTIONS = "predictions.npz"
GENES = "genes.csv"
FIGURE = "expression_map.png"
MODEL = "model"
TRIALS = "trials"
FIGURES = "figures"


def write_artifacts(
    folder: Path,
    bench: Bench,
    prepared: Prepared,
    predictor: Any,
    predictions: dict[str, np.ndarray],
    scoring: dict[str, Scoring],
    offset: np.ndarray,
) -> None:
    """Write them into a folder.

    Parameters
    ----------
    folder : Path
    bench : Bench
    prepared : Prepared
    predictor : object
        Fitted; its ``save``, if it has one, writes into ``model/``.
    predictions : dict of split to ndarray of shape (n_spots, n_genes)
    scoring : dict of split to Scoring
    offset : ndarray of shape (n_genes,)
        What was subtracted from the target, and is in the predictions again.
    """
    arrays: dict[str, np.ndarray] = {"genes": prepared.adata.var_names.to_numpy(dtype=str)}
    for split, prediction in predictions.items():
        slides = prepared.slides(split)
        arrays |= {
            f"{split}_prediction": prediction.astype(np.float32),
            f"{split}_spots": slides.adata.obs_names.to_numpy(dtype=str),
        }
    np.savez_compressed(folder / PREDICTIONS, allow_pickle=False, **arrays)
    split = bench.dataset(prepared.name).evaluation_split
    _write_gene_table(folder / GENES, prepared, scoring[split])
    if hasattr(predictor, "save"):
        save_apart(predictor, folder / MODEL)
        cutting = bench.protocol.patches.model_dump(mode="json")
        text = describe_application(prepared.adata, cutting, offset)
        (folder / APPLICATION).write_text(text, encoding="utf-8")


def _write_gene_table(path: Path, prepared: Prepared, scoring: Scoring) -> None:
    import pandas as pd

    table = pd.DataFrame(
        {"gene_name": list(prepared.adata.var["gene_name"]), **scoring.by_gene},
        index=prepared.adata.var_names,
    )
    table.to_csv(path, index_label="gene")


def draw_figures(bench: Bench, job: Job) -> Entry:
    """Return the entry of a trial's figures, drawn from its predictions if the store has none."""
    from spared_bench.figures import expression_map

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
