"""Trained networks that other predictors build on: made once, kept in the store, loaded by key.

A predictor's spec names them (``stages``), so that they are jobs of the plan like a completed
layer, and SEPAL's candidates, say, share one first stage instead of training it each.
"""

from __future__ import annotations

import inspect
import json
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from spared_bench.bench import Bench
from spared_bench.errors import PluginError
from spared_bench.interfaces import Budget, Context, Job, Report
from spared_bench.keys.hashing import digest
from spared_bench.removal import remove_folder
from spared_bench.specs import Stage
from spared_bench.store.entries import Entry
from spared_bench.store.reading import read_product
from spared_bench.trials.blind import confine
from spared_bench.trials.completed import completed, completed_target, make_completed
from spared_bench.trials.methods import build
from spared_bench.trials.products import Prepared, prepare
from spared_bench.trials.saving import save_apart
from spared_bench.trials.seeding import seed_everything

_MODEL = "model"
_FIT = "fit.json"


def make_network(bench: Bench, job: Job, report: Report | None = None) -> Entry:
    """Return the entry of a trained network, training it if the store does not have it.

    ``report`` is called with (step, values) while it trains.
    """
    return _obtain(bench, job, Stage(job.predictor, job.parameters), report)


def fitted_stages(bench: Bench, job: Job) -> tuple[dict[str, Any], float]:
    """Return the fitted networks that a trial's predictor builds on, by their names.

    And the seconds that their training took, whenever and for whomever that was.
    """
    fitted, seconds = {}, 0.0
    for name, stage in bench.stages(job.predictor, job.parameters).items():
        fitted[name], spent = read_product(
            bench.workspace.store,
            partial(_obtain, bench, job, stage),
            partial(_load, bench, stage),
            again=bench.makes_shared,
        )
        seconds += spent
    return fitted, seconds


def _load(bench: Bench, stage: Stage, entry: Entry) -> tuple[Any, float]:
    network = build(bench, "predictor", stage.predictor, dict(stage.parameters))
    place = {"device": bench.settings.device}
    takes_place = "device" in inspect.signature(network.load).parameters
    network.load(entry.folder / _MODEL, **(place if takes_place else {}))
    return network, float(entry.read_json(_FIT)["seconds"])


def stage_folders(bench: Bench, job: Job) -> list[Path]:
    """Return the entries of the networks that a trial's predictor builds on."""
    stages = bench.stages(job.predictor, job.parameters).values()
    return [_obtain(bench, job, stage).folder for stage in stages]


def _obtain(bench: Bench, job: Job, stage: Stage, report: Report | None = None) -> Entry:
    inputs = bench.network_inputs(job.dataset, job.completer, stage, job.seed)
    scratch = bench.workspace.training / digest(inputs)

    def make(folder: Path) -> None:
        network = build(bench, "predictor", stage.predictor, dict(stage.parameters))
        if not (hasattr(network, "save") and hasattr(network, "load")):
            raise PluginError(
                f"Predictor {stage.predictor!r} cannot be a stage of another: it lacks `save` and"
                " `load`."
            )
        context = Context(inputs["seed"], device=bench.settings.device, scratch=scratch)
        told = context if report is None else replace(context, report=report)
        spent = {"seconds": round(_fit(bench, job, stage, network, told), 3)}
        (folder / _FIT).write_text(json.dumps(spent), encoding="utf-8")
        save_apart(network, folder / _MODEL)

    completed = make_completed(bench, job.dataset, job.completer).folder
    views = bench.views_of("predictor", stage.predictor, stage.parameters).values()
    making = confine(bench, job.dataset, digest(inputs), make, [completed], views)
    entry = bench.workspace.store.obtain("networks", inputs, making, once=True)
    remove_folder(scratch)
    return entry


def _fit(bench: Bench, job: Job, stage: Stage, network: Any, context: Context) -> float:
    """Train a network; return the seconds that it took."""
    prepared, training = prepare(bench, job.dataset), bench.protocol.training
    prepared = prepared.seen_by("predictor", stage.predictor, stage.parameters)
    offset = target_offset(bench, job.completer, network, prepared)
    train = completed(prepared, job.completer, *bench.protocol.validation.learned, offset=offset)
    val = completed(prepared, job.completer, "val", offset=offset)
    budget = Budget(
        training.iterations, training.batch_size, training.validate_every, training.augment
    )
    seed_everything(context.seed)
    started = time.perf_counter()
    network.fit(
        train,
        val,
        replace(
            context,
            budget=budget,
            transform=prepared.transform(offset),
        ),
    )
    return time.perf_counter() - started


def target_offset(bench: Bench, completer: str, predictor: Any, prepared: Prepared) -> np.ndarray:
    """Return what is subtracted from the target, (n_genes,): the train mean, or 0.

    Whether it is the mean is the protocol's choice, or the method's own (``delta``). It is taken
    over all entries of the target, completed ones too, as published.
    """
    if not (bench.protocol.training.delta or getattr(predictor, "delta", False)):
        return np.zeros(prepared.adata.n_vars, dtype=np.float32)
    return completed_target(prepared, completer, "train").mean(axis=0)
