"""spared-bench: which methods predict spatial gene expression from histology images, and how well.

What a plugin author or a notebook needs is importable from here, and nothing here is slow to
import: ``load_dataset`` and ``run`` fetch the heavy modules when they are called.
"""

from __future__ import annotations

import os
import sys
from types import ModuleType
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
    Speed,
    Stage,
    StudySpec,
)

if TYPE_CHECKING:
    from spared_bench.api import load_dataset, run
    from spared_bench.api.applying import fit, predict
    from spared_bench.api.frames import results, stability
    from spared_bench.brought.notebooks import score
    from spared_bench.data.views import View
    from spared_bench.prediction import Prediction
    from spared_bench.scverse.spatial_data import read, to_spatialdata, write

__version__ = "0.1.0"

__all__ = [
    "CompleterSpec",
    "DatasetSpec",
    "EncoderSpec",
    "ExecutorSpec",
    "MetricSpec",
    "Prediction",
    "PredictorSpec",
    "ProtocolSpec",
    "RemoteFile",
    "SlideInfo",
    "Speed",
    "Stage",
    "StudySpec",
    "View",
    "fit",
    "hookimpl",
    "load_dataset",
    "predict",
    "read",
    "results",
    "run",
    "score",
    "stability",
    "to_spatialdata",
    "write",
]


#: Where what is not imported at once lives.
_HOMES = {
    "Prediction": "prediction",
    "View": "data.views",
    "fit": "api.applying",
    "load_dataset": "api",
    "predict": "api.applying",
    "read": "scverse.spatial_data",
    "results": "api.frames",
    "run": "api",
    "score": "brought.notebooks",
    "stability": "api.frames",
    "to_spatialdata": "scverse.spatial_data",
    "write": "scverse.spatial_data",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is not None:
        from importlib import import_module

        return getattr(import_module(f"spared_bench.{home}"), name)
    raise AttributeError(f"module 'spared_bench' has no attribute {name!r}")


def __dir__() -> list[str]:
    """Name what there is for users, the functions that are not imported yet among them."""
    return [*__all__, "__version__"]


class _FrontDoor(ModuleType):
    """Lets ``spared_bench.results(workspace)`` be the function, beside a submodule of that name.

    Importing a submodule would put it in the function's place; ``from spared_bench.results import``
    finds it all the same.
    """

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in _HOMES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


if "SPARED_BENCH_BESIDE" in os.environ:  # what a method has begun imports its modules, too
    from spared_bench.beside import let_import_as_begun

    let_import_as_begun()
globals().pop("results", None)
sys.modules[__name__].__class__ = _FrontDoor
