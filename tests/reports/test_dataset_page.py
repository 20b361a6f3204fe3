"""The page of a dataset: one file, all in it, names escaped, faults shown."""

from __future__ import annotations

import base64
import io
import json
import re
from pathlib import Path

import PIL.Image
import pytest
from typer.testing import CliRunner

from spared_bench.api import make_bench
from spared_bench.cli import app
from spared_bench.processing.annotation import add_symbols, gene_table
from spared_bench.reports.dataset_figures import spots_per_slide
from spared_bench.reports.dataset_page import write_dataset_page
from tests import made_slides
from tests.accessibility import faults
from tests.conftest import TOY_PLUGIN

pytestmark = pytest.mark.usefixtures("prepared_alone")

TITLES = [
    "Slides",
    "Spots per slide",
    "Missing entries, before and after",
    "Expression fraction",
    "Genes of highest Moran&#39;s I",
    "Patches",
    "Mean against variance",
    "What processing left",
]


@pytest.fixture
def page(bench, tmp_path):
    path = write_dataset_page(bench, "toy", tmp_path / "pages" / "toy.html")
    return path.read_text(encoding="utf-8")


def test_a_page_has_every_section_and_needs_no_other_file(page):
    assert re.findall(r"<h2>(.*?)</h2>", page) == TITLES
    sources = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert len(sources) == 9  # three slides and six figures
    for source in sources:
        head, _, data = source.partition(",")
        assert head in ("data:image/png;base64", "data:image/jpeg;base64")
        with PIL.Image.open(io.BytesIO(base64.b64decode(data))) as picture:
            assert len(picture.convert("RGB").getcolors(1 << 24)) > 2
    assert "<script" not in page


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_on_a_phone(browser, page, tmp_path, scheme):
    context = browser.new_context(
        bypass_csp=True, color_scheme=scheme, viewport={"width": 390, "height": 900}
    )
    opened = context.new_page()
    opened.goto((tmp_path / "pages" / "toy.html").as_uri())
    found = faults(opened, ("moderate", "serious", "critical"))
    context.close()
    assert found == []


def test_a_page_tells_what_each_step_left(page, bench):
    from spared_bench.trials.products import prepare

    record = prepare(bench, "toy").adata.uns["spared_bench"]
    for kind in ("spots", "genes"):
        for name, left in zip(record[kind]["after"], record[kind]["left"], strict=True):
            escaped = name.replace("'", "&#39;")
            assert re.search(rf'<td>{escaped}</td><td class="number">{left:,}</td>', page)
    assert "– tissue" in page  # 49 spots are too few for the tests
    assert "The slide has 49 spots; the tests need 60." in page


def test_a_raw_page_prepares_nothing(bench, tmp_path, monkeypatch):
    monkeypatch.setattr("spared_bench.trials.products.prepare", None)
    path = write_dataset_page(bench, "toy", tmp_path / "toy.html", prepare=False)
    titles = re.findall(r"<h2>(.*?)</h2>", path.read_text(encoding="utf-8"))
    assert titles == ["Slides", "Spots per slide"]


def test_a_dataset_that_cannot_be_prepared_still_has_its_page(workspace, tmp_path):
    protocol = tmp_path / "strict.yaml"
    protocol.write_text(
        "name: strict\nversion: 1\nmetrics: [mse]\n"
        "processing: {target: log1p_cp10k, filtering: {gene_min_counts: 900000}}"
    )
    bench = make_bench(str(protocol), workspace=workspace, plugin_files=[TOY_PLUGIN], device="cpu")
    page = write_dataset_page(bench, "toy", tmp_path / "toy.html").read_text(encoding="utf-8")
    assert "Protocol strict@1 cannot prepare this dataset." in page
    assert "No gene passes the filters" in page
    assert page.count("data:image/jpeg") == 3


def test_names_from_data_are_escaped_and_faults_come_first(tmp_path):
    for seed, slide_id in enumerate(("T1", "T2")):
        made_slides.space_ranger(tmp_path / slide_id, seed=seed)
    (tmp_path / "mine.yaml").write_text(
        "name: mine\nformat: space_ranger\norganism: human\nallow_shared_donors: true\n"
        'tissue: "<img src=x onerror=alert(1)>\\u202e\\e[2J"\n'
        "slides: {T1: {path: T1, patient: '$x <b>'}, T2: {path: T2, patient: '$x <b>'}}\n"
        "split: {train: [T1], test: [T2]}"
    )
    run = CliRunner().invoke
    workspace = ["-w", str(tmp_path / "w")]
    assert run(app, ["data", "add", str(tmp_path / "mine.yaml"), *workspace]).exit_code == 0
    result = run(app, ["data", "show", "mine", "--raw", "--json", *workspace])
    (path,) = json.loads(result.stdout)["pages"]
    page = Path(path).read_text(encoding="utf-8")
    assert "<img src=x" not in page
    assert "&lt;img src=x onerror=alert(1)&gt;\ufffd\ufffd[2J" in page
    assert not {"\u202e", "\x1b"} & set(page)
    assert "&lt;b&gt;" in page
    assert page.index("Donors on both sides of the split") < page.index("<h2>Slides</h2>")


