"""Pictures of slides: they lie where they say, stay small, and are made once."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from anndata import AnnData
from PIL import Image

from spared_bench.reports import slide_pictures
from spared_bench.reports.slide_pictures import picture_of, read_frame
from spared_bench.reports.tissue import FRAME, SPOTS, TISSUE, write_pictures

pytestmark = pytest.mark.usefixtures("prepared_alone")


def slide(folder, pixels: np.ndarray, centres, scale: float = 1.0, diameter: float = 20.0):
    path = folder / "image.png"
    Image.fromarray(pixels).save(path)
    adata = AnnData(np.ones((len(centres), 1), dtype=np.float32))
    adata.obsm["spatial"] = np.asarray(centres, dtype=float)
    adata.uns["slide"] = {
        **{"image_path": str(path), "image_scale": scale, "spot_diameter_px": diameter},
        **{"um_per_px": 0.5, "modality": "H&E"},
    }
    return adata


def opened(folder, name) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO((folder / name).read_bytes())).convert("RGB"))


@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_what_lies_at_a_place_of_the_slide_lies_there_in_the_picture(tmp_path, scale):
    pixels = np.full((900, 1_200, 3), 240, dtype=np.uint8)
    pixels[400:460, 700:760] = (200, 0, 0)  # centred on (730, 430) in pixels of the image
    centres = [(300 / scale, 200 / scale), (1_000 / scale, 700 / scale)]
    write_pictures(slide(tmp_path, pixels, centres, scale, 20 / scale), tmp_path)

    frame = json.loads((tmp_path / FRAME).read_text())
    found = opened(tmp_path, TISSUE)
    to_picture = found.shape[1] / frame["width"]
    x, y = ((np.array([730, 430]) / scale) - (frame["left"], frame["top"])) * to_picture
    red = found[int(y) - 5 : int(y) + 6, int(x) - 5 : int(x) + 6].reshape(-1, 3).mean(axis=0)
    assert red[0] > 150 and red[1] < 60
    assert found[5, 5].min() > 200
    # All spots, and a margin, lie within.
    for cx, cy in centres:
        assert frame["left"] < cx < frame["left"] + frame["width"]
        assert frame["top"] < cy < frame["top"] + frame["height"]
    assert found.shape[0] / found.shape[1] == pytest.approx(frame["height"] / frame["width"], 0.02)


def test_spots_are_drawn_in_their_size_on_the_overview(tmp_path):
    pixels = np.full((400, 400, 3), 255, dtype=np.uint8)
    centres = [(100, 100), (300, 300)]
    write_pictures(slide(tmp_path, pixels, centres, diameter=60.0), tmp_path)

    frame = json.loads((tmp_path / FRAME).read_text())
    dark = opened(tmp_path, SPOTS).min(axis=2) < 200
    to_picture = dark.shape[1] / frame["width"]
    rows, columns = np.nonzero(dark)
    first = columns < dark.shape[1] / 2
    # The ring of the first spot: as wide as its diameter.
    assert np.ptp(columns[first]) == pytest.approx(60 * to_picture, abs=5)
    assert rows[first].mean() == pytest.approx((100 - frame["top"]) * to_picture, abs=4)


def test_pictures_stay_small_whatever_the_tissue(tmp_path, rng):
    noise = rng.integers(0, 255, (2_000, 2_000, 3), dtype=np.uint8)  # which no codec can compress
    write_pictures(slide(tmp_path, noise, [(100, 100), (1_900, 1_900)]), tmp_path)

    assert (tmp_path / TISSUE).stat().st_size <= 96_000
    assert (tmp_path / SPOTS).stat().st_size <= 24_000


def test_a_picture_is_made_once_and_kept(bench, monkeypatch):
    name = bench.dataset("toy").slides[0].slide_id
    first = picture_of(bench, "toy", name)
    assert first is not None
    assert read_frame(first).n_spots > 0

    monkeypatch.setattr(slide_pictures, "read_raw_slides", None)  # not called again
    assert picture_of(bench, "toy", name).key == first.key


def test_a_slide_without_an_image_has_no_picture(bench, monkeypatch):
    info = bench.dataset("toy").slides[0]
    slides = slide_pictures.read_raw_slides(bench, "toy", [info.slide_id])
    slides[info.slide_id].uns["slide"]["image_path"] = ""
    monkeypatch.setattr(slide_pictures, "read_raw_slides", lambda *_: slides)

    assert picture_of(bench, "toy", info.slide_id) is None
