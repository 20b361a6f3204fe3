"""What predictors share; each name is imported when it is first asked for, and torch with it."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spared_bench.models.backbones import build_backbone
    from spared_bench.models.encoders import ColorEncoder, TimmEncoder
    from spared_bench.models.torch_predictor import TorchPredictor
    from spared_bench.models.trainer import Recipe, train
    from spared_bench.models.units import Batch, PatchUnits

__all__ = [
    "Batch",
    "ColorEncoder",
    "PatchUnits",
    "Recipe",
    "TimmEncoder",
    "TorchPredictor",
    "build_backbone",
    "train",
]

_HOME = {
    "Batch": "units",
    "ColorEncoder": "encoders",
    "PatchUnits": "units",
    "Recipe": "trainer",
    "TimmEncoder": "encoders",
    "TorchPredictor": "torch_predictor",
    "build_backbone": "backbones",
    "train": "trainer",
}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
