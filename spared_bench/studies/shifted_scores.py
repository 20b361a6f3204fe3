"""Scores of one trained method on changed images, each an entry of the store.

Where code of others is imported, or belongs to what predicts, it does not run where scores are
made: a fresh interpreter makes them, and another predicts there.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from spared_bench.bench import Bench, Settings
from spared_bench.data import MASK, TARGET
from spared_bench.errors import CorruptEntryError, PluginError, SparedBenchError, in_words
from spared_bench.executors.plugin_lock import strangers_among, told_of
from spared_bench.executors.strangers import own_bench
from spared_bench.fresh import do_fresh
from spared_bench.inference.seen import SEEN_VERSION
from spared_bench.inference.shifted import KNOWN_ONLY
from spared_bench.keys.code import code_hash
from spared_bench.memory import keep_freed_memory
from spared_bench.metrics.scoring import Beside, Scoring, score
from spared_bench.results import TrialResult
from spared_bench.specs import MetricSpec
from spared_bench.store.processes import scratch_folder
from spared_bench.studies.asked_again import asked
from spared_bench.studies.shifts import Shift, chosen_shifts
from spared_bench.threads import use_threads
from spared_bench.trials.blind import prepared_here
from spared_bench.trials.products import prepared_table
from spared_bench.trials.scores import scored_columns
from spared_bench.trials.strangers_metric import score_apart
from spared_bench.trials.tissue import tissue_of

_KIND = "shifts"
_FILE = "score.json"
_LOST = "Its score was made and cannot be read: `spared-bench store verify` says what is damaged."


def scores_of(
    bench: Bench, result: TrialResult, shifts: Sequence[Shift], metric: MetricSpec
) -> dict[str, dict[str, Any] | str]:
    """Return what a trained method scores under each shift, making what the store lacks.

    Returns
    -------
    dict
        By shift: ``score`` and ``genes``, the score of each gene, with ``None`` for what is not
        defined; or why there is none.
    """
    lacking = [each for each in shifts if _stored(bench, result, each, metric) is None]
    gaps = _made(bench, result, lacking, metric) if lacking else {}
    found: dict[str, dict[str, Any] | str] = {}
    for shift in shifts:
        values = _stored(bench, result, shift, metric)
        gap = gaps.get(shift.name) or _LOST
        found[shift.name] = gap if values is None else values
    return found


def _stored(
    bench: Bench, result: TrialResult, shift: Shift, metric: MetricSpec
) -> dict[str, Any] | None:
    inputs = shift_inputs(bench, result.key, shift.name, metric.name)
    try:
        entry = bench.workspace.store.find(_KIND, inputs)
        values: dict[str, Any] | None = None if entry is None else entry.read_json(_FILE)
    except CorruptEntryError:
        return None
    return values


def _made(
    bench: Bench, result: TrialResult, shifts: Sequence[Shift], metric: MetricSpec
) -> dict[str, str]:
    """Make scores, in another process where code of others is imported in this one."""
    if all(each.is_ours or each.told is not None for each in bench.registry.plugins):
        return make_scores(bench, result, shifts, metric)
    plugins = [(kind, getattr(result, kind)) for kind in ("dataset", "completer", "predictor")]
    metrics = [("metric", name) for name in bench.scored_metrics]  # a score's inputs name them all
    strangers = strangers_among(bench, [*plugins, *metrics])
    told = told_of(bench, strangers)
    asked_for = {
        "settings": replace(bench.settings, strangers=strangers, told=told).as_dict(),
        "trial": result.as_dict(),
        "shifts": [shift.name for shift in shifts],
        "metric": metric.name,
    }
    try:
        gaps: dict[str, str] = do_fresh(f"{__name__}:serve", asked_for, seconds=0)
    except PluginError as error:
        gaps = {shift.name: str(error) for shift in shifts}
    return gaps


def serve(
    settings: Mapping[str, Any], trial: dict[str, Any], shifts: Sequence[str], metric: str
) -> dict[str, str]:
    """Do ``make_scores`` in an interpreter that imports no code of others."""
    bench = own_bench(Settings.from_dict(settings))
    use_threads(bench.settings.threads)
    keep_freed_memory()
    wanted = chosen_shifts(tuple(shifts))
    return make_scores(bench, TrialResult.from_dict(trial), wanted, bench.metric(metric))


def make_scores(
    bench: Bench, result: TrialResult, shifts: Sequence[Shift], metric: MetricSpec
) -> dict[str, str]:
    """Make the scores of a trained method under some shifts; return why there is none, by shift."""
    gaps: dict[str, str] = {}
    prepared_here(bench, result.dataset)
    with scratch_folder() as folder:
        try:
            ask = asked(bench, result, shifts, folder)
        except SparedBenchError as error:
            return {shift.name: str(error) for shift in shifts}
        for number, shift in enumerate(shifts):
            if gap := _reason(partial(_score, bench, result, shift, metric, ask)):
                gaps[shift.name] = gap
            if _is_final(gap):
                return gaps | {other.name: gap for other in shifts[number:]}
    return gaps


def _reason(do: Callable[[], object]) -> str:
    """Do something, and return why it failed; empty if it did not."""
    try:
        do()
    except SparedBenchError as error:
        return str(error)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a stranger's method may do anything with what it sees
        return in_words(error)[0]
    return ""


def _is_final(gap: str) -> bool:
    """Whether no other shift can do better: there is no model, or it needs known spots."""
    return "left no model" in gap or "has no `load`" in gap or KNOWN_ONLY in gap


def shift_inputs(bench: Bench, trial: str, shift: str, metric: str) -> dict[str, Any]:
    """What determines the score of a trial's model on changed images."""
    return {
        "trial": trial,
        "shift": shift,
        "metric": bench.score_inputs(trial)["metrics"][metric],
        "pooling": bench.protocol.pooling,
        "mean_rule": bench.protocol.mean_rule,
        "genes": list(bench.protocol.scored_genes),
        "code": code_hash("spared_bench.studies.shifts"),
        "seen": SEEN_VERSION,
        "cut": code_hash("spared_bench.processing.views"),
        "stains": code_hash("spared_bench.processing.stains.colours"),
    }


