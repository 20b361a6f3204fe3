"""Views against crops that Pillow takes from the whole, mirrored image."""

from __future__ import annotations

import anndata as ad
import numpy as np
import PIL.Image
import pytest
from scipy.ndimage import gaussian_filter

from spared_bench.data import Patches
from spared_bench.data.views import View
from spared_bench.errors import ViewError
from spared_bench.processing import blocks, cutting, halving, views
from spared_bench.processing.halving import halvings_of
from spared_bench.processing.images import open_image
from spared_bench.processing.reducing import resized, resized_part
from spared_bench.processing.view_products import cut_of
from spared_bench.processing.views import arrays_of, cut_slide, place
from spared_bench.protocol import PatchCutting
from tests.processing.test_patches import FILES, written

WIDTH, HEIGHT, DIAMETER, UM = 210, 150, 20.0, 2.5


def make_slide(path, pixels, centres, scale=1.0):
    """Return a slide with spots at these pixels of the image, which is saved there."""
    PIL.Image.fromarray(pixels).save(path)
    slide = ad.AnnData(np.ones((len(centres), 1), dtype=np.float32))
    slide.obsm["spatial"] = np.array(centres, dtype=float) / scale
    slide.uns["slide"] = {
        "image_path": str(path),
        "image_scale": scale,
        "spot_diameter_px": DIAMETER / scale,
        "um_per_px": UM * scale,
    }
    return slide


@pytest.fixture
def pixels(rng):
    return rng.integers(0, 256, size=(HEIGHT, WIDTH, 3), dtype=np.uint8)


@pytest.fixture
def centres(rng):
    border = [(0, 0), (WIDTH, 0), (0, HEIGHT), (WIDTH, HEIGHT), (WIDTH, 75), (100.5, HEIGHT - 0.5)]
    return np.vstack([border, rng.uniform(0, (WIDTH, HEIGHT), size=(30, 2))])


def cut(slide, view, folder, **settings):
    """Cut one view of a slide; return it as slides hand it out."""
    cutting_ = PatchCutting(size=16, **settings)
    settled = view.settled(cutting_.scale, cutting_.size)
    out = folder / "view.npy"
    cut_slide(slide, cutting_, views=[(settled, out)])
    return cut_of(
        settled,
        {"a": np.load(out.with_suffix(".npz"))},
        np.arange(slide.n_obs),
        patches=None if view.tiles > 1 else Patches([np.load(out, mmap_mode="r")]),
        images=[lambda: open_image(slide.uns["slide"]["image_path"])],
        antialias=cutting_.antialias,
    )


def crop(pixels, left, top, side, size):
    """Take a square from the image, mirrored as far as it takes, and resize it by Pillow."""
    margin = 3 * max(pixels.shape)
    # The numbers of rows and columns are mirrored, not the pixels: an image of 49 times the size.
    rows, columns = (np.pad(np.arange(n), margin, mode="symmetric") for n in pixels.shape[:2])
    within = np.ix_(rows[top + margin :][:side], columns[left + margin :][:side])
    square = pixels[within]
    picture = PIL.Image.fromarray(np.ascontiguousarray(square))
    return np.asarray(picture.resize((size, size), PIL.Image.Resampling.BILINEAR)).astype(int)


def corner(centre, side):
    return [int(np.floor(each - side / 2 + 0.5)) for each in centre]


SIDES = {
    "the protocol's": (View(size=24), 20),
    "spot diameters": (View(scale=2.3, size=24), 46),
    "micrometres": (View(um=100, size=24), 40),
    "pixels": (View(pixels=61, size=40), 61),
    "as it is": (View(pixels=33, size=33), 33),
    "the protocol's size": (View(scale=3, size=0), 60),
}


