import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import anndata as ad
import imagecodecs
import numpy as np
import pandas as pd
import pytest
import tifffile
from PIL import Image
from scipy import sparse
from typer.testing import CliRunner

import spared_bench
from spared_bench.api import execute, make_bench, select
from spared_bench.api.pyfunc_model import StoredModel
from spared_bench.cli import app
from spared_bench.data.views import View
from spared_bench.errors import (
    ContractError,
    CoordinateError,
    CorruptEntryError,
    CountsError,
    ImageError,
    MissingFileError,
    SparedBenchError,
    UnknownNameError,
    UsageError,
    ViewError,
)
from spared_bench.inference import trained as applying
from spared_bench.inference.new_slide import Spots, grid, make_slide, read_positions
from spared_bench.inference.seen import seen
from spared_bench.protocol import PatchCutting
from spared_bench.registry import discover
from spared_bench.trials.completed import completed
from spared_bench.trials.products import prepare
from tests.conftest import TOY_PLUGIN, TOY_PROTOCOL
from tests.inference.trained_toy import train


@pytest.fixture(scope="module")
def trained_workspace(prepared_workspace, tmp_path_factory):
    """A workspace in which a network, a probe and a method that cannot be saved are trained."""
    return train(
        prepared_workspace,
        tmp_path_factory.mktemp("trained"),
        ["linear-probe", "vit-b-delta", "toy-mean"],
        **{"linear-probe": {"alpha": 1.0}, "vit-b-delta": DELTA},
    )


VIEW_PLUGIN = TOY_PLUGIN.with_name("view_plugin.py")
DELTA = {
    "backbone": "test_vit",
    "image_size": 16,
    "options": {"depth": 1},
    "weights": "random",
    "lr": 0.001,
}


@pytest.fixture
def toy(trained_workspace):
    """The prepared toy dataset of that workspace, and where its images are."""
    bench = make_bench(
        str(TOY_PROTOCOL), workspace=trained_workspace, plugin_files=[TOY_PLUGIN], device="cpu"
    )
    return bench, prepare(bench, "toy").slides("test"), bench.folder("toy") / "three.png"


def write_positions(path, centres):
    rows = [f"{x},{y},here{i}" for i, (x, y) in enumerate(centres)]
    path.write_text("\n".join(["x,y,spot", *rows]), encoding="utf-8")
    return path


def run_predict(workspace, *arguments):
    command = ["predict", *map(str, arguments), "-w", str(workspace), "--plugin", str(TOY_PLUGIN)]
    return CliRunner().invoke(app, command)


@pytest.mark.parametrize("predictor", ["linear-probe", "vit-b-delta"])
def test_a_slide_of_the_dataset_applied_as_a_new_one_gets_the_prediction_of_the_run(
    trained_workspace, toy, tmp_path, predictor
):
    _, slides, image = toy
    spots = write_positions(tmp_path / "positions.csv", slides.coordinates)
    out = tmp_path / "new" / "slide.h5ad"

    done = run_predict(
        trained_workspace, f"toy/none/{predictor}", "--image", image, "--spots", spots,
        "--um-per-px", 6.25, "--out", out, "--json",
    )  # fmt: skip

    told = json.loads(done.output)
    found = ad.read_h5ad(out)
    trained = applying.find_trained(make_store(trained_workspace), told["trial"])
    with np.load(trained.folder / "predictions.npz") as arrays:
        expected = arrays["test_prediction"]
    np.testing.assert_allclose(found.X, expected, rtol=1e-4, atol=1e-5)
    assert list(found.var_names) == slides.gene_names
    assert list(found.obs_names[:2]) == ["here0", "here1"]
    np.testing.assert_array_equal(found.obsm["spatial"], slides.coordinates)
    assert found.uns["spared_bench"]["predictor"] == predictor
    assert Image.open(out.with_suffix(".genes.png")).size[0] > 200


KILLED = """
import os, sys
from spared_bench.cli import main
from spared_bench.inference import trained
trained.predicted = lambda *_: os.kill(os.getpid(), 9)
main()
"""


