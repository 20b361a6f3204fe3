"""Images out of other files: the range and the channels of their values are told, or refused."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile

from spared_bench.errors import ImageError
from spared_bench.processing.images import open_image
from spared_bench.readers.images import keep_image


@pytest.fixture
def colours(rng):
    """Colours of a stained section, (60, 80, 3), uint8."""
    return rng.integers(100, 256, size=(60, 80, 3)).astype(np.uint8)


def kept(pixels, folder, **options):
    """The picture that is cut into patches, and what is said of it."""
    path, notes = keep_image(pixels, folder, "he", folder / "slide.h5ad", **options)
    return open_image(path).window(0, 0, pixels.shape[1], pixels.shape[0]), notes


@pytest.mark.parametrize(
    ("change", "noted"),
    [
        (lambda p: p, False),
        (lambda p: p.astype(np.int64), False),
        (lambda p: p.astype(np.int32), False),
        (lambda p: p.astype(np.uint16) * 257, False),
        (lambda p: p / 255, False),
        (lambda p: (p / 255).astype(np.float16), False),
        (lambda p: p / 255 * (1 + 1e-6), False),  # a hair over 1, by rounding
        (lambda p: p.astype(np.float32), False),
        (lambda p: np.where(p == 255, 1.1, p / 255), True),  # as resampling overshoots
    ],
)
def test_colours_are_the_same_in_every_type(tmp_path, colours, change, noted):
    colours[0, 0] = 255
    picture, notes = kept(change(colours), tmp_path)
    np.testing.assert_allclose(picture.astype(int), colours, atol=1)
    assert bool(notes) == noted
    assert not noted or notes == ["Values of the image from 0.3922 to 1.1, cut to 0-1."]


@pytest.mark.parametrize(
    "change",
    [
        lambda p: p.astype(np.uint16),  # 8 bits in 16
        lambda p: p.astype(np.uint16) * 16,  # 12 bits in 16
        lambda p: p.astype(np.int32) * 257,
        lambda p: p.astype(np.int16) - 128,
        lambda p: p.astype(np.float32) * 257,
        lambda p: p / 255 * 4,
        lambda p: p / 2.55,  # per cent
        lambda p: (p / 2.55).astype(np.int64),
        lambda p: p / 255 * 64,  # six bits
        lambda p: p.astype(np.uint16) * 16 / 65535,  # 12 bits, divided by the largest of 16
        lambda p: p * 64 / 65535.0,  # 14 bits
        lambda p: (p / 65535).astype(np.float32),  # 8 bits
        lambda p: p / 127.5 - 1,  # as networks take it
        lambda p: (p / 255).astype(np.uint8),  # cast from floats: all 0 and 1
        lambda p: p // 17,  # four bits in eight
    ],
)
def test_values_of_an_unclear_range_are_refused(tmp_path, colours, change):
    with pytest.raises(ImageError, match=r"slide\.h5ad holds .* so it is not clear which value is"):
        kept(change(colours), tmp_path)
    assert not list(tmp_path.iterdir())


def test_eight_bits_of_four_are_refused_and_of_a_little_more_are_not(tmp_path, colours):
    with pytest.raises(ImageError, match=r"uint8 from 15 to 15, .*by 17.*MaxSampleValue \(281\)"):
        kept(np.minimum(colours, 15), tmp_path)
    picture, _ = kept(np.minimum(colours, 16), tmp_path)
    assert picture.max() == 16


def cut(content):
    return content[: len(content) * 2 // 3]


def with_a_hole(content):
    return content[:3_000] + bytes(2_000) + content[5_000:]


def with_an_empty_end(content):
    return content[:-100] + bytes(100)


def with_one_bit_turned(content):
    return content[:-500] + bytes([content[-500] ^ 1]) + content[-499:]


@pytest.mark.parametrize(
    "spoil",
    [cut, with_a_hole, with_an_empty_end, with_one_bit_turned, lambda content: content + b"more"],
)
def test_a_kept_image_that_was_damaged_is_written_again(tmp_path, colours, spoil):
    path, _ = keep_image(colours, tmp_path, "he", tmp_path / "slide.h5ad")
    whole = path.read_bytes()
    path.write_bytes(spoil(whole))
    keep_image(colours, tmp_path, "he", tmp_path / "slide.h5ad")
    assert path.read_bytes() == whole
    np.testing.assert_array_equal(kept(colours, tmp_path)[0], colours)


def test_a_kept_image_that_is_whole_is_not_written_again(tmp_path, colours):
    path, _ = keep_image(colours, tmp_path, "he", tmp_path / "slide.h5ad")
    before = path.stat()
    keep_image(colours, tmp_path, "he", tmp_path / "slide.h5ad")
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_no_numbers_are_counted(tmp_path, colours, bad):
    pixels = colours / 255
    pixels[3, 4:6, 1] = bad
    with pytest.raises(ImageError, match="holds nan or infinite values in 2 pixels"):
        kept(pixels, tmp_path)


def test_values_of_a_grey_image_that_are_no_numbers_are_counted(tmp_path, colours):
    pixels = colours[..., 0] / 255
    pixels[3, 4:7] = np.nan
    with pytest.raises(ImageError, match="holds nan or infinite values in 3 pixels"):
        kept(pixels, tmp_path)


@pytest.mark.parametrize("pixels", [np.ones((4, 5, 3), dtype=bool), np.ones((4, 5, 3), dtype="c8")])
def test_types_that_are_no_colours_are_refused(tmp_path, pixels):
    with pytest.raises(ImageError, match=f"holds {pixels.dtype}; expected uint8"):
        kept(pixels, tmp_path)


@pytest.mark.parametrize("shape", [(5,), (4, 5, 2), (4, 5, 7), (2, 4, 5, 3), (0, 5, 3)])
def test_arrays_of_another_shape_are_refused(tmp_path, shape):
    with pytest.raises(ImageError, match=r"has shape \(.*expected \(height, width, 3\)"):
        kept(np.full(shape, 200, dtype=np.uint8), tmp_path)


def test_a_fourth_channel_is_an_opacity_only_where_the_source_says_so(tmp_path, colours):
    def four(opacity):
        return np.concatenate([colours, np.full((60, 80, 1), opacity, dtype=np.uint8)], axis=2)

    half = four(255)
    half[:, :40, 3] = 0

    for opacity in (True, False):
        picture, notes = kept(four(255), tmp_path, opacity=opacity)
        np.testing.assert_array_equal(picture, colours)
        assert not notes
    picture, notes = kept(four(0), tmp_path)
    np.testing.assert_array_equal(picture, colours)
    assert notes == ["The fourth channel of the image is 0 everywhere, left out."]
    with pytest.raises(ImageError, match="transparent everywhere"):
        kept(four(0), tmp_path, opacity=True)
    picture, _ = kept(half, tmp_path, opacity=True)
    assert (picture[:, :40] == 255).all()
    np.testing.assert_array_equal(picture[:, 40:], colours[:, 40:])
    with pytest.raises(ImageError, match="does not say whether it is an opacity or a stain"):
        kept(half, tmp_path)


def test_an_image_is_written_once_and_again_when_its_pixels_change(tmp_path, colours):
    path, _ = keep_image(colours, tmp_path, "he", tmp_path / "slide.zarr")
    first = path.stat().st_ino
    keep_image(colours / 255, tmp_path, "he", tmp_path / "slide.zarr")
    assert path.stat().st_ino == first
    keep_image(255 - colours, tmp_path, "he", tmp_path / "slide.zarr")
    np.testing.assert_array_equal(tifffile.imread(path), 255 - colours)
    path.write_bytes(path.read_bytes()[:40])
    keep_image(colours, tmp_path, "he", tmp_path / "slide.zarr")
    np.testing.assert_array_equal(tifffile.imread(path), colours)


def test_black_at_the_lower_border_is_kept(tmp_path, colours):
    pixels = np.tile(colours, (10, 10, 1))
    pixels[300:] = 0
    picture, _ = kept(pixels, tmp_path)
    np.testing.assert_array_equal(picture, pixels)
