"""HEST: samples and tasks as datasets, and its probe, on a made-up task in its exact layout."""

import csv
import json
from functools import cache
from importlib.resources import files

import h5py
import numpy as np
import pytest
from anndata import read_h5ad
from PIL import Image
from scipy.sparse.linalg import lsqr
from scipy.stats import pearsonr
from typer.testing import CliRunner

from spared_bench import api
from spared_bench.cli import app
from spared_bench.data import Patches
from spared_bench.data.views import View
from spared_bench.errors import (
    ContractError,
    CoordinateError,
    CountsError,
    DataError,
    ImageError,
    MissingFileError,
    SplitError,
    UsageError,
    ViewError,
)
from spared_bench.inference.shifted import predict_shifted
from spared_bench.models.encoders import ColorEncoder
from spared_bench.planning.forecast import forecast
from spared_bench.processing.given import GIVEN_UM, write_given
from spared_bench.readers.hest import read_gene_list, read_hest
from spared_bench.readers.lattice import nearest_px
from spared_bench.registry import discover
from spared_bench.sources.hest import read_task, tasks_in
from spared_bench.sources.hest_added import add_hest
from spared_bench.store.trials import PREDICTIONS, TRIALS
from spared_bench.testing.hest import GENES, make_sample, make_task
from spared_bench.trials.views import check_slides
from spared_bench_plugins.datasets.hest import hest_tasks

N_COMPONENTS = 12
#: Of the made-up task: one sample each.
FOLDS = {"0": ("S1",), "1": ("S2",), "2": ("S3",)}


@pytest.fixture(scope="module")
def task(tmp_path_factory):
    return make_task(tmp_path_factory.mktemp("bench") / "MADE", side=32)


@pytest.fixture(scope="module")
def example(tmp_path_factory):
    """The task of the command line, whose patches have HEST's 224 px, and what the command said."""
    folder = tmp_path_factory.mktemp("full") / "Made"
    return folder, CliRunner().invoke(app, ["data", "example", str(folder)])


@pytest.fixture
def own_task(tmp_path):
    return make_task(tmp_path / "MADE", ("S1", "S2"), side=32)


def test_a_sample_is_joined_by_barcode_in_the_order_of_its_patches(task):
    slide = read_hest(task / "adata" / "S1.h5ad", task / "patches" / "S1.h5", organism="human")

    with h5py.File(task / "patches" / "S1.h5") as file:
        names = [name.decode() for name in file["barcode"][:].ravel()]
    raw = read_h5ad(task / "adata" / "S1.h5ad")
    assert list(slide.obs_names) == names
    np.testing.assert_array_equal(
        slide[:, "KRT8"].X.toarray().ravel(), np.asarray(raw[names, "KRT8"].X).ravel()
    )
    np.testing.assert_array_equal(slide.obsm["spatial"], raw[names].obsm["spatial"])
    assert slide.uns["slide"]["um_per_px"] == pytest.approx(0.25)


def test_what_a_sample_says_of_the_tissue_is_not_used_and_told(own_task):
    path = own_task / "adata" / "S1.h5ad"
    raw = read_h5ad(path)
    raw.obs["in_tissue"] = raw.obs["is_tissue"] = [0] * 40 + [1] * (raw.n_obs - 40)
    raw.write_h5ad(path)
    slide = read_hest(path, own_task / "patches" / "S1.h5")
    beside = int(np.isin(slide.obs_names, raw.obs_names[:40]).sum())
    told = [note for note in slide.uns["slide"]["repairs"] if "tissue" in note]
    assert [note.split(" beside")[0] for note in told] == [
        f"Column {name!r} calls {beside} of 134 spots" for name in ("in_tissue", "is_tissue")
    ]
    assert all("in HEST such a column can be left over" in note for note in told)


