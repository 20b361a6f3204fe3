"""What images say of the size of their pixels, and where another size is told."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile

from spared_bench.processing.pixel_size import other_size, said_um_per_px
from spared_bench.sources.adding import add_description
from tests import made_slides

APERIO = "Aperio Image Library v12.0.15\r\n320x256 (256x256) JPEG/RGB Q=70|AppMag = 40|MPP = {}"
PER_CM = {"resolutionunit": "CENTIMETER", "resolution": (40_000, 40_000)}


@pytest.mark.parametrize(
    ("expected", "tags"),
    [
        (0, {}),
        (0.25, PER_CM),
        (0.5, {"resolution": (50_800, 50_800), "resolutionunit": "INCH"}),
        (0, {"resolution": (600, 600), "resolutionunit": "INCH"}),  # of a printer
        (0, {"resolution": (4, 4), "resolutionunit": "NONE"}),
        (0.25, {"imagej": True, "resolution": (4, 4), "metadata": {"unit": "micron"}}),
        (0.25, {"imagej": True, "resolution": (4, 4), "metadata": {"unit": "\\u00B5m"}}),
        (0.25, {"imagej": True, "resolution": (4000, 4000), "metadata": {"unit": "mm"}}),
        (0, {"imagej": True, "resolution": (4, 4), "metadata": {"unit": "pixel"}}),
        (0.25, {"ome": True, "metadata": {"PhysicalSizeX": 0.25}}),
        (0.25, {"ome": True, "metadata": {"PhysicalSizeX": 0.25, "PhysicalSizeXUnit": "µm"}}),
        (0.25, {"ome": True, "metadata": {"PhysicalSizeX": 250, "PhysicalSizeXUnit": "nm"}}),
        (0, {"ome": True, "metadata": {"PhysicalSizeX": 0.25, "PhysicalSizeXUnit": "pixel"}}),
        (0.25, {"ome": True, "metadata": {}} | PER_CM),
        (0.252, {"description": APERIO.format("0.2520"), "metadata": None}),
        (0.252, {"description": APERIO.format("0,2520"), "metadata": None}),
    ],
)
def test_an_image_says_the_size_of_its_pixels(tmp_path, expected, tags):
    pixels, path = np.full((32, 40, 3), 200, np.uint8), tmp_path / "a.tif"
    tifffile.imwrite(path, pixels, photometric="rgb", **tags)
    assert said_um_per_px(path) == pytest.approx(expected)
    assert other_size(path, 1.2 * expected) == other_size(path, 0) == []
    assert bool(other_size(path, 2 * expected)) is bool(expected)


def test_what_is_no_tiff_or_not_there_says_nothing(tmp_path):
    made_slides.picture(0).save(tmp_path / "a.png", dpi=(25_400, 25_400))
    assert said_um_per_px(tmp_path / "a.png") == said_um_per_px(tmp_path / "none.tif") == 0


@pytest.mark.parametrize(("um_per_px", "expected"), [(2.5, []), (1.25, ["2.5 um"])])
def test_an_image_of_another_size_is_told_of_when_slides_are_added(tmp_path, um_per_px, expected):
    for seed, name in enumerate(("T1", "T2")):
        made_slides.space_ranger(tmp_path / name, seed=seed)
        said = {"resolution": (10_000 / um_per_px,) * 2, "resolutionunit": "CENTIMETER"}
        pixels = np.asarray(made_slides.picture(seed))
        tifffile.imwrite(tmp_path / f"{name}.tif", pixels, photometric="rgb", **said)
    path, told = tmp_path / "own.yaml", []
    path.write_text(
        "name: own\nformat: space_ranger\norganism: human\nsplit: {train: [T1], test: [T2]}\n"
        "slides:\n  T1: {path: T1, image: T1.tif}\n  T2: {path: T2}\n"
    )
    add_description(path, tmp_path / "data", tell=told.append)
    told = [line for line in told if "says of itself" in line]
    assert len(told) == len(expected)
    for line, size in zip(told, expected, strict=True):
        assert line.startswith("Slide 'T1': The image T1.tif says of itself")
        assert "a pixel measures 1.25 um" in line and f"it measures {size}" in line
