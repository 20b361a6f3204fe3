"""Tissue is told from glass, fiducials, pen marks and dust, on painted and on real sections."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree

from spared_bench.api import make_bench
from spared_bench.inference.tissue import find_tissue, share_of_tissue, told_beside
from spared_bench.processing.tissue_mask import tissue_mask
from spared_bench.trials.products import read_raw_slides

SIZE = 800


def section(glass=(243, 242, 240), seed=0):
    """A round section of eosin with nuclei of haematoxylin, and where it is."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:SIZE, :SIZE]
    where = (x - 420) ** 2 + (y - 380) ** 2 < 200**2
    pixels = np.full((SIZE, SIZE, 3), glass, np.float64)
    pixels[where] = (214, 150, 190)
    nuclei = where & (rng.random((SIZE, SIZE)) < 0.15)
    pixels[nuclei] = (110, 80, 150)
    pixels += rng.normal(0, 4, pixels.shape)
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8)), where


def overlap(found, truth):
    return (found & truth).sum() / (found | truth).sum()


@pytest.mark.parametrize("glass", [(255, 255, 255), (243, 242, 240), (222, 218, 205), (205,) * 3])
def test_glass_of_any_tint_is_left_out(glass):
    image, where = section(glass)
    assert overlap(tissue_mask(np.asarray(image)), where) > 0.95


@pytest.mark.parametrize(
    "pen",
    [
        (20, 20, 25),
        (30, 60, 190),
        (20, 120, 60),
        (200, 30, 40),
        (120, 120, 120),
        (0, 170, 200),
        (150, 40, 160),
        (200, 50, 150),
        (90, 30, 120),
    ],
    ids=["black", "blue", "green", "red", "grey", "cyan", "violet", "magenta", "purple"],
)
def test_pen_marks_are_left_out_also_where_they_are_thick(pen):
    image, where = section()
    draw = ImageDraw.Draw(image)
    draw.line([(40, 60), (160, 700), (700, 740)], fill=pen, width=30)
    draw.ellipse([20, 20, 140, 140], fill=pen)
    assert overlap(tissue_mask(np.asarray(image)), where) > 0.95


def test_a_fiducial_frame_dust_and_letters_are_left_out():
    image, where = section()
    draw = ImageDraw.Draw(image)
    for at in range(20, SIZE - 10, 24):
        for x, y in ((at, 20), (at, SIZE - 20), (20, at), (SIZE - 20, at)):
            draw.ellipse([x - 7, y - 7, x + 7, y + 7], outline=(70, 60, 80), width=3)
    for x, y in ((120, 700), (700, 120), (650, 690)):
        draw.ellipse([x - 8, y - 8, x + 8, y + 8], fill=(190, 110, 170))  # a crumb of tissue
    draw.text((60, 740), "S12-345", fill=(60, 40, 120), font_size=30)
    assert overlap(tissue_mask(np.asarray(image)), where) > 0.95


def test_two_pieces_are_both_taken_and_a_lumen_is_not():
    image, _ = section()
    draw = ImageDraw.Draw(image)
    draw.ellipse([380, 340, 460, 420], fill=(243, 242, 240))
    image.paste(image.crop((400, 400, 540, 500)), (60, 650))
    found = tissue_mask(np.asarray(image))
    assert found[700, 130]
    assert not found[380, 420]


def test_a_smooth_shadow_of_the_frame_is_left_out():
    image, where = section()
    pixels = np.asarray(image).astype(float)
    shade = np.zeros((SIZE, SIZE))
    shade[20:110, 540:780] = 1
    shade = gaussian_filter(shade, 10)[..., None]
    shaded = pixels * (1 - shade * np.array([0.30, 0.34, 0.14]))
    assert overlap(tissue_mask(shaded.astype(np.uint8)), where) > 0.95


