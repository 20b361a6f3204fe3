"""TRIPLEX: the patch of a spot, the 5 by 5 tiles around it and its whole slide, fused.

Chung et al., "Accurate Spatial Gene Expression Prediction by Integrating Multi-Resolution
Features", CVPR 2024; github.com/NEXGEM/TRIPLEX. By default the form of 2024 with the sizes for
HER2+; the configurations ``cscc`` and ``st-net-data`` have the other two, ``2025`` the rewritten
form.

Differs from the authors' code: the global token of a spot is that of its own place, where theirs
comes in the order of the array's columns; dropout ends with training; spots in one cell of the
grid are averaged in both forms; a grid is that of its slide, where theirs of 2025 is the first
slide's without its empty columns; tiles outside the image are masked in both forms; outputs are
not cut off at 0 (all of these come back with ``released``, but for the one cell, which stops their
code of 2024). Features of another width than the network's are projected. The rate falls by a
tenth at each quarter of the budget, as it does over their 200 epochs; the 2025 form keeps it, where
theirs waits for 10 epochs without gain. The protocol chooses genes, target and validation slides;
theirs validates on the test fold and smooths the target over a spot's neighbours.

The authors' ResNet-18 was trained on histology (Ciga et al., 2022; ``tenpercent_resnet18``). Give
its file as ``weights``; ``pretrained`` is ImageNet's. It serves as the trained encoder of the
target and, frozen, for the tiles; the middle tile is the spot's part in the global encoder.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, StepLR

from spared_bench import PredictorSpec
from spared_bench.bounds import NotNegative, Positive, Share, Size, require_heads
from spared_bench.data import Slides
from spared_bench.data.views import View
from spared_bench.errors import UsageError
from spared_bench.geometry import rows_by_slide
from spared_bench.interfaces import Budget, Context
from spared_bench.models import TorchPredictor
from spared_bench.models.arrays import load_arrays, save_arrays
from spared_bench.models.augmentation.augmenter import Augmentation
from spared_bench.models.encoders import FrozenEncoder, frozen_encoder
from spared_bench.models.precision import mixed
from spared_bench.models.seeded import seeded
from spared_bench.models.units import PatchUnits
from spared_bench_plugins.networks.slide_grid import (
    array_cells,
    first_grid,
    grid_cells,
    pixel_cells,
)
from spared_bench_plugins.networks.triplex import (
    CENTRE,
    SIDE,
    FeatureMap,
    Sizes,
    SlideContext,
    TriplexBatch,
    TriplexNet,
    triplex_loss,
)

SPEC = PredictorSpec(
    "triplex",
    f"{__name__}:Triplex",
    summary="Patch, the 5 by 5 tiles around it and the whole slide, fused by cross-attention",
    citation="Chung et al., CVPR 2024, github.com/NEXGEM/TRIPLEX",
    licence="MIT",
    scope="slide",
    pretraining="ImageNet-1k classification",
    encoder="encoder",
    gpu=True,
    search={"lr": (1e-2, 1e-3, 1e-4, 1e-5)},
)

_VERSIONS = ("2024", "2025")
_CHUNK = 256  # spots that are predicted at a time


class TriplexUnits(PatchUnits):
    """Spots with their patches and neighbourhoods; a batch has every slide of its spots once.

    Parameters
    ----------
    slides, device, budget, normalisation, augmentation
        As ``PatchUnits`` takes them.
    features : ndarray of float32, of shape (n_spots, 25, feature_width)
        Of the tiles around each spot; may be memory-mapped.
    inside : ndarray of bool, of shape (n_spots, 25)
    cells : sequence of ndarray of int64, each of shape (n_spots of the slide, 2)
        Column and row of the spots of each slide, slides as ``rows_by_slide`` has them.
    by_column : bool
        Give the spots the global tokens in the order of columns and rows, as released in 2024.
    """

    def __init__(
        self,
        slides: Slides,
        features: np.ndarray,
        inside: np.ndarray,
        cells: Iterable[np.ndarray],
        by_column: bool = False,
        device: str = "cpu",
        budget: int | None = None,
        normalisation: str = "imagenet",
        augmentation: Augmentation | None = None,
    ) -> None:
        super().__init__(slides, device, budget, normalisation, augmentation)
        self._features, self._inside = features, inside
        self.spots_of_slides = rows_by_slide(slides.slide_ids)
        self._slide = np.empty(len(slides), dtype=np.int64)
        self._place = np.empty(len(slides), dtype=np.int64)
        self.contexts = []
        for number, (spots, places) in enumerate(zip(self.spots_of_slides, cells, strict=True)):
            self._slide[spots] = number
            sorted_by_column = np.lexsort((places[:, 1], places[:, 0]))
            self._place[spots] = sorted_by_column if by_column else np.arange(len(spots))
            parts = features[spots, CENTRE], *grid_cells(places)
            tensors = (torch.from_numpy(np.ascontiguousarray(each)).to(device) for each in parts)
            self.contexts.append(SlideContext(*tensors))

    def batch(self, rows: Tensor, augment: torch.Generator | None = None) -> TriplexBatch:
        """Return these spots; the features are of the tiles as they are, turned or not."""
        plain, spots = super().batch(rows, augment), rows.numpy()
        numbers, which = np.unique(self._slide[spots], return_inverse=True)
        sizes = [len(self.spots_of_slides[number]) for number in numbers]
        starts = np.cumsum([0, *sizes])[which]
        parts = self._features[spots], self._inside[spots], starts + self._place[spots]
        neighbours, inside, token = (torch.from_numpy(each).to(self._device) for each in parts)
        slides = [self.contexts[number] for number in numbers]
        images, target, mask = plain.images, plain.target, plain.mask
        return TriplexBatch(images, target, mask, neighbours, inside, slides, token)


@dataclass
class Triplex(TorchPredictor):
    """Predict the expression of a spot from its patch, its neighbourhood and its slide.

    Parameters
    ----------
    backbone : str
        Convolutional network of timm that is trained on the target patch.
    encoder : str
        Frozen network for the tiles, ``"color"`` for 24 numbers of colour and texture.
    side_um : float
        Side of the target and of each of the 25 tiles, in micrometres; 0: that of the protocol's
        patches, which then are the targets.
    image_size, tile_size : int
        Pixels of a side of the target (unless it is the protocol's) and of a tile.
    width : int
        Of all transformers.
    fusion, slide, neighbour : tuple of (int, int, float, float)
        Blocks, heads, hidden width over width, and dropout of the three transformers.
    version : {"2024", "2025"}
        The form of the released code.
    released : bool
        With the faults of that code.
    """

    name: ClassVar[str] = "triplex"
    loss_name: ClassVar[str] = "mse_of_four_heads"
    tiny: ClassVar[dict[str, Any]] = {
        "backbone": "test_resnet", "weights": "random", "encoder": "color", "side_um": 55.0,
        "image_size": 24, "tile_size": 12, "width": 32, "fusion": (1, 2, 1, 0.0),
        "slide": (2, 2, 1, 0.0), "neighbour": (1, 2, 1, 0.0), "lr": 1e-3,
    }  # fmt: skip
    configurations: ClassVar[dict[str, dict[str, Any]]] = {
        "small": {
            "backbone": "test_resnet", "weights": "random", "encoder": "color", "side_um": 0.0,
            "tile_size": 32, "width": 64, "fusion": (1, 4, 2, 0.1), "slide": (2, 4, 2, 0.1),
            "neighbour": (2, 4, 1, 0.1), "normalisation": "imagenet",
        },
        "cscc": {
            "fusion": (2, 8, 4, 0.1), "slide": (2, 16, 1, 0.1), "neighbour": (4, 16, 1, 0.3)
        },
        "st-net-data": {
            "fusion": (3, 16, 4, 0.4), "slide": (3, 8, 2, 0.1), "neighbour": (4, 8, 4, 0.3)
        },
        "2025": {"version": "2025", "normalisation": "imagenet"},
    }  # fmt: skip

    lr: Positive = 1e-4
    normalisation: Literal["imagenet", "egn", "unit", "raw"] = "unit"
    backbone: str = "resnet18.tv_in1k"
    encoder: str = "resnet18.tv_in1k"
    side_um: NotNegative = 112.0
    image_size: Size = 224
    tile_size: Size = 224
    width: Size = 512
    fusion: tuple[Size, Size, Positive, Share] = (1, 4, 4, 0.2)
    slide: tuple[Size, Size, Positive, Share] = (3, 16, 4, 0.1)
    neighbour: tuple[Size, Size, Positive, Share] = (3, 16, 1, 0.3)
    version: Literal["2024", "2025"] = "2024"
    released: bool = False

    def __post_init__(self) -> None:
        if self.version not in _VERSIONS:
            raise UsageError(f"TRIPLEX has no version {self.version!r}. Expected '2024' or '2025'.")

    def check_parameters(self) -> None:
        """Refuse a width that the heads of a transformer cannot share.

        Raises
        ------
        UsageError
        """
        for part in ("fusion", "slide", "neighbour"):
            require_heads(f"{self.name}: {part}", self.width, getattr(self, part)[1])

    @property
    def views(self) -> dict[str, View]:
        """The tiles around a spot and, where it is not the protocol's patch, the target."""
        tiles = View(size=self.tile_size, um=self.side_um, tiles=SIDE)
        if not self.side_um:
            return {"neighbours": tiles}
        return {"target": View(size=self.image_size, um=self.side_um), "neighbours": tiles}

    @property
    def frozen(self) -> FrozenEncoder:
        """What turns tiles into features."""
        return frozen_encoder(self.encoder, self.weights)

    def build(self, n_genes: int) -> nn.Module:
        # TriplexBatch -> four times (n_spots, n_genes)
        backbone = FeatureMap(self.backbone, self.weights)
        sizes = (Sizes(*each) for each in (self.fusion, self.slide, self.neighbour))
        return TriplexNet(
            n_genes, self.width, self.frozen.width, *sizes,
            backbone, backbone.channels, self.version, self.released,
        )  # fmt: skip

    def fit(self, train: Slides, val: Slides, context: Context) -> None:
        """Keep what the released form of 2025 keeps of the first slide, then train."""
        first = rows_by_slide(train.slide_ids)[0]
        self.grid_ = first_grid(train.coordinates[first])
        super().fit(train, val, context)

    def units(self, slides: Slides, device: str, resident: bool) -> TriplexUnits:
        """Return spots with the features of their tiles, which are found once."""
        features = slides.features(self.frozen, view="neighbours")
        inside = slides.tiles_inside("neighbours")
        if self._is_released("2025"):
            inside = np.ones_like(inside)
        cells = [self._cells(slides, spots) for spots in rows_by_slide(slides.slide_ids)]
        budget = None if resident else 0
        by_column = self._is_released("2024")
        return TriplexUnits(
            slides, features, inside, cells, by_column, device, budget, self.normalisation,
            self.augmenter,
        )  # fmt: skip

    def _cells(self, slides: Slides, spots: np.ndarray) -> np.ndarray:
        if self._is_released("2025"):
            return pixel_cells(slides.coordinates[spots], self.grid_)
        return array_cells(slides.array_coordinates[spots])

    def _is_released(self, version: str) -> bool:
        return self.released and self.version == version

    def predict_batch(self, network: nn.Module, batch: TriplexBatch) -> Tensor:
        """Return what the fusion predicts, (n_spots, n_genes)."""
        return network(batch).fusion

    def loss(self, network: nn.Module, batch: TriplexBatch) -> Tensor:
        """Return the errors of all four heads, and of three from the fusion."""
        return triplex_loss(network(batch), batch.target)

    def predict(self, slides: Slides, batch_size: int = _CHUNK) -> np.ndarray:
        """Predict (n_spots, n_genes), float32, slide by slide, each encoded once as a whole."""
        network: Any = self._fitted().eval()
        units = self.units(slides, self._device, resident=False)
        prediction = np.empty((len(slides), len(self.gene_names_)), dtype=np.float32)
        # Seeded for the dropout that the released forms never end.
        with (
            seeded(0, self._device),
            torch.inference_mode(),
            mixed(network, self._device, self.precision),
        ):
            for spots, context in zip(units.spots_of_slides, units.contexts, strict=True):
                tokens = network.slide_tokens(context)
                for rows in torch.from_numpy(spots).split(batch_size):
                    batch = units.batch(rows)
                    found = network.fuse(network.backbone(batch.images), batch, tokens[batch.token])
                    prediction[rows.numpy()] = found.fusion.float().cpu().numpy()
        return prediction

    def optimizer(self, parameters: Iterable[nn.Parameter]) -> Optimizer:
        """Adam, and AdamW in the form of 2025, as published."""
        if self.version == "2025":
            return torch.optim.AdamW(parameters, lr=self.lr, fused=True)
        return super().optimizer(parameters)

    def schedule(self, optimizer: Optimizer, budget: Budget) -> LRScheduler | None:
        """Down by a tenth at every quarter of the budget, in the form of 2024."""
        if self.version == "2025":
            return None
        return StepLR(optimizer, max(1, budget.iterations // 4), gamma=0.9)

    def save(self, folder: Path) -> None:
        """Write the weights and the grid into a folder."""
        super().save(folder)
        save_arrays(folder / "grid", {"grid": self.grid_})

    def load(self, folder: Path, device: str = "cpu") -> None:
        """Read what ``save`` wrote."""
        super().load(folder, device)
        self.grid_ = load_arrays(folder / "grid")[0]["grid"]
