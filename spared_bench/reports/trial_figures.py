"""The figures of a trial as an entry of the store, drawn once the trial is known to count.

The candidates of a search need none.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from spared_bench.bench import Bench
from spared_bench.data import LABEL
from spared_bench.interfaces import Job
from spared_bench.metrics.classes import class_numbers, confusion
from spared_bench.metrics.pearson import pearson_gene
from spared_bench.metrics.uncertainty import calibration_curve, sharpness
from spared_bench.reports.calibration import calibration_figure, confusion_figure
from spared_bench.reports.expression_map import expression_map
from spared_bench.store.entries import Entry
from spared_bench.store.predictions import opened_predictions
from spared_bench.store.trials import CALIBRATION, CONFUSION, FIGURE, FIGURES, TRIALS
from spared_bench.trials.products import Prepared, prepare, prepared_target
from spared_bench.trials.scores import scored_columns


def draw_figures(bench: Bench, job: Job) -> Entry:
    """Return the entry of a trial's figures, drawn from its predictions if the store has none.

    A map always; a calibration and a table of confusion where the method predicts what they are of.
    """
    store = bench.workspace.store

    def make(folder: Path) -> None:
        trial = store.open(TRIALS, job.trial)
        assert trial is not None
        prepared = prepare(bench, job.dataset)
        split = bench.dataset(job.dataset).evaluation_split
        with opened_predictions(trial.folder) as file:
            arrays = dict(file)
        names, symbols = list(prepared.adata.var_names), prepared.adata.var["gene_name"]
        columns = scored_columns(bench.protocol, names, list(symbols))
        _draw_map(folder, prepared, split, arrays, columns)
        _draw_calibration(folder, prepared, split, arrays, columns)
        _draw_confusion(folder, prepared, split, arrays)

    return store.obtain(FIGURES, bench.figure_inputs(job.trial), make)


def _draw_map(
    folder: Path,
    prepared: Prepared,
    split: str,
    arrays: Mapping[str, np.ndarray],
    columns: np.ndarray,
) -> None:
    slides = prepared.slides(split)
    truth, mask = prepared_target(prepared, split)[:, columns], slides.mask[:, columns]
    prediction = arrays[f"{split}_prediction"][:, columns]
    expression_map(
        folder / FIGURE,
        coordinates=slides.coordinates,
        slide_ids=slides.slide_ids,
        truth=truth,
        prediction=prediction,
        mask=mask,
        genes=[str(prepared.adata.var["gene_name"].iloc[column]) for column in columns],
        scores=pearson_gene(truth, prediction.astype(np.float64), mask),
    )


def _draw_calibration(
    folder: Path,
    prepared: Prepared,
    split: str,
    arrays: Mapping[str, np.ndarray],
    columns: np.ndarray,
) -> None:
    if f"{split}_variance" not in arrays:
        return
    mask = prepared.slides(split).mask[:, columns]
    compared = (
        prepared_target(prepared, split)[:, columns],
        arrays[f"{split}_prediction"][:, columns],
        mask,
        arrays[f"{split}_variance"][:, columns],
    )
    calibration_figure(
        folder / CALIBRATION, calibration_curve(*compared), float(sharpness(*compared))
    )


def _draw_confusion(
    folder: Path, prepared: Prepared, split: str, arrays: Mapping[str, np.ndarray]
) -> None:
    if f"{split}_classes" not in arrays or LABEL not in prepared.adata.obs:
        return
    names = tuple(map(str, arrays["classes"]))
    labels = class_numbers(prepared.slides(split).labels, names)
    table = confusion(labels, arrays[f"{split}_classes"])
    confusion_figure(folder / CONFUSION, table, names)