def test_barcodes_with_letters_that_nobody_sees_are_joined_as_before(own_task):
    path = own_task / "adata" / "S1.h5ad"
    before = read_hest(path, own_task / "patches" / "S1.h5")
    raw = read_h5ad(path)
    raw.obs_names = [f"{name}\u2060" for name in raw.obs_names]
    raw.write_h5ad(path)
    after = read_hest(path, own_task / "patches" / "S1.h5")
    assert list(after.obs_names) == list(before.obs_names)
    assert any("Letters that cannot be seen" in note for note in after.uns["slide"]["repairs"])


def test_metadata_with_bare_nan_says_the_size_of_a_pixel(task, tmp_path):
    told = tmp_path / "S1.json"
    told.write_text('{"pixel_size_um_estimated": 0.2737, "pixel_size_um_embedded": NaN}')
    slide = read_hest(task / "adata" / "S1.h5ad", task / "patches" / "S1.h5", metadata=told)
    assert slide.uns["slide"]["um_per_px"] == 0.2737


def test_the_thumbnail_is_shown_where_there_is_no_slide(task, tmp_path):
    slide = read_hest(task / "adata" / "S1.h5ad", task / "patches" / "S1.h5", exports=tmp_path)
    assert slide.uns["slide"]["image_path"].startswith(str(tmp_path))
    assert slide.uns["slide"]["image_scale"] == pytest.approx(300 / 5400)


def test_a_thumbnail_of_unknown_scale_is_told(own_task, tmp_path):
    path = own_task / "adata" / "S1.h5ad"
    raw = read_h5ad(path)
    del raw.uns["spatial"]["ST"]["scalefactors"]["tissue_downscaled_fullres_scalef"]
    raw.write_h5ad(path)
    slide = read_hest(path, own_task / "patches" / "S1.h5", exports=tmp_path)
    assert slide.uns["slide"]["image_path"] == ""
    assert any("was not used: its scale is unknown" in n for n in slide.uns["slide"]["repairs"])


@pytest.mark.parametrize("told", ["112 px", True, [1.0, 2.0]])
def test_a_size_of_spots_that_is_no_number_is_refused(own_task, told):
    path = own_task / "adata" / "S1.h5ad"
    raw = read_h5ad(path)
    factors = raw.uns["spatial"]["ST"]["scalefactors"]
    size = factors["spot_diameter_fullres"]
    factors["spot_diameter_fullres"] = np.array(told) if isinstance(told, list) else told
    raw.write_h5ad(path)
    with pytest.raises(ContractError, match="does not say how large a spot is"):
        read_hest(path, own_task / "patches" / "S1.h5")
    factors["spot_diameter_fullres"] = np.array([size])
    raw.write_h5ad(path)
    found = read_hest(path, own_task / "patches" / "S1.h5")
    assert found.uns["slide"]["spot_diameter_px"] == pytest.approx(float(size))


@pytest.mark.parametrize(
    ("width", "height", "told"),
    [(5400, 5400, ""), (2700, 2700, "2700 x 2700"), (5100, 5400, "5100 x 5400")],
)
def test_a_slide_is_as_large_as_the_thumbnail_of_its_sample_says(
    task, tmp_path, width, height, told
):
    image = tmp_path / "S1.png"
    Image.new("RGB", (width, height), (180, 120, 170)).save(image)
    if told:
        with pytest.raises(ImageError, match=rf"is {told} pixels, but .* 5400 x 5400"):
            read_hest(task / "adata" / "S1.h5ad", image=image, um_per_px=0.25)
        return
    slide = read_hest(task / "adata" / "S1.h5ad", image=image, um_per_px=0.25)
    assert slide.uns["slide"]["image_path"] == str(image)


@pytest.mark.parametrize("um_per_px", [0.001, 2.5])
def test_a_pixel_of_which_no_spot_is_made_is_refused(task, um_per_px):
    with pytest.raises(ContractError, match="contradict each other"):
        read_hest(task / "adata" / "S1.h5ad", task / "patches" / "S1.h5", um_per_px=um_per_px)


