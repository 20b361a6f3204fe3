"""Short traces of predictions, by which a copy is found without keeping the prediction.

A trace is a random projection: every gene is centred and scaled to unit variance, every entry gets
a random sign and one of 256 places, and what falls on a place is summed (a count sketch; Charikar,
Chen and Farach-Colton, ICALP 2002, doi:10.1007/3-540-45465-9_59). Distances between traces estimate
those between predictions with a relative error of about sqrt(2 / 256) = 9 % of the squared
distance, so near copies are told from near misses. Signs and places come from the hash of the
dataset: traces of the same dataset compare, others do not.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from spared_bench.errors import SparedBenchError
from spared_bench.files import write_text

TRACES = "traces.json"
WIDTH = 256
_MAX_BYTES = 40_000_000
_FOLDER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_+.-]{0,63}@[A-Za-z0-9][A-Za-z0-9_+.-]{0,63}")


def trace(prediction: np.ndarray, dataset_hash: str) -> np.ndarray:
    """Return the trace of a prediction, (256,), float32, of length 1; zeros if it is constant.

    Parameters
    ----------
    prediction : ndarray of shape (n_spots, n_genes)
    dataset_hash : str
        64 hex digits.
    """
    total = np.zeros(WIDTH)
    mean, deviation = prediction.mean(axis=0, dtype=np.float64), prediction.std(axis=0)
    scale = np.divide(1.0, deviation, out=np.zeros_like(mean), where=deviation > 1e-9)
    n_genes = prediction.shape[1]
    step = max(1, 2**20 // n_genes)
    for start in range(0, len(prediction), step):
        block = (prediction[start : start + step] - mean) * scale
        first = np.uint64(start * n_genes)
        bits = _mixed(np.arange(block.size, dtype=np.uint64) + first, int(dataset_hash[:16], 16))
        signs = 1.0 - 2.0 * (bits >> np.uint64(63)).astype(np.float64)
        places = (bits & np.uint64(WIDTH - 1)).astype(np.intp)
        total += np.bincount(places, signs * block.ravel(), WIDTH)
    length = np.linalg.norm(total)
    return (total / length if length > 0 else total).astype(np.float32)


def _mixed(index: np.ndarray, seed: int) -> np.ndarray:
    """Return 64 bits for every index: splitmix64 (Steele et al., OOPSLA 2014)."""
    with np.errstate(over="ignore"):
        state = (index + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(seed)
        state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return state ^ (state >> np.uint64(31))


def likeness(first: np.ndarray, second: np.ndarray) -> float:
    """Estimate the mean correlation of two predictions over genes; 0 if either is constant."""
    if not (first.any() and second.any()):
        return 0.0
    distance = float(np.square(first.astype(np.float64) - second).sum())
    return 1 - distance / 2


def write_traces(path: Path, traces: Mapping[str, np.ndarray]) -> None:
    """Write traces by name as JSON."""
    values = {
        name: base64.b64encode(each.astype("<f4").tobytes()).decode()
        for name, each in traces.items()
    }
    write_text(path, json.dumps({"width": WIDTH, "traces": values}, indent=1) + "\n")


def read_traces(path: Path) -> dict[str, np.ndarray]:
    """Read what ``write_traces`` wrote.

    Raises
    ------
    SparedBenchError
        If it is anything else.
    """
    try:
        if not path.is_file():
            raise ValueError("it is no file")
        if path.stat().st_size > _MAX_BYTES:
            raise ValueError(f"it has more than {_MAX_BYTES} bytes")
        values = json.loads(path.read_text(encoding="utf-8"))["traces"]
        found = {
            str(name): np.frombuffer(base64.b64decode(text, validate=True), "<f4")
            for name, text in values.items()
        }
        if any(each.shape != (WIDTH,) or not np.isfinite(each).all() for each in found.values()):
            raise ValueError(f"a trace is not {WIDTH} finite numbers")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise SparedBenchError(f"{path} cannot be read: {error}.") from error
    return found


def traces_of_others(
    leaderboards: Path, protocol: str, label: str
) -> Iterator[tuple[str, dict[str, np.ndarray]]]:
    """Yield the traces of all accepted entries but one; those that cannot be read are left out."""
    for path in sorted((leaderboards / protocol).glob(f"*@*/{TRACES}")):
        name = path.parent.name
        if name == label or path.is_symlink() or not _FOLDER.fullmatch(name):
            continue
        try:
            yield name, read_traces(path)
        except SparedBenchError:
            continue