@pytest.mark.parametrize("name", SIDES)
def test_a_window_is_the_crop_around_its_spot(tmp_path, pixels, centres, name):
    view, side = SIDES[name]
    slide = make_slide(tmp_path / "a.png", pixels, centres)
    found = cut(slide, view, tmp_path).patches
    size = view.size or 16
    assert found.shape == (len(centres), size, size, 3)
    for centre, patch in zip(centres, found[:], strict=True):
        left, top = corner(centre, side)
        expected = crop(pixels, min(left, WIDTH - 1), min(top, HEIGHT - 1), side, size)
        assert np.abs(patch - expected).max() <= (0 if size == side else 1)


@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_an_image_of_another_scale_shows_the_same_windows(tmp_path, pixels, centres, scale):
    plain = make_slide(tmp_path / "a.png", pixels, centres)
    scaled = make_slide(tmp_path / "b.png", pixels, centres, scale)
    for view in (View(scale=2.3, size=24), View(um=100, size=24), View(um=100, size=8, grid=True)):
        one, other = cut(plain, view, tmp_path), cut(scaled, view, tmp_path)
        first, second = (each.patches or each.windows.patches for each in (one, other))
        np.testing.assert_array_equal(first[:], second[:])
    # Pixels are those of the full resolution, of which the image has fewer or more.
    half = cut(scaled, View(pixels=40 / scale, size=16), tmp_path).patches[:]
    np.testing.assert_array_equal(half, cut(plain, View(pixels=40, size=16), tmp_path).patches[:])


