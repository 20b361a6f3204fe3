"""Slides whose image belongs to their spots pass; the same slides mirrored or shifted do not."""

from __future__ import annotations

from functools import cache

import numpy as np
import PIL.Image
import PIL.ImageOps
import pytest
import tifffile
from anndata import AnnData
from scipy.sparse import csr_matrix
from scipy.spatial import cKDTree
from scipy.stats import pearsonr
from sklearn.decomposition import PCA
from sklearn.linear_model import Ridge

from spared_bench.processing.images import image_size
from spared_bench.reports import foretelling, quality
from spared_bench.reports.dim import highest_value
from spared_bench.reports.quality import TESTS, check_slide
from spared_bench.reports.turned import as_stored
from spared_bench.sources.fetch import dataset_folder
from spared_bench_plugins.datasets import HER2ST_DEMO, MOB_DEMO
from spared_bench_plugins.datasets.her2st import read_section as read_her2st
from spared_bench_plugins.datasets.mob import read_section as read_mob
from spared_bench_plugins.datasets.planted.expression import read_slide as read_planted

NAMES = ("C2", "C4", "MOB1", "MOB3")


@cache
def _read_once(name):
    read, of = (read_mob, MOB_DEMO) if "MOB" in name else (read_her2st, HER2ST_DEMO)
    return read(dataset_folder(of, None), name)


def as_measured(name):
    return _read_once(name).copy()


@pytest.fixture(params=["C4", "MOB3"])
def slide(request):
    return as_measured(request.param)


def failed(slide):
    return {check.test for check in check_slide(slide) if check.passed is False}


def full_size(slide):
    facts = slide.uns["slide"]
    return np.array(image_size(facts["image_path"])) / facts["image_scale"]


@pytest.mark.parametrize("name", NAMES)
def test_a_slide_as_measured_passes_every_test(name):
    checks = check_slide(as_measured(name))
    assert [check.test for check in checks] == list(TESTS)
    assert all(check.passed for check in checks), [check.message for check in checks]


@pytest.mark.parametrize("axes", [[0], [1], [0, 1]])
def test_a_mirrored_image_is_flagged_by_its_orientation(slide, axes):
    slide.obsm["spatial"][:, axes] = (full_size(slide) - slide.obsm["spatial"])[:, axes]
    told = {check.test: check for check in check_slide(slide)}["orientation"]
    assert told.passed is False
    expected = {(0,): "mirrored left to right", (1,): "mirrored top to bottom", (0, 1): "turned"}
    assert expected[tuple(axes)] in told.message


def test_of_many_spots_expression_is_foretold_for_some_of_all_over_the_slide(monkeypatch):
    slide, seen = as_measured("MOB3"), []

    def watched(some):
        seen.append(some.obs_names)
        return foretelling.responses_of(some)

    monkeypatch.setattr(quality, "_MOST_SPOTS", 150)
    monkeypatch.setattr(quality, "responses_of", watched)
    assert not failed(slide) & {"orientation", "position", "relation"}
    slide.obsm["spatial"] = full_size(slide) - slide.obsm["spatial"]
    assert "orientation" in failed(slide)
    assert [len(names) for names in seen] == [150, 150]
    assert all(half.isin(seen[0]).mean() > 0.2 for half in np.array_split(slide.obs_names, 2))


@pytest.mark.parametrize("shift", [(3, 0), (0, -3), (-2, 2)])
def test_a_shifted_image_is_flagged_by_its_position(slide, shift):
    centres = slide.obsm["spatial"]
    pitch = np.median(cKDTree(centres).query(centres, 2)[0][:, 1])
    slide.obsm["spatial"] = centres + pitch * np.array(shift)
    assert "position" in failed(slide)


@pytest.mark.parametrize("factor", [0.5, 0.9, 0.95, 1.05, 1.1])
def test_a_wrong_factor_of_the_only_image_is_flagged(slide, factor):
    # Nothing else tells how large the image is that the coordinates refer to.
    slide.uns["slide"]["image_scale"] *= factor
    assert failed(slide) & {"tissue", "position"}


