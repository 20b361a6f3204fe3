"""Encoding the patches of a dataset: shard by shard, so that an interrupted run goes on.

Shards lie in the training folder of the workspace, under the key of the features, until all are
there. What is told of the way there (patches per second, the scale they were shown at) is kept
beside the features, and in no key.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import numpy as np

from spared_bench.data import Encoder, Patches
from spared_bench.files import replacing
from spared_bench.interfaces import Report
from spared_bench.lasting import write_lasting
from spared_bench.removal import remove_folder
from spared_bench.trials.feature_checks import check_features, check_repeats

#: Patches of a shard: what is lost, at most, when a process is killed.
SHARD = 2048

_report: ContextVar[Report | None] = ContextVar("report", default=None)


@contextmanager
def reporting(report: Report | None) -> Iterator[None]:
    """Let encodings within the block tell how they go: ``report(patches, {...})``."""
    token = _report.set(report)
    try:
        yield
    finally:
        _report.reset(token)


def encode_sharded(
    encoder: Encoder,
    device: str,
    patches: Patches,
    um_per_px: np.ndarray,
    scratch: Path,
    shard: int = SHARD,
) -> tuple[np.ndarray, dict[str, Any]]:
    """Encode patches, taking the shards of an earlier attempt where they are.

    Parameters
    ----------
    encoder : Encoder
    device : str
    patches : Patches
        (n, size, size, 3).
    um_per_px : ndarray of shape (n,)
        Micrometres per pixel of each patch; 0: unknown.
    scratch : Path
        A folder for shards of these patches and this encoder alone; the caller removes it.
    shard : int
        Patches per shard.

    Returns
    -------
    features : ndarray of float32, of shape (n, width)
    told : dict
        ``patches_per_s`` of those encoded now, ``resumed``: patches that were there before.

    Raises
    ------
    PluginError
        If there is no row of numbers for each patch, or a patch has other features beside other
        patches, or at another time.
    """
    from spared_bench.models.encoding import opened

    scratch.mkdir(parents=True, exist_ok=True)
    tell = _report.get() or (lambda step, values: None)
    encode: Callable[..., np.ndarray] | None = None
    done = resumed = 0
    parts: list[np.ndarray] = []
    began = time.perf_counter()
    for start in range(0, len(patches), shard):
        rows = np.arange(start, min(start + shard, len(patches)))
        file = scratch / f"{start:09d}-{rows[-1] + 1:09d}.npy"
        kept = _read(file, len(rows))
        if kept is not None:
            resumed += len(rows)
            parts.append(kept)
            continue
        if encode is None:
            encode = opened(encoder, device)
            began = time.perf_counter()  # without the time that loading takes
        found = np.asarray(encode(patches.subset(rows), um_per_px[rows]), dtype=np.float32)
        name = getattr(getattr(encoder, "spec", None), "name", type(encoder).__name__)
        check_features(found, len(rows), parts[0].shape[1] if parts else None, name)
        if not done:
            check_repeats(found, encode, patches.subset(rows), um_per_px[rows], name)
        parts.append(found)
        _write(file, found)
        done += len(rows)
        rate = done / max(time.perf_counter() - began, 1e-9)
        share = (done + resumed) / len(patches)
        tell(done + resumed, {"encoded": share, "patches_per_s": rate})
    seconds = time.perf_counter() - began
    told = {"patches_per_s": round(done / seconds, 1) if done else None, "resumed": resumed}
    return np.concatenate(parts) if parts else opened(encoder, device)(patches), told


def _write(file: Path, features: np.ndarray) -> None:
    """Write a shard so that it is there as a whole or not at all."""
    with replacing(file) as beside, beside.open("wb") as stream:
        np.save(stream, features)


def _read(file: Path, n_rows: int) -> np.ndarray | None:
    """Return a finished shard; ``None`` where there is none, or a power cut has damaged it."""
    try:
        found = np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return found if found.ndim == 2 and len(found) == n_rows else None


def clear(scratch: Path) -> None:
    """Remove the shards of an encoding that is stored, and what was half-written among them."""
    remove_folder(scratch)


def write_facts(path: Path, facts: dict[str, Any]) -> None:
    """Write what is told of an encoding as JSON."""
    write_lasting(path, json.dumps(facts, indent=1))
