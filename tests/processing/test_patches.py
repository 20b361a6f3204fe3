"""Patches against a brute-force crop of the decoded image."""

from __future__ import annotations

import anndata as ad
import numpy as np
import PIL.Image
import pytest
from scipy.ndimage import map_coordinates

from spared_bench.errors import CoordinateError, ImageError
from spared_bench.processing.patches import cut_patches, resize
from spared_bench.protocol import PatchCutting

WIDTH, HEIGHT = 130, 100


@pytest.fixture
def pixels(rng):
    return rng.integers(0, 256, size=(HEIGHT, WIDTH, 3), dtype=np.uint8)


@pytest.fixture
def slide(tmp_path, pixels):
    """Return a function that makes a slide with spots at these full-resolution pixels."""
    PIL.Image.fromarray(pixels).save(tmp_path / "image.png")

    def make(centres, diameter=20.0, scale=1.0):
        slide = ad.AnnData(np.ones((len(centres), 1)))
        slide.obs_names = [f"spot{i}" for i in range(len(centres))]
        slide.obsm["spatial"] = np.array(centres, dtype=float)
        slide.uns["slide"] = {
            "image_path": str(tmp_path / "image.png"),
            "image_scale": scale,
            "spot_diameter_px": diameter,
            "um_per_px": 5.0,
        }
        return slide

    return make


def cut(slide, out, **settings):
    cut_patches(slide, PatchCutting(**settings), out)
    return np.load(out, mmap_mode="r")


def test_an_interior_patch_is_the_crop_centred_on_its_spot(slide, pixels, tmp_path):
    patches = cut(slide([(50, 40), (65.2, 55.4)]), tmp_path / "a.npy", size=20)
    np.testing.assert_array_equal(patches[0], pixels[30:50, 40:60])
    np.testing.assert_array_equal(patches[1], pixels[45:65, 55:75])
    assert patches.dtype == np.uint8
    assert isinstance(patches, np.memmap)


@pytest.mark.parametrize("side", [1, 8, 19, 20, 33])
def test_every_patch_is_the_crop_of_the_mirrored_image(slide, pixels, tmp_path, rng, side):
    corners = [(0, 0), (WIDTH, 0), (0, HEIGHT), (WIDTH, HEIGHT)]
    centres = np.vstack([corners, rng.uniform(0, (WIDTH, HEIGHT), size=(40, 2))])

    patches = cut(slide(centres, diameter=side), tmp_path / "a.npy", size=max(side, 8))

    margin = 40
    around = np.pad(pixels, ((margin, margin), (margin, margin), (0, 0)), mode="symmetric")
    for (x, y), patch in zip(centres, patches, strict=True):
        left, top = int(np.floor(x - side / 2 + 0.5)), int(np.floor(y - side / 2 + 0.5))
        left, top = min(left, WIDTH - 1), min(top, HEIGHT - 1)
        crop = around[top + margin :, left + margin :][:side, :side]
        np.testing.assert_array_equal(patch, resize(crop, max(side, 8), True))


def test_a_window_larger_than_the_image_is_mirrored_on_all_sides(slide, pixels, tmp_path):
    (patch,) = cut(slide([(65, 50)], diameter=390), tmp_path / "a.npy", size=390)
    np.testing.assert_array_equal(patch[145:245, 130:260], pixels)
    np.testing.assert_array_equal(patch[145:245, 260:390], pixels[:, ::-1])
    np.testing.assert_array_equal(patch[45:145, 130:260], pixels[::-1])


def test_the_window_follows_the_scale_of_the_image_and_of_the_protocol(slide, pixels, tmp_path):
    # Full resolution is 4 times the image: a spot of 40 px covers 10, and scale 2 makes it 20.
    slide = slide([(200, 160)], diameter=40, scale=0.25)
    (patch,) = cut(slide, tmp_path / "a.npy", size=20, scale=2.0)
    np.testing.assert_array_equal(patch, pixels[30:50, 40:60])


def test_the_published_window_truncates_the_spot_and_makes_its_side_even(slide, pixels, tmp_path):
    centres = [(50.0, 40.0), (65.9, 55.9)]
    for diameter, half in ((20.9, 10), (19.9, 10), (21.0, 11)):
        patches = cut(
            slide(centres, diameter), tmp_path / "a.npy", size=2 * half, window="published"
        )
        np.testing.assert_array_equal(
            patches[0], pixels[40 - half : 40 + half, 50 - half : 50 + half]
        )
        np.testing.assert_array_equal(
            patches[1], pixels[55 - half : 55 + half, 65 - half : 65 + half]
        )


@pytest.mark.parametrize(("side", "size"), [(10, 23), (40, 16), (31, 224)])
def test_without_antialiasing_a_patch_is_interpolated_at_pixel_centres(rng, side, size):
    window = rng.integers(0, 256, size=(side, side, 3), dtype=np.uint8)
    steps = np.clip((np.arange(size) + 0.5) * side / size - 0.5, 0, side - 1)
    grid = np.meshgrid(steps, steps, indexing="ij")
    expected = [map_coordinates(window[..., c].astype(float), grid, order=1) for c in range(3)]
    resized = resize(window, size, antialias=False)
    np.testing.assert_allclose(resized, np.stack(expected, axis=-1), atol=1)


def test_antialiasing_averages_over_all_pixels_of_the_window(rng):
    stripes = np.zeros((64, 64, 3), dtype=np.uint8)
    stripes[:, ::2] = 255
    assert np.ptp(resize(stripes, 8, antialias=True)[1:-1, 1:-1]) <= 2
    dots = np.zeros((64, 64, 3), dtype=np.uint8)
    dots[::8, ::8] = 255  # between the points at which plain interpolation looks
    assert resize(dots, 8, antialias=False).max() == 0
    assert resize(dots, 8, antialias=True).min() > 0


def test_spots_outside_the_image_are_counted_and_the_first_is_named(slide, tmp_path):
    outside = slide([(50, 40), (131, 40), (50, -0.5)])
    with pytest.raises(
        CoordinateError,
        match=r"2 of 3 spots lie outside .*image\.png, which is 130 x 100 pixels: spot 'spot1' is"
        r" at x=131\.0, y=40\.0",
    ):
        cut(outside, tmp_path / "a.npy", size=20)
    assert not (tmp_path / "a.npy").exists()


def test_a_slide_without_an_image_says_so(slide, tmp_path):
    bare = slide([(50, 40)])
    bare.uns["slide"]["image_path"] = ""
    with pytest.raises(ImageError, match="has no image, so no patches can be cut"):
        cut(bare, tmp_path / "a.npy", size=20)


def test_a_truncated_image_leaves_no_patches_behind(slide, tmp_path):
    broken = slide([(50, 10), (50, 90)])
    image = tmp_path / "image.png"
    image.write_bytes(image.read_bytes()[:-9000])
    with pytest.raises(ImageError, match="cannot be decoded"):
        cut(broken, tmp_path / "a.npy", size=20)
    assert [path.name for path in tmp_path.iterdir()] == ["image.png"]
