"""The scores of a trial: an entry of their own, made from its predictions.

A protocol that gets another metric, or another rule for its means, trains nothing: the predictions
are there, and what is scored against them is the prepared dataset.
"""

from __future__ import annotations

import csv
import json
import math
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from anndata import AnnData

from spared_bench.bench import Bench
from spared_bench.data import LABEL, MASK, TARGET
from spared_bench.data.gene_columns import gene_columns, of_several
from spared_bench.errors import (
    CorruptEntryError,
    PluginError,
    ProtocolError,
    WorkspaceError,
    in_words,
)
from spared_bench.interfaces import Job
from spared_bench.metrics.classes import class_numbers
from spared_bench.metrics.scoring import Beside, MetricFunction, Scoring, details, score
from spared_bench.protocol import Protocol
from spared_bench.results import TrialScores
from spared_bench.specs import MetricSpec
from spared_bench.store.disk import is_full_at, is_lost
from spared_bench.store.entries import Entry
from spared_bench.store.predictions import opened_predictions
from spared_bench.store.trials import (
    GENES,
    SCORE_RECORD,
    SCORES,
    TRIALS,
    read_scores,
)
from spared_bench.trials.blind import prepared_here
from spared_bench.trials.products import prepared_table
from spared_bench.trials.strangers_metric import score_apart
from spared_bench.trials.tissue import tissue_of, wants_tissue


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
            is_open = isinstance(error, WorkspaceError) or is_lost(error)
            if is_open or is_full_at(folder, error):
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
    prepared_here(bench, job.dataset)
    table = prepared_table(bench, job.dataset)
    try:
        with opened_predictions(trial.folder) as file:
            arrays = dict(file)
    except CorruptEntryError as error:  # no reason to end the run, and one to be kept
        raise PluginError(f"{error} Run with `--retry-failed`, so that they are scored.") from error
    columns = scored_columns(bench.protocol, list(table.var_names), list(table.var["gene_name"]))
    splits = [name.removesuffix("_prediction") for name in arrays if name.endswith("_prediction")]
    failed: dict[str, str] = {}
    scorings = {
        split: _score_split(bench, table, split, arrays, columns, failed) for split in splits
    }
    evaluated = scorings[bench.dataset(job.dataset).evaluation_split]
    by_gene = {
        name: _at(columns, values, table.n_vars) for name, values in evaluated.by_gene.items()
    }
    _write(
        folder,
        TrialScores(
            status="ok",
            scores={split: each.means for split, each in scorings.items()},
            slide_scores={split: each.by_slide for split, each in scorings.items()},
            gene_scores=by_gene,
            calibration={s: each.calibration for s, each in scorings.items() if each.calibration},
            confusion={s: each.confusion for s, each in scorings.items() if each.confusion},
            message=" ".join(f"Metric {name!r} gave nothing: {failed[name]}" for name in failed),
        ),
    )
    named = {"gene": table.var_names, "gene_name": table.var["gene_name"], **by_gene}
    _write_genes(folder / GENES, named, columns)


def _write_genes(path: Path, named: Mapping[str, Sequence[Any]], columns: np.ndarray) -> None:
    """Write values by gene as CSV, of these genes; an undefined value is an empty field."""
    values = [np.asarray(each, dtype=object)[columns] for each in named.values()]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(named)
        for row in zip(*values, strict=True):
            writer.writerow(["" if isinstance(v, float) and math.isnan(v) else v for v in row])


def scored_columns(
    protocol: Protocol, gene_ids: Sequence[str], symbols: Sequence[str]
) -> np.ndarray:
    """Return the columns of the genes that a protocol scores, in the order of the columns.

    Raises
    ------
    ProtocolError
        If one of ``scored_genes`` is not among the trained genes, or is the symbol of several.
    """
    if not protocol.scored_genes:
        return np.arange(len(gene_ids))
    found = gene_columns(protocol.scored_genes, gene_ids, symbols)
    if unclear := of_several(found, gene_ids):
        raise ProtocolError(f"Protocol {protocol.id} scores `scored_genes`, and {unclear}")
    lacking = [gene for gene in protocol.scored_genes if not found[gene]]
    if lacking:
        raise ProtocolError(
            f"{len(lacking)} of the {len(protocol.scored_genes)} genes that protocol {protocol.id}"
            f" scores are not among the {len(gene_ids)} trained ones: {', '.join(lacking[:5])}."
            " Correct `scored_genes`, or choose more genes (`processing.n_genes`)."
        )
    return np.array(sorted({column for each in found.values() for column in each}), dtype=np.int64)


