"""The scores of a trial: an entry of their own, made from its predictions.

A protocol that gets another metric, or another rule for its means, trains nothing: the predictions
are there, and what is scored against them is the prepared dataset.
"""

from __future__ import annotations

import json
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from spared_bench.bench import Bench
from spared_bench.data import MASK, TARGET
from spared_bench.errors import CorruptEntryError, WorkspaceError, in_words
from spared_bench.interfaces import Job
from spared_bench.metrics.scoring import Scoring, score
from spared_bench.results import TrialScores
from spared_bench.store.disk import is_full
from spared_bench.store.entries import Entry
from spared_bench.store.trials import (
    GENES,
    PREDICTIONS,
    SCORE_RECORD,
    SCORES,
    TRIALS,
    read_scores,
)
from spared_bench.trials.products import prepared_table


def make_scores(bench: Bench, job: Job) -> Entry:
    """Return the entry of a trial's scores, made from its predictions if the store has none.

    What a metric raises is kept as the reason why there are no scores: it is no failure of the
    training, which need not be done again.
    """

    def make(folder: Path) -> None:
        try:
            _score(bench, job, folder)
        except (KeyboardInterrupt, CorruptEntryError):
            raise
        except BaseException as error:  # a stranger's metric may do anything
            if isinstance(error, WorkspaceError) or is_full(error):
                raise
            message, where = in_words(error)
            _write(folder, TrialScores(message=message, traceback=where))

    _drop_unreadable(bench, job)
    return bench.workspace.store.obtain(SCORES, bench.score_inputs(job.trial), make)


def note_failure(bench: Bench, job: Job, message: str, where: str = "") -> None:
    """Store why scoring ended when its process could not: it was killed, or took too long."""

    def make(folder: Path) -> None:
        _write(folder, TrialScores(message=message, traceback=where or traceback.format_exc()))

    _drop_unreadable(bench, job)
    bench.workspace.store.obtain(SCORES, bench.score_inputs(job.trial), make)


def _drop_unreadable(bench: Bench, job: Job) -> None:
    """Take an entry away whose files have the right sizes, and whose record is none."""
    store = bench.workspace.store
    if store.has(SCORES, job.key) and read_scores(store, job.key) is None:
        store.remove(SCORES, job.key)


def _write(folder: Path, scores: TrialScores) -> None:
    text = json.dumps(scores.as_dict(), indent=1, allow_nan=False)
    (folder / SCORE_RECORD).write_text(text, encoding="utf-8")


def _score(bench: Bench, job: Job, folder: Path) -> None:
    trial = bench.workspace.store.open(TRIALS, job.trial)
    if trial is None:
        raise CorruptEntryError(f"The predictions of trial {job.trial[:12]} are gone.")
    table = prepared_table(bench, job.dataset)
    with np.load(trial.folder / PREDICTIONS, allow_pickle=False) as file:
        arrays = dict(file)
    splits = [name.removesuffix("_prediction") for name in arrays if name.endswith("_prediction")]
    scorings = {
        split: _score_split(bench, table, split, arrays[f"{split}_prediction"]) for split in splits
    }
    evaluated = scorings[bench.dataset(job.dataset).evaluation_split]
    _write(
        folder,
        TrialScores(
            status="ok",
            scores={split: each.means for split, each in scorings.items()},
            slide_scores={split: each.by_slide for split, each in scorings.items()},
            gene_scores=evaluated.by_gene,
        ),
    )
    genes = pd.DataFrame(
        {"gene_name": list(table.var["gene_name"]), **evaluated.by_gene}, index=table.var_names
    )
    genes.to_csv(folder / GENES, index_label="gene")


def _score_split(bench: Bench, table: AnnData, split: str, prediction: np.ndarray) -> Scoring:
    """Score one split: by our own metrics first, then by each stranger's on copies of its own."""
    rows = table.obs["split"].to_numpy() == split

    def by(names: list[str]) -> Scoring:
        return score(
            {
                name: (bench.metric(name), bench.registry.get("metric", name).load())
                for name in names
            },
            np.array(table.layers[TARGET], dtype=np.float64)[rows],
            prediction.astype(np.float64),
            np.array(table.layers[MASK], dtype=bool)[rows],
            table.obs["slide_id"].to_numpy(dtype=str)[rows],
            pooling=bench.protocol.pooling,
            rule=bench.protocol.mean_rule,
        )

    wanted = bench.protocol.metrics
    ours = [name for name in wanted if bench.registry.get("metric", name).plugin.is_ours]
    parts = [by(ours), *(by([name]) for name in wanted if name not in ours)]
    return _joined(parts, wanted)


def _joined(parts: Sequence[Scoring], names: Sequence[str]) -> Scoring:
    """Put scorings by different metrics together, in the order of their names."""

    def ordered(values: Mapping[str, Any]) -> dict[str, Any]:
        return {name: values[name] for name in names if name in values}

    means = {name: value for part in parts for name, value in part.means.items()}
    genes = {name: value for part in parts for name, value in part.by_gene.items()}
    slides = {
        slide: ordered(
            {name: value for part in parts for name, value in part.by_slide[slide].items()}
        )
        for slide in parts[0].by_slide
    }
    return Scoring(ordered(means), slides, ordered(genes))
