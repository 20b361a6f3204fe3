"""The board as the page's data: plain lists and numbers, each text made visible, each list bounded.

Numbers keep six digits; undefined ones are ``None``. The tables beside the page have every digit.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import groupby
from typing import Any

from spared_bench.leaderboard.columns import Column, Place, on_page
from spared_bench.leaderboard.means import evaluation_split
from spared_bench.leaderboard.measures import can_be_normalised, error_title, is_comparable
from spared_bench.leaderboard.model import BoardDataset, ProtocolBoard, Row
from spared_bench.leaderboard.text import MAX_MESSAGE, predictor_name, score, visible
from spared_bench.metrics.uncertainty import LEVELS
from spared_bench.results import TrialResult
from spared_bench.specs import MetricSpec
from spared_bench.statistics.intervals import standard_errors

MOST_FAILURES = 1_000
_ABOUT = (
    *("organism", "tissue", "technology", "task", "image", "licence", "citation", "summary"),
    *("n_spots", "raw_counts", "donors_verified", "classes", "notes", "links"),
)


def row_id(row: Row) -> str:
    """Return what names a row in addresses, whatever else is on the board: twelve hex digits."""
    origin = row.origin
    names = (origin.trust, origin.method, origin.version, row.predictor, row.completer)
    return hashlib.sha256(json.dumps(names).encode()).hexdigest()[:12]


def plain(value: Any, limit: int = MAX_MESSAGE) -> Any:
    """Return JSON-ready values: six digits, ``None`` for what is undefined, visible texts."""
    kind = type(value)
    if kind is float:
        return float(f"{value:.6g}") if math.isfinite(value) else None
    if kind is dict:
        return {_name(key, limit): plain(item, limit) for key, item in value.items()}
    if kind is list:
        return [plain(item, limit) for item in value]
    if kind is str:
        return visible(value, limit)
    return _plain_like(value, limit)


def _plain_like(value: Any, limit: int) -> Any:
    """Return the same of what is no number, dict, list or text itself, but may be like one."""
    if value is None or isinstance(value, int):
        return value
    if isinstance(value, float):
        return plain(float(value), limit)
    if isinstance(value, str):
        return visible(value, limit)
    if isinstance(value, Mapping):
        return plain(dict(value), limit)
    if isinstance(value, Sequence):
        return plain(list(value), limit)
    return visible(str(value), limit)


@lru_cache(maxsize=4096, typed=True)
def _name(key: Any, limit: int) -> str:
    return visible(str(key), limit)


def board_data(part: ProtocolBoard) -> dict[str, Any]:
    """Return one protocol's table."""
    shown = on_page(part)
    return plain(
        {
            "protocol": part.protocol,
            "comparable": part.comparable,
            "seeds": part.seeds,
            "notes": [*part.notes, *_images_alone(part)],
            "metrics": [_metric(metric) for metric in part.metrics],
            "headline": [part.metrics.index(metric) for metric in part.headline],
            "completer": part.ranking.completer,
            "columns": [_column(column, part.metrics) for column in shown],
            "datasets": [_dataset(dataset, part.metrics) for dataset in part.datasets],
            "standard_errors": _standard_errors(len(part.datasets)),
            "rows": [_row(row, part, shown) for row in part.rows],
            "n_failures": len(part.failures),
            "failures": [
                [f.dataset, f.predictor, f.completer, f.seed, f.status, f.message]
                for f in part.failures[:MOST_FAILURES]
            ],
        }
    )


def _standard_errors(most: int) -> list[float | None]:
    """Return what an interval of n datasets takes, at place n: the page chooses among datasets."""
    return [None, None, *map(standard_errors, range(2, most + 1))]


def _images_alone(part: ProtocolBoard) -> list[str]:
    """Say what methods of images alone reach, which stand on no row of such a board."""
    if not part.image_only or not part.metrics:
        return []
    metric = part.metrics[0]
    told = ", ".join(
        f"{predictor_name(row.origin, row.predictor)} ({row.completer})"
        f" {score(row.summary(metric).mean.value)}"
        for row in part.image_only
    )
    return [f"From images alone, on the same spots, {metric.title}: {told}."]


def _metric(metric: MetricSpec) -> dict[str, Any]:
    return {
        "name": metric.name,
        "title": metric.title,
        "error": error_title(metric),
        "summary": metric.summary,
        "better": metric.better,
        "per": metric.per,
        "perfect": metric.perfect,
        "comparable": is_comparable(metric),
        "normalised": can_be_normalised(metric),
    }


def _column(column: Column, metrics: Sequence[MetricSpec]) -> dict[str, Any]:
    return {
        "key": column.id,
        "title": column.title,
        "explanation": column.explanation,
        "per": column.per,
        "hidden": column.hidden,
        "ranks": column.ranks,
        "only": [column.only(metric) for metric in metrics],
        "computed": column.computed,
    }


def _dataset(dataset: BoardDataset, metrics: Sequence[MetricSpec]) -> dict[str, Any]:
    slides = [
        {
            "slide": slide.get("slide_id", ""),
            "donor": slide.get("patient_id", ""),
            "split": next(
                (
                    split
                    for split, names in dataset.about.get("split", {}).items()
                    if slide.get("slide_id") in names
                ),
                "",
            ),
        }
        for slide in dataset.about.get("slides", ())
    ]
    return {
        "name": dataset.name,
        "tier": dataset.tier,
        "split": dataset.split,
        "synthetic": dataset.synthetic,
        "repeats": dataset.repeats,
        "listed": dataset.listed,
        "shared_donors": dataset.shared_donors,
        "doubts": dataset.doubts,
        "counts": dataset.counts,
        "best": [dataset.best[metric.name] for metric in metrics],
        "slides": slides,
        **{key: dataset.about[key] for key in _ABOUT if key in dataset.about},
    }