def _at(columns: np.ndarray, values: Sequence[float], n_genes: int) -> list[float]:
    """Return the values in the places of their genes; nan for a gene that is not scored."""
    whole = np.full(n_genes, np.nan)
    whole[columns] = values
    return [float(value) for value in whole]


def _score_split(
    bench: Bench,
    table: AnnData,
    split: str,
    arrays: Mapping[str, np.ndarray],
    columns: np.ndarray,
    failed: dict[str, str],
) -> Scoring:
    """Score one split: by our own metrics, and by each stranger's alone, mostly in another process.

    Where a stranger's metric gives no scores, the reason is noted in ``failed``.
    """
    rows = table.obs["split"].to_numpy() == split
    cells = np.ix_(rows, columns)
    tissue = tissue_of(bench, table, rows, columns) if wants_tissue(bench) else None

    def parts() -> tuple[np.ndarray, np.ndarray, np.ndarray, Beside]:
        return (
            np.array(table.layers[TARGET], dtype=np.float64)[cells],
            arrays[f"{split}_prediction"].astype(np.float64)[:, columns],
            np.array(table.layers[MASK], dtype=bool)[cells],
            replace(_beside(table, rows, split, arrays, columns), tissue=tissue),
        )

    def by(metrics: Mapping[str, tuple[MetricSpec, MetricFunction]]) -> Scoring:
        truth, prediction, mask, beside = parts()
        return score(
            metrics,
            truth,
            prediction,
            mask,
            table.obs["slide_id"].to_numpy(dtype=str)[rows],
            beside=beside,
            pooling=bench.protocol.pooling,
            rule=bench.protocol.mean_rule,
        )

    def by_named(*names: str) -> Scoring:
        return by({n: (bench.metric(n), bench.registry.get("metric", n).load()) for n in names})

    ours, here, apart = _where_scored(bench)
    found = [by_named(*ours)]
    for name in (name for name in here if name not in failed):
        try:
            found.append(by_named(name))
        except (KeyboardInterrupt, CorruptEntryError):
            raise
        except BaseException as error:  # it may do anything
            failed[name] = in_words(error)[0]
    beside = parts()[-1] if apart else Beside()
    for name in (name for name in apart if name not in failed):
        if not beside.has(bench.metric(name)):
            continue  # it is of a variance or of classes, and the method predicts none
        try:
            taken = score_apart(
                bench, name, lambda spec, metric: by({spec.name: (spec, metric)}), len(columns)
            )
            found.append(taken)
        except PluginError as error:
            failed[name] = str(error)
    calibration, confusion = details(*parts())
    return replace(
        _joined(found, bench.scored_metrics), calibration=calibration, confusion=confusion
    )


def _where_scored(bench: Bench) -> tuple[list[str], list[str], list[str]]:
    """Return our metrics, those of strangers that are scored here, and those of other processes.

    In this order: in one process (``--executor inline``) a stranger's may leave anything behind.
    """
    entries = {name: bench.registry.get("metric", name) for name in bench.scored_metrics}
    ours = [name for name, entry in entries.items() if entry.plugin.is_ours]
    others = [name for name in entries if name not in ours]
    here = [name for name in others if entries[name].told is None]
    return ours, here, [name for name in others if name not in here]


def _beside(
    table: AnnData,
    rows: np.ndarray,
    split: str,
    arrays: Mapping[str, np.ndarray],
    columns: np.ndarray,
) -> Beside:
    """Return variances, probabilities and labels of a split, as far as a trial has predicted."""
    variance, classes = (arrays.get(f"{split}_{part}") for part in ("variance", "classes"))
    labels = None
    if classes is not None and LABEL in table.obs:
        names = tuple(map(str, arrays["classes"]))
        labels = class_numbers(table.obs[LABEL].to_numpy(dtype=object)[rows], names)
    return Beside(
        None if variance is None else variance.astype(np.float64)[:, columns],
        None if classes is None else classes.astype(np.float64),
        labels,
    )


def _joined(parts: Sequence[Scoring], names: Sequence[str]) -> Scoring:
    """Put scorings by different metrics together, in the order of their names."""

    def ordered(values: Mapping[str, Any]) -> dict[str, Any]:
        return {name: values[name] for name in names if name in values}

    means = {name: value for part in parts for name, value in part.means.items()}
    genes = {name: value for part in parts for name, value in part.by_gene.items()}
    slides = {
        slide: ordered(
            {name: value for part in parts for name, value in part.by_slide.get(slide, {}).items()}
        )
        for slide in parts[0].by_slide
    }
    return Scoring(ordered(means), slides, ordered(genes))