@pytest.mark.parametrize(
    ("given", "in_metadata", "in_patches", "expected"),
    [
        (0.5, 0.9, None, r"`um_per_px` \(0\.5\) contradicts 'pixel_size_um_estimated'"),
        (0.0, 0.9, 0.25, r"estimated' of .*json \(0\.9\) contradicts 'pixel_size'"),
        (0.5, None, 0.25, r"`um_per_px` \(0\.5\) contradicts 'pixel_size' of .*S1\.h5 \(0\.25\)"),
        (0.26, 0.25, 0.27, 0.26),
        (0.0, None, 0.27, 0.27),
        (0.0, True, None, r"does not say `pixel_size_um_estimated` as a number"),
    ],
)
def test_all_that_tell_the_size_of_a_pixel_agree(
    own_task, tmp_path, given, in_metadata, in_patches, expected
):
    metadata, patches = tmp_path / "m.json", own_task / "patches" / "S1.h5"
    if in_metadata is not None:
        metadata.write_text(json.dumps({"pixel_size_um_estimated": in_metadata}))
    if in_patches is not None:
        with h5py.File(patches, "a") as file:
            file["img"].attrs["pixel_size"] = in_patches
    told = {"metadata": metadata if metadata.is_file() else None, "um_per_px": given}
    path = own_task / "adata" / "S1.h5ad"
    if isinstance(expected, float):
        assert read_hest(path, patches, **told).uns["slide"]["um_per_px"] == expected
        return
    with pytest.raises(ContractError, match=expected):
        read_hest(path, patches, **told)


def test_metadata_that_are_named_and_not_there_are_missed(task, tmp_path):
    with pytest.raises(MissingFileError, match=r"no metadata at .*S1\.json"):
        read_hest(task / "adata" / "S1.h5ad", metadata=tmp_path / "S1.json", um_per_px=0.25)


@pytest.mark.parametrize("share", [100 / 58.4, 150 / 110])
def test_spots_that_are_wider_than_their_distance_as_in_samples_of_hest_are_read(own_task, share):
    path = own_task / "adata" / "S1.h5ad"
    raw = read_h5ad(path)
    factors = raw.uns["spatial"]["ST"]["scalefactors"]
    factors["spot_diameter_fullres"] = share * nearest_px(raw.obsm["spatial"])
    raw.write_h5ad(path)
    assert read_hest(path, own_task / "patches" / "S1.h5").n_obs


@pytest.mark.parametrize(
    ("factor", "told"),
    [(0.2, "they overlap"), (30, "they are specks"), (0, "exactly where another one lies")],
)
def test_coordinates_of_another_scale_than_the_spots_are_refused(own_task, factor, told):
    path = own_task / "adata" / "S1.h5ad"
    raw = read_h5ad(path)
    raw.obsm["spatial"] = raw.obsm["spatial"] * factor
    raw.write_h5ad(path)
    with pytest.raises(CoordinateError, match=told):
        read_hest(path, own_task / "patches" / "S1.h5")


def test_patches_and_their_middles_are_what_methods_see(task, tmp_path):
    slide = read_hest(task / "adata" / "S1.h5ad", task / "patches" / "S1.h5")
    with h5py.File(task / "patches" / "S1.h5") as file:
        images = file["img"][:]
    write_given(slide, View(um=112, size=32), True, tmp_path / "whole.npy")
    write_given(slide, View(um=56, size=16), True, tmp_path / "middle.npy")

    np.testing.assert_array_equal(np.load(tmp_path / "whole.npy"), images)
    np.testing.assert_array_equal(np.load(tmp_path / "middle.npy"), images[:, 8:24, 8:24])
    with pytest.raises(ViewError, match="patches of 112 µm and no image"):
        write_given(slide, View(um=200, size=32), True, tmp_path / "wide.npy")
    with pytest.raises(ViewError, match="need the image"):
        write_given(slide, View(um=50, size=32, tiles=3), True, tmp_path / "tiles.npy")


