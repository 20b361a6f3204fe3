"""The folder of weights files that a user names in SPARED_BENCH_WEIGHTS; it imports no torch.

A file in there takes the place of the published weights of the backbone that it is named after, so
its content belongs to what a trial is, and its name to what the trial's record says.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from spared_bench.errors import WeightsUnavailableError

WEIGHTS_FOLDER = "SPARED_BENCH_WEIGHTS"
#: Of files of weights, the first of which counts.
SUFFIXES = (".safetensors", ".pth", ".pt", ".bin")
#: Parameters of methods that name a backbone.
_NAMING = ("backbone", "encoder")


#: Set while nothing may be downloaded.
OFFLINE = "SPARED_BENCH_OFFLINE"


@contextmanager
def downloads(*, allowed: bool) -> Iterator[None]:
    """Let nothing be downloaded for a while, in child processes neither; or leave it as it is."""
    before = os.environ.get(OFFLINE)
    if not allowed:
        os.environ[OFFLINE] = "1"
    try:
        yield
    finally:
        if not allowed and before is None:
            os.environ.pop(OFFLINE, None)


def is_offline() -> bool:
    """Return whether downloads are switched off: by ``--offline``, or for the hub's library."""
    values = (os.environ.get(name, "") for name in (OFFLINE, "HF_HUB_OFFLINE"))
    return any(value.upper() in {"1", "ON", "YES", "TRUE"} for value in values)


def file_of(name: str) -> Path | None:
    """Return the file that takes the place of a backbone's published weights, if there is one.

    Raises
    ------
    WeightsUnavailableError
        If the variable names no folder.
    """
    if not os.environ.get(WEIGHTS_FOLDER):
        return None
    folder = Path(os.environ[WEIGHTS_FOLDER]).expanduser()
    if not folder.is_dir():
        raise WeightsUnavailableError(
            f"{WEIGHTS_FOLDER} must name a folder of weights files; {str(folder)!r} is none."
        )
    files = (folder / f"{name}{suffix}" for suffix in SUFFIXES)
    return next((file.resolve() for file in files if file.is_file()), None)


def file_for(method: Any, parameters: Mapping[str, Any] | None = None) -> Path | None:
    """Return the file that a method takes for its pretrained weights, ``None`` for published ones.

    Parameters
    ----------
    method : object or type
        With its backbone in the attribute ``backbone`` or ``encoder``.
    parameters : mapping, optional
        What is to be set otherwise than in the method.

    Raises
    ------
    WeightsUnavailableError
        If the variable names no folder.
    """
    chosen = parameters or {}
    if chosen.get("weights", getattr(method, "weights", None)) != "pretrained":
        return None
    names = (chosen.get(name, getattr(method, name, None)) for name in _NAMING)
    files = (file_of(name) for name in names if isinstance(name, str))
    return next((file for file in files if file is not None), None)
