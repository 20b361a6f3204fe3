"""Patches against a brute-force crop of the decoded image."""

from __future__ import annotations

import errno

import anndata as ad
import numpy as np
import PIL.Image
import pytest
import pyvips
import tifffile
from scipy.ndimage import map_coordinates

from spared_bench.errors import CoordinateError, ImageError
from spared_bench.processing import blocks, cutting, patches
from spared_bench.processing.cutting import resize
from spared_bench.processing.images import open_image
from spared_bench.processing.patches import cut_patches
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


@pytest.fixture(scope="module")
def large():
    """Smooth colours with noise, (700, 900, 3): several blocks each way."""
    rng = np.random.default_rng(5)
    y, x = np.mgrid[:700, :900]
    smooth = np.stack([x // 5 + 30, y // 4 + 40, (x + y) // 8 + 20], axis=-1)
    return (smooth + rng.integers(0, 30, size=smooth.shape)).astype(np.uint8)


def written(path, pixels):
    """Write an image, and return it as another reader decodes it."""
    if path.suffix == ".tif":
        codec = "jpeg" if "jpeg" in path.stem else "zlib"
        options = {"tile": (128, 96)} if "tiles" in path.stem else {"rowsperstrip": 5}
        tifffile.imwrite(path, pixels, photometric="rgb", compression=codec, **options)
        return tifffile.imread(path)
    if path.suffix == ".jpg":
        PIL.Image.fromarray(pixels).save(path, quality=90, progressive="slow" in path.stem)
    else:
        PIL.Image.fromarray(pixels).save(path)
    return pyvips.Image.new_from_file(str(path)).numpy()


FILES = ["a.jpg", "slow.jpg", "a.png", "tiles_jpeg.tif", "tiles.tif", "strips.tif"]


@pytest.mark.parametrize("antialias", [True, False])
@pytest.mark.parametrize("side", [40, 61, 300])
@pytest.mark.parametrize("name", FILES)
def test_patches_in_any_order_are_those_of_a_plain_loop(
    tmp_path, rng, large, monkeypatch, name, side, antialias
):
    monkeypatch.setattr(blocks, "CACHE_BYTES", 400_000)  # so that blocks are dropped and come again
    decoded = written(tmp_path / name, large)
    inside = rng.uniform(0, (900, 700), size=(60, 2))
    border = np.array([(0, 0), (900, 0), (0, 700), (900, 700), (899.5, 350), (450, 699.9)])
    centres = rng.permutation(np.vstack([inside, border]))

    patches = cut(
        spots_on(tmp_path / name, centres, side), tmp_path / "a.npy", size=56, antialias=antialias
    )

    around = np.pad(decoded, ((side, side), (side, side), (0, 0)), mode="symmetric")
    for (x, y), patch in zip(centres, patches, strict=True):
        left = min(int(np.floor(x - side / 2 + 0.5)), 899)
        top = min(int(np.floor(y - side / 2 + 0.5)), 699)
        crop = PIL.Image.fromarray(around[top + side :, left + side :][:side, :side].copy())
        if antialias:
            expected = crop.resize((56, 56), PIL.Image.Resampling.BILINEAR)
        else:
            box, method = (0, 0, side, side), PIL.Image.Transform.EXTENT
            expected = crop.transform((56, 56), method, box, PIL.Image.Resampling.BILINEAR)
        np.testing.assert_array_equal(patch, np.asarray(expected))


def spots_on(path, centres, diameter):
    slide = ad.AnnData(np.ones((len(centres), 1), dtype=np.float32))
    slide.obsm["spatial"] = np.array(centres, dtype=float)
    slide.uns["slide"] = {
        "image_path": str(path),
        "image_scale": 1.0,
        "spot_diameter_px": float(diameter),
        "um_per_px": 1.0,
    }
    return slide


@pytest.mark.parametrize("cores", [1, 8])
@pytest.mark.parametrize("name", FILES)
def test_every_block_is_decoded_once(tmp_path, rng, large, monkeypatch, name, cores):
    written(tmp_path / name, large)
    image = open_image(tmp_path / name)
    decoded, decode = [], image.decode

    def counted(row, column):
        decoded.append((row, column))
        return decode(row, column)

    image.decode = counted
    monkeypatch.setattr(patches, "open_image", lambda *_: image)
    monkeypatch.setattr(cutting, "usable_cores", lambda: cores)
    centres = rng.uniform(0, (900, 700), size=(400, 2))
    cut(spots_on(tmp_path / name, centres, 90), tmp_path / "a.npy", size=32)

    assert len(decoded) == len(set(decoded)) == (len(image.rows) - 1) * (len(image.columns) - 1)
    # From top to bottom, too: libvips has not decoded again, to be read in another order.
    assert getattr(image, "_in_order", True)


def test_blocks_that_were_not_used_for_long_are_dropped():
    cache = blocks.BlockCache(limit=300)
    made = []

    def block(key):
        return cache.obtain(key, lambda: made.append(key) or np.zeros(100, dtype=np.uint8))

    for key in [(0, 0), (0, 1), (0, 2), (0, 0), (0, 3), (0, 0), (0, 1)]:
        block(key)
    assert made == [(0, 0), (0, 1), (0, 2), (0, 3), (0, 1)]


def test_a_block_that_failed_is_tried_again_and_told_to_all_who_wait():
    cache, tries = blocks.BlockCache(1000), []

    def fail():
        tries.append(1)
        raise ImageError("damaged")

    for _ in range(2):
        with pytest.raises(ImageError, match="damaged"):
            cache.obtain((0, 0), fail)
    assert len(tries) == 2


def test_patches_in_micrometres_are_those_of_the_same_width_in_diameters(tmp_path):
    from spared_bench.errors import ImageError
    from spared_bench.protocol import PatchCutting

    slide = slide_of_width(tmp_path)
    cut_patches(slide, PatchCutting(scale=2.0, size=16), tmp_path / "scale.npy")
    cut_patches(slide, PatchCutting(um=110.0, size=16), tmp_path / "um.npy")
    np.testing.assert_array_equal(np.load(tmp_path / "um.npy"), np.load(tmp_path / "scale.npy"))

    slide.uns["slide"]["um_per_px"] = 0.0
    with pytest.raises(ImageError, match="does not say how many a pixel has"):
        cut_patches(slide, PatchCutting(um=110.0, size=16), tmp_path / "none.npy")


def slide_of_width(folder):
    from anndata import AnnData
    from PIL import Image

    pixels = np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8)
    Image.fromarray(pixels).save(folder / "slide.png")
    slide = AnnData(np.ones((2, 1), dtype=np.float32))
    slide.obsm["spatial"] = np.array([[60.0, 60.0], [120.0, 100.0]])
    slide.uns["slide"] = {
        "image_path": str(folder / "slide.png"),
        "image_scale": 1.0,
        "spot_diameter_px": 20.0,
        "um_per_px": 2.75,
    }
    return slide


def test_a_system_that_writes_a_part_at_a_time_gets_all_of_it(slide, tmp_path, monkeypatch):
    centres = [(50, 40), (65.2, 55.4), (20, 20)]
    whole = np.array(cut(slide(centres), tmp_path / "a.npy", size=20))
    write = cutting.os.pwrite
    monkeypatch.setattr(cutting.os, "pwrite", lambda file, data, at: write(file, data[:7], at))
    np.testing.assert_array_equal(cut(slide(centres), tmp_path / "b.npy", size=20), whole)


def test_a_full_disk_is_told_and_nothing_is_left(slide, tmp_path, monkeypatch):
    def full(file, data, at):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(cutting.os, "pwrite", full)
    with pytest.raises(OSError, match="No space left"):
        cut(slide([(50, 40), (65.2, 55.4)]), tmp_path / "a.npy", size=20)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["image.png"]


def test_a_disk_without_room_is_told_before_anything_is_decoded(slide, tmp_path, monkeypatch):
    def full(file, begin, size):
        assert (begin, size) == (0, 128 + 2 * 20 * 20 * 3)  # numpy's header and both patches
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(cutting.os, "posix_fallocate", full, raising=False)
    monkeypatch.setattr(cutting, "padded_window", lambda *_: pytest.fail("it was decoded"))
    with pytest.raises(OSError, match="No space left"):
        cut(slide([(50, 40), (65.2, 55.4)]), tmp_path / "a.npy", size=20)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["image.png"]


@pytest.mark.parametrize("says", [errno.EOPNOTSUPP, errno.EINVAL, None])
def test_a_system_that_reserves_no_room_gets_the_same(slide, tmp_path, monkeypatch, says):
    def cannot(file, begin, size):
        raise OSError(says, "not here")

    centres = [(50, 40), (65.2, 55.4), (20, 20)]
    whole = np.array(cut(slide(centres), tmp_path / "a.npy", size=20))
    if says is None:  # as on a Mac
        monkeypatch.delattr(cutting.os, "posix_fallocate")
    else:
        monkeypatch.setattr(cutting.os, "posix_fallocate", cannot)
    np.testing.assert_array_equal(cut(slide(centres), tmp_path / "b.npy", size=20), whole)