def test_a_killed_prediction_leaves_no_patches_that_the_next_does_not_take_away(
    trained_workspace, toy, tmp_path, monkeypatch
):
    (temporary := tmp_path / "temporary").mkdir()
    arguments = ["toy/none/linear-probe", "--image", str(toy[2]), "--out", str(tmp_path / "a.h5ad")]
    arguments += ["--um-per-px", "6.25", "--grid-um", "120", "--tissue-share", "0"]
    command = [sys.executable, "-c", KILLED, "predict", *arguments, "-w", str(trained_workspace)]
    killed = subprocess.run(
        [*command, "--plugin", str(TOY_PLUGIN)],
        env={**os.environ, "TMPDIR": str(temporary)},
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    assert list(temporary.iterdir())
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    assert run_predict(trained_workspace, *arguments).exit_code == 0
    assert list(temporary.iterdir()) == []


def make_store(workspace):
    from spared_bench.workspace import Workspace

    return Workspace.at(workspace).store


def test_a_delta_method_is_told_to_the_file_by_the_mean_it_adds(trained_workspace, toy):
    bench, _, _ = toy
    delta = applying.find_trained(make_store(trained_workspace), "toy/none/vit-b-delta")
    plain = applying.find_trained(make_store(trained_workspace), "toy/none/linear-probe")
    target = completed(prepare(bench, "toy"), "none", "train").target
    np.testing.assert_allclose(delta.application["offset"], target.mean(axis=0), rtol=1e-6)
    assert not any(plain.application["offset"])
    assert delta.application["spot_um"] == 100  # 16 px of 6.25 um


def test_a_grid_covers_the_tissue_and_leaves_the_glass_out(trained_workspace, tmp_path):
    pixels = np.full((120, 200, 3), 255, np.uint8)
    pixels[:, :100] = (150, 80, 150)
    Image.fromarray(pixels).save(tmp_path / "slide.png")

    done = run_predict(
        trained_workspace, "toy/none/linear-probe", "--image", tmp_path / "slide.png",
        "--grid-um", 100, "--um-per-px", 5, "--out", tmp_path / "p.h5ad", "--gene", "g0",
    )  # fmt: skip

    assert done.exit_code == 0, done.output
    centres = ad.read_h5ad(tmp_path / "p.h5ad").obsm["spatial"]
    x, y = np.meshgrid(np.arange(10, 100, 20), np.arange(10, 120, 20))
    np.testing.assert_array_equal(centres, np.stack([x.ravel(), y.ravel()], axis=1))


def test_a_disk_that_fills_up_leaves_an_earlier_prediction_as_it_was(
    trained_workspace, toy, tmp_path, monkeypatch
):
    _, slides, image = toy
    spots = write_positions(tmp_path / "positions.csv", slides.coordinates)
    command = [
        *("toy/none/linear-probe", "--image", image, "--spots", spots, "--um-per-px", 6.25),
        *("--out", tmp_path / "p.h5ad"),
    ]
    assert run_predict(trained_workspace, *command).exit_code == 0
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def fill(_, path, **options):
        Path(path).write_bytes(b"half")
        raise RuntimeError("Can't decrement id ref count (No space left on device)")

    monkeypatch.setattr(ad.AnnData, "write_h5ad", fill)
    done = run_predict(trained_workspace, *command)
    assert "No space left" in str(done.exception)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_an_image_of_four_bits_in_eight_is_not_predicted(trained_workspace, tmp_path):
    Image.new("RGB", (60, 60), (15, 8, 15)).save(tmp_path / "dark.png")
    done = run_predict(
        trained_workspace, "toy/none/linear-probe", "--image", tmp_path / "dark.png",
        "--grid-um", 100, "--um-per-px", 5, "--out", tmp_path / "p.h5ad", "--tissue-share", 0,
    )  # fmt: skip
    with pytest.raises(ImageError, match=r"dark\.png has 8 bits and no value above 15"):
        raise done.exception


def test_bands_of_jpeg_2000_that_are_not_described_are_not_predicted(trained_workspace, tmp_path):
    pixels = np.full((60, 60, 4), 140, np.uint8)
    (tmp_path / "four.jp2").write_bytes(imagecodecs.jpeg2k_encode(pixels, level=0))
    done = run_predict(
        trained_workspace, "toy/none/linear-probe", "--image", tmp_path / "four.jp2",
        "--grid-um", 100, "--um-per-px", 5, "--out", tmp_path / "p.h5ad", "--tissue-share", 0,
    )  # fmt: skip
    with pytest.raises(ImageError, match=r"four\.jp2 has 4 bands and does not say"):
        raise done.exception


def test_of_an_image_that_is_shown_turned_it_is_told_how_positions_refer_to_it(
    trained_workspace, toy, tmp_path
):
    _, slides, image = toy
    spots = write_positions(tmp_path / "positions.csv", slides.coordinates)
    exif = Image.Exif()
    exif[274] = 6
    with Image.open(image) as picture:
        picture.convert("RGB").save(tmp_path / "turned.png", exif=exif)
    done = run_predict(
        trained_workspace, "toy/none/linear-probe", "--image", tmp_path / "turned.png",
        "--spots", spots, "--um-per-px", 6.25, "--out", tmp_path / "p.h5ad", "--json",
    )  # fmt: skip
    by_hand, note = json.loads(done.output)["notes"]
    assert by_hand == "It was trained with linear-probe.alpha=1.0, set by hand."
    assert "shown turned to the right by 90 degrees (orientation 6)" in note
    assert "positions of spots must refer" in note


def test_an_image_that_says_another_size_of_its_pixels_is_told_of(trained_workspace, tmp_path):
    path, pixels = tmp_path / "half.tif", np.full((120, 200, 3), (150, 80, 150), np.uint8)
    said = {"resolution": (4_000, 4_000), "resolutionunit": "CENTIMETER"}
    tifffile.imwrite(path, pixels, photometric="rgb", **said)
    run, told = "toy/none/linear-probe", "half.tif says of itself that a pixel measures 2.5 um"
    done = run_predict(
        trained_workspace, run, "--image", path, "--grid-um", 100, "--um-per-px", 5,
        "--out", tmp_path / "p.h5ad", "--tissue-share", 0, "--json",
    )  # fmt: skip
    assert told in json.loads(done.output)["notes"][-1]
    with pytest.warns(UserWarning, match=told):
        spared_bench.predict(
            run, path, spots=[(20, 20)], um_per_px=5,
            workspace=trained_workspace, plugin_files=[TOY_PLUGIN],
        )  # fmt: skip


def test_a_blank_image_has_no_grid(trained_workspace, tmp_path):
    Image.new("RGB", (60, 60), "white").save(tmp_path / "blank.png")
    arguments = [
        "toy/none/linear-probe", "--image", tmp_path / "blank.png", "--grid-um", 100,
        "--um-per-px", 5, "--out", tmp_path / "p.h5ad",
    ]  # fmt: skip
    done = run_predict(trained_workspace, *arguments)
    with pytest.raises(ImageError, match=r"None of the 9 grid points .*blank\.png lies on tissue"):
        raise done.exception
    assert (tmp_path / "p.tissue.png").is_file()
    assert run_predict(trained_workspace, *arguments, "--tissue-share", 0).exit_code == 0
    assert ad.read_h5ad(tmp_path / "p.h5ad").n_obs == 9


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--grid-um", 1e5, "--um-per-px", 1], r"grid of 1e\+05 px .* 60 x 40 px has no point"),
        (["--grid-um", 0.01, "--um-per-px", 1], "grid of 0.01 px .* more than 1,000,000"),
        (["--grid-um", 9, "--um-per-px", "inf"], "grid of 0 px"),
        (["--spot-diameter-px", 1e5], r"1e\+05 px wide on an image of 60 x 40 px"),
        (["--spot-diameter-px", 0.2], "0.2 px wide"),
        (["--um-per-px", 900], "0.1111 px wide .*check `--um-per-px`"),
        (["--spot-diameter-px", 8, "--out", "."], "cannot be written: it is a folder"),
        (
            ["--spot-diameter-px", 8, "--out", "genes.csv"],
            "genes.csv is no name .* end it in .h5ad",
        ),
        (["--spot-diameter-px", 8, "--out", "/proc/a.h5ad"], "/proc/a.h5ad cannot be written"),
    ],
)
def test_a_size_or_a_place_that_cannot_be_meant_is_told(
    trained_workspace, tmp_path, arguments, message
):
    Image.new("RGB", (60, 40), (150, 80, 150)).save(tmp_path / "i.png")
    spots = write_positions(tmp_path / "p.csv", [(9, 9), (30, 30)])
    where = [] if "--grid-um" in arguments else ["--spots", spots]
    done = run_predict(
        trained_workspace, "toy/none/linear-probe", "--image", tmp_path / "i.png",
        *where, *([] if "--out" in arguments else ["--out", tmp_path / "o.h5ad"]), *arguments,
    )  # fmt: skip
    assert isinstance(done.exception, UsageError), done.output
    with pytest.raises(UsageError, match=message):
        raise done.exception
    assert not (tmp_path / "o.h5ad").exists()


