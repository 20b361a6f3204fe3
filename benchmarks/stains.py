"""What stain normalisation of 5,000 patches costs.

    python benchmarks/stains.py [--patches 5000] [--size 224]

Patches are windows of the embedded HER2+ sections, resized. Timed is all that a product of the
store needs: the look of the slide, the table of colours and the changed patches, in seconds of the
processor. Beside it, torchstain as it is meant to be used, image by image, on 50 of the patches and
scaled up, where it is installed.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
from PIL import Image

from spared_bench.processing.stains import measure, recolouring
from spared_bench.processing.stains.colours import recoloured, sample

_IMAGES = Path(__file__).parents[1] / "plugins/datasets/embedded/her2st/data/ST-imgs/C"
_PLAIN = 50


def patches_of(path: Path, number: int, size: int) -> np.ndarray:
    """Return windows of tissue at random places of an image, (number, size, size, 3), uint8."""
    with Image.open(path) as image:
        tissue = np.array(image.convert("RGB").crop((700, 800, 1700, 1800)))
    rng = np.random.default_rng(0)
    found = np.empty((number, size, size, 3), np.uint8)
    for at, (left, top) in enumerate(rng.integers(0, 1000 - 96, (number, 2))):
        window = Image.fromarray(tissue[top : top + 96, left : left + 96])
        found[at] = np.asarray(window.resize((size, size), Image.Resampling.BILINEAR))
    return found


def torchstain_seconds(method: str, patches: np.ndarray, template: np.ndarray) -> float | None:
    """Return seconds for as many patches by torchstain; ``None`` where it has no such method."""
    try:
        import torchstain
    except ImportError:
        return None
    name = {"macenko": "MacenkoNormalizer", "reinhard": "ReinhardNormalizer"}.get(method)
    if name is None:
        return None
    theirs = getattr(torchstain.normalizers, name)(backend="numpy")
    theirs.fit(template)
    begun, done = time.process_time(), 0
    for patch in patches[:_PLAIN]:
        try:
            theirs.normalize(patch)
            done += 1
        except (ValueError, IndexError, np.linalg.LinAlgError):
            continue  # of a patch without tissue
    return (time.process_time() - begun) / max(1, done) * len(patches)


def main() -> None:
    """Time all methods and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--patches", type=int, default=5_000)
    parser.add_argument("--size", type=int, default=224)
    wanted = parser.parse_args()
    files = sorted(_IMAGES.glob("*/*.jpg"))
    patches = patches_of(files[0], wanted.patches, wanted.size)
    template = patches_of(files[1], 200, wanted.size)
    print(f"{len(patches):,} patches of {wanted.size} px")
    for method in ("reinhard", "macenko", "vahadane"):
        target = measure(method, sample(template))
        begun = time.process_time()
        change = recolouring(method, measure(method, sample(patches)), target)
        for part in recoloured(patches, change):
            part.sum()
        taken = time.process_time() - begun
        theirs = torchstain_seconds(method, patches, template.reshape(-1, wanted.size, 3))
        told = "none" if theirs is None else f"{theirs:.0f} s"
        print(f"{method:10} {taken:6.1f} s   torchstain, image by image: {told}")


if __name__ == "__main__":
    main()
