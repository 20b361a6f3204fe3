"""Fluorescence images: stains are colours, however the file keeps them."""

from __future__ import annotations

import numpy as np
import pytest
import pyvips

from spared_bench.errors import ImageError
from spared_bench.processing.images import open_image


@pytest.fixture
def stains(rng):
    """Four stains of 16 bits, (30, 40, 4)."""
    return rng.integers(0, 65536, size=(30, 40, 4)).astype(np.uint16)


def paged(path, stains):
    tall = np.concatenate(list(np.moveaxis(stains, 2, 0)))
    pyvips.Image.new_from_array(tall).tiffsave(str(path), page_height=len(stains))
    return path


def scaled(stains):
    """As the published library has it: value / 65535 * 255 in float32, truncated."""
    return (stains.astype(np.float32) / 65535.0 * 255).astype(np.uint8)


def test_four_pages_and_four_bands_read_as_the_first_three_stains(tmp_path, stains):
    pyvips.Image.new_from_array(stains).tiffsave(str(tmp_path / "bands.tif"))
    for path in (paged(tmp_path / "pages.tif", stains), tmp_path / "bands.tif"):
        window = open_image(path, fluorescence=True).window(5, 10, 20, 15)
        expected = scaled(stains)[10:25, 5:25, :3]
        # float64 here: one in thousands of values is on the other side of a whole number
        np.testing.assert_allclose(window.astype(int), expected, atol=1)
        assert (window == expected).mean() > 0.99


def test_missing_stains_are_black(tmp_path, stains):
    window = open_image(paged(tmp_path / "a.tif", stains[..., :2]), True).window(0, 0, 40, 30)
    assert window.shape == (30, 40, 3)
    assert not window[..., 2].any()
    assert window[..., 1].any()


def test_eight_bits_stay_as_they_are(tmp_path, stains):
    pixels = scaled(stains)
    window = open_image(paged(tmp_path / "a.tif", pixels), True).window(0, 0, 40, 30)
    np.testing.assert_array_equal(window, pixels[..., :3])


def test_the_smaller_pages_of_a_pyramid_are_no_stains(tmp_path, stains):
    first = pyvips.Image.new_from_array(np.tile(stains[..., 0], (20, 20)))
    first.tiffsave(str(tmp_path / "a.tif"), tile=True, pyramid=True)
    window = open_image(tmp_path / "a.tif", True).window(0, 0, 40, 30)
    assert not window[..., 1:].any()


def test_damage_is_an_error(tmp_path, stains):
    path = paged(tmp_path / "a.tif", stains)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ImageError, match="cannot be decoded"):
        open_image(path, True).window(0, 0, 40, 30)