def _row(row: Row, part: ProtocolBoard, shown: Sequence[Column]) -> dict[str, Any]:
    here = [row.datasets[dataset.name] for dataset in part.datasets]
    origin = row.origin
    return {
        "id": row_id(row),
        "predictor": row.predictor,
        "completer": row.completer,
        "scope": row.scope,
        "field_of_view_um": row.field_of_view_um,
        "weights": row.weights,
        "control": row.control,
        "trust": origin.trust,
        "method": origin.method,
        "version": origin.version,
        "several": origin.several,
        "source": origin.source,
        "withdrawn": origin.withdrawn,
        "claimed": not origin.trained_here,
        "threads": list(row.threads),
        "flags": [[flag.kind, flag.reason, flag.dataset] for flag in origin.flags],
        "parameters": row.n_parameters,
        "seconds": row.fit_seconds,
        "rank": row.rank,
        "seeds": [each.seeds for each in here],
        "failed": [each.failed for each in here],
        "scores": [_scores(row, metric, part) for metric in part.metrics],
        "cells": {column.id: _cells(column, row, part) for column in shown if not column.computed},
    }


def _scores(row: Row, metric: MetricSpec, part: ProtocolBoard) -> dict[str, Any]:
    """Return one row by one metric: lists over datasets, and the interval of what ranks it."""
    found = [row.datasets[dataset.name].score(metric) for dataset in part.datasets]
    return {
        "mean": [score.mean for score in found],
        "sd": [score.sd for score in found],
        "normalised": [score.normalised for score in found],
        "slides": [score.interval for score in found],
        "interval": row.summary(metric).interval,
    }


def _cells(column: Column, row: Row, part: ProtocolBoard) -> Any:
    """Return values and texts: a pair, or lists of pairs by dataset, by metric, or by both."""

    def cell(dataset: BoardDataset | None, metric: MetricSpec | None) -> list[Any]:
        place = Place(part, row, dataset, metric)
        return [column.value(place), column.read(place)]

    def by_dataset(metric: MetricSpec | None) -> list[Any]:
        if "dataset" not in column.per:
            return cell(None, metric)
        return [cell(dataset, metric) for dataset in part.datasets]

    if "metric" not in column.per:
        return by_dataset(None)
    return [by_dataset(metric) for metric in part.metrics]


def method_data(row: Row, trials: Sequence[TrialResult]) -> dict[str, Any]:
    """Return what only the page of one row needs: each trial's settings, cost and slides."""
    ordered = sorted(trials, key=lambda trial: (trial.dataset, trial.seed))
    return {
        "id": row_id(row),
        "trials": _trials(ordered),
        "levels": plain(LEVELS),
        "studies": plain([[each.name, each.summary, each.href] for each in row.studies]),
        "about": plain(_about(trials)),
        "provenance": plain(_provenance(trials)),
    }


def _trials(trials: Sequence[TrialResult]) -> list[dict[str, Any]]:
    # Trials that were read from the index share their settings, which take the longest.
    settings = {id(trial.parameters): trial.parameters for trial in trials}
    made = {known: plain(parameters) for known, parameters in settings.items()}
    return [_trial(trial, made[id(trial.parameters)]) for trial in trials]


def _trial(trial: TrialResult, parameters: dict[str, Any]) -> dict[str, Any]:
    split = evaluation_split(trial)
    return {
        "dataset": plain(trial.dataset),
        "seed": trial.seed,
        "status": trial.status,
        "key": plain(trial.key),
        "parameters": parameters,
        "n_parameters": trial.n_parameters,
        "seconds": plain(trial.seconds),
        "scores": plain(trial.scores.get(split, {})),
        "slides": plain(trial.slide_scores.get(split, {})),
        "calibration": plain(trial.calibration.get(split, [])),
        "confusion": plain(trial.confusion.get(split, [])),
        "classes": plain(trial.classes),
    }


def _provenance(trials: Sequence[TrialResult]) -> list[dict[str, Any]]:
    """Return where and by what the trials were run, each kind once, with the number of trials."""
    kinds: dict[str, dict[str, Any]] = {}
    # Trials in a row are mostly alike; what they say is put into words once.
    for (made, precision), alike in groupby(trials, key=_made_by):
        packages = made.get("packages") or {}
        said = {
            "code": (made.get("plugins") or {}).get("predictor", ""),
            "commit": made.get("git", ""),
            "python": made.get("python", ""),
            "packages": ", ".join(f"{name} {packages[name]}" for name in sorted(packages)),
            "platform": made.get("platform", ""),
            "device": " ".join(filter(None, (made.get("device"), made.get("accelerator")))),
            "machine": made.get("machine", ""),
            "threads": str(made.get("threads", "")),
            "driver": made.get("driver", ""),
            "precision": precision,
        }
        if any(said.values()):
            kind = kinds.setdefault(str(said), {**said, "trials": 0})
            kind["trials"] += sum(1 for _ in alike)
    return [kinds[name] for name in sorted(kinds)]


def _made_by(trial: TrialResult) -> tuple[Mapping[str, Any], Any]:
    return trial.environment, trial.facts.get("precision", "")


def _about(trials: Sequence[TrialResult]) -> dict[str, Any]:
    """Return what a method says of itself, from its first trial that says anything."""
    for trial in trials:
        said = {
            key: trial.facts[key]
            for key in ("summary", "distribution", "target", "searched")
            if trial.facts.get(key)
        }
        if said:
            return said
    return {}
