"""The board as the page's data: plain lists and numbers, each text made visible, each list bounded.

Numbers keep six digits; undefined ones are ``None``. The tables beside the page have every digit.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from spared_bench.leaderboard.board import Column, ProtocolBoard, Row
from spared_bench.leaderboard.text import MAX_MESSAGE, visible
from spared_bench.results import TrialResult

MOST_FAILURES = 1_000
_ABOUT = (
    *("organism", "tissue", "technology", "task", "image", "licence", "citation", "summary"),
    *("n_spots", "raw_counts", "donors_verified", "notes", "links"),
)


def row_id(row: Row) -> str:
    """Return what names a row in addresses, whatever else is on the board: twelve hex digits."""
    origin = row.origin
    names = (origin.trust, origin.method, origin.version, row.predictor, row.completer)
    return hashlib.sha256(json.dumps(names).encode()).hexdigest()[:12]


def plain(value: Any, limit: int = MAX_MESSAGE) -> Any:
    """Return JSON-ready values: six digits, ``None`` for what is undefined, visible texts."""
    if isinstance(value, str):
        return visible(value, limit)
    if value is None or isinstance(value, int):
        return value
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {visible(str(key), limit): plain(item, limit) for key, item in value.items()}
    if isinstance(value, Sequence):
        return [plain(item, limit) for item in value]
    return visible(str(value), limit)


def board_data(part: ProtocolBoard) -> dict[str, Any]:
    """Return one protocol's table."""
    return plain(
        {
            "protocol": part.protocol,
            "comparable": part.comparable,
            "seeds": part.seeds,
            "notes": part.notes,
            "columns": [_column(column) for column in part.columns],
            "rows": [_row(row, part.columns) for row in part.rows],
            "n_failures": len(part.failures),
            "failures": [
                [f.dataset, f.predictor, f.completer, f.seed, f.status, f.message]
                for f in part.failures[:MOST_FAILURES]
            ],
        }
    )


def _column(column: Column) -> dict[str, Any]:
    slides = [
        {
            "slide": slide.get("slide_id", ""),
            "donor": slide.get("patient_id", ""),
            "split": next(
                (
                    split
                    for split, names in column.about.get("split", {}).items()
                    if slide.get("slide_id") in names
                ),
                "",
            ),
        }
        for slide in column.about.get("slides", ())
    ]
    return {
        "name": column.name,
        "tier": column.tier,
        "split": column.split,
        "synthetic": column.synthetic,
        "repeats": column.repeats,
        "listed": column.listed,
        "shared_donors": column.shared_donors,
        "counts": column.counts,
        "lowest": column.lowest_mse,
        "slides": slides,
        **{key: column.about[key] for key in _ABOUT if key in column.about},
    }


def _row(row: Row, columns: Sequence[Column]) -> dict[str, Any]:
    entries = [row.entries[column.name] for column in columns]
    origin = row.origin
    return {
        "id": row_id(row),
        "predictor": row.predictor,
        "completer": row.completer,
        "scope": row.scope,
        "weights": row.weights,
        "control": row.control,
        "trust": origin.trust,
        "method": origin.method,
        "version": origin.version,
        "source": origin.source,
        "withdrawn": origin.withdrawn,
        "claimed": not origin.trained_here,
        "flags": [[flag.kind, flag.reason, flag.dataset] for flag in origin.flags],
        "parameters": row.n_parameters,
        "seconds": row.fit_seconds,
        "rank": row.rank,
        "complete": row.complete,
        "interval": row.interval,
        "mse": [entry.mse.mean for entry in entries],
        "mse_sd": [entry.mse.spread for entry in entries],
        "nmse": [entry.normalised_mse for entry in entries],
        "pcc": [entry.pcc.mean for entry in entries],
        "pcc_sd": [entry.pcc.spread for entry in entries],
        "pcc_interval": [entry.pcc_interval for entry in entries],
        "seeds": [entry.mse.seeds for entry in entries],
        "failed": [entry.failed for entry in entries],
    }


def method_data(row: Row, trials: Sequence[TrialResult]) -> dict[str, Any]:
    """Return what only the page of one row needs: each trial's settings, cost and slides."""
    return plain(
        {
            "id": row_id(row),
            "trials": [
                {
                    "dataset": trial.dataset,
                    "seed": trial.seed,
                    "status": trial.status,
                    "key": trial.key,
                    "parameters": trial.parameters,
                    "n_parameters": trial.n_parameters,
                    "seconds": trial.seconds,
                    "scores": trial.scores.get(_split(trial), {}),
                    "slides": trial.slide_scores.get(_split(trial), {}),
                }
                for trial in sorted(trials, key=lambda trial: (trial.dataset, trial.seed))
            ],
            "about": _about(trials),
            "provenance": _provenance(trials),
        }
    )


def _provenance(trials: Sequence[TrialResult]) -> list[dict[str, Any]]:
    """Return where and by what the trials were run, each kind once, with the number of trials."""
    kinds: dict[str, dict[str, Any]] = {}
    for trial in trials:
        told = trial.environment
        packages = told.get("packages") or {}
        said = {
            "code": (told.get("plugins") or {}).get("predictor", ""),
            "commit": told.get("git", ""),
            "python": told.get("python", ""),
            "packages": ", ".join(f"{name} {packages[name]}" for name in sorted(packages)),
            "platform": told.get("platform", ""),
            "device": " ".join(filter(None, (told.get("device"), told.get("accelerator")))),
            "driver": told.get("driver", ""),
            "precision": trial.facts.get("precision", ""),
        }
        if any(said.values()):
            kind = kinds.setdefault(str(said), {**said, "trials": 0})
            kind["trials"] += 1
    return [kinds[name] for name in sorted(kinds)]


def _split(trial: TrialResult) -> str:
    return str(trial.facts.get("evaluation_split", "test"))


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
