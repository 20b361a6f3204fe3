"""Frozen encoders: patches in, features out, the same way every time.

``ColorEncoder`` needs no weights: 24 hand-made numbers of colour and texture, which every symmetry
of the square leaves as they are. ``TimmEncoder`` takes the pooled features of a network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from spared_bench.data import Patches
from spared_bench.keys.hashing import file_digest
from spared_bench.models.declared import DeclaredEncoder
from spared_bench.models.encoder_table import is_colour, known_encoder
from spared_bench.models.weights_folder import file_for

if TYPE_CHECKING:
    from torch import Tensor, nn

# Optical density of haematoxylin and eosin in red, green and blue: Ruifrok and Johnston, Anal.
# Quant. Cytol. Histol. 23 (2001) 291-299. The third row, their cross product, takes the residue.
_HAEMATOXYLIN = np.array([0.65, 0.70, 0.29])
_EOSIN = np.array([0.07, 0.99, 0.11])
# Mean density below which a pixel is glass: Macenko et al., ISBI 2009 (there per channel).
_GLASS_DENSITY = 0.15
_QUANTILES = (0.1, 0.5, 0.9)
_TEXTURE_LAGS = (1, 3)
_CHUNK_BYTES = 16 << 20


@dataclass(frozen=True)
class ColorEncoder:
    """24 features of a patch: colour, stain, contrast of centre and rim, texture.

    In order: mean (3) and standard deviation (3) of red, green and blue in [0, 1]; for the optical
    densities of haematoxylin and eosin, mean (2), standard deviation (2), quantiles 0.1, 0.5 and
    0.9 (6), mean over the central square of half the side minus mean over the rest (2), mean
    absolute difference of pixels 1 and 3 apart (4); share of pixels that hold tissue (1); standard
    deviation of the residual density (1).
    """

    width: ClassVar[int] = 24

    def identity(self) -> dict[str, Any]:
        """Return what determines the features."""
        return {"encoder": "color", "version": 1}

    def encode(self, patches: Patches) -> np.ndarray:
        """Return (n_spots, 24), float32; a patch's features do not depend on the others."""
        return _in_chunks(patches, _color_features)


def _color_features(images: np.ndarray) -> np.ndarray:
    """(n, size, size, 3) of uint8 -> (n, 24)."""
    n, size = images.shape[:2]
    density = _density_of_byte()[images]
    stain = density @ _unmixing()  # (n, size, size, 3): haematoxylin, eosin, residue
    # Spots last: numpy then adds rows of n numbers rather than of two or three, in the same order.
    rgb = _spots_last(images).reshape(-1, 3, n).astype(np.float32) / 255
    both = _spots_last(stain[..., :2])  # (size, size, 2, n)
    pixels = both.reshape(-1, 2, n)
    quarter = size // 4
    inner = np.zeros((size, size), dtype=bool)
    inner[quarter : size - quarter, quarter : size - quarter] = True
    dense = density[..., 0] + (density[..., 1] + density[..., 2])
    parts = [
        rgb.mean(axis=0),
        rgb.std(axis=0),
        pixels.mean(axis=0),
        pixels.std(axis=0),
        *np.quantile(np.ascontiguousarray(pixels.transpose(1, 2, 0)), _QUANTILES, axis=2),
        both[inner].mean(axis=0) - both[~inner].mean(axis=0),
        *(_texture(both, lag) for lag in _TEXTURE_LAGS),
        (dense / np.float32(3) > _GLASS_DENSITY).mean(axis=(1, 2))[None],
        stain[..., 2].reshape(n, -1).std(axis=1)[None],
    ]
    return np.concatenate(parts).T.astype(np.float32, order="C")


