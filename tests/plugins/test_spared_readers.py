"""The readers of SpaRED's sources: what is wrong with a slide's files is said by name."""

from __future__ import annotations

import numpy as np
import pytest

from spared_bench.data import validate_raw_slide
from spared_bench.errors import CoordinateError, CountsError, ImageError, MissingFileError
from spared_bench_plugins.datasets.spared import erickson, mirzazadeh, parigi, slide_folder
from tests import upstream

SLIDE = "V10F24-015_A1"


def write(folder, files):
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    return folder


@pytest.fixture
def abalo(tmp_path):
    files = upstream.space_ranger(SLIDE, "human", prefix=f"{SLIDE}/")
    files[f"{SLIDE}/any name.JPG"] = upstream.image(upstream.painting(), ".jpg")
    return write(tmp_path, files)


def gunzipped(archive):
    import gzip
    import io
    import tarfile

    with tarfile.open(fileobj=io.BytesIO(archive)) as packed:
        return {
            member.name.removesuffix(".gz"): gzip.decompress(packed.extractfile(member).read())
            for member in packed
        }


@pytest.fixture
def pmi(tmp_path):
    (archive,) = upstream.parigi({"A1_S1": ("mouse", "")}, None).values()
    return write(tmp_path, gunzipped(archive))


def test_the_image_may_have_any_name_but_must_be_the_only_one(abalo):
    slide = slide_folder.read_slide(abalo, SLIDE)
    assert slide.uns["slide"]["image_path"].endswith("any name.JPG")
    (abalo / SLIDE / "other.tif").touch()
    with pytest.raises(ImageError, match=r"Expected one image of slide .*, found 2: any name\.JPG"):
        slide_folder.read_slide(abalo, SLIDE)
    for image in ("any name.JPG", "other.tif"):
        (abalo / SLIDE / image).unlink()
    with pytest.raises(
        ImageError, match=r"no image of slide V10F24-015_A1.*`spared-bench data ver"
    ):
        slide_folder.read_slide(abalo, SLIDE)


def test_a_truncated_matrix_is_told_from_a_missing_one(abalo):
    path = abalo / SLIDE / "filtered_feature_bc_matrix.h5"
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(CountsError, match="damaged, incomplete or of another format"):
        slide_folder.read_slide(abalo, SLIDE)
    path.unlink()
    with pytest.raises(MissingFileError, match="There are no counts"):
        slide_folder.read_slide(abalo, SLIDE)


def test_a_slide_that_an_archive_does_not_hold_is_named(tmp_path):
    with pytest.raises(MissingFileError, match="no Space Ranger output of slide V10S29-134_A1"):
        mirzazadeh.read_slide(tmp_path, "V10S29-134_A1")
    with pytest.raises(MissingFileError, match=r"no folder of P2_V1-1 below .*Patient 2"):
        erickson.read_slide(tmp_path, "P2_V1-1")


def test_sections_are_not_taken_for_one_another(tmp_path):
    for name in ("H1_2", "H1_21", "x_H1_2.jpg", "H11_2"):
        (tmp_path / name).touch()
    found = sorted(path.name for path in erickson._of("P1_H1-2", tmp_path))
    assert found == ["H1_2", "x_H1_2.jpg"]


def test_normalised_values_are_read_by_barcode(pmi):
    slide = parigi.read_slide(pmi, "A1_S1")
    np.testing.assert_allclose(slide.X.toarray(), upstream.counts("A1_S1") / 3, atol=1e-4)
    np.testing.assert_allclose(slide.obsm["spatial"], upstream.CENTRES, atol=0.5)
    assert "normalised by the source" in slide.uns["slide"]["repairs"][-1]


def test_normalised_values_need_to_be_declared(pmi):
    slide = parigi.read_slide(pmi, "A1_S1")
    validate_raw_slide(slide, "A1_S1", raw_counts=False)
    with pytest.raises(CountsError, match="holds fractions"):
        validate_raw_slide(slide, "A1_S1")
    slide.X = slide.X * -1
    with pytest.raises(CountsError, match="declared to be normalised, which may leave fractions"):
        validate_raw_slide(slide, "A1_S1", raw_counts=False)


def test_symbols_that_stand_twice_are_dropped(pmi):
    path = next(pmi.glob("*normalized_data.tsv"))
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines, lines[1]]))
    slide = parigi.read_slide(pmi, "A1_S1")
    assert slide.n_vars == 29
    assert lines[1].partition("\t")[0] not in slide.var_names


def test_damaged_values_and_unknown_barcodes_are_refused(pmi):
    path = next(pmi.glob("*normalized_data.tsv"))
    text = path.read_text()
    path.write_text(text.replace("ACGT", "GGGG"))
    with pytest.raises(CoordinateError, match=r"42 of 42 barcodes .* have no position: 'GGGG00-1'"):
        parigi.read_slide(pmi, "A1_S1")
    path.write_text(text[: len(text) // 2])
    with pytest.raises(CountsError, match="are not all finite"):
        parigi.read_slide(pmi, "A1_S1")
    path.unlink()
    with pytest.raises(MissingFileError, match=r"no normalized_data\.tsv below"):
        parigi.read_slide(pmi, "A1_S1")
