"""What predictors share; each name is imported when it is first asked for, and torch with it."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spared_bench.models.backbones import build_backbone
    from spared_bench.models.encoders import ColorEncoder, TimmEncoder
    from spared_bench.models.features import FeatureBatch, FeaturePredictor
    from spared_bench.models.known import KnownPredictor
    from spared_bench.models.torch_predictor import TorchPredictor
    from spared_bench.models.trainer import Recipe, train
    from spared_bench.models.units import Batch, PatchUnits
    from spared_bench.models.viewed import ViewBatch, ViewPredictor
    from spared_bench.models.window_units import WindowBatch, WindowUnits
    from spared_bench.models.windows import SlidePredictor, WindowPredictor

__all__ = [
    "Batch",
    "ColorEncoder",
    "FeatureBatch",
    "FeaturePredictor",
    "KnownPredictor",
    "PatchUnits",
    "Recipe",
    "SlidePredictor",
    "TimmEncoder",
    "TorchPredictor",
    "ViewBatch",
    "ViewPredictor",
    "WindowBatch",
    "WindowPredictor",
    "WindowUnits",
    "build_backbone",
    "train",
]

_HOME = {
    "Batch": "units",
    "ColorEncoder": "encoders",
    "FeatureBatch": "features",
    "FeaturePredictor": "features",
    "KnownPredictor": "known",
    "PatchUnits": "units",
    "Recipe": "trainer",
    "SlidePredictor": "windows",
    "TimmEncoder": "encoders",
    "TorchPredictor": "torch_predictor",
    "ViewBatch": "viewed",
    "ViewPredictor": "viewed",
    "WindowBatch": "window_units",
    "WindowPredictor": "windows",
    "WindowUnits": "window_units",
    "build_backbone": "backbones",
    "train": "trainer",
}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