@pytest.mark.parametrize(
    ("image", "out"),
    [
        ("slide.png", None),
        ("slide.genes.png", "slide.h5ad"),
        ("slide.png", "slide.png"),
        ("slide.png", "link.png"),
    ],
)
def test_predict_writes_over_nothing_that_it_is_given(
    trained_workspace, tmp_path, monkeypatch, image, out
):
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (60, 40), (150, 80, 150)).save(image)
    (tmp_path / "link.png").symlink_to(tmp_path / image)
    (tmp_path / "slide.h5ad").write_text("counts of this slide, which nobody gave")
    before = (tmp_path / image).read_bytes()
    done = run_predict(
        trained_workspace, "toy/none/linear-probe", "--image", image, "--spot-diameter-px", 8,
        "--spots", write_positions(tmp_path / "p.csv", [(9, 9), (30, 30)]),
        *(["--out", out] if out else []),
    )  # fmt: skip
    assert (tmp_path / image).read_bytes() == before
    if out is None:
        assert done.exit_code == 0, done.output
        assert {path.name for path in tmp_path.glob("slide.*")} == {
            "slide.png", "slide.h5ad", "slide.predicted.h5ad", "slide.predicted.genes.png",
        }  # fmt: skip
        assert "which nobody gave" in (tmp_path / "slide.h5ad").read_text()
    else:
        with pytest.raises(UsageError, match="cannot be written: it is what you give"):
            raise done.exception


@pytest.mark.parametrize("spots", [True, False], ids=["spots", "grid"])
def test_an_image_called_as_the_picture_of_tissue_is_in_the_way_of_that_alone(
    trained_workspace, tmp_path, monkeypatch, spots
):
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (60, 40), (150, 80, 150)).save("slide.tissue.png")
    before = (tmp_path / "slide.tissue.png").read_bytes()
    where = (
        ["--spots", write_positions(tmp_path / "p.csv", [(9, 9), (30, 30)])]
        if spots
        else ["--grid-um", 10, "--um-per-px", 1]
    )
    done = run_predict(
        trained_workspace, "toy/none/linear-probe", "--image", "slide.tissue.png",
        "--spot-diameter-px", 8, "--out", "slide.h5ad", *where,
    )  # fmt: skip
    assert (tmp_path / "slide.tissue.png").read_bytes() == before
    assert (tmp_path / "slide.h5ad").exists() == spots
    if not spots:
        with pytest.raises(UsageError, match="cannot be written: it is what you give"):
            raise done.exception


def test_grid_points_are_half_a_step_from_the_edge():
    np.testing.assert_array_equal(grid(25, 10, 10).centres, [[5, 5], [15, 5]])
    found = grid(30, 20, 10)
    np.testing.assert_array_equal(found.array * 10 + 5, found.centres)