def test_a_window_that_only_the_slide_beside_the_patches_holds_says_how_it_is_cut(task, tmp_path):
    whole = tmp_path / "S1.tif"
    Image.new("RGB", (5400, 5400)).save(whole)
    slide = read_hest(task / "adata" / "S1.h5ad", task / "patches" / "S1.h5", image=whole)
    for view in (View(um=200, size=32), View(um=50, size=32, tiles=3)):
        with pytest.raises(ViewError, match=r"S1\.tif is only looked at.* take `patches` out"):
            check_slides({"S1": slide}, view)


def test_patches_that_were_cut_wider_are_as_wide_as_their_file_says(own_task, tmp_path):
    path = own_task / "patches" / "S1.h5"
    with h5py.File(path, "a") as file:
        images = file["img"][:]
        del file["img"].attrs["patch_size"], file["img"].attrs["factor"]
        # 896 pixels of 0.25 µm; HEST's are 448 of them, or 447 where a pixel is cut off.
        file["img"].attrs.update({"patch_size_src": 896, "pixel_size": 0.25})
    slide = read_hest(own_task / "adata" / "S1.h5ad", path)
    write_given(slide, View(um=112, size=16), True, tmp_path / "middle.npy")
    with h5py.File(path, "a") as file:
        file["img"].attrs["patch_size_src"] = 447
    usual = read_hest(own_task / "adata" / "S1.h5ad", path)

    np.testing.assert_array_equal(np.load(tmp_path / "middle.npy"), images[:, 8:24, 8:24])
    assert slide.uns["slide"][GIVEN_UM] == 224
    assert usual.uns["slide"][GIVEN_UM] == 112


def change(path, **datasets):
    with h5py.File(path, "a") as file:
        for name, values in datasets.items():
            del file[name]
            file[name] = values


@pytest.mark.parametrize(
    ("datasets", "message"),
    [
        ({"barcode": np.array([[b"x"]] * 134)}, "several patches of barcode 'x'"),
        ({"barcode": np.array([[f"q{i}".encode()] for i in range(134)])}, "another sample"),
        ({"barcode": np.array([[b"x"]] * 3)}, "134 patches and 3 barcodes"),
        ({"img": np.zeros((134, 8, 8, 3))}, "of float64; expected"),
    ],
)
def test_patches_that_do_not_match_are_refused(own_task, datasets, message):
    change(own_task / "patches" / "S1.h5", **datasets)
    with pytest.raises(ImageError, match=message):
        read_hest(own_task / "adata" / "S1.h5ad", own_task / "patches" / "S1.h5")


def test_a_file_that_is_no_sample_is_told(own_task):
    (own_task / "patches" / "S1.h5").write_text("no patches")
    with pytest.raises(ImageError, match="is no file of patches"):
        read_hest(own_task / "adata" / "S1.h5ad", own_task / "patches" / "S1.h5")
    with pytest.raises(MissingFileError, match="no patches at"):
        read_hest(own_task / "adata" / "S1.h5ad", own_task / "patches" / "S9.h5")
    adata = read_h5ad(own_task / "adata" / "S2.h5ad")
    del adata.uns["spatial"]["ST"]["scalefactors"]["spot_diameter_fullres"]
    adata.write_h5ad(own_task / "adata" / "S2.h5ad")
    with pytest.raises(ContractError, match="how large a spot is"):
        read_hest(own_task / "adata" / "S2.h5ad", own_task / "patches" / "S2.h5")


@pytest.mark.parametrize(
    "text", ["[]", '{"genes": []}', '{"genes": ["A", "A"]}', "{", "[" * 50_000]
)
def test_a_list_of_genes_that_is_none_is_refused(tmp_path, text):
    (tmp_path / "genes.json").write_text(text)
    with pytest.raises(DataError, match="list"):
        read_gene_list(tmp_path / "genes.json")


