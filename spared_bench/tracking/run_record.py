"""A trial as MLflow holds it: metrics, parameters and tags, and back without loss.

Finite scores and times are metrics. All else that the leaderboard needs is one JSON record, cut
into tags, in which ``null`` stands wherever a metric holds the number. Numbers that MLflow would
change or refuse (nan, infinities, overlong names) stay in the record itself. Curves, genes and
tracebacks are logged for people and are not read back; ``result.json`` among the artifacts has
them.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from spared_bench.results import TrialResult

PREFIX = "spared_bench."
RECORD = PREFIX + "record"

# Limits of MLflow (mlflow.utils.validation), which cuts silently or refuses beyond them.
MAX_NAME = 250
MAX_PARAM = 6_000
MAX_STEP = 2**63 - 1  # databases keep 64 bits; the record of the trial has any
MAX_TAG = 5_000  # MLflow's is 8,000; some databases keep no more than 5,000

_NOT_RECORDED = ("curves", "gene_scores", "genes", "gene_symbols", "traceback")
# A literal "-x" is escaped too, so that every "-x" in a name begins an escape.
_TO_ESCAPE = re.compile(r"[^A-Za-z0-9_. -]|-(?=x)|^\.+$|^ | $")
_ESCAPED = re.compile(r"-x([0-9a-f]*)-")


@dataclass(frozen=True)
class RunRecord:
    """What to log of one trial.

    Parameters
    ----------
    metrics : dict of str to float
        Finite numbers only.
    points : list of (name, step, value)
        The curves, finite values only.
    params, tags : dict of str to str
        Within MLflow's limits of length.
    """

    metrics: dict[str, float]
    points: list[tuple[str, int, float]]
    params: dict[str, str]
    tags: dict[str, str]


def metric_name(*parts: str) -> str:
    """Join parts with ``/``, each escaped to what MLflow allows in a name.

    >>> metric_name("test", "slide", "A/1 (left)", "mse")
    'test/slide/A-x2f-1 -x28-left-x29-/mse'
    """
    return "/".join(_escape(part) for part in parts)


def name_parts(name: str) -> tuple[str, ...]:
    """Undo ``metric_name``."""
    return tuple(_ESCAPED.sub(_unescape, part) for part in name.split("/"))


def _escape(part: str) -> str:
    if not part:
        return "-x-"  # two slashes in a row would be another name
    return _TO_ESCAPE.sub(lambda found: "".join(f"-x{ord(c):x}-" for c in found[0]), part)


def _unescape(found: re.Match[str]) -> str:
    return chr(int(found[1], 16)) if found[1] else ""


def to_run(result: TrialResult) -> RunRecord:
    """Split a trial into what MLflow shows and the record that completes it."""
    metrics: dict[str, float] = {}
    values = {name: value for name, value in vars(result).items() if name not in _NOT_RECORDED}
    trees = _with_paths(values)
    values |= _without_paths({kind: _move(trees[kind], (), metrics) for kind in trees})
    if result.n_parameters is not None:
        metrics.setdefault("n_parameters", float(result.n_parameters))
    return RunRecord(metrics, _points(result), _params(result), _tags(result, values))


def from_run(metrics: Mapping[str, float], tags: Mapping[str, str]) -> TrialResult:
    """Rebuild a trial from the metrics and tags of its run.

    Raises
    ------
    ValueError
        If the tags hold no record, or a metric that the record counts on is missing.
    """
    values = json.loads(_joined(tags))
    trees = _with_paths(values)
    numbers = _without_paths({kind: _restore(trees[kind], (), metrics) for kind in trees})
    return TrialResult.from_dict(values | numbers)


def seal_of(metrics: Mapping[str, float], tags: Mapping[str, str]) -> str:
    """Hash what a run says of its trial: its record as it stands, and the metrics that this takes.

    Raises
    ------
    ValueError, KeyError, TypeError
        If it says nothing that can be read.
    """
    text = _joined(tags)
    taken = [name for tree in _with_paths(json.loads(text)).values() for name in _taken(tree, ())]
    said = [text, [[name, metrics[name]] for name in sorted(taken)]]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()


def _taken(tree: Any, path: tuple[str, ...]) -> Iterator[str]:
    """Yield the names of the metrics that stand for leaves of a tree."""
    if isinstance(tree, Mapping):
        for name, branch in tree.items():
            yield from _taken(branch, (*path, name))
    elif tree is None:
        yield metric_name(*path)


def _with_paths(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the trees of numbers, in which the way to a leaf is the name of its metric."""
    slides = values["slide_scores"]
    return {
        "scores": values["scores"],
        "slide_scores": {split: {"slide": slides[split]} for split in slides},
        "seconds": {"seconds": values["seconds"]},
        "validation_mse": {"validation_mse": values["validation_mse"]},
    }


