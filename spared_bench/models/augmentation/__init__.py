"""What training does to patches, one idea a file; each is imported when it is first asked for.

An augmentation is a callable ``(images, generator) -> images``. The images are bytes on the device
of the network, (n_patches, 3, size, size); the generator lies on the CPU and is all that may decide
what is drawn, for every patch by itself. Shape, type and device stay as they are.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spared_bench.models.augmentation.augmenter import Augmentation, Augmenter
    from spared_bench.models.augmentation.blur import Blur
    from spared_bench.models.augmentation.colour_jitter import ColourJitter
    from spared_bench.models.augmentation.crop_scale import CropScale
    from spared_bench.models.augmentation.flips import Flips
    from spared_bench.models.augmentation.grey import Grey
    from spared_bench.models.augmentation.hed_jitter import HedJitter
    from spared_bench.models.augmentation.noise import Noise
    from spared_bench.models.augmentation.per_patch import PerPatch
    from spared_bench.models.augmentation.quarter_turns import QuarterTurns
    from spared_bench.models.augmentation.randstainna import RandStainNA
    from spared_bench.models.augmentation.rotation import Rotation
    from spared_bench.models.augmentation.symmetries import Symmetries

__all__ = [
    "Augmentation",
    "Augmenter",
    "Blur",
    "ColourJitter",
    "CropScale",
    "Flips",
    "Grey",
    "HedJitter",
    "Noise",
    "PerPatch",
    "QuarterTurns",
    "RandStainNA",
    "Rotation",
    "Symmetries",
]

_HOME = {
    "Augmentation": "augmenter",
    "Augmenter": "augmenter",
    "Blur": "blur",
    "ColourJitter": "colour_jitter",
    "CropScale": "crop_scale",
    "Flips": "flips",
    "Grey": "grey",
    "HedJitter": "hed_jitter",
    "Noise": "noise",
    "PerPatch": "per_patch",
    "QuarterTurns": "quarter_turns",
    "RandStainNA": "randstainna",
    "Rotation": "rotation",
    "Symmetries": "symmetries",
}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
