"""A file of predictions made elsewhere as a scored result of the workspace, *brought*.

What it lacks is predicted as the negative control ``gene-mean`` would: by each gene's mean over
measured training entries. So a missing gene is a constant prediction, and counts as the protocol's
rule for means says of one (0 under ``strict``); a missing spot costs what knowing nothing of it
costs. Both are told, and recorded with the result.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from spared_bench.bench import Bench
from spared_bench.brought.collecting import Collected, Named, collect
from spared_bench.brought.names import Names
from spared_bench.brought.reading import open_predictions
from spared_bench.data import MASK, TARGET
from spared_bench.errors import AmbiguousNameError, SubmissionError, UsageError
from spared_bench.interfaces import Job
from spared_bench.keys.hashing import digest
from spared_bench.results import BROUGHT, UNSCORED, TrialResult
from spared_bench.store.trials import PREDICTIONS, RESULT, TRIALS, read_scores, write_cell
from spared_bench.trials.cells import what_it_was_made_of
from spared_bench.trials.outdated import let_data_count
from spared_bench.trials.products import prepared_table
from spared_bench.trials.record import dataset_facts
from spared_bench.trials.scores import make_scores

if TYPE_CHECKING:
    from anndata import AnnData

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9_+.-]{0,62}[a-z0-9_+-])?")
_FAR = 5.0  # times the spread of the target: predictions so far off are in another unit


@dataclass(frozen=True)
class Brought:
    """What a file of predictions came to.

    Parameters
    ----------
    result : TrialResult
        With its scores.
    coverage : dict of str to (int, int)
        ``"spots"`` and ``"genes"``: how many of the scored ones the file has, and of how many.
    notes : list of str
        What was understood, left out or filled, in sentences.
    """

    result: TrialResult
    coverage: dict[str, tuple[int, int]]
    notes: list[str] = field(default_factory=list)


def bring(
    bench: Bench,
    source: Path | str | AnnData | Any,
    dataset: str,
    *,
    method: str = "",
    completer: str = "none",
    seed: int | None = None,
    layer: str = "",
    ignore_unknown: bool = False,
) -> Brought:
    """Score predictions made elsewhere, and put them among the results of a workspace.

    Parameters
    ----------
    bench : Bench
        The protocol and the workspace.
    source : Path, DataFrame or AnnData
        A file (``spared_bench.brought.reading``), or a table with names on both axes. Values are in
        the unit of the protocol's target.
    dataset : str
        A registered dataset, or one fold of a scheme.
    method : str
        Name on the board; made from the file's name by default. No name of a registered predictor.
    completer : str
        With which its training target was completed.
    seed : int, optional
        One of the protocol's seeds; the first by default.
    layer : str
        Of an ``.h5ad``; see ``open_predictions``.
    ignore_unknown : bool
        Leave out spots and genes that the dataset does not have.

    Raises
    ------
    UsageError
        For a name that is taken or cannot be one, a scheme of folds, or a seed of no run.
    SubmissionError
        If the file cannot be used, with what to do.
    """
    name = _method_name(bench, method or _stem(source))
    dataset = _one_dataset(bench, dataset)
    completer = bench.registry.canonical("completer", completer)
    seeds = bench.protocol.seeds
    seed = seeds[0] if seed is None else seed
    if seed not in seeds:
        raise UsageError(
            f"Seed {seed} is none of protocol {bench.protocol.id}, whose are"
            f" {', '.join(map(str, seeds))}."
        )
    means, variances = _opened(source, layer)
    bench.workspace.make_writable()
    table = prepared_table(bench, dataset)
    split = bench.dataset(dataset).evaluation_split
    rows = table.obs["split"].isin([split, "val"]).to_numpy()
    spots, genes = _names_of(table, rows)
    found = collect(means, spots, genes, ignore_unknown=ignore_unknown)
    spread = None
    if variances is not None:
        spread = collect(variances, spots, genes, ignore_unknown=ignore_unknown)
    splits = table.obs["split"].to_numpy(dtype=str)[rows]
    _check_covered(found, splits, split, means.source, spots)
    arrays = _arrays(table, rows, found, spread, splits, split)
    evaluated = splits == split
    coverage = {
        "spots": (int(found.spots[evaluated].sum()), int(evaluated.sum())),
        "genes": (int(found.genes.sum()), table.n_vars),
    }
    notes = [*found.notes, *_told(coverage, bench), *_far_off(table, rows, arrays, split, bench)]
    key = _store(bench, dataset, completer, name, seed, arrays, table, coverage)
    result = _scored(bench, dataset, completer, name, seed, key)
    if UNSCORED in result.facts:
        notes.append(str(result.facts[UNSCORED]))
    return Brought(result, coverage, notes)


def _stem(source: Any) -> str:
    if not isinstance(source, Path | str):
        raise UsageError("Name the method (`method=...`): a table in memory has no file's name.")
    stem = Path(source).name.lower().removesuffix(".gz").rpartition(".")[0]
    return re.sub(r"[^a-z0-9_+.-]+", "-", stem).strip("-._+")[:64].rstrip(".")


def _method_name(bench: Bench, name: str) -> str:
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} cannot be a method's name: at most 64 lower-case letters, digits and"
            " `_+.-`, as in 'my-method'. Name it with `--method`."
        )
    try:
        bench.registry.get("predictor", name)  # by any name, one on an encoder among them
    except AmbiguousNameError:
        pass
    except UsageError:  # none, or on an encoder that it does not take
        return name
    raise UsageError(
        f"{name!r} is a registered predictor, whose own runs stand under that name. Name these"
        f" predictions otherwise, as in `--method {name}-elsewhere`."
    )


def _one_dataset(bench: Bench, name: str) -> str:
    folds = bench.registry.expand(name)
    if len(folds) != 1:
        raise UsageError(
            f"{name!r} stands for {len(folds)} folds, and a file is of one: name it, as in"
            f" {folds[0]!r}."
        )
    return bench.registry.canonical("dataset", folds[0])


def _opened(source: Any, layer: str) -> tuple[Named, Named | None]:
    if isinstance(source, Path | str):
        return open_predictions(Path(source), layer)
    from spared_bench.brought.memory import named_table

    return named_table(source, layer)


def _names_of(table: AnnData, rows: np.ndarray) -> tuple[Names, Names]:
    names, slides = table.obs_names.to_numpy(str), table.obs["slide_id"].to_numpy(str)
    barcodes = np.array(
        [name.removeprefix(f"{slide}_") for name, slide in zip(names, slides, strict=True)]
    )
    kept = set(names[rows]) | set(barcodes[rows])
    elsewhere = (set(names[~rows]) | set(barcodes[~rows])) - kept
    return (
        Names("spots", _texts(names[rows]), _texts(barcodes[rows]), frozenset(elsewhere)),
        Names("genes", _texts(table.var_names), _texts(table.var["gene_name"])),
    )


def _texts(names: Iterable[Any]) -> tuple[str, ...]:
    return tuple(map(str, names))


def _check_covered(
    found: Collected, splits: np.ndarray, split: str, source: str, spots: Names
) -> None:
    if not found.spots[splits == split].any() or not found.genes.any():
        example = spots.names[int(np.flatnonzero(splits == split)[0])]
        raise SubmissionError(
            f"{source} has no spot of the {split} split, which is scored; such a spot is"
            f" {example!r}. `spared-bench export split` writes all of them down."
        )


def _training_means(table: AnnData) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and variance of each gene over measured training entries; 0 without any."""
    train = table.obs["split"].to_numpy(dtype=str) == "train"
    mask = np.asarray(table.layers[MASK], dtype=bool)[train]
    values = np.where(mask, np.asarray(table.layers[TARGET], dtype=np.float64)[train], 0.0)
    n_seen = np.maximum(mask.sum(axis=0), 1)
    mean = values.sum(axis=0) / n_seen
    variance = np.where(mask, values - mean, 0.0)
    return mean, np.square(variance).sum(axis=0) / n_seen


