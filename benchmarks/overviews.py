"""Time the small picture of a large slide, which checks, pages and figures draw.

    python benchmarks/overviews.py [--side 20000] [--longest 1500] [--images FOLDER]

A made-up image as JPEG (as of `patches.py`), from the folder where an earlier run left it or made
anew. By turns: `read_reduced`; the same with numpy's mean over each block, as it was before; and
decoding alone, strip by strip, which no way can save. Seconds of the processor; the pictures of the
first two must be equal.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from patches import make_image

from spared_bench.processing import images


def by_mean(pixels: np.ndarray, step: int) -> np.ndarray:
    """Return the means of blocks as numpy's function gives them."""
    rows, columns = pixels.shape[0] // step, pixels.shape[1] // step
    blocks = pixels.reshape(rows, step, columns, step, 3)
    return blocks.mean(axis=(1, 3)).astype(np.uint8)


def first_of_each(pixels: np.ndarray, step: int) -> np.ndarray:
    """Return one pixel of each block: what is left is decoding."""
    return pixels[::step, ::step].copy()


def timed(path: Path, longest: int, means: Callable) -> tuple[np.ndarray, float]:
    """Return the picture and the seconds of the processor."""
    images._block_means = means
    begun = time.process_time()
    pixels, _ = images.read_reduced(path, longest)
    return pixels, time.process_time() - begun


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=20_000)
    parser.add_argument("--longest", type=int, default=1_500)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--images", type=Path)
    chosen = parser.parse_args()
    ways = {"now": images._block_means, "numpy's mean": by_mean, "decoding alone": first_of_each}
    with tempfile.TemporaryDirectory() as made:
        path = (chosen.images or Path(made)) / "image.jpg"
        if not path.is_file():
            make_image(path, chosen.side)
        taken: dict[str, list[float]] = {}
        pictures = {}
        for _ in range(chosen.rounds):
            for name, means in ways.items():
                pictures[name], seconds = timed(path, chosen.longest, means)
                taken.setdefault(name, []).append(seconds)
    assert np.array_equal(pictures["now"], pictures["numpy's mean"])
    for name, seconds in taken.items():
        print(f"{name:<16}{min(seconds):6.2f} s of the processor, of {len(seconds)} rounds")


if __name__ == "__main__":
    main()