def test_windows_of_a_grid_hold_their_spots_and_each_is_there_once(tmp_path, pixels, centres):
    slide = make_slide(tmp_path / "a.png", pixels, centres, scale=0.5)
    windows = cut(slide, View(um=UM * 40, size=10, grid=True), tmp_path).windows
    side = 40  # pixels of the image
    places = list(zip(windows.rows.tolist(), windows.columns.tolist(), strict=True))
    expected = set()
    for spot, (x, y) in enumerate(centres):
        # The last window also holds the spots on the edge of the image.
        row = min(int(y // side), (HEIGHT - 1) // side)
        column = min(int(x // side), (WIDTH - 1) // side)
        assert places[windows.of_spot[spot]] == (row, column)
        expected.add((row, column))
    assert len(places) == len(set(places))
    assert set(places) == expected
    for (row, column), centre, patch in zip(
        places, windows.centres, windows.patches[:], strict=True
    ):
        assert centre.tolist() == [(column + 0.5) * side / 0.5, (row + 0.5) * side / 0.5]
        assert np.abs(patch - crop(pixels, column * side, row * side, side, 10)).max() <= 1


def test_windows_of_fewer_spots_are_those_that_hold_one(tmp_path, pixels, centres):
    slide = make_slide(tmp_path / "a.png", pixels, centres)
    windows = cut(slide, View(pixels=40, size=10, grid=True), tmp_path).windows
    some = np.array([7, 3, 20, 3])
    fewer, kept = windows.with_spots(some)
    assert set(kept.tolist()) == set(windows.of_spot[some].tolist())
    assert len(fewer) == len(kept) == len(set(kept.tolist()))
    np.testing.assert_array_equal(
        fewer.centres[fewer.of_spot], windows.centres[windows.of_spot[some]]
    )
    np.testing.assert_array_equal(
        fewer.patches[:][fewer.of_spot], windows.patches[:][windows.of_spot[some]]
    )


def test_tiles_are_the_crops_around_the_middle_one_row_by_row(tmp_path, pixels, centres):
    slide = make_slide(tmp_path / "a.png", pixels, centres)
    found = cut(slide, View(size=12, tiles=5), tmp_path)
    assert found.tiles.shape == (len(centres), 25, 12, 12, 3)
    some = np.array([9, 0, 3, 30, 9])
    read = found.tiles[some]
    for spot, tiles in zip(some, read, strict=True):
        left, top = corner(centres[spot], 20)
        for place_, tile in enumerate(tiles):
            down, across = place_ // 5 - 2, place_ % 5 - 2
            expected = crop(pixels, left + across * 20, top + down * 20, 20, 12)
            assert np.abs(tile - expected).max() <= 1
            x, y = centres[spot] + [across * 20, down * 20]
            assert found.inside[spot, place_] == (0 <= x <= WIDTH and 0 <= y <= HEIGHT)
    assert found.inside[:, 12].all()
    flat = found.tiles.subset(some).flat
    np.testing.assert_array_equal(flat[20:60], read.reshape(-1, 12, 12, 3)[20:60])


def test_the_published_rule_of_rounding_holds_for_views_too(tmp_path, pixels):
    slide = make_slide(tmp_path / "a.png", pixels, [(60.9, 70.9)])
    patch = cut(slide, View(pixels=31, size=32), tmp_path, window="published").patches[0][0]
    np.testing.assert_array_equal(patch, pixels[54:86, 44:76])  # an even side, a truncated centre


def test_a_view_as_wide_as_the_patches_shows_what_they_show(tmp_path, pixels, centres):
    slide = make_slide(tmp_path / "a.png", pixels, centres)
    view = View(scale=1.5, size=16)
    settings = PatchCutting(scale=1.5, size=16)
    cut_slide(slide, settings, patches=tmp_path / "p.npy", views=[(view, tmp_path / "v.npy")])
    patches, seen = (np.load(tmp_path / name).astype(int) for name in ("p.npy", "v.npy"))
    assert np.abs(patches - seen).max() <= 1


def test_without_antialiasing_a_view_is_interpolated_as_patches_are(tmp_path, pixels, centres):
    slide = make_slide(tmp_path / "a.png", pixels, centres)
    settings = PatchCutting(scale=3, size=16, antialias=False)
    cut_slide(
        slide,
        settings,
        patches=tmp_path / "p.npy",
        views=[(View(scale=3, size=16), tmp_path / "v.npy")],
    )
    np.testing.assert_array_equal(np.load(tmp_path / "p.npy"), np.load(tmp_path / "v.npy"))


@pytest.mark.parametrize(("side", "size"), [(40, 16), (61, 60), (30, 64), (200, 9), (17, 1)])
def test_resizing_in_whole_numbers_is_pillows_to_one_level(rng, side, size):
    window = rng.integers(0, 256, size=(side, side, 3), dtype=np.uint8)
    expected = crop(window, 0, 0, side, size)
    assert np.abs(resized(window, 0, 0, side, size) - expected).max() <= 1


@pytest.mark.parametrize("seed", range(12))
def test_a_part_that_leaves_an_image_is_resized_as_its_mirrored_copy_is(seed):
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, size=(*rng.integers(20, 60, size=2), 3), dtype=np.uint8)
    side, size = int(rng.integers(10, 90)), int(rng.integers(1, 30))
    extent = side + 1
    y, x = rng.integers(-extent + 1, pixels.shape[:2]).tolist()
    left, top = rng.choice([0.0, 0.25, 0.5, 0.75], size=2).tolist()
    margin = [(extent, extent), (extent, extent), (0, 0)]
    padded = np.pad(pixels, margin, mode="symmetric")
    copy = padded[y + extent : y + 2 * extent, x + extent : x + 2 * extent]
    found = resized_part(pixels, (y, x, extent, extent), left, top, side, size)
    np.testing.assert_array_equal(found, resized(copy, left, top, side, size))


@pytest.fixture(scope="module")
def wide():
    """An image that windows of 600 px lie in, smooth over a few pixels, (901, 1103, 3)."""
    noise = np.random.default_rng(3).normal(size=(901, 1103, 3))
    smooth = np.stack([gaussian_filter(noise[..., c], 3) for c in range(3)], axis=-1)
    return np.clip(128 + 40 * smooth / smooth.std(), 0, 255).astype(np.uint8)


WIDE_CENTRES = [(500, 400), (501, 403), (10, 890), (1103, 0), (1102.5, 901), (350, 20)]


@pytest.mark.parametrize("held", ["whole", "in blocks"])
@pytest.mark.parametrize(("side", "halvings"), [(600, 1), (800, 2)])
def test_a_large_window_comes_from_a_halved_image(
    tmp_path, wide, side, halvings, held, monkeypatch
):
    monkeypatch.setattr(halving, "CACHE_BYTES", 10**9 if held == "whole" else 0)
    size = 150 if side == 600 else 120
    assert halvings_of(side, size) == halvings
    slide = make_slide(tmp_path / "a.png", wide, WIDE_CENTRES)
    found = cut(slide, View(pixels=side, size=size), tmp_path).patches[:]
    factor = 2**halvings
    halved = wide.astype(int)
    for _ in range(halvings):
        halved = halved[: len(halved) // 2 * 2, : halved.shape[1] // 2 * 2]
        squares = halved.reshape(halved.shape[0] // 2, 2, halved.shape[1] // 2, 2, 3)
        halved = (squares.sum(axis=(1, 3)) + 2) // 4
    for centre, patch in zip(WIDE_CENTRES, found, strict=True):
        left, top = corner(centre, side)
        exact = crop(wide, left, top, side, size)
        if min(left, top) >= 0 and left + side < 1103 and top + side < 901:
            assert np.abs(patch - exact).mean() < 2  # of all pixels: alike
        if left % factor or top % factor:
            continue
        expected = crop(
            halved.astype(np.uint8), left // factor, top // factor, side // factor, size
        )
        assert np.abs(patch - expected).max() <= 1  # of the halved image: the same


@pytest.mark.parametrize("name", FILES)
def test_many_views_decode_every_block_once(tmp_path, rng, wide, monkeypatch, name):
    written(tmp_path / name, wide)
    image = open_image(tmp_path / name)
    decoded, decode = [], image.decode

    def counted(row, column):
        decoded.append((row, column))
        return decode(row, column)

    image.decode = counted
    monkeypatch.setattr(views, "open_image", lambda *_: image)
    monkeypatch.setattr(cutting, "usable_cores", lambda: 4)
    slide = ad.AnnData(np.ones((80, 1), dtype=np.float32))
    slide.obsm["spatial"] = rng.uniform(0, (1103, 901), size=(80, 2))
    slide.uns["slide"] = {
        "image_path": str(tmp_path / name),
        "image_scale": 1.0,
        "spot_diameter_px": 60.0,
        "um_per_px": 1.0,
    }
    asked = [View(scale=2, size=32), View(pixels=700, size=64), View(um=550, size=64, grid=True)]
    files = [(view, tmp_path / f"{at}.npy") for at, view in enumerate(asked)]
    cut_slide(slide, PatchCutting(size=32), patches=tmp_path / "p.npy", views=files)
    assert len(decoded) == len(set(decoded)) == (len(image.rows) - 1) * (len(image.columns) - 1)
    assert getattr(image, "_in_order", True)  # libvips has not begun again
    together = [np.load(file) for _, file in files]
    for (view, file), before in zip(files, together, strict=True):
        cut_slide(slide, PatchCutting(size=32), views=[(view, file)])
        np.testing.assert_array_equal(np.load(file), before)


def counted_halved_images(monkeypatch):
    """Return those that are made from now on."""
    made, begin = [], halving.HalvedImage.__init__

    def counted(self, image):
        begin(self, image)
        made.append(self)

    monkeypatch.setattr(halving.HalvedImage, "__init__", counted)
    return made


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("cores", [1, 4])
def test_a_halved_block_is_dropped_after_its_last_window(tmp_path, wide, monkeypatch, name, cores):
    monkeypatch.setattr(halving, "CACHE_BYTES", 0)  # nothing is held as a whole
    monkeypatch.setattr(halving, "_BLOCK", 32)
    monkeypatch.setattr(cutting, "usable_cores", lambda: cores)
    halved = counted_halved_images(monkeypatch)
    slide = make_slide(tmp_path / name, wide, WIDE_CENTRES)
    files = [(View(pixels=side, size=64), tmp_path / f"{side}.npy") for side in (600, 800)]
    cut_slide(slide, PatchCutting(size=32), patches=tmp_path / "p.npy", views=files)
    assert [image.factor for image in halved] == [2, 4, 8]
    assert [len(image._cache._blocks) for image in halved] == [0, 0, 0]
    assert [image._cache._held for image in halved] == [0, 0, 0]


def test_blocks_of_a_file_are_decoded_where_they_are_averaged(tmp_path, rng, wide, monkeypatch):
    monkeypatch.setattr(cutting, "usable_cores", lambda: 1)
    written(tmp_path / "tiles.tif", wide[:900, :1102])  # an odd row would be left out
    image = open_image(tmp_path / "tiles.tif")
    decode, average, inside, where = image.decode, cutting._average, [], []

    def averaging(*arguments):
        inside.append(True)
        average(*arguments)
        inside.pop()

    image.decode = lambda *place: (where.append(bool(inside)), decode(*place))[1]
    monkeypatch.setattr(cutting, "_average", averaging)
    monkeypatch.setattr(views, "open_image", lambda *_: image)
    slide = make_slide(tmp_path / "a.png", wide, rng.uniform(0, (1102, 900), size=(200, 2)))
    region = View(pixels=600, size=100), tmp_path / "region.npy"
    cut_slide(slide, PatchCutting(size=32), patches=tmp_path / "p.npy", views=[region])
    assert len(where) > 10
    assert all(where)


def test_a_slide_without_spots_has_no_windows(tmp_path, wide):
    slide = make_slide(tmp_path / "a.png", wide, np.empty((0, 2)))
    assert cut(slide, View(pixels=600, size=100), tmp_path).patches.shape == (0, 100, 100, 3)


def test_with_little_memory_the_windows_are_the_same(tmp_path, rng, wide, monkeypatch):
    slide = make_slide(tmp_path / "a.png", wide, rng.uniform(0, (1103, 901), size=(40, 2)))
    before = cut(slide, View(pixels=600, size=100), tmp_path).patches[:]
    monkeypatch.setattr(blocks, "CACHE_BYTES", 300_000)
    np.testing.assert_array_equal(
        cut(slide, View(pixels=600, size=100), tmp_path).patches[:], before
    )


def test_a_window_larger_than_the_image_is_refused(tmp_path, pixels, centres):
    slide = make_slide(tmp_path / "a.png", pixels, centres)
    with pytest.raises(
        ViewError, match=r"window of 11 spot diameters is 220 px wide, and the image is 210 x 150"
    ):
        cut(slide, View(scale=11), tmp_path)
    assert not (tmp_path / "view.npy").exists()
    cut(slide, View(pixels=WIDTH, grid=True), tmp_path)  # the whole slide in one window


def test_micrometres_need_a_scale(tmp_path, pixels, centres):
    slide = make_slide(tmp_path / "a.png", pixels, centres)
    slide.uns["slide"]["um_per_px"] = 0.0
    with pytest.raises(ViewError, match=r"window of 50 µm is asked for, .*um_per_px is 0"):
        cut(slide, View(um=50), tmp_path)
    cut(slide, View(scale=2), tmp_path)


def test_places_of_a_grid_are_written_in_full_resolution():
    placed = place(
        View(pixels=100, grid=True),
        np.array([[10.0, 20.0], [60.0, 10.0]]),
        {"spot_diameter_px": 1.0, "um_per_px": 0.0, "image_scale": 0.5},
        (120, 80),
        "centred",
    )
    arrays = arrays_of(placed, 0.5)
    assert placed.side == 50
    assert arrays["centres"].tolist() == [[50.0, 50.0], [150.0, 50.0]]
    assert arrays["of_spot"].tolist() == [0, 1]