@pytest.mark.parametrize(
    ("run", "error", "message"),
    [
        ("toy/none/linear-prob", UnknownNameError, "Did you mean 'toy/none/linear-probe'"),
        ("toy/none/toy-mean", MissingFileError, "left no model"),
        ("", UnknownNameError, "Known finished trials: toy/none/linear-probe, toy/none/toy-mean"),
    ],
)
def test_a_run_that_cannot_be_applied_says_why(trained_workspace, run, error, message):
    with pytest.raises(error, match=message):
        applying.find_trained(make_store(trained_workspace), run)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Give either `--spots FILE` or `--grid-um STEP`"),
        (["--grid-um", 100], "`--grid-um` needs the image's scale"),
        (["--spots", "none.csv"], "the image's scale is unknown.*--um-per-px.*--spot-diameter-px"),
        (["--spots", "none.csv", "--um-per-px", 1], "at 'none.csv'\\. .* has no 'none.csv'"),
        (["--spots", "x", "--um-per-px", 1, "--gene", "g99"], "No predicted gene is named 'g99'"),
    ],
)
def test_what_is_missing_on_the_command_line_is_named(
    trained_workspace, tmp_path, arguments, message
):
    Image.new("RGB", (60, 60), "white").save(tmp_path / "i.png")
    image = ["--image", tmp_path / "i.png"]
    done = run_predict(trained_workspace, "toy/none/linear-probe", *image, *arguments)
    assert isinstance(done.exception, SparedBenchError)
    with pytest.raises(SparedBenchError, match=message):
        raise done.exception


@pytest.mark.parametrize("at", ["command", "python"])
@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("slide.tiff", r"no image at .* Did you mean 'slide\.tif'\?"),
        ("slide.zarr", r"is a folder, .* is written as OME-TIFF first"),
    ],
)
def test_an_image_that_is_not_there_or_a_folder_is_told_with_what_to_do(
    trained_workspace, tmp_path, at, name, told
):
    (tmp_path / "slide.tif").touch()
    (tmp_path / "slide.zarr").mkdir()
    run, image = "toy/none/linear-probe", tmp_path / name
    with pytest.raises(MissingFileError, match=told):
        if at == "python":
            spared_bench.predict(
                run, image, grid_um=100, um_per_px=0.5, workspace=trained_workspace
            )
        else:
            places = ["--grid-um", 100, "--um-per-px", 0.5]
            raise run_predict(trained_workspace, run, "--image", image, *places).exception


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n", "lacks the columns .*the columns x and y"),
        ("x,y\n1,left\n", "'y' holds 'left' in 1 of 1 rows"),
        ("x,y\n1,\n", "'y' holds '' in 1 of 1 rows"),
        ("x,y\n1,inf\n1,2\n", "'y' holds 'inf' in 1 of 2 rows"),
        ("x,y\n1_000,3\n", "'x' holds '1_000'"),
        ("x,y\nTrue,False\n", "'x' holds 'True'"),
        ("x;y\n1,5;2,5\n", "'x' holds '1,5'"),
        ("x,y,x\n1,2,9\n", "two columns called 'x'"),
        ("x,y\n1,2\n3\n", "Row 3 of .* has 1 field"),
        ("x,y\n", "has no spot"),
        ("x,y,spot\n1,2,a\n3,4,a\n", "more than once"),
        ("x,y,spot\n1,2,a \n3,4,a\n", "more than once"),
        ("x,y,spot\n1,2,a\n3,4,\n", "or not at all"),
    ],
)
def test_positions_that_are_none_say_what_was_expected(tmp_path, text, message):
    (tmp_path / "p.csv").write_text(text, encoding="utf-8")
    with pytest.raises(CoordinateError, match=message):
        read_positions(tmp_path / "p.csv")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le"])
@pytest.mark.parametrize(
    "text",
    [
        '"spot", "x", "y"\r\n"010", 1.5, 2\r\n"on", 3, 4\r\n\r\n',
        "Barcode;Y;X\n010;2;1.5\non;4;3\n",
        '"x"\t"y"\n"010"\t1.5\t2\n"on"\t3\t4\n',  # with R's names of rows
    ],
)
def test_positions_of_windows_and_of_r_are_read(tmp_path, encoding, text):
    (tmp_path / "p.csv").write_bytes(text.encode(encoding))
    found = read_positions(tmp_path / "p.csv")
    assert found.names == ["010", "on"]
    np.testing.assert_array_equal(found.centres, [[1.5, 2], [3, 4]])


@pytest.mark.parametrize(
    "header", ["barcode,in_tissue,array_row,array_col,pxl_row_in_fullres,pxl_col_in_fullres\n", ""]
)
def test_positions_of_space_ranger_are_those_under_tissue(tmp_path, header):
    path = tmp_path / "tissue_positions_list.csv"
    path.write_text(f"{header}A,1,0,0,10,20\nB,0,0,2,10,40\nC,1,1,1,30,30\n")
    found = read_positions(path)
    assert found.names == ["A", "C"]
    np.testing.assert_array_equal(found.centres, [[20, 10], [30, 30]])
    np.testing.assert_array_equal(found.array, [[0, 0], [1, 1]])


@pytest.mark.parametrize("pitch", [100.0, 200.0])
def test_a_scale_that_contradicts_the_distance_of_visiums_spots_is_refused(tmp_path, pitch):
    # Patches were cut half or twice as large as those that were learned from.
    path = tmp_path / "tissue_positions_list.csv"
    spots = [(row, 2 * i + row % 2) for row in range(6) for i in range(6)]
    lines = [
        f"b{row}x{column},1,{row},{column},{row * pitch * 3**0.5 / 2},{column * pitch / 2}"
        for row, column in spots
    ]
    path.write_text("\n".join(lines) + "\n")
    for um_per_px in (0.0, 100 / pitch, 110 / pitch):
        assert len(read_positions(path, um_per_px)) == 36
    for um_per_px in (50 / pitch, 200 / pitch):
        with pytest.raises(ContractError, match=rf"by the distance .* measures {100 / pitch:g} um"):
            read_positions(path, um_per_px)


