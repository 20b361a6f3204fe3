"""ViT-B+Δ: ViT-B that learns how far a spot is from the training mean of each gene.

Mejia et al., ICCV Workshops 2023 (SEPAL); github.com/BCV-Uniandes/SEPAL. The mean
comes from the training slides alone, over all entries of the completed target, as there. Differs
from the code there as ViT-B does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from spared_bench import PredictorSpec
from spared_bench_plugins.predictors.vit_b import ViTB

SPEC = PredictorSpec(
    "vit-b-delta",
    f"{__name__}:ViTBDelta",
    summary="ViT-B/16 that learns the difference from the training mean of each gene",
    citation="Mejia et al., ICCV Workshops 2023",
    licence="MIT",
    pretraining="ImageNet-1k classification",
    gpu=True,
    search={"lr": (1e-2, 1e-3, 1e-4, 1e-5)},
)


@dataclass
class ViTBDelta(ViTB):
    """Predict the difference from the training mean; the harness subtracts and adds that mean."""

    name: ClassVar[str] = "vit-b-delta"
    delta: ClassVar[bool] = True
