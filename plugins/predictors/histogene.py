"""HisToGene: a transformer over all spots of a slide, each spot one token.

Pang, Su and Li, bioRxiv 2021.11.28.470212; github.com/maxpmx/HisToGene. By default with 224 px and
128 positions, as in github.com/BCV-Uniandes/SpaRED; the authors have 112 px and 64.

Differs from the authors' code: patches are normalised by ImageNet's mean and deviation, as SpaRED
does, and augmented where the protocol says so; a slide of more than ``max_spots`` spots is seen in
windows with a margin, where others draw random subsets of spots; coordinates beyond the table of
positions are an error. Patches of another size than ``image_size`` are resized on the device.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn

from spared_bench import PredictorSpec
from spared_bench.bounds import Positive, Size
from spared_bench.models.attention import Block
from spared_bench.models.device_patches import resized
from spared_bench.models.windows import WindowPredictor

SPEC = PredictorSpec(
    "histogene",
    f"{__name__}:HisToGene",
    summary="Transformer over all spots of a slide, a patch being a token",
    citation="Pang, Su and Li, bioRxiv 2021, doi:10.1101/2021.11.28.470212",
    licence="MIT",
    scope="slide",
    search={"lr": (1e-2, 1e-3, 1e-4, 1e-5)},
)


class HisToGeneNet(nn.Module):
    """Patches and array coordinates of a window -> expression of all its spots."""

    def __init__(
        self, n_genes: int, image_size: int, n_positions: int, width: int, depth: int, heads: int
    ) -> None:
        super().__init__()
        self.image_size = image_size
        self.embed = nn.Linear(3 * image_size**2, width)
        self.column = nn.Embedding(n_positions, width)
        self.row = nn.Embedding(n_positions, width)
        self.dropout = nn.Dropout(0.1)
        self.blocks = nn.Sequential(
            *(Block(width, heads, 64, 2 * width, dropout=0.1) for _ in range(depth))
        )
        self.head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, n_genes))

    def forward(self, images: Tensor, positions: Tensor) -> Tensor:
        # The authors flatten a patch in the order (column, row, channel).
        pixels = resized(images, self.image_size).permute(0, 3, 2, 1).flatten(1)
        x = self.embed(pixels)  # (n_spots, width)
        x = x + self.column(positions[:, 0]) + self.row(positions[:, 1])
        x = self.blocks(self.dropout(x)[None])[0]  # the spots are one sequence
        return self.head(x)  # (n_spots, n_genes)


@dataclass
class HisToGene(WindowPredictor):
    """Predict the expression of all spots of a slide from all its patches.

    Parameters
    ----------
    image_size : int
        Side that patches are resized to, in pixels.
    width, depth, heads : int
        Of the transformer, whose heads are 64 wide.
    """

    name: ClassVar[str] = "histogene"
    head_parts: ClassVar[tuple[str, ...]] = ("head",)
    tiny: ClassVar[dict[str, Any]] = {
        "image_size": 12, "n_positions": 16, "width": 32, "depth": 1, "heads": 1, "lr": 1e-3
    }  # fmt: skip
    configurations: ClassVar[dict[str, dict[str, Any]]] = {
        "small": {"image_size": 48, "n_positions": 128, "width": 128, "depth": 2, "heads": 2},
        "spared": {"lr": 4.642e-3, "augment": False, "max_spots": 0},
    }

    lr: Positive = 1e-5
    weights: str = "random"
    image_size: Size = 224
    width: Size = 1024
    depth: Size = 8
    heads: Size = 16

    @property
    def weights_used(self) -> None:
        """No part of it has weights from elsewhere."""
        return None

    def build(self, n_genes: int) -> nn.Module:
        # (n_spots, 3, size, size), (n_spots, 2) -> (n_spots, n_genes)
        return HisToGeneNet(
            n_genes, self.image_size, self.n_positions, self.width, self.depth, self.heads
        )