def test_columns_that_a_comma_at_the_end_makes_name_no_spot(tmp_path):
    (tmp_path / "p.csv").write_text("x,y,\n1,2,\n3,4,\n", encoding="utf-8")
    assert read_positions(tmp_path / "p.csv").names == ["spot_0", "spot_1"]


@pytest.mark.parametrize("header", [",spot,x,y", '"","spot","x","y"', "barcode,spot,x,y"])
def test_spots_are_named_by_their_column_and_not_by_numbers_of_rows_beside_it(tmp_path, header):
    """As pandas and R write a table with its index."""
    (tmp_path / "p.csv").write_text(f"{header}\n0,a,1,2\n1,b,3,4\n")
    assert read_positions(tmp_path / "p.csv").names == ["a", "b"]


def test_spots_without_names_are_numbered_and_a_lattice_has_array_places(tmp_path):
    (tmp_path / "p.csv").write_text("y,x\n10,30\n20,40\n10,40\n20,30\n", encoding="utf-8")
    spots = read_positions(tmp_path / "p.csv")
    slide = make_slide(tmp_path / "s.png", spots, 5.0)
    assert spots.names == ["spot_0", "spot_1", "spot_2", "spot_3"]
    assert slide.obs["array_col"].tolist() == [0, 1, 1, 0]
    assert slide.obs["array_row"].tolist() == [0, 1, 0, 1]


@pytest.fixture
def shown_array(trained_workspace, monkeypatch):
    """Predict the toy image and return the array positions that the method was shown."""

    class Looks:
        def predict(self, slides):
            self.array = slides.array_coordinates
            return np.zeros((len(slides), slides.n_genes), np.float32)

    def shown(slide, **options):
        looks = Looks()
        monkeypatch.setattr(applying.Trained, "load", lambda *_: looks)
        spared_bench.predict(
            "toy/none/linear-probe", slide, workspace=trained_workspace,
            plugin_files=[TOY_PLUGIN], **options,
        )  # fmt: skip
        return looks.array

    return shown


#: Rows and columns of a part of Visium's array, as Space Ranger counts, and pixels of it.
HEXAGONAL = np.array([(r, c) for r in range(4, 10) for c in range(30 + r % 2, 38, 2)])
HEXAGONAL_PX = 20 + (HEXAGONAL - HEXAGONAL.min(axis=0)) * [10 * 3**0.5, 10]


def test_a_method_is_shown_the_array_that_an_anndata_tells(toy, shown_array):
    _, _, image = toy
    adata = ad.AnnData(np.zeros((len(HEXAGONAL), 1), np.float32))
    adata.obs[["array_row", "array_col"]] = HEXAGONAL
    adata.obsm["spatial"] = HEXAGONAL_PX[:, ::-1]
    adata.uns["spatial"] = {
        "a": {
            "images": {"hires": np.asarray(Image.open(image).convert("RGB"))},
            "scalefactors": {"tissue_hires_scalef": 1.0, "spot_diameter_fullres": 11.0},
        }
    }
    np.testing.assert_array_equal(shown_array(adata, um_per_px=5.0), HEXAGONAL)
    adata.obs["array_row"] = adata.obs["array_row"] + 0.5
    with pytest.raises(CoordinateError, match=r"'array_row'\] of the AnnData holds 4.5; expected"):
        shown_array(adata, um_per_px=5.0)
    adata.obs["array_row"] = adata.obs["array_col"] = 0  # which is no place
    np.testing.assert_array_equal(
        shown_array(adata, um_per_px=5.0), HEXAGONAL - HEXAGONAL.min(axis=0)
    )
    del adata.obs["array_row"]  # then it is found from pixels, of which no two share a place
    np.testing.assert_array_equal(
        shown_array(adata, um_per_px=5.0), HEXAGONAL - HEXAGONAL.min(axis=0)
    )


@pytest.mark.parametrize("form", ["space ranger", "table with it", "frame with it", "table"])
def test_a_method_is_shown_the_array_that_a_table_tells(toy, shown_array, tmp_path, form):
    _, _, image = toy
    table = pd.DataFrame(
        {"barcode": [f"b{i}" for i in range(len(HEXAGONAL))], "in_tissue": 1}
        | {"array_row": HEXAGONAL[:, 0], "array_col": HEXAGONAL[:, 1]}
        | {"pxl_row_in_fullres": HEXAGONAL_PX[:, 0], "pxl_col_in_fullres": HEXAGONAL_PX[:, 1]}
    )
    path = tmp_path / ("tissue_positions.csv" if form == "space ranger" else "spots.csv")
    if form != "space ranger":
        table = table.set_axis(["barcode", "in_tissue", "array_row", "array_col", "y", "x"], axis=1)
    if form == "table":
        table = table.drop(columns=["array_row", "array_col"])
    table.to_csv(path, index=False)
    expected = HEXAGONAL - (HEXAGONAL.min(axis=0) if form == "table" else 0)
    given = table if form == "frame with it" else path
    found = shown_array(image, spots=given, um_per_px=5.0, spot_diameter_px=11.0)
    np.testing.assert_array_equal(found, expected)


def test_a_frame_of_spots_gives_what_its_table_does(trained_workspace, toy, tmp_path):
    _, _, image = toy
    frame = pd.DataFrame(
        {"barcode": ["a", "b", "c"], "in_tissue": [1, 0, 1], "x": [40, 60, 80], "y": [50, 70, 60.5]}
    )
    frame.to_csv(tmp_path / "spots.csv", index=False)
    options = {"spot_diameter_px": 16, "workspace": trained_workspace, "plugin_files": [TOY_PLUGIN]}
    made = []
    for spots in (frame, tmp_path / "spots.csv"):
        with pytest.warns(UserWarning, match="beside the tissue, dropped: 1"):
            made.append(
                spared_bench.predict("toy/none/linear-probe", image, spots=spots, **options)
            )
    for found in made:
        assert list(found.obs_names) == ["a", "c"]
        np.testing.assert_array_equal(found.obsm["spatial"], [[40, 50], [80, 60.5]])
    np.testing.assert_array_equal(made[0].X, made[1].X)


