"""ShuffleNet: ShuffleNet V2 at half width over the patch of each spot, one linear output per gene.

Network: Ma et al., ECCV 2018, doi:10.1007/978-3-030-01264-9_8, as in torchvision. As a baseline:
Mejia et al., MICCAI 2024; github.com/BCV-Uniandes/SpaRED. Differs from the code there in the
augmentation, drawn for every patch and not once for a whole batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import nn

from spared_bench import PredictorSpec
from spared_bench.bounds import Positive
from spared_bench.models import TorchPredictor, build_backbone

SPEC = PredictorSpec(
    "shufflenet",
    f"{__name__}:ShuffleNet",
    summary="ShuffleNet V2 x0.5 on the spot's own patch",
    citation="Ma et al., ECCV 2018, doi:10.1007/978-3-030-01264-9_8",
    licence="MIT",
    pretraining="ImageNet-1k classification",
    search={"lr": (1e-2, 1e-3, 1e-4, 1e-5)},
)


@dataclass
class ShuffleNet(TorchPredictor):
    """Predict the expression of a spot from its own patch."""

    name: ClassVar[str] = "shufflenet"
    replayable: ClassVar[bool] = True
    tiny: ClassVar[dict[str, Any]] = {"weights": "random", "lr": 1e-3}
    configurations: ClassVar[dict[str, dict[str, Any]]] = {
        "small": {"weights": "random"},  # as published, it is small enough
        "spared": {},  # the defaults
    }

    backbone: str = "shufflenet_v2_x0_5"
    lr: Positive = 1e-4  # of the tutorial that the authors of the benchmark publish

    def build(self, n_genes: int) -> nn.Module:
        # (n_spots, 3, patch_size, patch_size) -> (n_spots, n_genes)
        from spared_bench_plugins.networks.shuffle_units import with_channels_last

        return with_channels_last(build_backbone(self.backbone, self.weights, num_classes=n_genes))
