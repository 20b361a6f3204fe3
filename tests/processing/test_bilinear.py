"""Windows are resized as Pillow resizes them, to the byte."""

import numpy as np
import pytest
from PIL import Image

from spared_bench.processing.bilinear import bilinear

# Sides and sizes: smaller, larger, by whole numbers and not, odd, fewer rows than are turned at a
# time and more, one pixel.
PAIRS = [
    (300, 224), (224, 300), (448, 224), (224, 112), (223, 7), (7, 223), (31, 33), (33, 31),
    (32, 64), (65, 32), (1, 5), (5, 1), (2, 3), (640, 100), (97, 96), (96, 97),
]  # fmt: skip


def pictures(side: int) -> list[np.ndarray]:
    rng = np.random.default_rng(side)
    noise = rng.integers(0, 256, (side, side, 3), dtype=np.uint8)
    edges = np.where(noise > 127, np.uint8(255), np.uint8(0))
    return [noise, edges, np.full_like(noise, 255), np.full_like(noise, 0)]


@pytest.mark.parametrize(("side", "size"), PAIRS)
def test_every_byte_is_pillows(side: int, size: int) -> None:
    for picture in pictures(side):
        expected = Image.fromarray(picture).resize((size, size), Image.Resampling.BILINEAR)
        np.testing.assert_array_equal(bilinear(picture, size), np.asarray(expected))


def test_a_window_that_is_a_view_of_a_larger_image() -> None:
    whole = np.random.default_rng(0).integers(0, 256, (90, 120, 4), dtype=np.uint8)
    window = whole[10:70, 20:80, :3]
    expected = Image.fromarray(np.ascontiguousarray(window)).resize((45, 45), 2)
    np.testing.assert_array_equal(bilinear(window, 45), np.asarray(expected))