def test_barcodes_in_the_index_of_a_frame_name_its_spots(trained_workspace, toy):
    frame = pd.DataFrame(
        {"x": [40, 60, 80], "y": [50, 70, 60]}, index=["AAAC-1", "AAAG-1", "AACT-1"]
    )
    options = {"spot_diameter_px": 16, "workspace": trained_workspace, "plugin_files": [TOY_PLUGIN]}

    def names(spots):
        made = spared_bench.predict("toy/none/linear-probe", toy[2], spots=spots, **options)
        return list(made.obs_names)

    assert names(frame) == list(frame.index)
    assert names(frame.set_axis(["imagecol", "imagerow"], axis=1)) == list(frame.index)
    assert names(frame.assign(spot=["a", "b", "c"])) == ["a", "b", "c"]
    assert names(frame.reset_index(drop=True)[1:]) == ["spot_0", "spot_1"]
    with pytest.raises(CoordinateError, match="more than once"):
        names(frame.set_index(pd.Index(["a", "a", "b"])))


def test_a_logged_model_refuses_a_table_of_several_scales_or_none(trained_workspace, toy):
    key = applying.find_trained(make_store(trained_workspace), "toy/none/linear-probe").result.key
    model = StoredModel(key, trained_workspace)
    table = pd.DataFrame({"image": str(toy[2]), "x": [40, 60], "y": [50, 70], "um_per_px": 6.25})

    assert len(model.predict(table, {"plugin_files": [TOY_PLUGIN]})) == 2
    for name, values, told in (
        ("um_per_px", [6.25, 3.0], r"'um_per_px' holds 6\.25, 3\.0: expected the same"),
        ("spot_diameter_px", [16, None], "'spot_diameter_px' holds 16"),
        ("image", [str(toy[2]), None], "'image' holds .*three.png, None: expected the same"),
        ("um_per_px", ["six", "six"], "'um_per_px' holds 'six'; expected a number"),
    ):
        with pytest.raises(UsageError, match=told):
            model.predict(table.assign(**{name: values}))
    with pytest.raises(UsageError, match="and 0 rows"):
        model.predict(table[:0])


def test_a_method_that_needs_known_spots_is_refused_before_the_image_is_opened(
    trained_workspace, tmp_path
):
    found = applying.find_trained(make_store(trained_workspace), "toy/none/linear-probe")
    found = replace(found, result=replace(found.result, predictor="known-nearest"))
    slide = make_slide(tmp_path / "none.png", Spots(["a"], np.array([[4, 3]])), 10)
    with pytest.raises(UsageError, match="'known-nearest' predicts from measured spots"):
        applying.apply(found, discover(), slide)


def test_an_anndata_without_spots_is_refused(trained_workspace, toy):
    empty = ad.AnnData(np.zeros((0, 1), np.float32), obsm={"spatial": np.zeros((0, 2))})
    empty.uns["spatial"] = {"a": {"scalefactors": {"spot_diameter_fullres": 16.0}}}
    with pytest.raises(CountsError, match="the AnnData holds no spots"):
        spared_bench.predict("toy/none/linear-probe", empty, workspace=trained_workspace)


@pytest.mark.parametrize("names", [["a", "a"], ["a", ""]])
def test_an_anndata_whose_spots_share_a_name_is_refused(trained_workspace, names):
    """Nobody could say afterwards which prediction is whose."""
    both = ad.AnnData(np.zeros((2, 1), np.float32), obsm={"spatial": np.eye(2) * 99})
    both.obs_names = names
    both.uns["spatial"] = {"a": {"scalefactors": {"spot_diameter_fullres": 16.0}}}
    with pytest.raises(CoordinateError, match="more than once, or not at all"):
        spared_bench.predict("toy/none/linear-probe", both, workspace=trained_workspace)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda a: a.uns["spatial"].update(is_single=np.True_), ""),  # of CELLxGENE
        (lambda a: a.uns.update(spatial=a.uns["spatial"]["a"]), ""),  # of one library, without name
        (lambda a: a.uns["spatial"]["a"].update(metadata="none"), ""),
        (lambda a: a.uns["spatial"]["a"].update(metadata={"um_per_px": np.array([5.0])}), ""),
        (
            lambda a: a.uns["spatial"]["a"].update(metadata={"um_per_px": "?"}),
            "0 where unknown; found nan",
        ),
        (lambda a: a.obsm.update(spatial=a.obsm["spatial"].astype(str)), ""),
        (lambda a: a.uns.update(spatial=[1]), "has 0 slides in uns"),
        (lambda a: a.uns.update(spatial={"a": np.ones((2, 2))}), "is not as squidpy writes it"),
        (lambda a: a.obsm.update(spatial=np.ones((3, 3))), "'spatial' of shape (3, 3)"),
        (lambda a: a.obsm.update(X_spatial=a.obsm.pop("spatial")), "There is obsm['X_spatial']"),
    ],
)
def test_an_anndata_is_taken_as_its_reader_takes_a_file(trained_workspace, toy, change, told):
    _, _, image = toy
    copy = np.asarray(Image.open(image).convert("RGB"))
    centres = np.array([[60.0, 80.0], [100.0, 64.0], [72.0, 120.0]])
    factors = {"tissue_hires_scalef": 0.5, "spot_diameter_fullres": 16.0}
    values = []
    for alter in (lambda a: None, change):
        adata = ad.AnnData(np.zeros((3, 1), np.float32), obsm={"spatial": centres})
        adata.uns["spatial"] = {"a": {"images": {"hires": copy}, "scalefactors": factors}}
        alter(adata)
        try:
            made = spared_bench.predict("toy/none/linear-probe", adata, workspace=trained_workspace)
            values.append(made.X)
        except SparedBenchError as refused:
            assert told and told in str(refused)
    assert len(values) == (1 if told else 2)
    np.testing.assert_array_equal(values[0], values[-1])


