"""A frozen encoder as its spec describes it: weights found, patches framed, features taken."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from spared_bench.data import Patches
from spared_bench.errors import PluginError, ShapeMismatchError, WeightsUnavailableError
from spared_bench.models.encoder_table import KnownEncoder
from spared_bench.models.framing import framing
from spared_bench.models.hub import (
    content_digest,
    hub_file,
    in_folder,
    own_file,
    require_hub,
)
from spared_bench.specs import EncoderSpec


@dataclass(frozen=True)
class DeclaredEncoder:
    """The features of a registered encoder.

    Parameters
    ----------
    known : KnownEncoder
    weights : str
        ``"pretrained"``, ``"random"`` (always the same ones), or a file or folder.
    """

    known: KnownEncoder
    weights: str = "pretrained"

    @property
    def spec(self) -> EncoderSpec:
        """What the encoder says of itself."""
        return self.known.spec

    @property
    def width(self) -> int:
        """Number of features."""
        return self.spec.width

    @cached_property
    def file(self) -> Path | None:
        """The file or folder that the weights come from; ``None`` where a library brings them.

        Raises
        ------
        WeightsUnavailableError
            If they cannot be had.
        """
        if self.weights == "random":
            return None
        if self.weights != "pretrained":
            path = Path(self.weights).expanduser()
            if not path.exists():
                raise WeightsUnavailableError(
                    f"weights must be 'pretrained', 'random' or an existing file; found"
                    f" {self.weights!r}, and there is no such file."
                )
            return in_folder(self.spec, path) if path.is_dir() else path
        if (found := own_file(self.spec)) is not None:
            return found
        if self.spec.loader == "factory":
            brings = getattr(self.known.load(), "weights_file", None)
            return None if brings is None else Path(brings())
        if self.spec.hub_id and self.spec.loader != "open_clip":
            file = hub_file(self.spec)
            return None if self.spec.loader == "transformers" else file
        return None

    def require(self) -> None:
        """Raise at once where the weights cannot be had, without reading or fetching them.

        Raises
        ------
        WeightsUnavailableError
        PluginError
            If a library that loads it is not installed.
        """
        from spared_bench.models.encoder_networks import require_library

        require_library(self.spec)
        if self.weights == "random" or (self.known.runs_code and not self.known.imported):
            return  # what a stranger's code brings, its own process finds out
        hub = self.spec.hub_id and self.weights == "pretrained"
        if hub and own_file(self.spec) is None:
            require_hub(self.spec)
        elif self.spec.loader in ("timm", "torchvision") and not hub:
            from spared_bench.models.backbones import require_weights

            require_weights(self.spec.source, str(self.file or self.weights))
        else:
            _ = self.file

    def identity(self) -> dict[str, Any]:
        """Return what determines the features; weights count by their content."""
        spec = self.spec
        facts: dict[str, Any] = {
            "encoder": spec.name,
            "distribution": self.known.distribution,
            "version": spec.version,
            "weights": self.weights if self.weights in ("pretrained", "random") else "file",
            "network": [spec.loader, spec.source, dict(spec.arguments), spec.pooling, spec.width],
            "fed": [
                *map(list, (spec.mean, spec.std, spec.um_per_px)),
                *(spec.size, spec.multiple, spec.resize, spec.crop, spec.interpolation),
            ],
            "precision": spec.precision,
        }
        if self.file is not None:
            facts["content"] = content_digest(self.file)
        if spec.loader == "factory":
            facts["code"] = self.known.code()
        return facts

    def opened(self, device: str = "cpu") -> Any:
        """Return ``(patches, um_per_px) -> features``, with the network on a device.

        Raises
        ------
        WeightsUnavailableError
            If the weights cannot be had, or are another network's.
        PluginError
            If a library that loads it is not installed, or its plugin does not make a network.
        """
        from spared_bench.models.encoder_networks import frame, make_network
        from spared_bench.models.encoding import FrozenNetwork

        network = make_network(self.known, self.weights, self.file)

        def prepare(images: Any, um: float) -> Any:
            return frame(self.spec, framing(self.spec, int(images.shape[1]), um), images)

        run = FrozenNetwork(network, prepare, device, self.spec.precision)

        def encode(patches: Patches, um_per_px: float | np.ndarray = 0.0) -> np.ndarray:
            features = self._run(run, patches, um_per_px)
            if features.ndim != 2 or features.shape[1] != self.spec.width:
                raise ShapeMismatchError(
                    f"Encoder {self.spec.name!r} gives features of shape {features.shape}; its spec"
                    f" says width={self.spec.width}. Correct `width` or `pooling` of its spec."
                )
            if not np.isfinite(features).all():
                low = run.precision != "float32"
                todo = "Set `precision='float32'` in its spec" if low else "Check its weights"
                raise PluginError(
                    f"Encoder {self.spec.name!r} gives nan or infinite features in {run.precision}."
                    f" {todo}."
                )
            return features

        return encode

    def _run(self, run: Any, patches: Patches, um_per_px: float | np.ndarray) -> np.ndarray:
        """Encode, and name the encoder where its network fails on what it is fed."""
        import torch

        try:
            found: np.ndarray = run(patches, um_per_px)
        except torch.OutOfMemoryError:
            raise
        except (PluginError, RuntimeError, AssertionError, ValueError, TypeError) as error:
            size = patches.shape[1]
            raise PluginError(
                f"Encoder {self.spec.name!r} fails on patches of {size} px:"
                f" {' '.join(str(error).split())[:300]} Correct `size`, `multiple` or `pooling` of"
                " its spec, or its network."
            ) from error
        return found

    def encode(self, patches: Patches) -> np.ndarray:
        """Return (n_spots, width), float32, computed on the CPU from patches of unknown scale."""
        found: np.ndarray = self.opened("cpu")(patches)
        return found
