"""ViT-B: a vision transformer over the patch of each spot, one linear output per gene.

Network: Dosovitskiy et al., ICLR 2021, ViT-B/16 as in torchvision. As a baseline:
Mejia et al., MICCAI 2024; github.com/BCV-Uniandes/SpaRED. Differs from the code there in the
augmentation, drawn for every patch and not once for a whole batch; and patches of another size than
the network's are resized to it, where torchvision refuses them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from spared_bench import PredictorSpec
from spared_bench.bounds import CountOrZero, Positive
from spared_bench.data import Slides
from spared_bench.errors import UsageError
from spared_bench.models import PatchUnits, TorchPredictor, build_backbone
from spared_bench.models.device_patches import resized
from spared_bench.models.encoders import expected_input, feature_width
from spared_bench.models.offered import is_offered
from spared_bench.models.precision import mixed

SPEC = PredictorSpec(
    "vit-b",
    f"{__name__}:ViTB",
    summary="ViT-B/16 on the spot's own patch",
    citation="Dosovitskiy et al., ICLR 2021",
    licence="MIT",
    pretraining="ImageNet-1k classification",
    gpu=True,
    search={"lr": (1e-2, 1e-3, 1e-4, 1e-5)},
)

_CHUNK = 256  # patches that are embedded at a time


class PatchNet(nn.Module):
    """Patches -> embeddings -> expression."""

    def __init__(
        self,
        backbone: str,
        weights: str,
        n_genes: int,
        image_size: int = 0,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        body = build_backbone(backbone, weights, **(options or {}))
        own = expected_input(body)[2]
        if own and image_size not in (0, own):
            body = build_backbone(backbone, weights, image_size=image_size, **(options or {}))
        self.size = image_size or own
        self.body = body
        self.head = nn.Linear(feature_width(body, self.size or 224), n_genes)

    def embed(self, images: Tensor) -> Tensor:
        return self.body(images if self.size is None else resized(images, self.size))

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.embed(images))  # (n_spots, n_genes)


def magnified(images: Tensor, size: int | None) -> Tensor:
    """Resize images to 8/7 of a size and cut the middle out of them, as torchvision's weights do.

    Its presets for images of 224 px enlarge to 256 px and crop to 224 px.

    Parameters
    ----------
    images : Tensor of shape (n, channels, side, side)
    size : int or None
        Of what is returned; None: that of the images.
    """
    size = size or images.shape[-1]
    large = resized(images, round(size * 256 / 224))
    begin = (large.shape[-1] - size) // 2
    return large[..., begin : begin + size, begin : begin + size]


@dataclass
class ViTB(TorchPredictor):
    """Predict the expression of a spot from its own patch.

    Parameters
    ----------
    backbone : str
        Any network of timm or torchvision.
    image_size : int
        Side of the images that the network sees, in pixels; 0: the one that it was made for, or
        that of the patches where it takes any.
    options : dict
        Of the network's constructor, for a variant of it.
    """

    name: ClassVar[str] = "vit-b"
    replayable: ClassVar[bool] = True
    tiny: ClassVar[dict[str, Any]] = {
        "backbone": "test_vit",
        "image_size": 32,
        "options": {"depth": 2},
        "weights": "random",
        "lr": 1e-3,
    }
    configurations: ClassVar[dict[str, dict[str, Any]]] = {
        "small": {
            "backbone": "test_vit",  # 0.3 million parameters, 16 px tiles, 64 wide, 6 layers
            "image_size": 48,
            "weights": "random",
        },
        "small-convolutional": {  # what SEPAL's small form builds on
            "backbone": "test_resnet",
            "image_size": 48,
            "weights": "random",
        },
        "spared": {},  # the defaults
    }

    lr: Positive = 1e-4
    backbone: str = "vit_b_16"
    image_size: CountOrZero = 0
    options: dict[str, Any] = field(default_factory=dict)

    def check_parameters(self) -> None:
        """Refuse a size of images, and options, that the network does not take.

        Raises
        ------
        UsageError
        """
        changed = self.image_size or self.options  # the backbone alone is looked for elsewhere
        if not changed or is_offered(self, "backbone", "image_size", "options"):
            return
        try:
            with torch.device("meta"):  # shapes without numbers
                PatchNet(self.backbone, "random", 1, self.image_size, self.options)
        except UsageError:
            raise
        except Exception as error:  # of any network of two libraries
            options = f" and options={self.options}" if self.options else ""
            raise UsageError(
                f"{self.name} has backbone={self.backbone!r}, image_size={self.image_size}"
                f"{options}, which do not go together:"
                f" {' '.join(str(error).split())[:200] or type(error).__name__}. A transformer"
                " takes images that its tiles divide; leave image_size out for the network's own."
            ) from error

    def build(self, n_genes: int) -> nn.Module:
        return PatchNet(self.backbone, self.weights, n_genes, self.image_size, self.options)

    def embed(self, slides: Slides, enlarged: bool = False) -> tuple[Tensor, Tensor]:
        """Return embeddings, (n_spots, width), and predictions, (n_spots, n_genes).

        ``enlarged``: of the middle of the patches, ``magnified`` to the size of the whole.
        """
        network: Any = self._fitted().eval()
        units = PatchUnits(slides, self._device, 0, self.normalisation)
        parts = []
        with torch.inference_mode(), mixed(network, self._device, self.precision):
            for rows in torch.arange(len(units)).split(_CHUNK):
                images = units.batch(rows).images
                embeddings = network.embed(magnified(images, network.size) if enlarged else images)
                parts.append((embeddings.float(), network.head(embeddings).float()))
        # Cloned outside inference mode, so that another network may train on them.
        embedded, predicted = (torch.cat(each).clone() for each in zip(*parts, strict=True))
        return embedded, predicted