def _saved(slide, tmp_path, change=lambda pixels: pixels, suffix="png", **options):
    """Save the image of a slide again, and return its path."""
    with PIL.Image.open(slide.uns["slide"]["image_path"]) as image:
        pixels = change(np.array(image.convert("RGB")))
    path = tmp_path / f"again.{suffix}"
    PIL.Image.fromarray(pixels).save(path, **options)
    slide.uns["slide"]["image_path"] = str(path)
    return pixels


@pytest.mark.parametrize(
    ("tag", "suffix"),
    [(2, "jpg"), (3, "png"), (4, "tif"), (5, "webp"), (6, "jpg"), (7, "png"), (8, "tif")],
)
def test_an_image_that_is_shown_turned_is_told_apart_by_what_its_spots_fit(tmp_path, tag, suffix):
    slide = as_measured("MOB3")
    exif = PIL.Image.Exif()
    exif[274] = tag
    pixels = _saved(slide, tmp_path, suffix=suffix, exif=exif)
    told = {check.test: check for check in check_slide(slide)}["turned"]
    assert told.passed is True
    assert f"(orientation {tag}), and is read as stored: held-out" in told.message

    # Spots that were placed on the picture as a viewer shows it.
    shown = PIL.ImageOps.exif_transpose(PIL.Image.open(slide.uns["slide"]["image_path"]))
    back = {5: 5, 6: 8, 7: 7, 8: 6}.get(tag, tag)
    scale = slide.uns["slide"]["image_scale"]
    height, width = pixels.shape[:2]
    moved = as_stored(slide.obsm["spatial"] * scale, *shown.size, back)
    np.testing.assert_allclose(as_stored(moved, width, height, tag), slide.obsm["spatial"] * scale)
    slide.obsm["spatial"] = moved / scale
    told = {check.test: check for check in check_slide(slide)}["turned"]
    assert told.passed is False
    assert "Write it again without the tag" in told.message


def test_of_a_few_spots_on_an_image_that_is_shown_turned_nothing_can_be_told(tmp_path):
    slide = as_measured("MOB1")[:20].copy()
    assert "turned" not in failed(slide)
    exif = PIL.Image.Exif()
    exif[274] = 3
    _saved(slide, tmp_path, suffix="jpg", exif=exif)
    told = {check.test: check for check in check_slide(slide)}["turned"]
    assert told.passed is False
    assert "shown turned by half (orientation 3)" in told.message
    assert "which of both the spots refer to cannot be tested" in told.message


@pytest.mark.parametrize(("bits", "passed"), [(5, False), (6, False), (7, False), (8, True)])
def test_an_image_of_fewer_bits_than_it_is_stored_in_is_flagged(tmp_path, bits, passed):
    slide = as_measured("MOB3")[:20].copy()
    pixels = _saved(slide, tmp_path, lambda pixels: pixels >> (8 - bits))
    told = {check.test: check for check in check_slide(slide)}["bits"]
    assert told.passed is passed
    if not passed:
        assert f"No value of the image is above {pixels.max()} of 255" in told.message
        assert f"so it may hold {bits} bits" in told.message


def test_a_light_image_is_not_opened_again_to_learn_its_bits(tmp_path, monkeypatch):
    monkeypatch.setattr("spared_bench.processing.images.open_image", None)  # a JPEG is decoded then
    assert highest_value(tmp_path / "none.jpg", np.full((2, 2, 3), 200, np.uint8)) == (255, 255)


def test_one_light_pixel_shows_that_an_image_is_dark_and_of_eight_bits(tmp_path):
    slide = as_measured("MOB3")[:20].copy()

    def darkened(pixels):
        pixels = pixels >> 2
        pixels[7, 7] = 200
        return pixels

    _saved(slide, tmp_path, darkened)
    assert "bits" not in failed(slide)


def test_an_image_that_says_that_it_is_dark_is_believed(tmp_path):
    slide = as_measured("MOB3")[:20].copy()
    with PIL.Image.open(slide.uns["slide"]["image_path"]) as image:
        pixels = np.array(image.convert("RGB")) >> 2
    path = tmp_path / "dark.tif"
    slide.uns["slide"]["image_path"] = str(path)
    for tags, believed in (([], False), ([(281, "H", 3, (255, 255, 255), True)], True)):
        tifffile.imwrite(path, pixels, photometric="rgb", extratags=tags)
        assert ("bits" not in failed(slide)) is believed