def test_an_image_in_an_anndata_is_called_as_it_is_there(trained_workspace, toy):
    factors = {"tissue_hires_scalef": 0.5, "spot_diameter_fullres": 16.0}
    images = {"hires": np.full((90, 90, 3), 200, np.uint8)}
    adata = ad.AnnData(
        np.zeros((1, 1), np.float32),
        obs=pd.DataFrame(index=[b"s1"]),  # as h5py reads names
        obsm={"spatial": sparse.csr_matrix([[60.0, 80.0]])},
    )
    adata.uns["spatial"] = {"a": {"images": images, "scalefactors": factors}}
    made = spared_bench.predict("toy/none/linear-probe", adata, workspace=trained_workspace)
    assert list(made.obs_names) == ["s1"]
    assert made.obsm["spatial"].tolist() == [[60, 80]]
    assert made.uns["spared_bench"]["image"] == "'hires' in uns['spatial'] of the AnnData"
    images["hires"] = images["hires"][:9, :9]
    told = r"outside the image 'hires' in uns\['spatial'\] of the AnnData, which is 9 x 9 pixels"
    with pytest.raises(CoordinateError, match=told):
        spared_bench.predict("toy/none/linear-probe", adata, workspace=trained_workspace)


def test_a_size_of_none_is_unknown(trained_workspace, toy):
    _, _, image = toy
    made = [
        spared_bench.predict(
            "toy/none/linear-probe", image, spots=[(60, 80), (100, 64)], um_per_px=5.0,
            grid_um=unknown, spot_diameter_px=unknown, workspace=trained_workspace,
        )
        for unknown in (0.0, None)
    ]  # fmt: skip
    np.testing.assert_array_equal(made[0].X, made[1].X)


def test_what_is_no_size_and_no_image_is_told(trained_workspace, toy, tmp_path):
    _, _, image = toy
    for size in (-1.0, np.nan, "0.5", [1, 2], object()):
        with pytest.raises(UsageError, match="`um_per_px` must be a number, 0 where unknown"):
            spared_bench.predict(
                "toy/none/linear-probe", image, grid_um=100, um_per_px=size,
                workspace=trained_workspace,
            )  # fmt: skip
    (tmp_path / "slide.h5ad").touch()
    with pytest.raises(ImageError, match=r"takes `anndata\.read_h5ad\('slide\.h5ad'\)`"):
        spared_bench.predict(
            "toy/none/linear-probe", tmp_path / "slide.h5ad", workspace=trained_workspace
        )


def test_windows_in_pixels_are_of_the_full_resolution_that_an_anndata_tells(
    trained_workspace, toy, monkeypatch
):
    _, _, image = toy
    copy = np.asarray(Image.open(image).convert("RGB"))  # at half of the resolution
    centres = np.array([[60.0, 80.0], [100.0, 64.0], [72.0, 120.0]])
    adata = ad.AnnData(np.zeros((3, 1), np.float32), obsm={"spatial": centres})
    factors = {"tissue_hires_scalef": 0.5, "spot_diameter_fullres": 16.0}
    adata.uns["spatial"] = {"a": {"images": {"hires": copy}, "scalefactors": factors}}
    shown = {}

    class Looks:
        def predict(self, slides):
            shown.update(windows=slides.view("far")[:], centres=slides.coordinates)
            return np.zeros((len(slides), slides.n_genes), np.float32)

    def told(folder):
        return read_application(folder) | {"views": {"far": View(pixels=40, size=20).as_dict()}}

    read_application = applying.read_application
    monkeypatch.setattr(applying, "read_application", told)
    monkeypatch.setattr(applying.Trained, "load", lambda *_: Looks())
    found = spared_bench.predict(
        "toy/none/linear-probe", adata, um_per_px=3.0, workspace=trained_workspace,
        plugin_files=[TOY_PLUGIN],
    )  # fmt: skip

    expected = [copy[y - 10 : y + 10, x - 10 : x + 10] for x, y in (centres / 2).astype(int)]
    np.testing.assert_array_equal(shown["windows"], expected)
    np.testing.assert_array_equal(shown["centres"], centres)
    np.testing.assert_array_equal(found.obsm["spatial"], centres)


def test_patches_in_micrometres_ask_for_the_scale_of_a_new_image(tmp_path):
    slide = make_slide(tmp_path / "a.png", Spots(["a"], np.array([[40, 30]])), 10)
    told = {"patches": PatchCutting(um=100, size=16).model_dump(mode="json")}
    with pytest.raises(ImageError, match=r"'a-method' was .* 100 µm wide.*--um-per-px"):
        seen(slide, slide, told, "a-method", tmp_path)


