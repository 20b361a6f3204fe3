"""Datasets of the field beside the 26: their splits, and slides made in their layouts."""

from __future__ import annotations

import gzip
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from spared_bench.data import validate_raw_slide
from spared_bench.errors import CoordinateError, MissingFileError
from spared_bench_plugins.datasets.dlpfc import DLPFC
from spared_bench_plugins.datasets.dlpfc import read_section as read_dlpfc
from spared_bench_plugins.datasets.mob_stahl import MOB_STAHL
from spared_bench_plugins.datasets.mob_stahl import read_section as read_stahl
from spared_bench_plugins.datasets.stnet import STNET
from spared_bench_plugins.datasets.stnet import read_section as read_stnet
from spared_bench_plugins.datasets.visium_breast import VISIUM_BREAST, read_sample
from tests import made_slides


def test_stnet_has_68_sections_of_23_patients_split_15_4_4():
    assert len(STNET.slides) == 68
    patients = {slide.slide_id: slide.patient_id for slide in STNET.slides}
    assert len(set(patients.values())) == 23
    sizes = {part: len({patients[s] for s in ids}) for part, ids in STNET.split.items()}
    assert sizes == {"train": 15, "val": 4, "test": 4}
    assert sum(len(ids) for ids in STNET.split.values()) == 68
    assert STNET.tier == "A"
    assert set(Counter(patients.values()).values()) == {2, 3}


def test_dlpfc_has_12_sections_of_three_donors_and_tests_on_one_of_them():
    assert len(DLPFC.slides) == 12
    assert set(Counter(slide.patient_id for slide in DLPFC.slides).values()) == {4}
    assert DLPFC.tier == "A"
    assert [fold.tier for fold in DLPFC.fold_specs("donor")] == ["A", "A", "A"]


def test_visium_breast_tests_on_the_samples_of_another_laboratory():
    sizes = {part: len(samples) for part, samples in VISIUM_BREAST.split.items()}
    assert sizes == {"train": 4, "val": 2, "test": 3}
    assert VISIUM_BREAST.tier == "A"
    tiers = {fold.name: fold.tier for fold in VISIUM_BREAST.fold_specs("loso")}
    two_sections = {"visium_breast.loso-block1", "visium_breast.loso-block2"}
    assert {name for name, tier in tiers.items() if tier == "B"} == two_sections


def test_visium_samples_are_read_at_full_resolution_where_the_image_is_there(tmp_path):
    for read, slide_id, image in (
        (read_dlpfc, "151507", "151507_full_image.tif"),
        (read_sample, "CID4465", "image.tif"),
    ):
        folder = made_slides.space_ranger(tmp_path / slide_id, prefix=f"{slide_id}_")
        slide = read(tmp_path, slide_id)
        validate_raw_slide(slide, slide_id)
        assert slide.uns["slide"]["image_path"].endswith("tissue_hires_image.png")
        made_slides.picture(1).save(folder / image)
        assert read(tmp_path, slide_id).uns["slide"]["image_path"] == str(folder / image)


def test_the_layers_of_dlpfc_are_those_of_the_authors_map_for_that_section(tmp_path):
    made_slides.space_ranger(tmp_path / "151507", prefix="151507_")
    assert "label" not in read_dlpfc(tmp_path, "151507").obs
    lines = [
        "AAAC0003-1\t151507\tL1",
        "AAAC0004-1\t151508\tL4",  # of another section
        "AAAC0005-1\t151507\tWM",
        "AAAC0006-1\t151507\tNA",
    ]
    (tmp_path / "barcode_level_layer_map.tsv").write_text("\n".join(lines) + "\n")
    slide = read_dlpfc(tmp_path, "151507")
    validate_raw_slide(slide, "151507", classes=DLPFC.classes)
    labels = slide.obs["label"]
    assert labels[labels != ""].to_dict() == {"AAAC0003-1": "L1", "AAAC0005-1": "WM"}


