"""What predictors share. Importing it imports torch, so a plugin's list of specs does not."""

# Plain imports: the hash of a predictor's code follows them (spared_bench.code).
from spared_bench.models.backbones import build_backbone
from spared_bench.models.encoders import ColorEncoder, TimmEncoder
from spared_bench.models.torch_predictor import TorchPredictor
from spared_bench.models.trainer import train
from spared_bench.models.units import Batch, PatchUnits

__all__ = [
    "Batch",
    "ColorEncoder",
    "PatchUnits",
    "TimmEncoder",
    "TorchPredictor",
    "build_backbone",
    "train",
]
