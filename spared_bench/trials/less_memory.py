"""What of a method can be set so that a trial takes less memory, for whoever ran out of it."""

from __future__ import annotations

from typing import Any

from spared_bench.bench import Bench
from spared_bench.bench.lookup import class_of
from spared_bench.errors import PluginError
from spared_bench.interfaces import Job

_SMALL_BATCH = 32
_SMALLER = 4  # times


def less_memory(bench: Bench, job: Job) -> str:
    """Return sentences that begin with a space; empty where nothing is known to help.

    Parameters
    ----------
    bench : Bench
    job : Job
        Of a trial.
    """
    try:
        method = class_of(bench.registry.get("predictor", job.predictor))
    except PluginError:
        return ""

    def value(name: str) -> Any:
        return job.parameters.get(name, getattr(method, name, None))

    told = ""
    spots, part = value("max_spots"), value("micro_batch")
    if isinstance(spots, int):
        fewer = f"`--set {job.predictor}.max_spots={spots // _SMALLER or 1000}`"
        now = f"of {spots} spots" if spots else "of a whole slide"
        told += f" It sees windows {now}: {fewer} takes less memory, and is another experiment."
    if isinstance(part, int) and getattr(method, "separable", True):
        size = max(1, (part or 2 * _SMALL_BATCH) // 2)
        told += (
            f" `--set {job.predictor}.micro_batch={size}` trains with the same gradients, but for"
            " batch normalisation, in less memory."
        )
    return told
