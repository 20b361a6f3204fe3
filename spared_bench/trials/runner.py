"""One trial, from its products to its predictions: where everything meets.

A predictor is fitted on the training slides with their completed target, chooses its weights on the
validation slides, and predicts slides whose expression it cannot see. A failure is a result too.
"""

from __future__ import annotations

import json
import os
import time
import traceback
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from spared_bench.bench import Bench
from spared_bench.data import Slides
from spared_bench.errors import (
    DivergedError,
    MismatchError,
    WorkspaceError,
    in_words,
)
from spared_bench.interfaces import Budget, Context, Job, Report
from spared_bench.keys.hashing import digest
from spared_bench.metrics.mse import mse
from spared_bench.prediction import Prediction
from spared_bench.removal import remove_folder
from spared_bench.results import Status, TrialResult, goes_again
from spared_bench.store.disk import is_full_at, is_lost
from spared_bench.store.trials import RESULT, TRIALS, read_trial, trial_of
from spared_bench.trials.artifacts import write_artifacts
from spared_bench.trials.blind import confine
from spared_bench.trials.completed import completed, make_completed
from spared_bench.trials.encoding import reporting
from spared_bench.trials.guests import is_strict
from spared_bench.trials.known import with_known
from spared_bench.trials.less_memory import less_memory
from spared_bench.trials.methods import build, check_declared_views
from spared_bench.trials.own_folder import told_of_folder
from spared_bench.trials.predicted import predicted
from spared_bench.trials.products import Prepared, prepare, prepared_target
from spared_bench.trials.record import (
    blank_record,
    count_parameters,
    encoder_fact,
    parameters_of,
    precision_fact,
    sizes,
    view_fact,
    weights_fact,
)
from spared_bench.trials.seeding import seed_everything
from spared_bench.trials.stages import (
    fitted_stages,
    stage_folders,
    target_offset,
)


def run_trial(bench: Bench, job: Job, report: Report | None = None) -> TrialResult:
    """Run one trial and store what came of it, unless the store has it.

    Parameters
    ----------
    bench : Bench
    job : Job
        Of kind ``"trial"``.
    report : callable, optional
        Called with (step, values) while training.

    Returns
    -------
    TrialResult
    """
    inputs = _inputs(bench, job)
    if digest(inputs) != job.key:
        raise MismatchError(
            f"{job.label}: this process would run something else than was planned: code, files of"
            " data or settings were changed since the run was begun, or differ between machines."
            " Run again, with both the same; what is finished is kept."
        )
    made: list[TrialResult] = []

    process = os.getpid()

    def attempt(folder: Path) -> dict[str, Any]:
        return _attempt(bench, job, folder, report).as_dict()

    def make(folder: Path) -> None:
        if is_strict(bench):
            shown = [make_completed(bench, job.dataset, job.completer).folder]
            shown += stage_folders(bench, job)
            views = bench.views_of("predictor", job.predictor, job.parameters)
            told = confine(bench, job.dataset, job.key, attempt, shown, views.values())(folder)
            made.append(_as_planned(bench, job, told))
        else:
            made.append(_attempt(bench, job, folder, report))
        _end_copy(process)
        if goes_again(made[0].status, job.attempt):
            raise _GoesAgain
        _write(folder, made[0])

    _drop_unreadable(bench, job.key)
    try:
        with reporting(report):
            entry = bench.workspace.store.obtain(TRIALS, inputs, make)
    except _GoesAgain:  # no result yet, so nothing is stored
        return made[0]
    remove_folder(_scratch(bench, job))
    return made[0] if made else trial_of(entry)


def _as_planned(bench: Bench, job: Job, told: dict[str, Any]) -> TrialResult:
    """Return the result of a process shut in, which can speak of its own trial alone."""
    result, blank = TrialResult.from_dict(told), blank_record(bench, job)
    fixed = ("key", "protocol", "dataset", "completer", "predictor", "seed", "environment")
    known = {name: getattr(blank, name) for name in fixed}
    return replace(result, **known, facts=result.facts | blank.facts)


def _end_copy(process: int) -> None:
    """End a copy of the process that a method made and let return: both would write one trial."""
    if os.getpid() != process:
        os._exit(0)


