"""What an interrupted copy leaves of an image that is no TIFF is refused; whole ones are read."""

from __future__ import annotations

import numpy as np
import PIL.Image
import pytest

from spared_bench.errors import ImageError
from spared_bench.processing.images import open_image

FORMATS = {
    "bmp": {},
    "ppm": {},
    "tga": {},
    "sgi": {},
    "pcx": {},
    "gif": {},
    "webp": {"lossless": True},
    "jp2": {},
    "png": {},
    "jpg": {"quality": 97},
    "progressive.jpg": {"quality": 97, "progressive": True},
    "restarts.jpg": {"quality": 97, "restart_marker_rows": 1},
}


@pytest.fixture
def saved(tmp_path, rng):
    """Return what writes a noisy image in a format, and the pixels that Pillow reads of it."""

    def save(kind):
        pixels = rng.integers(1, 255, (120, 130, 3), dtype=np.uint8)
        path = tmp_path / f"a.{kind}"
        PIL.Image.fromarray(pixels).save(path, **FORMATS[kind])
        return path, np.asarray(PIL.Image.open(path).convert("RGB"))

    return save


def shown(path):
    image = open_image(path)
    return image.window(0, 0, image.width, image.height)


@pytest.mark.parametrize("kind", FORMATS)
def test_a_whole_image_is_read(saved, kind):
    path, expected = saved(kind)
    np.testing.assert_allclose(shown(path).astype(int), expected.astype(int), atol=2)


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("share", [0.3, 0.6])
def test_an_image_that_ends_in_zeros_is_refused(saved, kind, share):
    path, _ = saved(kind)
    raw = path.read_bytes()
    kept = int(len(raw) * share)
    path.write_bytes(raw[:kept] + bytes(len(raw) - kept))
    with pytest.raises(ImageError, match="cannot be decoded"):
        shown(path)


@pytest.mark.parametrize("kind", ["jpg", "progressive.jpg", "restarts.jpg", "webp", "gif"])
def test_a_piece_of_zeros_or_of_something_else_in_coded_data_is_refused(saved, rng, kind):
    path, _ = saved(kind)
    raw = path.read_bytes()
    middle = len(raw) // 2
    others = [bytes(4096), rng.bytes(4096)] if kind.endswith("jpg") else [bytes(4096)]
    for piece in others:
        path.write_bytes(raw[:middle] + piece + raw[middle + len(piece) :])
        with pytest.raises(ImageError, match="cannot be decoded"):
            shown(path)


@pytest.mark.parametrize("where", ["middle", "end"])
def test_a_short_hole_in_a_gif_is_found_by_its_blocks(saved, where):
    # Of 300 zeros libvips made black rows down to the bottom.
    path, _ = saved("gif")
    data = path.read_bytes()
    at = len(data) // 2 if where == "middle" else len(data) - 300
    path.write_bytes(data[:at] + bytes(300) + data[at + 300 :])
    with pytest.raises(ImageError, match="its blocks end at byte"):
        open_image(path)


def test_a_gif_without_its_mark_of_the_end_is_whole(saved):
    path, pixels = saved("gif")
    path.write_bytes(path.read_bytes()[:-1])
    np.testing.assert_array_equal(open_image(path).window(0, 0, 130, 120), pixels)


@pytest.mark.parametrize("kind", ["png", "jpg", "webp", "gif"])
def test_zeros_after_the_end_of_an_image_are_nobodys(saved, kind):
    path, expected = saved(kind)
    path.write_bytes(path.read_bytes() + bytes(10_000))
    np.testing.assert_allclose(shown(path).astype(int), expected.astype(int), atol=2)


def test_an_image_of_one_colour_is_no_damage(tmp_path):
    """Its coded data are zeros for the most part, as those of glass are."""
    for name, options in {"a.jpg": {"optimize": True}, "b.jpg": {}, "a.webp": {}}.items():
        PIL.Image.new("RGB", (3000, 900), "white").save(tmp_path / name, **options)
        assert (shown(tmp_path / name) > 250).all()


def test_fluorescence_may_be_black_to_its_end(tmp_path, rng):
    pixels = np.zeros((200, 100, 3), dtype=np.uint8)
    pixels[:50] = rng.integers(1, 255, (50, 100, 3))
    PIL.Image.fromarray(pixels).save(tmp_path / "a.ppm")
    image = open_image(tmp_path / "a.ppm", fluorescence=True)
    np.testing.assert_array_equal(image.window(0, 0, 100, 200), pixels)
