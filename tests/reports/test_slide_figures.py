"""Pictures of slides: the file is there, the spots are where they belong, names are found."""

from __future__ import annotations

import re
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import PIL.Image
import pytest
from matplotlib.figure import Figure
from scipy import sparse

import spared_bench
from spared_bench.errors import UnknownNameError
from spared_bench.registration import register
from spared_bench.reports.aligned_figures import draw_aligned
from spared_bench.reports.slide_figures import draw_slide, draw_slides, spot_values


@pytest.fixture
def slide(tmp_path, rng):
    PIL.Image.new("RGB", (100, 80), "pink").save(tmp_path / "image.png")
    counts = sparse.csr_matrix(rng.poisson(3, size=(6, 3)).astype(np.float32))
    symbols = pd.DataFrame({"gene_name": ["ERBB2", "MUC1", "MUC1"]}, index=["E1", "E2", "E3"])
    slide = ad.AnnData(counts, var=symbols)
    slide.obsm["spatial"] = np.array([(x, y) for x in (40.0, 80, 120) for y in (40.0, 80)])
    slide.uns["slide"] = {
        "image_path": str(tmp_path / "image.png"),
        "image_scale": 0.5,
        "spot_diameter_px": 24.0,
        "um_per_px": 2.0,
    }
    return slide


def test_every_slide_becomes_a_picture(slide, tmp_path):
    paths = draw_slides({"a/1": slide, "b": slide}, tmp_path / "out", dataset="toy")
    assert [path.name for path in paths] == ["toy_a_1.png", "toy_b.png"]
    for path in paths:
        with PIL.Image.open(path) as picture:
            assert min(picture.size) > 400
            assert len(picture.convert("RGB").getcolors(1 << 24)) > 10


def test_a_picture_that_cannot_be_written_whole_leaves_the_one_of_before(
    slide, tmp_path, monkeypatch
):
    (path,) = draw_slides({"a": slide}, tmp_path / "out")
    before = path.read_bytes()

    def fill_the_disk(_, place, **options):
        Path(place).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Figure, "savefig", fill_the_disk)
    with pytest.raises(OSError, match="No space"):
        draw_slides({"a": slide}, tmp_path / "out")
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_no_picture_for_people_is_written_in_its_place():
    root = Path(spared_bench.__file__).parent
    saving = {
        path.relative_to(root).as_posix()
        for path in root.rglob("*.py")
        if re.search(r"\.savefig\(", path.read_text(encoding="utf-8"))
    }
    in_entries = {"reports/calibration.py", "reports/expression_map.py"}
    in_memory = {"reports/dataset_figures.py", "scverse/figures.py"}
    assert saving == {"reports/saved_figures.py", *in_entries, *in_memory}


def test_circles_lie_on_the_image_with_the_size_of_a_spot(slide):
    figure = draw_slide(slide, spot_values(slide, None), "toy", "total counts")
    axes = figure.axes[0]
    (circles,) = axes.collections
    np.testing.assert_allclose(circles.get_offsets(), slide.obsm["spatial"] * 0.5)
    assert circles.get_widths() == pytest.approx(12)
    assert axes.images[0].get_extent() == [0, 100, 80, 0]
    assert axes.get_ylim()[0] > axes.get_ylim()[1]  # rows go down, as in the image
    assert axes.get_title() == "toy: 6 spots, 3 genes"


def test_a_slide_without_an_image_is_drawn_all_the_same(slide, tmp_path):
    slide.uns["slide"]["image_path"] = ""
    (path,) = draw_slides({"a": slide}, tmp_path / "out")
    assert path.is_file()


def test_names_of_others_are_shown_as_they_are_and_not_as_mathematics(slide, tmp_path):
    odd = r"a$\x$"  # which matplotlib would refuse
    slide.var["gene_name"] = [odd, "MUC1", "MUC1"]
    (path,) = draw_slides({odd: slide}, tmp_path / "out", colour=odd)
    assert path.is_file()
    found = register({odd: slide, "b": slide}, "none")
    (path,) = draw_aligned({odd: slide, "b": slide}, found, tmp_path / "out", "sample")
    assert path.is_file()


def test_a_slide_without_any_count_is_drawn_all_the_same(slide, tmp_path):
    slide.X = slide.X * 0
    (path,) = draw_slides({"a": slide}, tmp_path / "out")
    assert path.is_file()


def test_colours_are_totals_or_a_gene_by_symbol_or_id(slide):
    counts = slide.X.toarray()
    np.testing.assert_array_equal(spot_values(slide, None), counts.sum(axis=1))
    np.testing.assert_array_equal(spot_values(slide, "erbb2"), counts[:, 0])
    np.testing.assert_array_equal(spot_values(slide, "E2"), counts[:, 1])
    np.testing.assert_array_equal(spot_values(slide, "MUC1"), counts[:, 1] + counts[:, 2])


def test_an_unknown_gene_suggests_the_nearest_and_draws_nothing(slide, tmp_path):
    with pytest.raises(UnknownNameError, match=r"No gene is named 'ERBB3'\. Did you mean 'ERBB2'"):
        draw_slides({"a": slide}, tmp_path / "out", "ERBB3")
    assert not (tmp_path / "out").exists()


def test_a_name_like_no_gene_is_answered_with_examples(slide):
    with pytest.raises(UnknownNameError, match=r"Known genes: .*of 3; symbols and ids both work"):
        spot_values(slide, "zzzzzz")