def test_an_image_of_sixteen_bits_of_which_fifteen_are_used_is_flagged(tmp_path):
    slide = as_measured("MOB3")[:20].copy()
    with PIL.Image.open(slide.uns["slide"]["image_path"]) as image:
        pixels = np.array(image.convert("RGB")).astype(np.uint16) * 128
    path = tmp_path / "fifteen.tif"
    slide.uns["slide"]["image_path"] = str(path)
    tifffile.imwrite(path, pixels, photometric="rgb")
    told = {check.test: check for check in check_slide(slide)}["bits"]
    assert f"No value of the image is above {pixels.max():,} of 65,535" in told.message


def test_spots_beside_the_tissue_are_flagged(slide):
    slide.obsm["spatial"] = slide.obsm["spatial"] * 0.3
    told = {check.test: check for check in check_slide(slide)}["tissue"]
    assert told.passed is False
    assert "of the spots lie on tissue" in told.message


def test_the_image_of_another_slide_is_unrelated(tmp_path):
    slide = read_planted(tmp_path, "P1")
    assert not failed(slide)
    other = read_planted(tmp_path, "P2")
    slide.uns["slide"]["image_path"] = other.uns["slide"]["image_path"]
    assert failed(slide) == {"relation"}


def test_a_slide_that_cannot_be_tested_says_why(tmp_path):
    slide = as_measured("MOB1")
    (first, *_) = check_slide(slide[:20].copy())
    assert (first.passed, first.message) == (None, "The slide has 20 spots; the tests need 60.")
    slide.uns["slide"]["image_path"] = ""
    assert {check.passed for check in check_slide(slide)} == {None}


def _in_one_channel(channel):
    return lambda x: np.where(np.arange(3) == channel, 255 - x.mean(axis=2, keepdims=True), 0)


@pytest.mark.parametrize("name", ["MOB1", "C2"])
@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda x: x.mean(axis=2, keepdims=True).repeat(3, axis=2), "it is grey"),
        (lambda x: 255 - x.mean(axis=2, keepdims=True).repeat(3, axis=2), "it is grey"),
        (_in_one_channel(2), "it is blue or green"),
        (_in_one_channel(1), "it is blue or green"),
        (lambda x: ((255 - x) / 255.0) ** 3 * 255, "it is dark beside its brightest places"),
        (lambda x: x, ""),
        (lambda x: x * 0.8, ""),  # of a weak lamp
    ],
)
def test_an_image_of_fluorescence_or_in_grey_is_flagged(tmp_path, name, change, told):
    slide = as_measured(name)
    pixels = np.asarray(PIL.Image.open(slide.uns["slide"]["image_path"]).convert("RGB"))
    PIL.Image.fromarray(np.rint(change(pixels)).astype(np.uint8)).save(tmp_path / "x.png")
    slide.uns["slide"]["image_path"] = str(tmp_path / "x.png")
    (found,) = [check for check in check_slide(slide) if check.test == "colours"]
    assert found.passed is not bool(told)
    assert told in found.message


@pytest.mark.parametrize("image", [True, False])
def test_a_slide_of_few_spots_is_flagged_with_an_image_or_without(image):
    slide = as_measured("MOB1")
    if not image:
        slide.uns["slide"]["image_path"] = ""
    few = {n: check_slide(slide[:n].copy())[-1] for n in (2, 19, 20)}
    assert {check.test for check in few.values()} == {"spots"}
    assert [check.passed for check in few.values()] == [False, False, True if image else None]
    assert few[2].message.startswith("The slide has 2 spots: over so few, correlations are far")


def test_an_image_without_empty_background_is_not_asked_where_its_tissue_is(tmp_path):
    slide = as_measured("MOB1")
    width, height = image_size(slide.uns["slide"]["image_path"])
    rng = np.random.default_rng(0)
    full = rng.integers(90, 150, size=(height, width, 3), dtype=np.uint8)
    PIL.Image.fromarray(full).save(tmp_path / "full.png")
    slide.uns["slide"]["image_path"] = str(tmp_path / "full.png")
    tissue = check_slide(slide)[0]
    assert tissue.passed is None
    assert "no empty background" in tissue.message