def _score(
    bench: Bench,
    result: TrialResult,
    shift: Shift,
    metric: MetricSpec,
    predicted: Callable[[Shift], np.ndarray],
) -> None:
    def make(folder: Path) -> None:
        values = _scored(bench, result.dataset, predicted(shift), metric)
        (folder / _FILE).write_text(json.dumps(values, allow_nan=False), encoding="utf-8")

    inputs = shift_inputs(bench, result.key, shift.name, metric.name)
    bench.workspace.store.obtain(_KIND, inputs, make)


def _scored(
    bench: Bench, dataset: str, predicted: np.ndarray, metric: MetricSpec
) -> dict[str, Any]:
    table = prepared_table(bench, dataset)
    split = bench.dataset(dataset).evaluation_split
    rows = table.obs["split"].to_numpy() == split
    names = list(table.var_names)
    shape = int(rows.sum()), len(names)
    if (
        predicted.shape != shape
        or predicted.dtype != np.float64
        or not np.isfinite(predicted).all()
    ):
        raise PluginError(f"The method left no finite values of shape {shape}.")
    columns = scored_columns(bench.protocol, names, list(table.var["gene_name"]))
    cells = np.ix_(rows, columns)
    placed = metric.given == "tissue" or metric.genes != "all"
    beside = Beside(tissue=tissue_of(bench, table, rows, columns) if placed else None)

    def by(spec: MetricSpec, function: Any) -> Scoring:
        return score(
            {metric.name: (spec, function)},
            np.asarray(table.layers[TARGET], dtype=np.float64)[cells],
            predicted[:, columns],
            np.asarray(table.layers[MASK], dtype=bool)[cells],
            table.obs["slide_id"].to_numpy(dtype=str)[rows],
            beside=beside,
            pooling=bench.protocol.pooling,
            rule=bench.protocol.mean_rule,
        )

    entry = bench.registry.get("metric", metric.name)
    if entry.told is None:
        scored = by(metric, entry.load())
    else:
        scored = score_apart(bench, metric.name, by, len(columns))
    genes = scored.by_gene.get(metric.name, [])
    return {
        "score": _plain(scored.means[metric.name]),
        "genes": {names[c]: _plain(v) for c, v in zip(columns, genes, strict=bool(genes))}
        if genes
        else {},
    }


def _plain(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