@pytest.fixture
def stnet(tmp_path):
    """The archive as it unpacks, with one section."""
    names = made_slides.st_table(tmp_path / "BC23209_C1.tsv.gz", seed=5)
    places = pd.DataFrame(made_slides.st_pixels(names), index=names, columns=["X", "Y"])
    (tmp_path / "spots_BC23209_C1.csv.gz").write_bytes(gzip.compress(places.to_csv().encode()))
    made_slides.picture(5).save(tmp_path / "HE_BC23209_C1.jpg")
    row = {
        "patient": "BC23209",
        "replicate": "C1",
        "count_matrix": "BC23209_C1.tsv.gz",
        "spot_coordinates": "spots_BC23209_C1.csv.gz",
        "histology_image": "HE_BC23209_C1.jpg",
    }
    pd.DataFrame([row]).to_csv(tmp_path / "metadata.csv", index=False)
    return tmp_path


def test_a_section_of_stnet_is_read_by_the_names_in_its_metadata(stnet):
    slide = read_stnet(stnet, "BC23209_C1")
    validate_raw_slide(slide, "BC23209_C1")
    np.testing.assert_array_equal(slide.X.toarray(), made_slides.counts(12, 5))
    np.testing.assert_array_equal(
        slide.obsm["spatial"], made_slides.st_pixels(list(slide.obs_names))
    )
    assert slide.uns["slide"]["um_per_px"] == pytest.approx(200 / made_slides.PITCH)
    assert slide.uns["slide"]["image_scale"] == 1


def test_files_sorted_into_folders_are_found_as_well(stnet):
    (stnet / "count_matrix").mkdir()
    packed = stnet / "BC23209_C1.tsv.gz"
    plain = stnet / "count_matrix" / "BC23209_C1.tsv"
    plain.write_bytes(gzip.decompress(packed.read_bytes()))
    packed.unlink()
    assert read_stnet(stnet, "BC23209_C1").n_obs == made_slides.SIDE**2


def test_a_section_of_stnet_that_is_not_there_says_where_it_was_looked_for(stnet):
    with pytest.raises(MissingFileError, match="0 rows of patient BC23209, replicate D1; expected"):
        read_stnet(stnet, "BC23209_D1")
    (stnet / "HE_BC23209_C1.jpg").unlink()
    with pytest.raises(MissingFileError, match=r"histology image .*HE_BC23209_C1\.jpg.*data fetch"):
        read_stnet(stnet, "BC23209_C1")
    (stnet / "metadata.csv").write_text("patient,replicate\n")
    with pytest.raises(MissingFileError, match=r"lacks columns \['count_matrix'"):
        read_stnet(stnet, "BC23209_C1")
    (stnet / "metadata.csv").unlink()
    with pytest.raises(MissingFileError, match="data fetch stnet"):
        read_stnet(stnet, "BC23209_C1")


def test_positions_of_another_form_are_refused(stnet):
    text = "name,X,Y\nspot1,1,2\n"
    (stnet / "spots_BC23209_C1.csv.gz").write_bytes(gzip.compress(text.encode()))
    with pytest.raises(CoordinateError, match=r"columns \['X', 'Y'\] by 'spot1'; expected two"):
        read_stnet(stnet, "BC23209_C1")


def test_the_section_of_stahl_is_placed_by_the_names_of_its_rows(tmp_path):
    names = made_slides.st_table(tmp_path / MOB_STAHL.files[0].path)
    (tmp_path / "images").mkdir()
    Image.new("RGB", (640, 680)).save(tmp_path / MOB_STAHL.files[1].path)
    slide = read_stahl(tmp_path, "11")
    validate_raw_slide(slide, "11")
    x, y = (float(part) for part in names[0].split("x"))
    assert slide.obsm["spatial"][0].tolist() == [(x - 1) * 20, (y - 1) * 20]
    assert slide.uns["slide"]["um_per_px"] == pytest.approx(10)
