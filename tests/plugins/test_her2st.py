"""The HER2+ dataset: the embedded sections, in the layout in which all 36 are published."""

from __future__ import annotations

import gzip
import shutil

import numpy as np
import PIL.Image
import pytest
from scipy.stats import spearmanr

from spared_bench.data import validate_raw_slide
from spared_bench.errors import ContractError, CoordinateError, ImageError
from spared_bench.sources.fetch import dataset_folder
from spared_bench_plugins.datasets import HER2ST, HER2ST_DEMO
from spared_bench_plugins.datasets.her2st import read_section

EMBEDDED = dataset_folder(HER2ST_DEMO, None)


@pytest.fixture
def upstream(tmp_path):
    """Copy the repository's layout, with C2 as the only section."""
    for name in ("data/ST-cnts/C2.tsv.gz", "data/ST-spotfiles/C2_selection.tsv"):
        (tmp_path / name).parent.mkdir(parents=True)
        shutil.copyfile(EMBEDDED / name, tmp_path / name)
    (tmp_path / "data/ST-imgs/C/C2").mkdir(parents=True)
    (image,) = (EMBEDDED / "data/ST-imgs/C/C2").iterdir()
    shutil.copyfile(image, tmp_path / "data/ST-imgs/C/C2/any name 7.JPG")
    return tmp_path


def test_the_embedded_sections_are_as_published():
    spots = {"C2": (187, 15_706), "C3": (180, 15_821), "C4": (184, 15_842)}
    medians = {"C2": 8_508, "C3": 9_549, "C4": 10_190}  # UMI per spot
    for slide in HER2ST_DEMO.slides:
        section = read_section(EMBEDDED, slide.slide_id)
        validate_raw_slide(section, slide.slide_id)
        assert section.shape == spots[slide.slide_id]
        assert np.median(np.asarray(section.X.sum(axis=1))) == pytest.approx(
            medians[slide.slide_id], abs=1
        )


def test_counts_are_those_of_the_file():
    with gzip.open(EMBEDDED / "data/ST-cnts/C3.tsv.gz", "rt") as file:
        genes = file.readline().rstrip("\n").split("\t")[1:]
        name, *values = file.readline().rstrip("\n").split("\t")
    section = read_section(EMBEDDED, "C3")
    assert list(section.var_names) == genes
    np.testing.assert_array_equal(
        section[name].X.toarray().ravel(), np.array(values, dtype=np.float32)
    )


def test_a_quarter_of_the_image_is_known_for_what_it_is():
    facts = read_section(EMBEDDED, "C2").uns["slide"]
    assert facts["image_scale"] == pytest.approx(0.25, rel=1e-3)
    assert facts["um_per_px"] == pytest.approx(0.69, rel=0.01)
    assert facts["spot_diameter_px"] == pytest.approx(100 / facts["um_per_px"])


def test_dark_spots_are_rich_in_rna_unless_the_image_is_mirrored():
    section = read_section(EMBEDDED, "C2")  # the least symmetric of the three
    facts = section.uns["slide"]
    # Haematoxylin takes away red light.
    light = np.asarray(PIL.Image.open(facts["image_path"]))[..., 0].astype(float)
    x, y = (section.obsm["spatial"] * facts["image_scale"]).astype(int).T
    counts = np.asarray(section.X.sum(axis=1)).ravel()

    def agreement(image):
        spots = [image[b - 15 : b + 15, a - 15 : a + 15].mean() for a, b in zip(x, y, strict=True)]
        return -spearmanr(spots, counts).statistic

    assert agreement(light) > 0.4
    assert max(agreement(np.flip(light, axis)) for axis in (0, 1)) < 0.25


def test_the_upstream_layout_is_read_whatever_the_image_is_called(upstream):
    section = read_section(upstream, "C2")
    assert section.uns["slide"]["image_path"].endswith("any name 7.JPG")
    np.testing.assert_array_equal(section.X.toarray(), read_section(EMBEDDED, "C2").X.toarray())