def _arrays(
    table: AnnData,
    rows: np.ndarray,
    found: Collected,
    spread: Collected | None,
    splits: np.ndarray,
    split: str,
) -> dict[str, np.ndarray]:
    """Return what a trial's file of predictions holds."""
    mean, variance = _training_means(table)
    lacking = ~(found.spots[:, None] & found.genes[None, :])
    with np.errstate(over="ignore"):
        values = np.where(lacking, mean, found.values).astype(np.float32)
    if not np.isfinite(values).all():
        raise SubmissionError(
            "The predictions hold numbers beyond the range of float32 (3.4e38). Correct them, or"
            " leave their spots or genes out of the file."
        )
    arrays: dict[str, np.ndarray] = {"genes": table.var_names.to_numpy(dtype=str)}
    spots = table.obs_names.to_numpy(dtype=str)[rows]
    for name in dict.fromkeys(["val", split]):
        here = splits == name
        if name != split and not found.spots[here].all():
            continue  # what is not scored need not be there
        arrays |= {f"{name}_prediction": values[here], f"{name}_spots": spots[here]}
        if spread is not None:
            absent = ~(spread.spots[:, None] & spread.genes[None, :])
            told = np.where(absent, variance, spread.values).astype(np.float32)
            if (told < 0).any():
                raise SubmissionError("A variance is negative; it is 0 or more.")
            arrays[f"{name}_variance"] = told[here]
    return arrays