@pytest.mark.parametrize("value", [0, 12])
def test_spots_on_a_tile_of_zeros_are_flagged_and_dark_tissue_is_not(tmp_path, value):
    # Uncompressed TIFF shows no gap: a tile that was never copied counted as dense tissue.
    slide = read_planted(tmp_path, "P1")
    with PIL.Image.open(slide.uns["slide"]["image_path"]) as image:
        pixels = np.array(image.convert("RGB"))
    height, width = pixels.shape[:2]
    pixels[: height // 4, : width // 4] = value
    PIL.Image.fromarray(pixels).save(tmp_path / "holed.tif")
    slide.uns["slide"]["image_path"] = str(tmp_path / "holed.tif")
    scale, radius = slide.uns["slide"]["image_scale"], slide.uns["slide"]["spot_diameter_px"] / 2
    ends = np.array([width // 4, height // 4]) / scale
    wholly = (slide.obsm["spatial"] + radius <= ends).all(axis=1).sum()
    partly = (slide.obsm["spatial"] <= ends).all(axis=1).sum()

    told = {check.test: check for check in check_slide(slide)}["black"]

    assert told.passed is (value > 0)
    if not value:
        found = int(told.message.split()[0].replace(",", ""))
        assert 0 < wholly <= found <= partly < slide.n_obs
        assert "Fetch the image again, or leave these spots out." in told.message


@pytest.mark.parametrize(("n_spots", "n_genes"), [(40, 300), (300, 40), (30, 30), (5, 60)])
def test_components_are_those_of_scikit_learn(rng, n_spots, n_genes):
    counts = rng.poisson(np.exp(rng.normal(size=(n_spots, 1)) + rng.normal(size=n_genes)))
    slide = AnnData(csr_matrix(counts, dtype=np.float32))
    found = foretelling.responses_of(slide)

    totals = counts.sum(axis=1, keepdims=True)
    values = np.log1p(1e4 * counts / np.maximum(totals, 1))
    n_components = min(6, n_spots - 1)
    expected = PCA(n_components, svd_solver="full").fit_transform(values)
    expected = np.column_stack([np.log10(totals + 1), expected])
    likeness = np.abs(np.corrcoef(found.T, expected.T))[: found.shape[1], found.shape[1] :]
    assert found.shape == expected.shape
    assert np.sort(likeness.max(axis=0)) == pytest.approx(np.ones(n_components + 1), abs=1e-6)


def test_spots_that_are_all_alike_have_no_components():
    slide = AnnData(csr_matrix(np.full((7, 20), 3, dtype=np.float32)))
    assert np.array_equal(foretelling.responses_of(slide), np.zeros((7, 1)))


def test_the_held_out_correlation_is_that_of_scikit_learn(rng):
    seen, responses = rng.normal(size=(90, 5)), rng.normal(size=(90, 2))
    responses[:, 0] += seen[:, 1]
    folds = np.repeat(np.arange(5), 18)
    found = foretelling._held_out_correlation(seen, responses, folds)

    scaled = (seen - seen.mean(axis=0)) / seen.std(axis=0)
    foretold = np.empty_like(responses)
    for fold in range(5):
        test = folds == fold
        # Centred on the training rows of the response alone, as ours is.
        mean = responses[~test].mean(axis=0)
        model = Ridge(alpha=10, fit_intercept=False).fit(scaled[~test], responses[~test] - mean)
        foretold[test] = model.predict(scaled[test]) + mean
    expected = [pearsonr(foretold[:, i], responses[:, i]).statistic for i in range(2)]
    assert found == pytest.approx(np.mean(expected), abs=1e-6)


def test_the_threshold_separates_two_classes(rng):
    values = np.concatenate([rng.normal(0.1, 0.02, 500), rng.normal(0.8, 0.05, 200)])
    assert 0.2 < quality._threshold(values) < 0.65