def test_the_viewers_picture_stands_in_for_a_missing_image(upstream):
    shutil.rmtree(upstream / "data/ST-imgs")
    viewer = upstream / "app/www/imgs/C2_HE_image_dark.png"
    viewer.parent.mkdir(parents=True)
    PIL.Image.new("RGB", (2000, 2138)).save(viewer)
    facts = read_section(upstream, "C2").uns["slide"]
    assert facts["image_path"] == str(viewer)
    assert facts["image_scale"] == pytest.approx(2000 / 9274, abs=1e-6)


def test_a_section_without_an_image_says_where_it_was_looked_for(upstream):
    shutil.rmtree(upstream / "data/ST-imgs")
    with pytest.raises(ImageError, match=r"C2 has no image: .*ST-imgs/C/C2 and for .*dark\.png"):
        read_section(upstream, "C2")


def test_a_section_with_two_images_is_refused(upstream):
    (upstream / "data/ST-imgs/C/C2/other.png").touch()
    with pytest.raises(ImageError, match=r"has 2 images in .*'other\.png'"):
        read_section(upstream, "C2")


def test_a_section_without_a_spot_table_has_no_coordinates(upstream):
    (upstream / "data/ST-spotfiles/C2_selection.tsv").unlink()
    with pytest.raises(CoordinateError, match=r"C2_selection\.tsv, so the spots have no coord"):
        read_section(upstream, "C2")


def test_all_sections_are_split_by_patient():
    patients = {slide.slide_id: slide.patient_id for slide in HER2ST.slides}
    assert len(patients) == 36
    assert sum(map(len, HER2ST.split.values())) == 36
    of_split = {name: {patients[s] for s in ids} for name, ids in HER2ST.split.items()}
    assert of_split == {"train": set("ABCDEF"), "val": {"G"}, "test": {"H"}}
    assert HER2ST.tier == "A"
    assert HER2ST_DEMO.tier == "B"


def label_file(folder, lines):
    path = folder / "data/ST-pat/lbl/C2_labeled_coordinates.tsv"
    path.parent.mkdir(parents=True)
    header = "Row.names\tx\ty\tpixel_x\tpixel_y\tlabel"
    path.write_text("\n".join([header, *lines]) + "\n")
    return path


def test_labels_are_joined_by_rounded_positions_and_not_by_their_pixels(upstream):
    names = list(read_section(upstream, "C2").obs_names)
    told = {names[3]: "invasive cancer", names[7]: "undetermined", names[9]: "breast glands"}
    lines = []
    for name, label in told.items():
        x, y = map(int, name.split("x"))
        lines.append(f"7x8\t{x - 0.31}\t{y + 0.28}\t7\t8\t{label}")
    label_file(upstream, [*lines, "1x1\t1.0\t1.0\t1\t1\tconnective tissue"])  # no such spot

    section = read_section(upstream, "C2")

    validate_raw_slide(section, "C2", classes=HER2ST.classes)
    labels = section.obs["label"]
    assert labels[labels != ""].to_dict() == told
    np.testing.assert_array_equal(section.X.toarray(), read_section(EMBEDDED, "C2").X.toarray())


def test_a_section_nobody_labelled_has_no_labels_and_the_demo_declares_no_classes():
    assert "label" not in read_section(EMBEDDED, "C2").obs
    assert len(HER2ST.classes) == 7
    assert HER2ST_DEMO.classes == ()


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["1\tleft\t2\t0\t0\tbreast glands"], "x and y must be numbers"),
        (["1\t90\t90\t0\t0\tbreast glands"], r"labels 1 spot, '90x90' .* none of them"),
        (["1\t9\t9\t0\t0\ta", "1\t9.2\t9\t0\t0\tb"], "labels spot '9x9' twice"),
    ],
)
def test_a_table_of_labels_that_cannot_be_is_refused(upstream, lines, message):
    label_file(upstream, lines)
    with pytest.raises(ContractError, match=message):
        read_section(upstream, "C2")