class _GoesAgain(Exception):
    """The trial failed in a way that is worth another attempt."""


def _write(folder: Path, result: TrialResult) -> None:
    """Write the record; the store brings it to the disk with the other files."""
    text = json.dumps(result.as_dict(), indent=1, allow_nan=False)
    (folder / RESULT).write_text(text, encoding="utf-8")


def _inputs(bench: Bench, job: Job) -> dict[str, Any]:
    return bench.trial_inputs(
        job.dataset,
        job.completer,
        job.predictor,
        job.parameters,
        job.seed,
        iterations=job.iterations,
    )


def _scratch(bench: Bench, job: Job) -> Path:
    """Where a trial keeps what it needs to go on if it is interrupted."""
    return bench.workspace.training / job.key


def failure(
    bench: Bench,
    job: Job,
    status: Status,
    message: str,
    story: str = "",
    facts: Mapping[str, Any] | None = None,
) -> TrialResult:
    """Store a failure that the trial could not record itself, and return it."""
    blank = blank_record(bench, job)
    known = blank.facts | dict(facts or {})
    if status == "out_of_memory":
        message += less_memory(bench, job)
    result = replace(blank, status=status, message=message, traceback=story, facts=known)

    def make(folder: Path) -> None:
        _write(folder, result)

    _drop_unreadable(bench, job.key)
    bench.workspace.store.obtain(TRIALS, _inputs(bench, job), make)
    return result


def _drop_unreadable(bench: Bench, key: str) -> None:
    """Take an entry away whose files have the right sizes, and whose record is none."""
    store = bench.workspace.store
    if store.has(TRIALS, key) and read_trial(store, key) is None:
        store.remove(TRIALS, key)


def _attempt(bench: Bench, job: Job, folder: Path, report: Report | None) -> TrialResult:
    """Run a trial; turn what goes wrong into a result that says so."""
    blank = blank_record(bench, job)
    try:
        return _train_and_predict(bench, job, blank, folder, report)
    except _Skipped as reason:
        return replace(blank, status="skipped", message=str(reason))
    except DivergedError as error:
        return replace(blank, status="diverged", message=str(error))
    except MemoryError:
        message, story = "The trial ran out of memory.", traceback.format_exc()
        message += less_memory(bench, job)
        return replace(blank, status="out_of_memory", message=message, traceback=story)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # sys.exit() in a method ends its trial, and nothing else
        is_open = isinstance(error, WorkspaceError) or is_lost(error)
        if is_open or is_full_at(_scratch(bench, job), error):
            raise  # no failure of the trial: it is open until the disk is there, with space
        message, story = in_words(error)
        message += told_of_folder(error)
        if type(error).__name__ == "OutOfMemoryError":  # torch's, which need not be loaded here
            message = f"The device ran out of memory.{less_memory(bench, job)} {message}"
            return replace(blank, status="out_of_memory", message=message, traceback=story)
        return replace(blank, status="error", message=message, traceback=story)


class _Skipped(Exception):
    """The predictor said why it cannot use the dataset."""


def _train_and_predict(
    bench: Bench, job: Job, blank: TrialResult, folder: Path, report: Report | None
) -> TrialResult:
    process, started = os.getpid(), time.perf_counter()
    predictor = build(bench, "predictor", job.predictor, job.parameters)
    _use_less_memory(predictor, job)
    reason = getattr(predictor, "skip", lambda spec: None)(bench.dataset(job.dataset))
    if reason:
        raise _Skipped(reason)
    check_declared_views(bench, job.predictor, predictor, job.parameters)
    prepared = prepare(bench, job.dataset).seen_by("predictor", job.predictor, job.parameters)
    seconds, curves = _fit(bench, job, predictor, prepared, report)
    predictions, seconds["predict"] = _predict(bench, job, predictor, prepared)
    offset = target_offset(bench, job.completer, predictor, prepared)
    _end_copy(process)
    write_artifacts(folder, bench, prepared, predictor, predictions, offset)
    seconds["total"] = time.perf_counter() - started
    return replace(
        blank,
        status="ok",
        parameters=parameters_of(predictor, job.parameters),
        genes=list(prepared.adata.var_names),
        gene_symbols=list(map(str, prepared.adata.var["gene_name"])),
        classes=_classes_of(prepared, predictions),
        curves=curves,
        n_parameters=count_parameters(predictor),
        seconds={name: round(value, 3) for name, value in seconds.items()},
        validation_mse=_validation_error(prepared, predictions["val"].mean),
        facts=blank.facts
        | weights_fact(bench, job, predictor)
        | precision_fact(predictor)
        | encoder_fact(bench, job, predictor)
        | view_fact(bench, job, prepared)
        | sizes(prepared),
    )