def _spots_last(images: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(images.transpose(1, 2, 3, 0))


def _density_of_byte() -> np.ndarray:
    """Optical density of each byte, (256,): -log10 of the share of light; black counts as 1/255."""
    return -np.log10(np.maximum(np.arange(256), 1) / 255).astype(np.float32)


def _unmixing() -> np.ndarray:
    """Return (3, 3): densities in red, green, blue @ this = haematoxylin, eosin, residue."""
    residue = np.cross(_HAEMATOXYLIN, _EOSIN)
    rows = [v / np.linalg.norm(v) for v in (_HAEMATOXYLIN, _EOSIN, residue)]
    return np.linalg.inv(np.stack(rows)).astype(np.float32)


def _texture(channels: np.ndarray, lag: int) -> np.ndarray:
    """Mean absolute difference of pixels ``lag`` apart in a row or column: (channels, n).

    ``channels`` has the shape (size, size, channels, n).
    """
    along = np.abs(channels[:, lag:] - channels[:, :-lag]).mean(axis=(0, 1))
    down = np.abs(channels[lag:] - channels[:-lag]).mean(axis=(0, 1))
    return along + down


@dataclass(frozen=True)
class TimmEncoder:
    """Pooled features of a frozen network.

    Parameters
    ----------
    backbone : str
        A name that ``build_backbone`` knows, e.g. ``"resnet50"``.
    weights : str
        ``"pretrained"``, ``"random"`` (always the same ones) or the path of a file.
    resize, crop : int
        Side in pixels that patches are resized to, and of the middle square that the network then
        sees; 0: the patch as it is, resized only where the network takes one size alone.

    Raises
    ------
    UsageError, WeightsUnavailableError
        From ``encode``, as ``build_backbone`` raises them.
    """

    backbone: str
    weights: str = "pretrained"
    resize: int = 0
    crop: int = 0

    @property
    def width(self) -> int:
        """Number of features."""
        import torch

        from spared_bench.models.backbones import build_backbone

        with torch.device("meta"):  # shapes without numbers
            network = build_backbone(self.backbone, "random", num_classes=0)
            return feature_width(network, expected_input(network)[2] or 224)

    def identity(self) -> dict[str, Any]:
        """Return what determines the features; a file of weights counts by its content."""
        plain = {name: value for name, value in asdict(self).items() if value != 0}
        facts = {"encoder": "timm", "version": 1, **plain}
        own = self.weights not in {"pretrained", "random"}
        file = Path(self.weights).expanduser() if own else file_for(self)
        if file is not None and file.is_file():
            facts["weights"] = file_digest(file)
        return facts

    def network(self) -> nn.Module:
        """Return the network, which changes no more: (n, 3, size, size) -> (n, width)."""
        import torch

        from spared_bench.models.backbones import build_backbone
        from spared_bench.models.seeded import seeded

        with seeded(0):
            network = build_backbone(self.backbone, self.weights, num_classes=0).eval()
        return network.requires_grad_(False).to(memory_format=torch.channels_last)

    def framed(self, images: Tensor, size: int | None = None) -> Tensor:
        """Resize and crop patches, (n, 3, side, side), to what the network sees.

        ``size`` is the one that the network takes (``expected_input``), if there is one.
        """
        from torch.nn import functional

        if self.resize:
            side = (self.resize, self.resize)
            images = functional.interpolate(images, size=side, mode="bilinear", antialias=True)
        if self.crop:
            edge = (images.shape[-1] - self.crop) // 2
            images = images[..., edge : edge + self.crop, edge : edge + self.crop]
        if size is not None and images.shape[-1] != size:
            images = functional.interpolate(images, size=(size, size), mode="bilinear")
        return images

    def opened(self, device: str = "cpu") -> Callable[..., np.ndarray]:
        """Return ``(patches, um_per_px) -> features`` with the network on a device; float32."""
        from spared_bench.models.augment import normalise
        from spared_bench.models.encoding import FrozenNetwork

        network = self.network()
        mean, std, size = expected_input(network)

        def prepare(images: Tensor, um_per_px: float) -> Tensor:
            return self.framed(normalise(images, mean, std), size)

        return FrozenNetwork(network, prepare, device)

    def encode(self, patches: Patches) -> np.ndarray:
        """Return (n_spots, width), float32, computed on the CPU."""
        return self.opened("cpu")(patches)


#: What ``frozen_encoder`` returns.
FrozenEncoder = ColorEncoder | TimmEncoder | DeclaredEncoder


def frozen_encoder(name: str, weights: str = "pretrained") -> FrozenEncoder:
    """Return the encoder of a name.

    Parameters
    ----------
    name : str
        ``"color"``; an encoder that a plugin registers (``spared-bench list encoders``), by any of
        its names; or any network of timm or torchvision.
    weights : str
        ``"pretrained"``, ``"random"`` or a file.

    Raises
    ------
    AmbiguousNameError
        If two plugins register the name.
    """
    if is_colour(name):
        return ColorEncoder()
    known = known_encoder(name)
    return TimmEncoder(name, weights) if known is None else DeclaredEncoder(known, weights)


def feature_width(network: nn.Module, size: int) -> int:
    """Return how many features a network gives of an image of so many pixels a side."""
    import torch

    device, training = next(network.parameters()).device, network.training
    with torch.no_grad():
        features = network.eval()(torch.zeros(1, 3, size, size, device=device))
    network.train(training)
    return int(features.shape[1])


def expected_input(network: nn.Module) -> tuple[Any, Any, int | None]:
    """Mean and std that a network was trained with, and its patch size where it has only one."""
    from spared_bench.models.augment import IMAGENET_MEAN, IMAGENET_STD

    config: dict[str, Any] = getattr(network, "pretrained_cfg", {})
    size = getattr(network, "image_size", None)  # torchvision's transformers
    if config.get("fixed_input_size"):
        size = config["input_size"][-1]
    return config.get("mean", IMAGENET_MEAN), config.get("std", IMAGENET_STD), size


def _in_chunks(patches: Patches, features: Any) -> np.ndarray:
    return np.concatenate([features(images) for images in _chunks(patches)])


def _chunks(patches: Patches) -> Iterator[np.ndarray]:
    n, size, _, channels = patches.shape
    step = max(1, _CHUNK_BYTES // (size * size * channels * 4))
    for start in range(0, max(n, 1), step):
        yield patches[start : start + step]
