"""Encoding the patches of a dataset: shard by shard, so that an interrupted run goes on.

Shards lie in the training folder of the workspace, under the key of the features, until all are
there. What is told of the way there (patches per second, the scale they were shown at) is kept
beside the features, and in no key.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import numpy as np

from spared_bench.data import Encoder, Patches
from spared_bench.files import write_text
from spared_bench.interfaces import Report

#: Patches of a shard: what is lost, at most, when a process is killed.
SHARD = 2048
#: Files whose writing goes wrong leave this behind, which is no shard.
_UNFINISHED = ".part"

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
    """
    from spared_bench.models.encoding import opened

    scratch.mkdir(parents=True, exist_ok=True)
    tell = _report.get() or (lambda step, values: None)
    encode: Callable[..., np.ndarray] | None = None
    done = resumed = 0
    began = time.perf_counter()
    for start in range(0, len(patches), shard):
        rows = np.arange(start, min(start + shard, len(patches)))
        file = scratch / f"{start:09d}-{rows[-1] + 1:09d}.npy"
        if file.is_file():
            resumed += len(rows)
            continue
        if encode is None:
            encode = opened(encoder, device)
            began = time.perf_counter()  # without the time that loading takes
        _write(file, encode(patches.subset(rows), um_per_px[rows]))
        done += len(rows)
        rate = done / max(time.perf_counter() - began, 1e-9)
        share = (done + resumed) / len(patches)
        tell(done + resumed, {"encoded": share, "patches_per_s": rate})
    seconds = time.perf_counter() - began
    told = {"patches_per_s": round(done / seconds, 1) if done else None, "resumed": resumed}
    files = sorted(scratch.glob("*.npy"))
    if not files:
        return opened(encoder, device)(patches), told
    return np.concatenate([np.load(file) for file in files]), told


def _write(file: Path, features: np.ndarray) -> None:
    """Write a shard so that it is there as a whole or not at all."""
    part = file.with_suffix(_UNFINISHED)
    with part.open("wb") as stream:
        np.save(stream, np.asarray(features, dtype=np.float32))
    part.replace(file)


def clear(scratch: Path) -> None:
    """Remove the shards of an encoding that is stored."""
    shutil.rmtree(scratch, ignore_errors=True)


def write_facts(path: Path, facts: dict[str, Any]) -> None:
    """Write what is told of an encoding as JSON."""
    write_text(path, json.dumps(facts, indent=1))