def test_a_list_of_genes_that_windows_has_marked_is_read(tmp_path):
    (tmp_path / "genes.json").write_text('{"genes": ["A", "B"]}', encoding="utf-8-sig")
    assert read_gene_list(tmp_path / "genes.json") == ["A", "B"]


def test_a_task_with_a_sample_that_lacks_a_listed_gene_is_told_before_it_is_run(own_task, tmp_path):
    adata = read_h5ad(own_task / "adata" / "S2.h5ad")
    adata[:, adata.var_names != "VIM"].write_h5ad(own_task / "adata" / "S2.h5ad")
    message = r"file of `genes` .* 8 genes, of which 1 is not among the 9 that all slides have: VIM"
    with pytest.raises(CountsError, match=message):
        add_hest(own_task, tmp_path / "data", lambda name: None)


def test_a_task_is_read_with_its_folds(task):
    found = read_task(task)
    assert found.samples == ("S1", "S2", "S3")
    assert found.folds == {"0": ("S1",), "1": ("S2",), "2": ("S3",)}
    assert [each.name for each in tasks_in(task.parent)] == ["MADE"]


def drop(name):
    return lambda task: (task / name).unlink()


def rewrite(text):
    return lambda task: (task / "splits" / "test_0.csv").write_text(text)


@pytest.mark.parametrize(
    ("spoil", "error", "message"),
    [
        (drop("splits/train_1.csv"), MissingFileError, r"train_1\.csv, of fold 1"),
        (drop("splits/test_0.csv"), MissingFileError, r"test_0\.csv, of fold 0"),
        (drop("patches/S2.h5"), MissingFileError, r"patches/S2\.h5"),
        (drop("var_50genes.json"), MissingFileError, "var_50genes"),
        (rewrite("sample_id\nS2\n"), SplitError, "tests it"),
        (rewrite("sample_id\nS7\n"), SplitError, "not of the same"),
        (rewrite("id\nS1\n"), SplitError, "no column sample_id"),
        (rewrite("sample_id\n"), SplitError, "no samples"),
    ],
)
def test_a_broken_task_says_what_is_wrong(own_task, spoil, error, message):
    spoil(own_task)
    with pytest.raises(error, match=message):
        read_task(own_task)


def test_another_folder_is_told_from_one_of_hest(tmp_path):
    (tmp_path / "slides").mkdir()
    with pytest.raises(UsageError, match="not in the layout of HEST"):
        tasks_in(tmp_path)
    with pytest.raises(MissingFileError, match="no folder"):
        tasks_in(tmp_path / "gone")


def test_samples_of_hest_1k_become_one_dataset_with_donors_left_out(tmp_path):
    folder = tmp_path / "hest"
    for seed, sample in enumerate(("A1", "A2", "B1")):
        make_sample(folder, sample, seed, kind="st", side=32)
        (folder / "metadata").mkdir(exist_ok=True)
        facts = {"species": "Homo sapiens", "dataset_title": "T", "patient": sample[0]}
        told = facts | {"pixel_size_um_estimated": 0.25}
        (folder / "metadata" / f"{sample}.json").write_text(json.dumps(told))

    add_hest(folder, tmp_path / "data", lambda name: None)

    spec = discover(data_dir=tmp_path / "data").get("dataset", "hest1k").spec
    assert spec.split == {"train": ("A1", "A2"), "test": ("B1",)}
    assert spec.folds["donor"] == {"0": ("A1", "A2"), "1": ("B1",)}
    assert spec.shared_donors == ()
    add_hest(folder, tmp_path / "data", lambda name: None)  # as after a kill
    make_sample(folder, "C1", 3, kind="st", side=32)
    with pytest.raises(UsageError, match="already"):
        add_hest(folder, tmp_path / "data", lambda name: None)