def _classes_of(prepared: Prepared, predictions: Mapping[str, Prediction]) -> list[str]:
    """Return the classes of the dataset if the method predicts them."""
    told = any(prediction.classes is not None for prediction in predictions.values())
    return list(prepared.shared("train").classes) if told else []


def _use_less_memory(predictor: Any, job: Job) -> None:
    """After the memory did not hold a batch, train with parts of it: the same gradients."""
    whole = getattr(predictor, "micro_batch", None) == 0
    if job.micro_batch and whole and getattr(predictor, "separable", True):
        predictor.micro_batch = job.micro_batch


def _fit(
    bench: Bench, job: Job, predictor: Any, prepared: Prepared, report: Report | None
) -> tuple[dict[str, float], dict[str, list[tuple[int, float]]]]:
    curves: dict[str, list[tuple[int, float]]] = {}

    def record(step: int, values: dict[str, float]) -> None:
        for name, value in values.items():
            curves.setdefault(name, []).append((int(step), float(value)))
        if report is not None:
            report(step, values)

    training = bench.protocol.training
    iterations = job.iterations or training.iterations
    budget = Budget(iterations, training.batch_size, training.validate_every, training.augment)
    seed = bench.trial_seed(job.dataset, job.predictor, job.seed)
    offset = target_offset(bench, job.completer, predictor, prepared)
    train = completed(prepared, job.completer, *bench.protocol.validation.learned, offset=offset)
    val = completed(prepared, job.completer, "val", offset=offset)
    stages, before = fitted_stages(bench, job)
    seed_everything(seed)
    started = time.perf_counter()
    predictor.fit(
        train,
        _given(bench, job, prepared, val, "val", offset),
        Context(
            seed,
            budget,
            bench.settings.device,
            record,
            _scratch(bench, job),
            stages,
            prepared.transform(offset),
        ),
    )
    # A method's training costs what the networks under it cost, though others share them.
    return {"fit": time.perf_counter() - started + before}, curves


def _given(
    bench: Bench, job: Job, prepared: Prepared, slides: Slides, split: str, offset: np.ndarray
) -> Slides:
    """Return slides with what is known of their samples, for a method that says it needs it.

    One that looks at images alone is given nothing, since gains are measured against it.
    """
    if not bench.predictor(job.predictor).needs_known:
        return slides
    return with_known(prepared, slides, job.completer, split, offset)


def _predict(
    bench: Bench, job: Job, predictor: Any, prepared: Prepared
) -> tuple[dict[str, Prediction], float]:
    """Predict every evaluated split from slides without their expression."""
    started = time.perf_counter()
    offset = target_offset(bench, job.completer, predictor, prepared)
    predictions = {}
    for split in _evaluated(bench, job.dataset):
        slides = prepared.shared(split).without_expression()
        slides = _given(bench, job, prepared, slides, split, offset)
        seed = bench.trial_seed(job.dataset, job.predictor, job.seed)
        found = predicted(predictor, slides, job.predictor, seed)
        predictions[split] = replace(found, mean=found.mean + offset)
    return predictions, time.perf_counter() - started


def _evaluated(bench: Bench, dataset: str) -> list[str]:
    return list(dict.fromkeys(["val", bench.dataset(dataset).evaluation_split]))


def _validation_error(prepared: Prepared, prediction: np.ndarray) -> float:
    """Return what a search chooses by: the mean squared error at measured validation entries."""
    truth, mask = prepared_target(prepared, "val"), prepared.shared("val").mask
    return float(mse(truth, prediction.astype(np.float64), mask))