def _without_paths(trees: Mapping[str, Any]) -> dict[str, Any]:
    """Undo ``_with_paths``."""
    slides = trees["slide_scores"]
    return {
        "scores": trees["scores"],
        "slide_scores": {split: slides[split]["slide"] for split in slides},
        "seconds": trees["seconds"]["seconds"],
        "validation_mse": trees["validation_mse"]["validation_mse"],
    }


def _move(tree: Any, path: tuple[str, ...], metrics: dict[str, float]) -> Any:
    """Move the numbers of a tree into ``metrics``; return the tree with what could not move."""
    if isinstance(tree, Mapping):
        return {name: _move(branch, (*path, name), metrics) for name, branch in tree.items()}
    name = metric_name(*path)
    if len(name) > MAX_NAME or name in metrics or not math.isfinite(tree):
        return tree
    metrics[name] = float(tree)
    return None


def _restore(tree: Any, path: tuple[str, ...], metrics: Mapping[str, float]) -> Any:
    if isinstance(tree, Mapping):
        return {name: _restore(branch, (*path, name), metrics) for name, branch in tree.items()}
    if tree is not None:
        return tree
    name = metric_name(*path)
    if name not in metrics:
        raise ValueError(f"metric {name!r} is missing")
    return metrics[name]


def _points(result: TrialResult) -> list[tuple[str, int, float]]:
    return [
        (name, step, value)
        for curve, points in result.curves.items()
        if len(name := metric_name("curve", "step", curve)) <= MAX_NAME
        for step, value in points
        if math.isfinite(value) and -MAX_STEP <= step <= MAX_STEP
    ]


def _params(result: TrialResult) -> dict[str, str]:
    """Return what people filter runs by; the record has the exact values."""
    params = {name: str(getattr(result, name)) for name in ("dataset", "completer", "predictor")}
    params["seed"] = str(result.seed)
    for name, value in result.parameters.items():
        key = metric_name(name if name not in params else f"predictor.{name}")
        if len(key) <= MAX_NAME:
            text = value if isinstance(value, str) and value else json.dumps(value)
            params[key] = _clean(text, MAX_PARAM)
    return params


def _tags(result: TrialResult, record: dict[str, Any]) -> dict[str, str]:
    shown = {
        PREFIX + "trial_key": result.key,
        PREFIX + "protocol": result.protocol,
        PREFIX + "status": result.status,
        PREFIX + "message": _clean(result.message, MAX_TAG),
    }
    for fact in ("tier", "control", "weights", "evaluation_split", "synthetic"):
        shown[PREFIX + fact] = _clean(str(result.facts.get(fact, "")), MAX_TAG)
    return {name: text for name, text in shown.items() if text} | _cut(json.dumps(record))


def _clean(text: str, limit: int) -> str:
    """Cut a text, and replace what some databases refuse: NUL and lone surrogates."""
    text = text.encode("utf-8", "replace").decode("utf-8").replace("\0", "\ufffd")
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _cut(text: str) -> dict[str, str]:
    """Cut a text into numbered tags: ``record.0``, ``record.1``, ..."""
    starts = range(0, len(text), MAX_TAG)
    return {f"{RECORD}.{i}": text[start : start + MAX_TAG] for i, start in enumerate(starts)}


def _joined(tags: Mapping[str, str]) -> str:
    parts: list[str] = []
    while (part := tags.get(f"{RECORD}.{len(parts)}")) is not None:
        parts.append(part)
    if not parts:
        raise ValueError("its tags hold no record of a trial")
    return "".join(parts)
