"""spared-bench: which methods predict spatial gene expression from histology images, and how well.

What a plugin author or a notebook needs is importable from here, and nothing here is slow to
import: ``load_dataset`` and ``run`` fetch the heavy modules when they are called.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from spared_bench.hookspecs import hookimpl
from spared_bench.specs import (
    CompleterSpec,
    DatasetSpec,
    EncoderSpec,
    ExecutorSpec,
    MetricSpec,
    PredictorSpec,
    ProtocolSpec,
    RemoteFile,
    SlideInfo,
    Stage,
)

if TYPE_CHECKING:
    from spared_bench.api import load_dataset, run
    from spared_bench.data.views import View

__version__ = "0.1.0"

__all__ = [
    "CompleterSpec",
    "DatasetSpec",
    "EncoderSpec",
    "ExecutorSpec",
    "MetricSpec",
    "PredictorSpec",
    "ProtocolSpec",
    "RemoteFile",
    "SlideInfo",
    "Stage",
    "View",
    "hookimpl",
    "load_dataset",
    "run",
]


def __getattr__(name: str) -> Any:
    home = {"load_dataset": "api", "run": "api", "View": "data.views"}.get(name)
    if home is not None:
        from importlib import import_module

        return getattr(import_module(f"spared_bench.{home}"), name)
    raise AttributeError(f"module 'spared_bench' has no attribute {name!r}")
