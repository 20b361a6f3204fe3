"""Completed layers, and slides with them: made once per completer, and kept in the store."""

from __future__ import annotations

import inspect
import json
import math
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from spared_bench.bench import Bench
from spared_bench.contracts import completion_of
from spared_bench.data import Slides
from spared_bench.interfaces import Budget, Completer, Context
from spared_bench.keys.hashing import digest
from spared_bench.removal import remove_folder
from spared_bench.store.entries import Entry
from spared_bench.store.reading import read_product
from spared_bench.trials.blind import confine
from spared_bench.trials.methods import build
from spared_bench.trials.products import Prepared, prepare
from spared_bench.trials.saving import save_apart
from spared_bench.trials.seeding import seed_everything

_COMPLETED = "completed.npy"
_MODEL = "model"
_FIT = "fit.json"


def completed(
    prepared: Prepared, completer: str, *splits: str, offset: np.ndarray | None = None
) -> Slides:
    """Return the slides of splits with their completed target, less an offset per gene."""
    target = completed_target(prepared, completer, *splits)
    return prepared.shared(*splits).with_target(target if offset is None else target - offset)


def completed_target(prepared: Prepared, completer: str, *splits: str) -> np.ndarray:
    """Return the completed target of splits, (n_spots, n_genes), float32, the caller's own."""
    bench, kept = prepared.bench, prepared.kept
    key = bench.completed_key(prepared.name, completer)
    if (key, splits) not in kept.completed:
        layer = completed_layer(prepared, completer)
        rows = prepared.rows(*splits)
        # Of one completed layer, the last, which is enough.
        others = {known: each for known, each in kept.completed.items() if known[0] == key}
        kept.completed = others | {(key, splits): np.asarray(layer[rows])}
    return kept.completed[key, splits].copy()


def completed_layer(prepared: Prepared, completer: str) -> np.ndarray:
    """Return the completed target of all spots, (n_spots, n_genes), read from its file."""
    bare = replace(prepared, views={})
    bench = prepared.bench

    def read(entry: Entry) -> np.ndarray:
        layer: np.ndarray = np.load(entry.folder / _COMPLETED, mmap_mode="r")
        return layer

    return read_product(
        bench.workspace.store,
        lambda: make_completed(bench, prepared.name, completer, bare),
        read,
        again=bench.makes_shared,
    )


def make_completed(
    bench: Bench, dataset: str, completer: str, prepared: Prepared | None = None
) -> Entry:
    """Return the entry of a completed layer, making it if the store does not have it.

    The completer is fitted on the training slides. It completes training and validation slides,
    each split on its own; test slides are never shown to it, and their rows hold nan.
    """
    inputs = bench.completed_inputs(dataset, completer)
    scratch = bench.workspace.training / digest(inputs)

    def make(folder: Path) -> None:
        source = seen_by_completer(prepared or prepare(bench, dataset), completer)
        method, told = _fit_completer(bench, dataset, completer, source, scratch)
        layer = np.full(source.adata.shape, np.nan, dtype=np.float32)
        for split in ("train", "val"):
            slides, rows = source.slides(split), source.adata.obs["split"].to_numpy() == split
            layer[rows] = completion_of(method, slides, completer)
        np.save(folder / _COMPLETED, layer)
        (folder / _FIT).write_text(json.dumps(told), encoding="utf-8")
        if hasattr(method, "save") and hasattr(method, "load"):
            save_apart(method, folder / _MODEL)

    parameters = bench.chosen("completer", completer).values
    views = bench.views_of("completer", completer, parameters).values()
    making = confine(bench, dataset, digest(inputs), make, views=views)
    entry = bench.workspace.store.obtain("completed", inputs, making, once=True)
    remove_folder(scratch)
    return entry


def fitted_completer(
    bench: Bench, dataset: str, completer: str, prepared: Prepared
) -> tuple[Completer, dict[str, Any]]:
    """Return a fitted completer, from the store where it is kept there, and how its fit went.

    Returns
    -------
    Completer
    dict
        ``seconds``, and the ``curves``: name to list of (step, value).
    """
    entry = make_completed(bench, dataset, completer, prepared)
    if not (entry.folder / _MODEL).is_dir():
        return _fit_completer(bench, dataset, completer, prepared)
    parameters = bench.completed_inputs(dataset, completer)["completer"]["parameters"]
    method = build(bench, "completer", completer, parameters)
    place = {"device": bench.settings.device}
    takes_place = "device" in inspect.signature(method.load).parameters
    method.load(entry.folder / _MODEL, **(place if takes_place else {}))
    return method, entry.read_json(_FIT)


def seen_by_completer(prepared: Prepared, completer: str) -> Prepared:
    """Return a dataset with the views that a completer declares."""
    parameters = prepared.bench.chosen("completer", completer).values
    return prepared.seen_by("completer", completer, parameters)


def _fit_completer(
    bench: Bench, dataset: str, completer: str, prepared: Prepared, scratch: Path | None = None
) -> tuple[Completer, dict[str, Any]]:
    curves: dict[str, list[tuple[int, float | None]]] = {}

    def record(step: int, values: dict[str, float]) -> None:
        for name, value in values.items():
            known = float(value) if math.isfinite(value) else None
            curves.setdefault(name, []).append((int(step), known))

    inputs, completion = bench.completed_inputs(dataset, completer), bench.protocol.completion
    prepared = seen_by_completer(prepared, completer)
    method = build(bench, "completer", completer, inputs["completer"]["parameters"])
    budget = Budget(completion.iterations, completion.batch_size, completion.validate_every, False)
    context = Context(inputs["seed"], budget, bench.settings.device, record, scratch)
    seed_everything(context.seed)
    started = time.perf_counter()
    method.fit(prepared.slides("train"), prepared.slides("val"), context)
    return method, {"seconds": round(time.perf_counter() - started, 3), "curves": curves}