def _told(coverage: dict[str, tuple[int, int]], bench: Bench) -> list[str]:
    notes = []
    rule = (
        "counts 0 in correlations"
        if bench.protocol.mean_rule == "strict"
        else "makes the means of correlations undefined (`mean_rule: published`)"
    )
    for what, (has, of) in coverage.items():
        if has < of:
            costs = f", which {rule}" if what == "genes" else ""
            notes.append(
                f"{of - has} of {of} {what} are missing: they are scored as the genes' means over"
                f" the training slides{costs}."
            )
    return notes


def _far_off(
    table: AnnData, rows: np.ndarray, arrays: dict[str, np.ndarray], split: str, bench: Bench
) -> list[str]:
    """Tell of predictions that are not in the unit of the target, as far as that can be seen."""
    mask = np.asarray(table.layers[MASK], dtype=bool)[rows]
    target = np.asarray(table.layers[TARGET], dtype=np.float64)[rows][mask]
    predicted = float(np.median(arrays[f"{split}_prediction"]))
    middle, spread = float(np.median(target)), float(target.std())
    if abs(predicted - middle) <= _FAR * max(spread, 1e-6):
        return []
    return [
        f"Are these values in the unit of the target ({bench.protocol.processing.target})? Their"
        f" median is {predicted:.4g}, and that of what was measured {middle:.4g}."
    ]


def _store(
    bench: Bench,
    dataset: str,
    completer: str,
    method: str,
    seed: int,
    arrays: dict[str, np.ndarray],
    table: AnnData,
    coverage: dict[str, tuple[int, int]],
) -> str:
    """Write the predictions as a trial; return its key."""
    content = hashlib.sha256()
    for name in sorted(arrays):
        content.update(name.encode())
        content.update(np.ascontiguousarray(arrays[name]).tobytes())
    inputs = {
        BROUGHT: content.hexdigest(),
        "protocol": bench.protocol.id,
        "prepared": digest(bench.prepared_inputs(dataset)),
        "cell": [dataset, completer, method, seed],
    }
    lacking = {what: of - has for what, (has, of) in coverage.items()}
    result = TrialResult(
        key=digest(inputs),
        status="ok",
        protocol=bench.protocol.id,
        dataset=dataset,
        completer=completer,
        predictor=method,
        seed=seed,
        genes=list(map(str, table.var_names)),
        gene_symbols=list(map(str, table.var["gene_name"])),
        facts=dataset_facts(bench, dataset)
        | {
            BROUGHT: {"missing": lacking},
            "summary": "Predictions made elsewhere",
            "control": False,
        },
    )

    def make(folder: Path) -> None:
        np.savez_compressed(folder / PREDICTIONS, allow_pickle=False, **arrays)
        text = json.dumps(result.as_dict(), indent=1, allow_nan=False)
        (folder / RESULT).write_text(text, encoding="utf-8")

    bench.workspace.store.obtain(TRIALS, inputs, make)
    return result.key


def _scored(
    bench: Bench, dataset: str, completer: str, method: str, seed: int, key: str
) -> TrialResult:
    """Score the trial, and let its cell name it."""
    store = bench.workspace.store
    scores_key = digest(bench.score_inputs(key))
    job = Job("score", scores_key, dataset, completer, method, seed=seed, trial=key)
    make_scores(bench, job)
    scores = read_scores(store, scores_key)
    entry = store.open(TRIALS, key)
    assert entry is not None
    from spared_bench.store.trials import trial_of

    trial = trial_of(entry)
    if scores is None or not scores.ok:
        told = "they cannot be read" if scores is None else scores.message
        raise SubmissionError(f"The predictions could not be scored: {told}")
    names: Sequence[Any] = [bench.protocol.id, dataset, completer, method, seed]
    record = {
        "cell": names,
        "final": key,
        "search": [],
        "scores": scores_key,
        "figures": "",
        **what_it_was_made_of(bench, dataset),
    }
    path = store.root / "cells" / f"{digest(list(names))}.json"
    write_cell(path, record)
    let_data_count(bench, [dataset])
    return trial.scored(scores)