@pytest.mark.parametrize("name", ["spot", "target"])
def test_a_view_that_is_the_patches_of_the_training_is_cut_as_they_are(tmp_path, rng, name):
    pixels = rng.integers(0, 256, (700, 900, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    cutting = PatchCutting(scale=6, size=40)  # of 600 px, which a view of its own would halve first
    slide = make_slide(
        tmp_path / "a.png", Spots(["a", "b"], np.array([[400, 300], [500, 390]])), 100
    )
    bare = ad.AnnData(obs=slide.obs, var=pd.DataFrame(index=["g"]), obsm=dict(slide.obsm))
    told = {"patches": cutting.model_dump(mode="json"), "views": {name: cutting.view.as_dict()}}

    found = seen(slide, bare, told, "a-method", tmp_path)

    for spot, (left, top) in enumerate([(100, 0), (200, 90)]):
        window = Image.fromarray(pixels[top : top + 600, left : left + 600])
        expected = np.asarray(window.resize((40, 40), Image.Resampling.BILINEAR)).astype(int)
        for shown in (found.patches, found.view(name)):
            assert np.abs(shown[:][spot] - expected).max() <= 1


@pytest.fixture(scope="module")
def seeing_workspace(prepared_workspace, tmp_path_factory):
    """A workspace in which a method with four views is trained."""
    import shutil

    root = tmp_path_factory.mktemp("seeing") / "workspace"
    shutil.copytree(prepared_workspace, root)
    bench = make_bench(
        str(TOY_PROTOCOL), workspace=root, plugin_files=[TOY_PLUGIN, VIEW_PLUGIN], device="cpu"
    )
    plan = select(bench, ["toy"], ["none"], ["sees-all"])
    assert not execute(plan, executor="inline", workers=1, track=False, figures=False).failed
    return root


def predict_seeing(workspace, bench, slides, tmp_path, *arguments):
    spots = write_positions(tmp_path / "positions.csv", slides.coordinates)
    image = bench.folder("toy") / "three.png"
    out = tmp_path / "slide.h5ad"
    return out, run_predict(
        workspace, "toy/none/sees-all", "--image", image, "--spots", spots, "--out", out,
        "--plugin", VIEW_PLUGIN, *arguments,
    )  # fmt: skip


def test_a_new_slide_is_seen_through_the_views_of_the_training(seeing_workspace, tmp_path):
    bench = make_bench(
        str(TOY_PROTOCOL), workspace=seeing_workspace, plugin_files=[TOY_PLUGIN, VIEW_PLUGIN]
    )
    slides = prepare(bench, "toy").slides("test")
    out, done = predict_seeing(seeing_workspace, bench, slides, tmp_path, "--um-per-px", 6.25)
    assert done.exit_code == 0, done.output
    trained = applying.find_trained(make_store(seeing_workspace), "toy/none/sees-all")
    with np.load(trained.folder / "predictions.npz") as arrays:
        expected = arrays["test_prediction"]
    np.testing.assert_allclose(ad.read_h5ad(out).X, expected, rtol=1e-4, atol=1e-5)


def test_a_new_slide_without_a_scale_cannot_show_micrometres(seeing_workspace, tmp_path):
    bench = make_bench(
        str(TOY_PROTOCOL), workspace=seeing_workspace, plugin_files=[TOY_PLUGIN, VIEW_PLUGIN]
    )
    slides = prepare(bench, "toy").slides("test")
    _, done = predict_seeing(seeing_workspace, bench, slides, tmp_path, "--spot-diameter-px", 16)
    assert isinstance(done.exception, ViewError)
    assert "Predictor 'sees-all', view 'context', image " in str(done.exception)
    assert "`--um-per-px` says" in str(done.exception)


@pytest.mark.parametrize("column", ["in_tissue", "In Tissue", "in.tissue"])
def test_of_a_table_the_spots_under_tissue_are_taken(tmp_path, column):
    path = tmp_path / "p.csv"
    path.write_text(f"x,y,{column}\n1,2,1\n3,4,0\n5,6,TRUE\n")
    found = read_positions(path)
    assert found.names == ["spot_0", "spot_2"]
    np.testing.assert_array_equal(found.centres, [[1, 2], [5, 6]])
    assert found.notes == ["Spots beside the tissue, dropped: 1."]
    path.write_text(f"x,y,{column}\n1,2,0\n3,4,0\n")
    with pytest.raises(CoordinateError, match=rf"column '{column}' is 1 or true for none of 2"):
        read_positions(path)
    path.write_text(f"x,y,{column}\n1,2,0\n3,4,maybe\n")
    with pytest.raises(CoordinateError, match=rf"column '{column}' of .* holds 'maybe'"):
        read_positions(path)


def test_another_column_of_the_tissue_is_told_and_not_used(tmp_path):
    path = tmp_path / "p.csv"
    path.write_text("x,y,spot,under_tissue\n1,2,a,1\n3,4,b,0\n")
    found = read_positions(path)
    (note,) = found.notes
    assert found.names == ["a", "b"]
    assert note.startswith("Column 'under_tissue' calls 1 of 2 spots beside the tissue")
    assert note.endswith("if it is right, call it `in_tissue`.")


@pytest.mark.parametrize("content", ["{", "[]", '{"patches": {}}'])
def test_a_trial_whose_application_is_damaged_says_so(trained_workspace, tmp_path, content):
    shutil.copytree(trained_workspace, tmp_path / "w")
    store = make_store(tmp_path / "w")
    path = applying.find_trained(store, "toy/none/linear-probe").folder / "application.json"
    path.write_text(content.ljust(path.stat().st_size))
    with pytest.raises(CorruptEntryError, match=r"is damaged \(application.json: .* Remove that"):
        applying.find_trained(store, "toy/none/linear-probe")