def test_donors_whose_numbers_a_table_with_blanks_made_floats_are_told_apart(tmp_path):
    folder = tmp_path / "hest"
    (folder / "metadata").mkdir(parents=True)
    for seed, (sample, donor) in enumerate({"A1": 1.0, "A2": 1, "B1": 2.0}.items()):
        make_sample(folder, sample, seed, kind="st", side=32)
        told = {"dataset_title": "T", "patient": donor, "pixel_size_um_estimated": 0.25}
        (folder / "metadata" / f"{sample}.json").write_text(json.dumps(told))

    add_hest(folder, tmp_path / "data", lambda name: None)

    spec = discover(data_dir=tmp_path / "data").get("dataset", "hest1k").spec
    assert spec.folds["donor"] == {"0": ("A1", "A2"), "1": ("B1",)}


def test_samples_of_a_study_that_names_no_donor_are_not_learnt_from_and_tested(tmp_path):
    folder = tmp_path / "hest"
    donors = {"A1": ("T", float("nan")), "A2": ("T", " "), "B1": ("T", "1"), "C1": ("U", "1")}
    (folder / "metadata").mkdir(parents=True)
    for seed, (sample, (study, donor)) in enumerate(donors.items()):
        make_sample(folder, sample, seed, kind="st", side=32)
        told = {"dataset_title": study, "patient": donor, "pixel_size_um_estimated": 0.25}
        (folder / "metadata" / f"{sample}.json").write_text(json.dumps(told))

    told = add_hest(folder, tmp_path / "data", lambda name: None)

    spec = discover(data_dir=tmp_path / "data").get("dataset", "hest1k").spec
    assert sorted(spec.folds["donor"].values()) == [("A1", "A2"), ("B1",), ("C1",)]
    assert "name no donor of 2 samples" in told["hest1k"]
    for sample in ("B1", "C1"):
        (folder / "st" / f"{sample}.h5ad").unlink()
    with pytest.raises(UsageError, match=r"of 1 donor \(T / donor not said, by study"):
        add_hest(folder, tmp_path / "more", lambda name: None)


def test_tasks_that_are_registered_are_used_from_where_they_are(task, tmp_path):
    told = add_hest(task.parent, tmp_path / "data", {"hest_made": FOLDS}.get)
    assert (tmp_path / "data" / "hest-bench").resolve() == task.parent
    assert told["hest_made"].startswith("3 samples, 3 folds")
    other = tmp_path / "other" / "MADE"
    make_task(other, side=32)
    with pytest.raises(UsageError, match="already"):
        add_hest(other.parent, tmp_path / "data", {"hest_made": FOLDS}.get)


@pytest.mark.parametrize(
    ("folds", "message"),
    [
        (FOLDS | {"0": ("S2",), "1": ("S1",)}, "Fold 0 of .*MADE tests S1, and .* tests S2,"),
        (FOLDS | {"3": ("S4",)}, "Fold 3 of .*MADE tests nothing, and .* tests S4,"),
    ],
    ids=["exchanged", "another sample"],
)
def test_a_task_with_other_folds_than_the_registered_one_is_not_scored_by_those(
    task, tmp_path, folds, message
):
    with pytest.raises(SplitError, match=message):
        add_hest(task, tmp_path / "data", {"hest_made": folds}.get)
    assert not (tmp_path / "data").exists()


def test_a_folder_named_like_a_published_task_is_held_against_its_folds(tmp_path):
    make_task(tmp_path / "SKCM", ("TENX115", "TENX117"), side=32)
    added = CliRunner().invoke(
        app, ["data", "add", "--hest", f"{tmp_path / 'SKCM'}", "--data-dir", f"{tmp_path / 'data'}"]
    )
    # The published fold 0 tests TENX117; this one tests the first of the two.
    assert isinstance(added.exception, SplitError)
    assert "tests TENX115, and that of the registered dataset 'hest_skcm'" in str(added.exception)