def test_the_pixels_told_of_are_those_of_the_image_at_hand(tmp_path):
    outs = made_slides.space_ranger(tmp_path / "T1")
    positions = outs / "spatial" / "tissue_positions.csv"
    header, *lines = positions.read_text().splitlines()
    for i, line in enumerate(lines):  # the full image is twice as large as the one in the folder
        *start, y, x = line.split(",")
        lines[i] = ",".join([*start, str(2 * float(y)), str(2 * float(x))])
    positions.write_text("\n".join([header, *lines]))
    factors = {"spot_diameter_fullres": 44.0, "tissue_hires_scalef": 0.5}
    (outs / "spatial" / "scalefactors_json.json").write_text(json.dumps(factors))
    (tmp_path / "mine.yaml").write_text(
        "name: mine\nformat: space_ranger\norganism: human\nslides: {T1: {path: T1}}\n"
        "split: {train: [T1]}"
    )
    run = CliRunner().invoke
    workspace = ["-w", str(tmp_path / "w")]
    assert run(app, ["data", "add", str(tmp_path / "mine.yaml"), *workspace]).exit_code == 0
    result = run(app, ["data", "show", "mine", "--raw", "--json", *workspace])
    page = Path(json.loads(result.stdout)["pages"][0]).read_text(encoding="utf-8")
    assert '<td class="number">22</td>' in page
    assert "T1 is coarse: a patch of 224 px is enlarged from 22 px" in page


@pytest.mark.parametrize(
    ("cutting", "told"),
    [
        ({"um": 200.0, "size": 64}, None),  # 32 of its pixels, of 6.25 µm
        ({"um": 200.0, "size": 65}, "a patch of 65 px is enlarged from 32 px"),
        ({"scale": 2.0, "size": 65}, "a patch of 65 px is enlarged from 32 px"),
        ({"scale": 9.0, "um": 50.0, "size": 24}, "a patch of 24 px is enlarged from 8 px"),
    ],
)
def test_a_coarse_image_is_told_by_the_width_of_its_patches(cutting, told, bench, tmp_path):
    protocol = bench.protocol
    patches = protocol.patches.model_copy(update=cutting)
    bench.protocol = protocol.model_copy(update={"patches": patches})

    path = write_dataset_page(bench, "toy", tmp_path / "toy.html", prepare=False)

    page = path.read_text(encoding="utf-8")
    assert ("is coarse" in page) == (told is not None)
    assert (told or "") in page


def test_a_slide_with_ids_only_is_drawn_by_symbol(bench, rng):
    import anndata as ad
    import numpy as np
    import pandas as pd

    from spared_bench.reports.slide_figures import spot_values

    table = gene_table("human")
    ids = table.index[table["gene_name"].isin(["ERBB2", "MUC1"])].tolist()
    slide = ad.AnnData(
        rng.poisson(3, size=(4, 3)).astype(float),
        var=pd.DataFrame(index=[f"{ids[0]}.7", ids[1], "other"]),
    )
    add_symbols(slide, "human")
    assert sorted(slide.var["gene_name"]) == ["ERBB2", "MUC1", "other"]
    column = list(slide.var["gene_name"]).index("ERBB2")
    np.testing.assert_array_equal(spot_values(slide, "erbb2"), slide.X[:, column])
    slide.var["gene_name"] = ["one", "two", "three"]
    add_symbols(slide, "human")  # given symbols stay
    assert list(slide.var["gene_name"]) == ["one", "two", "three"]


def test_the_labels_of_people_are_told_with_the_number_of_spots(tmp_path):
    import anndata as ad
    import numpy as np

    for slide_id, labels in (("a", ["tumour"] * 3 + ["stroma"] + [""] * 2), ("b", [""] * 6)):
        slide = ad.AnnData(np.full((6, 4), len(set(labels)), np.float32))
        slide.var_names = [f"ENSG0000000000{i}" for i in range(4)]
        slide.obs["region"] = labels
        slide.obs[["array_row", "array_col"]] = [[i // 3, i % 3] for i in range(6)]
        slide.obsm["spatial"] = np.array([[i % 3, i // 3] for i in range(6)]) * 40.0 + 20
        picture = {"images": {"hires": np.full((80, 120, 3), ord(slide_id) + 100, np.uint8)}}
        factors = {"spot_diameter_fullres": 20.0, "tissue_hires_scalef": 1.0}
        slide.uns["spatial"] = {slide_id: picture | {"scalefactors": factors}}
        slide.write_h5ad(tmp_path / f"{slide_id}.h5ad")
    (tmp_path / "mine.yaml").write_text(
        "name: mine\nformat: h5ad\norganism: human\nlabel_column: region\n"
        "classes: [stroma, tumour]\nslides: {a: {path: a.h5ad}, b: {path: b.h5ad}}\n"
        "split: {train: [a], val: [b]}"
    )
    workspace = ["-w", str(tmp_path / "w")]
    assert (
        CliRunner().invoke(app, ["data", "add", str(tmp_path / "mine.yaml"), *workspace]).exit_code
        == 0
    )
    result = CliRunner().invoke(app, ["data", "show", "mine", "--raw", "--json", *workspace])
    page = Path(json.loads(result.stdout)["pages"][0]).read_text(encoding="utf-8")
    assert "1 of 2 slides; spots: tumour (3), stroma (1)" in page


def test_a_name_in_a_figure_is_short_and_of_what_can_be_drawn():
    drawn = spots_per_slide([("$x\r\x1b[2J" + "y" * 500, "test", 3, 2)])
    (label,) = drawn.axes[0].get_yticklabels()
    assert label.get_text() == r"\$x �[2J" + "y" * 52 + "…"