def stained(*pieces, glass=(243, 242, 240)):
    """Round pieces (x, y, radius, depth of stain beside that of ``section``), and where each is."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:SIZE, :SIZE]
    clear = np.array(glass, np.float64)
    eosin, nucleus = (
        np.log10(np.array(each) / clear) for each in ((214, 150, 190), (110, 80, 150))
    )
    density, places = np.zeros((SIZE, SIZE, 3)), []
    for left, top, radius, depth in pieces:
        where = (x - left) ** 2 + (y - top) ** 2 < radius**2
        density[where] = eosin * depth
        density[where & (rng.random((SIZE, SIZE)) < 0.15)] = nucleus * depth
        places.append(where)
    pixels = clear * 10**density + rng.normal(0, 4, (SIZE, SIZE, 3))
    return pixels.clip(0, 255), places


@pytest.mark.parametrize("dark", [1.0, 1.5, 4.0])
@pytest.mark.parametrize("pale", [0.25, 0.4, 0.5])
def test_a_pale_piece_beside_dark_ones_is_taken(dark, pale):
    pixels, places = stained((250, 300, 180, dark), (620, 300, 120, pale), (300, 650, 80, pale))
    found = tissue_mask(pixels.astype(np.uint8))
    assert overlap(found, np.any(places, axis=0)) > 0.95


@pytest.mark.parametrize("depth", [0.10, 0.18, 0.30])
@pytest.mark.parametrize("colour", [(1.0, 1.0, 0.5), (0.6, 1.0, 0.3)], ids=["shadow", "pale pen"])
def test_what_is_pale_and_smooth_beside_a_dark_piece_is_left_out(depth, colour):
    pixels, (where,) = stained((250, 300, 180, 2.5))
    shade = np.zeros((SIZE, SIZE))
    shade[500:700, 400:700] = 1
    pixels *= 1 - depth * gaussian_filter(shade, 6)[..., None] * np.array(colour)
    assert overlap(tissue_mask(pixels.astype(np.uint8)), where) > 0.95


@pytest.mark.parametrize("level", [0, 128, 255])
def test_an_image_of_one_grey_has_no_tissue(level):
    assert not tissue_mask(np.full((50, 80, 3), level, np.uint8)).any()


def test_tissue_that_fills_the_image_is_taken_to_its_edge():
    image, _ = section()
    inner = np.asarray(image)[260:500, 300:540]
    assert tissue_mask(inner).mean() > 0.95


@pytest.mark.parametrize("name", ["her2st_demo", "mob_demo"])
def test_measured_spots_of_real_sections_lie_on_what_is_found(name, tmp_path):
    bench = make_bench("demo", workspace=tmp_path, device="cpu")
    for slide in read_raw_slides(bench, name).values():
        facts = slide.uns["slide"]
        _, mask, factor = find_tissue(facts["image_path"])
        centres = slide.obsm["spatial"] * float(facts["image_scale"])
        diameter = float(facts["spot_diameter_px"]) * float(facts["image_scale"])
        shares = share_of_tissue(mask, factor, centres, diameter)
        # Of MOB3, one nerve layer is all but unstained.
        assert (shares >= 0.5).mean() > (0.95 if name == "her2st_demo" else 0.85)
        found = np.argwhere(mask)[:, ::-1] / factor
        beside = cKDTree(centres).query(found)[0] > 4 * diameter
        assert beside.mean() < 0.02


def test_shares_are_those_of_a_count_by_hand(rng):
    mask = rng.random((40, 60)) < 0.5
    centres = rng.uniform(8, 32, size=(30, 2)) * 2
    found = share_of_tissue(mask, 0.5, centres, 12.0)
    for (x, y), share in zip(centres, found, strict=True):
        left, top, right, bottom = (round(v) for v in (x / 2 - 3, y / 2 - 3, x / 2 + 3, y / 2 + 3))
        assert share == pytest.approx(mask[top:bottom, left:right].mean())
    assert share_of_tissue(np.ones((10, 10), bool), 1.0, np.array([[0.0, 5.0]]), 4.0) == [0.5]


def muscle():
    """A section that is mostly eosin, as red as muscle is: densities 0.03, 0.27 and 0.23."""
    rng = np.random.default_rng(1)
    y, x = np.mgrid[:SIZE, :SIZE]
    where = (x - 420) ** 2 + (y - 380) ** 2 < 200**2
    pixels = np.full((SIZE, SIZE, 3), (243, 242, 240), np.float64)
    pixels[where] = (228, 130, 140)
    pixels[where & (np.hypot(x - 420, y - 380) < 60)] = (160, 120, 170)  # an infiltrate
    pixels[where] += rng.normal(0, 12, (where.sum(), 1))
    pixels += rng.normal(0, 3, pixels.shape)
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8)), where


@pytest.mark.parametrize("pen", [None, (200, 30, 40), (20, 20, 25), (150, 40, 160)])
def test_tissue_as_red_as_muscle_is_taken_and_pens_are_not(pen):
    image, where = muscle()
    if pen:
        draw = ImageDraw.Draw(image)
        draw.line([(40, 60), (160, 700), (700, 740)], fill=pen, width=30)
    assert overlap(tissue_mask(np.asarray(image)), where) > 0.95


def test_a_violet_pen_larger_than_the_tissue_is_left_out():
    image, where = section()
    small = np.asarray(image.resize((SIZE // 4, SIZE // 4)))
    canvas = np.full((SIZE, SIZE, 3), (243, 242, 240), np.uint8)
    canvas[300:500, 300:500] = small
    image = Image.fromarray(canvas)
    ImageDraw.Draw(image).line([(40, 60), (700, 80), (740, 740)], fill=(150, 40, 160), width=30)
    found = tissue_mask(np.asarray(image))
    there = np.zeros_like(found)
    there[300:500, 300:500] = where[::4, ::4]
    assert overlap(found, there) > 0.9


def test_spots_that_lie_beside_the_tissue_are_told_of(tmp_path):
    image, _ = section()
    path = tmp_path / "section.png"
    image.save(path)
    x, y = np.meshgrid(np.arange(240, 600, 20.0), np.arange(200, 560, 20.0))
    on_it = np.column_stack([x.ravel(), y.ravel()])

    assert not told_beside(path, on_it, 12)
    (told,) = told_beside(path, on_it * 0.3, 12)  # as on a smaller copy of the image
    assert told.startswith("0 of 324 spots lie on tissue")
    few = on_it[:40] * [1, 0.2]
    (told,) = told_beside(path, np.concatenate([few, on_it[150:160]]), 12)
    assert told.startswith("10 of 50 spots lie on tissue")

    assert not told_beside(path, on_it[:19] * 0.3, 12)  # picked by somebody
    Image.new("RGB", (200, 200), "white").save(path)  # of which nothing can be told
    assert not told_beside(path, on_it * 0.3, 12)