def test_the_ten_tasks_have_the_published_samples_and_folds():
    tasks = {spec.name: spec for spec in hest_tasks()}
    assert len(tasks) == 10
    assert sum(len(spec.slides) for spec in tasks.values()) == 72
    assert sum(len(spec.folds["fold"]) for spec in tasks.values()) == 29
    assert sum(spec.n_spots for spec in tasks.values()) == 236_495
    for spec in tasks.values():
        tested = [sample for test in spec.folds["fold"].values() for sample in test]
        assert sorted(tested) == sorted(slide.slide_id for slide in spec.slides)
        for fold in spec.fold_specs("fold"):
            assert fold.shared_donors == ()


def by_hand(task, components):
    """HEST's probe from the raw files: mean over folds of the mean correlation over genes.

    Independent of the package but for the 24 features: log1p of raw counts, standardise, principal
    components by a singular value decomposition, ridge regression without intercept by LSQR in
    single precision, which stops at a tolerance of 1e-4: as the mean stays in the target, that is
    before the weakest components are solved for, and moves a score by 0.001 to 0.002.
    """
    genes = json.loads((task / "var_50genes.json").read_text())["genes"]

    @cache  # a sample is in every fold
    def read(sample):
        adata = read_h5ad(task / "adata" / f"{sample}.h5ad")
        with h5py.File(task / "patches" / f"{sample}.h5") as file:
            names = [name.decode() for name in file["barcode"][:].ravel()]
            images = file["img"][:]
        values = np.asarray(adata[names, genes].X, dtype=np.float64)
        return ColorEncoder().encode(Patches([images])).astype(np.float64), np.log1p(values)

    scores = []
    for number in range(len(list((task / "splits").iterdir())) // 2):
        parts = []
        for part in ("train", "test"):
            with (task / "splits" / f"{part}_{number}.csv").open() as file:
                read_parts = [read(row["sample_id"]) for row in csv.DictReader(file)]
            parts.append([np.concatenate(each) for each in zip(*read_parts, strict=True)])
        (x, y), (x_test, y_test) = parts
        mean, scale = x.mean(axis=0), x.std(axis=0)
        x, x_test = (x - mean) / scale, (x_test - mean) / scale
        turn = np.linalg.svd(x, full_matrices=False)[2][:components].T
        x, x_test = x @ turn, x_test @ turn
        damp = np.sqrt(100 / (components * len(genes)))
        stop = {"damp": damp, "atol": 1e-4, "btol": 1e-4, "iter_lim": 1000}
        seen, wanted = x.astype(np.float32), y.astype(np.float32)
        weights = np.stack([lsqr(seen, each, **stop)[0] for each in wanted.T], axis=1)
        scores.append(
            [pearsonr(x_test @ weights[:, g], y_test[:, g])[0] for g in range(len(genes))]
        )
    return np.array(scores)


def probed(protocol, folder):
    """Run the probe on the task that was added to the data of a folder."""
    return api.run(
        protocol=protocol,
        datasets=["hest_made.fold"],
        predictors=["linear-probe"],
        parameters={"linear-probe": {"components": N_COMPONENTS}},
        workspace=folder / "workspace",
        data_dir=folder / "data",
        executor="inline",
        track=False,
        figures=False,
        device="cpu",
    )


def test_hest_1_gives_the_scores_of_an_independent_script(example, tmp_path):
    task, _ = example
    add_hest(task, tmp_path / "data", lambda name: None)
    report = probed("hest", tmp_path)

    expected = by_hand(task, N_COMPONENTS)
    found = {result.dataset: result for result in report.results}
    for number, genes in enumerate(expected):
        result = found[f"hest_made.fold-{number}"]
        assert result.ok, result.message
        assert set(result.gene_symbols) == set(GENES)
        assert result.scores["test"]["pcc-gene"] == pytest.approx(genes.mean(), abs=2e-3)


def test_models_are_tried_on_changed_patches_of_the_spots_that_filters_left(own_task, tmp_path):
    add_hest(own_task, tmp_path / "data", lambda name: None)
    protocol = tmp_path / "filtered.yaml"
    text = (files("spared_bench_plugins.protocols") / "hest.yaml").read_text(encoding="utf-8")
    protocol.write_text(text.replace("spot_min_counts: -1", "spot_min_counts: 12"))
    report = probed(str(protocol), tmp_path)
    bench = report.plan.bench
    for result in report.results:
        (sample,) = bench.dataset(result.dataset).split["test"]
        before = read_hest(own_task / "adata" / f"{sample}.h5ad").n_obs
        entry = bench.workspace.store.open(TRIALS, result.key)
        run = np.load(entry.folder / PREDICTIONS)["test_prediction"]
        assert 0 < len(run) < before
        found = predict_shifted(bench, result, lambda slide: None)
        np.testing.assert_allclose(found, run, rtol=1e-4, atol=1e-5)


def test_the_example_of_the_command_line_is_a_task_that_can_be_added(example, tmp_path):
    data = tmp_path / "data"
    folder, made = example

    again = CliRunner().invoke(app, ["data", "example", str(folder)])

    assert made.exit_code == 0, made.output
    assert "hest_made.fold" in made.output
    assert isinstance(again.exception, UsageError)
    add_hest(folder, data, lambda name: None)
    spec = discover(data_dir=data).get("dataset", "hest_made").spec
    assert [len(fold.split["test"]) for fold in spec.fold_specs("fold")] == [1, 1, 1]


def test_a_task_whose_last_fold_is_missing_is_told_by_the_sample_that_nothing_tests(tmp_path):
    task = make_task(tmp_path / "MADE", side=32)
    for part in ("train", "test"):
        (task / "splits" / f"{part}_2.csv").unlink()
    with pytest.raises(SplitError, match=r"'S3' .* tested in none of 2 folds"):
        read_task(task)


def test_what_a_download_that_failed_has_left_is_no_hindrance(task, tmp_path):
    (tmp_path / "data" / "hest-bench" / ".fetch").mkdir(parents=True)
    add_hest(task.parent, tmp_path / "data", {"hest_made": FOLDS}.get)
    assert (tmp_path / "data" / "hest-bench").resolve() == task.parent


def test_folds_share_their_features_which_a_plan_tells_once(task, tmp_path):
    add_hest(task, tmp_path / "data", lambda name: None)
    bench = api.make_bench(
        "hest",
        workspace=tmp_path / "workspace",
        data_dir=tmp_path / "data",
        parameters={"linear-probe+color": {"components": 24}},
        device="cpu",
    )
    plan = api.select(bench, ["hest_made.fold"], ["none"], ["linear-probe+color"])
    assert {cell.dataset for cell in plan.cells} == {f"hest_made.fold-{n}" for n in range(3)}
    assert forecast(plan).features == [("hest_made.fold-0", "color", False)]


@pytest.mark.parametrize("options", [{"chunks": (10, 32, 32, 3)}, {}], ids=["chunks", "whole"])
def test_patches_that_were_never_written_are_not_read_as_black(own_task, options):
    path = own_task / "patches" / "S1.h5"
    with h5py.File(path, "a") as file:
        pixels, facts = file["img"][:], dict(file["img"].attrs)
        del file["img"]
        made = file.create_dataset("img", pixels.shape, pixels.dtype, **options)
        made.attrs.update(facts)
        if options:
            made[:20] = pixels[:20]
    with pytest.raises(ImageError, match="were never written, and would be read as black"):
        read_hest(own_task / "adata" / "S1.h5ad", path)
    with h5py.File(path, "a") as file:
        file["img"][:] = pixels
    read_hest(own_task / "adata" / "S1.h5ad", path)
