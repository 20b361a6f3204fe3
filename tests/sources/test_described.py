"""A user's own slides as a dataset: described in YAML, kept, found, and run like any other."""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil

import anndata
import h5py
import imagecodecs
import numpy as np
import pandas as pd
import pytest
import tifffile
from anndata import AnnData
from PIL import Image
from scipy import sparse
from typer.testing import CliRunner

from spared_bench.api import make_bench, select
from spared_bench.cli import app
from spared_bench.errors import (
    ContractError,
    CoordinateError,
    CountsError,
    DataError,
    ImageError,
    MissingFileError,
    SplitError,
    UsageError,
)
from spared_bench.inference.new_slide import require_image
from spared_bench.processing.annotation import gene_table
from spared_bench.registry import discover
from spared_bench.sources import adding
from spared_bench.sources.adding import add_description
from spared_bench.sources.described import read, read_slide
from spared_bench.sources.description import read_description
from spared_bench.sources.no_genes import require_genes
from spared_bench.trials.products import prepare
from tests import made_slides
from tests.conftest import TOY_PROTOCOL

TEXT = """
name: mine
format: space_ranger
organism: human
tissue: breast
slides:
  1501: {path: slides/T1, patient: p1}
  T2: {path: slides/T2, patient: p2, image: slides/T2/full.png}
split: {train: [1501], test: [T2]}
parameters: {n_genes: 7}
"""


@pytest.fixture(scope="module")
def two_slides(tmp_path_factory):
    folder = tmp_path_factory.mktemp("slides")
    made_slides.space_ranger(folder / "T1", seed=1)
    made_slides.space_ranger(folder / "T2", seed=2)
    made_slides.picture(2).save(folder / "T2/full.png")
    return folder


@pytest.fixture
def yaml(two_slides, tmp_path):
    """A description beside two slides of one's own."""
    shutil.copytree(two_slides, tmp_path / "slides")
    path = tmp_path / "mine.yaml"
    path.write_text(TEXT)
    return path


def refusal(path):
    """Return what is said of a description that is refused."""
    with pytest.raises(UsageError) as refused:
        read_description(path)
    return str(refused.value)


def rewritten(yaml, before, after):
    assert before in yaml.read_text()
    yaml.write_text(yaml.read_text().replace(before, after))
    return yaml


def test_a_described_dataset_is_found_prepared_and_told_by_its_content(yaml, tmp_path):
    add_description(yaml, tmp_path / "w/data")
    bench = make_bench(str(TOY_PROTOCOL), workspace=tmp_path / "w", device="cpu")
    spec = bench.dataset("mine")
    assert spec.tier == "A"
    assert [slide.patient_id for slide in spec.slides] == ["p1", "p2"]

    prepared = prepare(bench, "mine")
    assert set(prepared.adata.obs["slide_id"]) == {"1501", "T2"}
    assert prepared.patches.shape == (prepared.adata.n_obs, 8, 8, 3)

    again = make_bench(str(TOY_PROTOCOL), workspace=tmp_path / "w", device="cpu")
    assert again.prepared_inputs("mine") == bench.prepared_inputs("mine")
    made_slides.picture(9).save(tmp_path / "slides/T2/full.png")
    changed = make_bench(str(TOY_PROTOCOL), workspace=tmp_path / "w", device="cpu")
    assert changed.prepared_inputs("mine") != bench.prepared_inputs("mine")


def test_what_lies_beside_the_output_of_space_ranger_is_not_hashed(yaml, tmp_path):
    add_description(yaml, tmp_path / "w/data")
    bench = make_bench(str(TOY_PROTOCOL), workspace=tmp_path / "w", device="cpu")
    before = bench.data_inputs("mine")
    (tmp_path / "slides/T1/possorted_genome_bam.bam").write_bytes(b"large")
    again = make_bench(str(TOY_PROTOCOL), workspace=tmp_path / "w", device="cpu")
    assert again.data_inputs("mine") == before


def test_the_command_adds_lists_and_describes(yaml, tmp_path):
    run = CliRunner().invoke
    workspace = ["--workspace", str(tmp_path / "w")]
    added = run(app, ["data", "add", str(yaml), *workspace])
    assert added.exit_code == 0, added.output
    assert "Added mine: 2 slides" in added.output
    listed = json.loads(run(app, ["list", "datasets", "--json", *workspace]).output)
    (entry,) = [each for each in listed if each["name"] == "mine"]
    assert entry["distribution"] == "data"
    assert entry["tissue"] == "breast"
    assert "breast" in run(app, ["info", "mine", *workspace]).output
    again = run(app, ["data", "add", str(yaml), *workspace])  # as after a kill
    assert (again.exit_code, again.stdout) == (0, added.stdout)
    yaml.write_text(yaml.read_text().replace("breast", "lung"))
    other = run(app, ["data", "add", str(yaml), *workspace])
    assert isinstance(other.exception, UsageError)
    assert run(app, ["data", "add", str(yaml), "--replace", *workspace]).exit_code == 0


def test_a_dataset_that_was_refused_can_be_added_once_it_is_mended(tmp_path):
    own_image(tmp_path / "T1/adata.h5ad", 1)
    yaml = tmp_path / "mine.yaml"
    yaml.write_text(
        "{name: mine, format: h5ad, organism: human, split: {train: [T1, T2]},"
        " slides: {T1: {path: T1/adata.h5ad}, T2: {path: T2/adata.h5ad}}}"
    )
    with pytest.raises(MissingFileError):
        add_description(yaml, tmp_path / "data")
    own_image(tmp_path / "T2/adata.h5ad", 2)
    assert add_description(yaml, tmp_path / "data")[1].is_file()


def test_what_another_command_added_meanwhile_is_not_replaced(yaml, tmp_path, monkeypatch):
    kept = tmp_path / "data/mine/dataset.yaml"

    def read_beside_another(*given):
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text("of another command")
        return read(*given)

    read = adding.read
    monkeypatch.setattr(adding, "read", read_beside_another)
    with pytest.raises(UsageError, match=r"There is another dataset in .*mine already"):
        add_description(yaml, tmp_path / "data")
    assert kept.read_text() == "of another command"
    add_description(yaml, tmp_path / "data", replace=True)
    assert read_description(kept).name == "mine"


def test_a_slide_without_any_count_is_refused(tmp_path):
    own_image(tmp_path / "T1.h5ad", 1)
    own_image(tmp_path / "T2.h5ad", 2)
    empty = anndata.read_h5ad(tmp_path / "T1.h5ad")
    empty.X = empty.X * 0
    empty.write_h5ad(tmp_path / "T1.h5ad")
    yaml = tmp_path / "mine.yaml"
    yaml.write_text(
        "{name: mine, format: h5ad, organism: human, split: {train: [T1, T2]},"
        " slides: {T1: {path: T1.h5ad}, T2: {path: T2.h5ad}}}"
    )
    with pytest.raises(CountsError, match=r"No count of slide 'T1' .* is above 0"):
        add_description(yaml, tmp_path / "data")


@pytest.fixture
def pair(tmp_path):
    """Return what adds two AnnData files, the second one changed by a function."""

    def add(change):
        own_image(tmp_path / "T1.h5ad", 1)
        own_image(tmp_path / "T2.h5ad", 2)
        slides = {name: anndata.read_h5ad(tmp_path / f"{name}.h5ad") for name in ("T1", "T2")}
        change(**slides).write_h5ad(tmp_path / "T2.h5ad")
        (tmp_path / "mine.yaml").write_text(
            "{name: mine, format: h5ad, organism: human, split: {train: [T1], test: [T2]}, slides:"
            " {T1: {path: T1.h5ad, patient: p}, T2: {path: T2.h5ad, patient: q}}}"
        )
        return add_description(tmp_path / "mine.yaml", tmp_path / "data", replace=True)

    return add


def named(adata, names):
    adata.var_names = names
    return adata


def symbols(n_genes):
    names = gene_table("human")["gene_name"]
    return names[made_slides.gene_ids(n_genes)].tolist()


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda T1, T2: T1, CountsError, "Slide 'T2' .* has the counts of slide 'T1', all of them"),
        (lambda T1, T2: T1[::-1, ::-1].copy(), CountsError, "one is a copy of the other"),
        (
            lambda T1, T2: named(T2, made_slides.gene_ids(18)[9:]),
            CountsError,
            "none of the genes that the slides before it share: 'ENSG",
        ),
        (
            lambda T1, T2: named(T2, made_slides.gene_ids(9, "mouse")),
            DataError,
            "declared as human, but they look like mouse",
        ),
    ],
)
def test_slides_that_do_not_belong_into_one_dataset_are_refused(pair, change, error, message):
    with pytest.raises(error, match=message):
        pair(change)


def linked(way):
    def make(image, tmp_path):
        other = tmp_path / f"again{image.suffix}"
        way(image, other)
        return other

    return make


SAME_FILE = [
    lambda image, tmp_path: image,
    linked(lambda image, other: other.symlink_to(image)),
    linked(os.link),
    linked(shutil.copyfile),
]
SAME_IDS = ["path", "symlink", "hardlink", "copy"]


@pytest.mark.parametrize("again", SAME_FILE, ids=SAME_IDS)
def test_one_image_is_not_that_of_two_slides_where_their_spots_lie_together(yaml, tmp_path, again):
    image = again(tmp_path / "slides/T2/full.png", tmp_path)
    rewritten(yaml, "patient: p1", f"patient: p1, image: {image}")
    with pytest.raises(ImageError, match=r"Slide 'T2' .*is that of slide '1501'.*64 of its 64"):
        add_description(yaml, tmp_path / "data")


def test_an_image_copied_with_the_folder_of_space_ranger_is_seen(yaml, tmp_path):
    (tmp_path / "slides/T2/full.png").unlink()
    rewritten(yaml, ", image: slides/T2/full.png", "")
    name = "spatial/tissue_hires_image.png"
    shutil.copyfile(tmp_path / "slides/T1" / name, tmp_path / "slides/T2" / name)
    with pytest.raises(ImageError, match="one piece of tissue cannot be both"):
        add_description(yaml, tmp_path / "data")


def test_capture_areas_of_one_scan_share_its_image_and_that_is_recorded(tmp_path):
    array, centres = made_slides.lattice()
    width = made_slides.picture(0).width
    Image.new("RGB", (2 * width, width), (190, 120, 180)).save(tmp_path / "scan.png")
    for seed, slide_id in enumerate(("T1", "T2")):
        AnnData(
            sparse.csr_matrix(made_slides.counts(9, seed)),
            obs=pd.DataFrame(array, columns=["array_row", "array_col"], dtype=int).rename(str),
            var=pd.DataFrame(index=made_slides.gene_ids(9)),
            obsm={"spatial": centres + np.array([width * seed, 0])},
            uns={"spatial": {"lib": {"scalefactors": {"spot_diameter_fullres": 22.0}}}},
        ).write_h5ad(tmp_path / f"{slide_id}.h5ad")
    yaml = tmp_path / "mine.yaml"
    yaml.write_text(
        "{name: mine, format: h5ad, organism: human, split: {train: [T1], test: [T2]}, slides:"
        " {T1: {path: T1.h5ad, image: scan.png}, T2: {path: T2.h5ad, image: scan.png}}}"
    )
    add_description(yaml, tmp_path / "data")
    for slide_id, other in (("T1", "T2"), ("T2", "T1")):
        repairs = read_slide(tmp_path / "data/mine", slide_id).uns["slide"]["repairs"]
        assert f"Its image is that of '{other}', too, where spots lie elsewhere on it." in (repairs)


@pytest.mark.parametrize("again", SAME_FILE, ids=SAME_IDS)
def test_one_table_does_not_label_spots_of_two_slides(yaml, tmp_path, again):
    labels = tmp_path / "labels.csv"
    labels.write_text("barcode,layer\nAAAC0001-1,L1\nAAAC0002-1,L2\n")
    rewritten(yaml, "organism: human", "organism: human\nlabel_column: layer")
    rewritten(yaml, "patient: p1", f"patient: p1, labels: {labels}")
    rewritten(yaml, "patient: p2", f"patient: p2, labels: {again(labels, tmp_path)}")
    with pytest.raises(ContractError, match=r"Slide 'T2' .*'AAAC0001-1', for example, is a spot"):
        add_description(yaml, tmp_path / "data")


def test_slides_may_name_genes_by_id_and_by_symbol(pair):
    assert pair(lambda T1, T2: named(T2, symbols(9)))[1].is_file()


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ("sample: s", "sample: s", "of sample 's', and of the patients p1 and p2: a block of"),
        ("order: 1, sample: s", "sample: s", "a block of tissue is one donor's"),
        ("order: 2", "order: 2", ""),  # of two donors
        ("sample: s", "sample: t", ""),
    ],
)
def test_a_block_of_tissue_is_one_donors(yaml, first, second, message):
    rewritten(yaml, "patient: p1", f"patient: p1, {first}")
    rewritten(yaml, "patient: p2", f"patient: p2, {second}")
    if message:
        assert message in refusal(yaml)
    else:
        read_description(yaml)


def test_two_sections_have_no_one_place(yaml):
    rewritten(yaml, "split: {train: [1501]", "allow_shared_donors: true\nsplit: {train: [1501]")
    rewritten(yaml, "patient: p1", "patient: p, order: 3")
    rewritten(yaml, "patient: p2", "patient: p, order: 3")
    assert "'1501' and 'T2' both have `order: 3` in sample 'p'" in refusal(yaml)


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        *(("Homo sapiens", "human"), ("humna", "human"), ("GRCh38", "human"), ("9606", "human")),
        *(("Mus_musculus", "mouse"), ("mice", "mouse"), ("mm10", "mouse"), ("GRCm39", "mouse")),
    ],
)
def test_an_organism_whose_genes_are_known_has_one_name(yaml, said, meant):
    rewritten(yaml, "organism: human", f"organism: {said}")
    assert f"is called `{meant}` here: `organism: {meant}`." in refusal(yaml)


@pytest.mark.parametrize("organism", ["rat", "horse", "zebrafish", "arabidopsis thaliana"])
def test_another_organism_may_be_any(yaml, organism):
    rewritten(yaml, "organism: human", f"organism: {organism}")
    assert read_description(yaml).organism == organism


def test_an_added_dataset_is_fetched_and_verified_by_its_name(yaml, tmp_path):
    add_description(yaml, tmp_path / "w/data")
    workspace = ["--workspace", str(tmp_path / "w")]
    run = CliRunner().invoke
    for command in ("fetch", "verify"):
        assert run(app, ["data", command, "mine", *workspace]).exit_code == 0
    (tmp_path / "slides/T2/full.png").unlink()
    verified = run(app, ["data", "verify", "mine", *workspace])
    assert verified.exit_code == 1
    assert "full.png, of slide 'T2': it is gone." in verified.output


@pytest.mark.parametrize("name", ["vicari_mouse_brain", "her2st.loso", "her2st.loso-a1"])
def test_other_names_and_folds_of_a_plugins_dataset_are_taken(yaml, tmp_path, name):
    rewritten(yaml, "name: mine", f"name: {name}")
    result = CliRunner().invoke(app, ["data", "add", str(yaml), "--workspace", str(tmp_path)])
    assert isinstance(result.exception, UsageError)
    assert f"registers a dataset {name!r} already" in str(result.exception)


def test_the_name_of_a_plugins_dataset_is_taken(yaml, tmp_path):
    rewritten(yaml, "name: mine", "name: planted")
    result = CliRunner().invoke(app, ["data", "add", str(yaml), "-w", str(tmp_path / "w")])
    assert "registers a dataset 'planted' already" in str(result.exception)


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("tissue: breast", "tisue: breast", "unknown setting 'tisue'. Did you mean 'tissue'?"),
        ("patient: p1", "patiant: p1", "unknown setting 'slides.1501.patiant'. Did you mean"),
        ("patient: p1", "layer: counts", "sets `layer`, which format 'space_ranger' does not use"),
        ("  T2:", "  ../T2:", "'../T2' cannot name a slide"),
        ("organism: human", "organism: &a human", ""),
        ("tissue: breast", "tissue: breast\ntissue: lung", "'tissue' stands twice"),
        ("organism: human", "organism: &a human\nlicence: *a", "aliases (*name) are not allowed"),
        ("name: mine", "names: mine", "unknown setting 'names'. Did you mean 'name'?"),
        (
            "tissue: breast",
            "um_per_px: 0.5",
            "unknown setting 'um_per_px'. There is one of that name in slides.NAME. Known",
        ),
        (
            "patient: p1",
            "patient: p1, licence: MIT",
            "unknown setting 'slides.1501.licence'. There is one of that name in the file itself.",
        ),
        ("tissue: breast", "split: {}", "'split' stands twice"),
        ("format: space_ranger", "", "setting 'format' is missing."),
        ("slides/T2,", "slides/T1,", "slides '1501' and 'T2' are both"),
    ],
)
def test_a_description_that_says_something_unknown_is_refused(yaml, before, after, message):
    rewritten(yaml, before, after)
    if not message:
        assert read_description(yaml).organism == "human"
        return
    told = refusal(yaml)
    assert message in told
    assert str(yaml) in told


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("n_genes: 7", "n_genez: 7", "Did you mean 'n_genes'?"),
        ("n_genes: 7", "n_genes: 0", "expected more than 0"),
        ("slides/T2,", '"a\\0b",', "cannot be a path: "),
        ("slides/T2,", '"",', "setting 'slides.T2.path': expected text of at least 1 letters"),
    ],
)
def test_a_parameter_or_path_that_cannot_be_is_refused(yaml, before, after, message):
    assert message in refusal(rewritten(yaml, before, after))


@pytest.mark.parametrize(
    ("setting", "told"),
    [("um_per_px: 0", "more than 0"), ("um_per_px: '0.0'", "more than 0"), ("um_per_px: -1", "0")],
)
def test_a_length_of_0_is_refused_when_a_dataset_is_added(yaml, tmp_path, setting, told):
    rewritten(yaml, "patient: p1", f"patient: p1, {setting}")
    with pytest.raises(UsageError, match=f"'slides.1501.um_per_px': expected .*{told}"):
        add_description(yaml, tmp_path / "data")


def test_x_and_y_are_places_and_no_genes_where_both_are_there():
    slide = AnnData(np.ones((3, 4), np.float32), var=pd.DataFrame(index=["w", "X", "Y", "sc"]))
    with pytest.raises(CountsError, match="'X', 'Y' among its genes are none"):
        require_genes(slide)


@pytest.mark.parametrize(
    ("human", "mouse", "organism", "told"),
    [
        (9, 6, "human", "6 of its 15 genes are called as in mouse and not as in human ('Actb'"),
        (6, 9, "mouse", "6 of its 15 genes are called as in human and not as in mouse ('ACTB'"),
        (9, 4, "human", ""),  # fewer than five: constructs, say
        (9, 0, "human", ""),
        (0, 9, "mouse", ""),
    ],
)
def test_symbols_of_two_organisms_are_refused_when_a_dataset_is_added(
    tmp_path, human, mouse, organism, told
):
    """As in the counts of a xenograft that somebody has exported by symbols."""
    symbols = ["ACTB", "CD3E", "VIM", "FN1", "MYC", "KRAS", "EGFR", "CDH1", "GAPDH"]
    names = symbols[:human] + [symbol.capitalize() for symbol in symbols[:mouse]]
    own_image(tmp_path / "T1/adata.h5ad", 1)
    slide = anndata.read_h5ad(tmp_path / "T1/adata.h5ad")
    counts = np.random.default_rng(0).poisson(5, (slide.n_obs, len(names))).astype(np.float32)
    var = pd.DataFrame(index=names)
    AnnData(counts, obs=slide.obs, var=var, obsm=dict(slide.obsm), uns=dict(slide.uns)).write_h5ad(
        tmp_path / "T1/adata.h5ad"
    )
    (tmp_path / "mine.yaml").write_text(
        f"name: mine\nformat: h5ad\norganism: {organism}\n"
        "slides: {T1: {path: T1/adata.h5ad}}\nsplit: {train: [T1]}\n"
    )
    if told:
        with pytest.raises(CountsError, match=re.escape(told)):
            add_description(tmp_path / "mine.yaml", tmp_path / "data")
    else:
        add_description(tmp_path / "mine.yaml", tmp_path / "data")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("Total", "'Total' among its genes is none"),
        ("__no_feature", "'__no_feature' among its genes is none"),
        ("pixel_x", "'pixel_x' among its genes is none"),
        ("nCount RNA", "'nCount RNA' among its genes is none"),
        ("ERCC-00002", "'ERCC-00002' among its genes is none"),
        ("all of them", "column 'all of them' is, in every spot, the sum of all others"),
        ("PLUS1", ""),
        ("ERCC1", ""),
        ("y", ""),  # yellow, of the fly
    ],
)
def test_a_column_that_is_no_gene_is_refused_when_a_dataset_is_added(tmp_path, name, told):
    own_image(tmp_path / "T1/adata.h5ad", 1)
    slide = anndata.read_h5ad(tmp_path / "T1/adata.h5ad")
    further = np.asarray(slide.X.sum(axis=1)).ravel() + (not told)
    var = pd.DataFrame(index=[*slide.var_names, name])
    counts = np.column_stack([slide.X.toarray(), further]).astype(np.float32)
    wider = AnnData(counts, obs=slide.obs, var=var, obsm=dict(slide.obsm), uns=dict(slide.uns))
    wider.write_h5ad(tmp_path / "T1/adata.h5ad")
    (tmp_path / "mine.yaml").write_text(
        "name: mine\nformat: h5ad\norganism: human\nslides: {T1: {path: T1/adata.h5ad}}\n"
        "split: {train: [T1]}\n"
    )
    if told:
        with pytest.raises(CountsError, match=told):
            add_description(tmp_path / "mine.yaml", tmp_path / "data")
    else:
        add_description(tmp_path / "mine.yaml", tmp_path / "data")


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (
            "{further_genes: [ISG51]}",
            r"`further_genes` .* 1 gene, of which 1 is .*: ISG51[.] Did you mean 'ISG15'",
        ),
        ("{genes: [AGRN, ENSG9, ABC]}", "`genes` .* 3 genes, of which 2 are .*: ENSG9, ABC"),
        ("{gene_list: asign-dlpfc}", "`gene_list` .* are not among the 12 that all slides have"),
    ],
)
def test_genes_that_a_description_names_and_no_slide_has_are_told_when_it_is_added(
    yaml, tmp_path, given, told
):
    rewritten(yaml, "{n_genes: 7}", given)
    with pytest.raises(CountsError, match=told):
        add_description(yaml, tmp_path / "data")
    assert not (tmp_path / "data/mine/dataset.yaml").exists()


@pytest.mark.parametrize("name", ["symbol", "id"])
def test_genes_of_a_description_are_named_by_symbol_or_id(yaml, tmp_path, name):
    gene = made_slides.gene_ids(1)[0]
    named = gene if name == "id" else gene_table("human").loc[gene, "gene_name"]
    rewritten(yaml, "{n_genes: 7}", f"{{n_genes: 7, further_genes: [{named}]}}")
    described, _ = add_description(yaml, tmp_path / "data")
    assert described.parameters["further_genes"] == [named]


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("tissue: breast", "donors_verified: ja", "expected true or false (found 'ja')."),
        ("tissue: breast", "allow_shared_donors: 2", "expected true or false (found '2')."),
        ("patient: p1", "um_per_px: half", "um_per_px': expected a number (found 'half')."),
        ("patient: p1", "um_per_px: -1", "um_per_px': expected at least 0 (found '-1')."),
        ("patient: p1", "um_per_px: 1e9", "um_per_px': expected at most 1000000"),
        ("patient: p1", "order: 1.5", "order': expected a whole number (found '1.5')."),
        ("patient: p1", "patient: [p1]", "patient': expected text (found ['p1'])."),
        ("{path: slides/T1, patient: p1}", "slides/T1", "expected settings with a value each: {N"),
        ("train: [1501]", "train: 1501", "'split.train': expected a list: [A, B] (found '1501')."),
        ("split: {train: [1501], test: [T2]}", "split: [T2]", "expected names with a value each"),
        ("train: [1501]", "training: [1501]", "expected 'train', 'val' or 'test'"),
        ("{n_genes: 7}", "7", "'parameters': expected names with a value each"),
        ("{n_genes: 7}", "{n_genes: many}", "'n_genes': expected a whole number (found 'many')."),
        ("format: space_ranger", "format: spcae_ranger", "Did you mean 'space_ranger'?"),
        ("format: space_ranger", "format: 2024-05-31", "expected 'space_ranger', 'h5ad', "),
        ("tissue: breast", "classes: L1", "'classes': expected a list: [A, B] (found 'L1')."),
    ],
)
def test_a_value_of_another_kind_is_told_with_what_was_expected(yaml, before, after, message):
    told = refusal(rewritten(yaml, before, after))
    assert message in told
    # pydantic's words for it: Input should be a valid boolean, unable to interpret input
    assert not re.search("input|instance|valid |dictionary|string|tuple", told)


@pytest.mark.parametrize(
    ("said", "meant"),
    {
        "visium": "is `format: space_ranger`.",
        "10x": "is `format: space_ranger`.",
        "Space Ranger": "is `format: space_ranger`.",
        "visium_hd": "with one folder of `binned_outputs` as `path`.",
        "visium_h5ad": "An AnnData file (.h5ad) is `format: h5ad`.",
        "ST": "are `format: legacy_st`.",
        "csv": "between tabs, and one of positions (`spots`) are `format: legacy_st`.",
        "zarr": "is `format: spatialdata`.",
        "HEST-1k": "are `format: hest`.",
        "mtx": "A matrix of counts alone has no positions.",
        "xenium": "Single cells and molecules are not read, spots are: pool them",
        "seurat": "Of anything else, write an AnnData file with raw counts in `X`",
    }.items(),
)
def test_the_word_of_a_format_that_people_use_is_told_what_it_is_here(yaml, said, meant):
    told = refusal(rewritten(yaml, "format: space_ranger", f"format: {said}"))
    assert meant in told
    assert f"'spatialdata' or 'hest' (found {said!r})" in told


def test_numbers_name_donors_and_capital_letters_an_organism(yaml):
    rewritten(yaml, "patient: p1", "patient: 1")
    spec = read_description(rewritten(yaml, "organism: human", "organism: Human")).spec()
    assert (spec.slides[0].patient_id, spec.organism) == ("1", "human")


@pytest.mark.parametrize("ids", [("010", "011"), ("0012", "0013"), ("1.10", "1.1"), ("1_5", "15")])
@pytest.mark.parametrize("yaml_of", ["{}", "'{}'"])
def test_slides_and_donors_are_called_what_is_written(yaml, tmp_path, ids, yaml_of):
    first, second = map(yaml_of.format, ids)
    text = TEXT.replace("1501", first).replace("T2:", f"{second}:").replace("[T2]", f"[{second}]")
    text = text.replace("patient: p1", f"patient: {first}").replace("patient: p2", "patient: on")
    yaml.write_text(text + f"folds: {{loo: {{a: [{first}]}}}}\n")
    _, kept = add_description(yaml, tmp_path / "data")
    for each in (read_description(yaml), read_description(kept)):
        spec = each.spec()
        assert [(s.slide_id, s.patient_id) for s in spec.slides] == [
            (ids[0], ids[0]),
            (ids[1], "on"),
        ]
        assert spec.split == {"train": ids[:1], "test": ids[1:]}
        assert spec.folds == {"loo": {"a": ids[:1]}}
        assert spec.parameters == {"n_genes": 7}


@pytest.mark.parametrize("slide_id", ["12:30", "~", "[a]"])
def test_an_id_that_cannot_be_a_file_or_is_no_text_is_refused_as_written(yaml, slide_id):
    with pytest.raises(UsageError, match=r"12:30|slides|not valid"):
        read_description(rewritten(yaml, "  1501:", f"  ? {slide_id}\n  :"))


def test_the_organism_of_a_description_says_which_genome_is_read(yaml, tmp_path):
    for slide in ("T1", "T2"):
        path = tmp_path / f"slides/{slide}/filtered_feature_bc_matrix.h5"
        with h5py.File(path, "a") as file:
            file["matrix/features/genome"] = np.array(["GRCh38"] * 8 + ["mm10"] * 4, dtype="S")
    _, kept = add_description(yaml, tmp_path / "data")
    slide = read_slide(kept.parent, "T2")
    assert slide.n_vars == 8
    assert slide.uns["slide"]["repairs"] == [
        "Genes of other genomes than GRCh38, dropped: 4 (mm10)."
    ]


def test_numbers_and_switches_of_a_description_are_read_as_such(yaml):
    rewritten(yaml, "patient: p1", "patient: p1, um_per_px: 0.5")
    rewritten(yaml, "organism: human", "organism: human\nallow_shared_donors: yes")
    found = read_description(yaml)
    assert (found.slides["1501"].um_per_px, found.allow_shared_donors) == (0.5, True)
    with pytest.raises(UsageError, match=r"um_per_px': expected a number \(found"):
        read_description(rewritten(yaml, "um_per_px: 0.5", "um_per_px: half"))
    with pytest.raises(UsageError, match=r"um_per_px.*'0_5' is no number: write it in plain"):
        read_description(rewritten(yaml, "um_per_px: half", "um_per_px: 0_5"))
    with pytest.raises(UsageError, match=r"order.*'1_0' is no number"):
        read_description(rewritten(yaml, "um_per_px: 0_5", "order: 1_0"))


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_a_description_of_windows_is_read(yaml, encoding):
    text = yaml.read_text()
    yaml.write_bytes(text.replace("\n", "\r\n").encode(encoding))
    assert list(read_description(yaml).slides) == ["1501", "T2"]


def test_donors_are_verified_only_where_that_is_said(yaml, tmp_path):
    assert not read_description(yaml).spec().donors_verified
    add_description(yaml, tmp_path / "w/data")
    info = CliRunner().invoke(app, ["info", "mine", "-w", str(tmp_path / "w")]).output
    assert "not verified (as described; `donors_verified: true` in the YAML" in info
    rewritten(yaml, "organism: human", "organism: human\ndonors_verified: true")
    assert read_description(yaml).spec().donors_verified


def test_a_description_far_too_large_or_missing_is_refused(yaml, tmp_path):
    with pytest.raises(MissingFileError, match=r"absent\.yaml"):
        read_description(tmp_path / "absent.yaml")
    yaml.write_text("a" * 200_000)
    with pytest.raises(UsageError, match="no description of a dataset"):
        read_description(yaml)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("p1", "P1"),
        ("p 1", "p  1"),
        ("p1", '"p\\u200b1"'),
        ('"p\\u00a01"', "p 1"),
        ('"M\\u00fcller"', '"Mu\\u0308ller"'),  # as most systems write it, and as macOS names files
        ("t2", ""),  # without a name, the slide itself is the donor
    ],
)
def test_one_donor_who_is_written_in_two_ways_is_not_two(yaml, first, second):
    rewritten(yaml, "patient: p1", f"patient: {first}")
    rewritten(yaml, "patient: p2", f"patient: {second}" if second else "section: a")
    assert "differ only in capitals, blanks, or how their letters are coded" in refusal(yaml)


@pytest.mark.parametrize("name", [".nan", "NaN", "NA", "None", "<NA>"])
@pytest.mark.parametrize("key", ["patient", "sample"])
def test_what_a_table_lacked_is_no_donor_of_all_slides(yaml, name, key):
    rewritten(yaml, "patient: p1", f"{key}: {name}")
    assert f"slides.1501.{key}: {name!r} stands for what is not known" in refusal(yaml)


def test_a_blank_between_two_numbers_tells_donors_apart(yaml):
    rewritten(yaml, "patient: p1", "patient: 1 12")
    rewritten(yaml, "patient: p2", "patient: 11  2")
    assert {each.patient_id for each in read_description(yaml).spec().slides} >= {"1 12", "11  2"}
    rewritten(yaml, "patient: 11  2", "patient: 1  12")
    assert "donors '1 12' and '1  12' differ only in" in refusal(yaml)


def test_slides_and_samples_are_told_apart_by_more_than_capitals(yaml):
    rewritten(yaml, "1501", "t2")
    assert "slides 't2' and 'T2' differ only in capitals" in refusal(yaml)
    rewritten(yaml, "t2", "T1")
    rewritten(yaml, "patient: p1", "sample: s, patient: p1")
    rewritten(yaml, "patient: p2", "sample: S, patient: p2")
    assert "samples 's' and 'S' differ only in capitals" in refusal(yaml)


def test_a_donor_on_both_sides_is_refused_unless_it_is_said(yaml):
    rewritten(yaml, "patient: p2", "patient: p1")
    with pytest.raises(SplitError, match=r"donors \['p1'\].*`allow_shared_donors: true`"):
        read_description(yaml)
    rewritten(yaml, "organism: human", "organism: human\nallow_shared_donors: true")
    assert read_description(yaml).spec().tier == "B"


def test_nothing_is_kept_of_a_dataset_with_a_slide_that_cannot_be_read(yaml, tmp_path):
    (tmp_path / "slides/T2/filtered_feature_bc_matrix.h5").write_bytes(b"damaged")
    with pytest.raises(
        CountsError, match=r"Slide 'T2' of .*mine\.yaml: The feature-barcode matrix"
    ):
        add_description(yaml, tmp_path / "data")
    assert not (tmp_path / "data/mine/dataset.yaml").exists()
    (tmp_path / "slides/T2/full.png").unlink()
    with pytest.raises(MissingFileError, match=r"no image .*full\.png"):
        add_description(yaml, tmp_path / "data")


def test_a_kept_description_that_went_bad_is_left_out_and_told(yaml, tmp_path):
    _, kept = add_description(yaml, tmp_path / "data")
    kept.write_text(kept.read_text().replace("name: mine", "name: other"))
    registry = discover(points=[], data_dir=tmp_path / "data")
    (plugin,) = registry.quarantined
    assert plugin.reason.startswith("it describes dataset 'other' in a folder named 'mine'")


def test_a_slide_that_has_gone_is_told_with_what_to_do(yaml, tmp_path):
    import shutil

    add_description(yaml, tmp_path / "w/data")
    shutil.rmtree(tmp_path / "slides/T1")
    bench = make_bench(str(TOY_PROTOCOL), workspace=tmp_path / "w", device="cpu")
    with pytest.raises(MissingFileError, match=r"T1, which the description.*--replace"):
        bench.data_inputs("mine")


@pytest.mark.parametrize("key", ["image", "labels"])
def test_a_folder_where_a_file_is_read_is_no_missing_one(yaml, tmp_path, key):
    rewritten(yaml, "patient: p1", f"patient: p1, {key}: slides/T1")
    rewritten(yaml, "organism: human", "organism: human\nlabel_column: region")
    rewritten(yaml, "patient: p2", "patient: p2, labels: labels.csv")
    told = f"T1, which `{key}` of slide '1501' names, is a folder, and a file is read"
    with pytest.raises(MissingFileError, match=told):
        add_description(yaml, tmp_path / "data")


def test_an_image_that_has_gone_is_nothing_to_fetch_and_its_slide_is_named(yaml, tmp_path):
    add_description(yaml, tmp_path / "w/data")
    (tmp_path / "slides/T2/full.png").unlink()
    with pytest.raises(MissingFileError, match=r"the entry of slide 'T2' of dataset 'mine' names"):
        read_slide(tmp_path / "w/data/mine", "T2")
    words = ["run", "-d", "mine", "-c", "none", "-p", "gene-mean", "--dry-run"]
    planned = CliRunner().invoke(app, [*words, "-w", str(tmp_path / "w"), "--device", "cpu"])
    assert "Dataset 'mine' is left out:" in planned.output
    assert "etch" not in planned.output


def test_legacy_slides_are_described_by_a_table_and_an_image(tmp_path):
    names = made_slides.st_table(tmp_path / "c.tsv.gz")
    lines = ["x\ty\tnew_x\tnew_y\tpixel_x\tpixel_y"]
    for name, (px, py) in zip(names, made_slides.st_pixels(names), strict=True):
        x, y = name.split("x")
        lines.append("\t".join([x, y, x, y, str(px), str(py)]))
    (tmp_path / "spots.tsv").write_text("\n".join(lines))
    made_slides.picture(0).save(tmp_path / "he.png")
    (tmp_path / "mine.yaml").write_text(
        "name: old\nformat: legacy_st\norganism: human\n"
        "slides: {A: {path: c.tsv.gz, spots: spots.tsv, image: he.png}}\nsplit: {train: [A]}"
    )
    described, kept = add_description(tmp_path / "mine.yaml", tmp_path / "data")
    assert described.spec().tier == "C"
    assert read_description(kept) == described
    assert read(described, tmp_path, "A").n_vars == 12
    lines = gzip.decompress((tmp_path / "c.tsv.gz").read_bytes()).decode().split("\n")
    genes = [*made_slides.gene_ids(7), *made_slides.gene_ids(5, "mouse")]
    table = "\n".join(["\t".join(["", *genes]), *lines[1:]])
    (tmp_path / "c.tsv.gz").write_bytes(gzip.compress(table.encode()))
    assert read(described, tmp_path, "A").n_vars == 7  # of the organism that is described


def own_image(path, seed):
    """Write an AnnData file with an image of one colour inside."""
    array, centres = made_slides.lattice()
    pixels = np.full((120, 120, 3), 40 * seed, dtype=np.uint8)
    factors = {"spot_diameter_fullres": 22.0, "tissue_hires_scalef": 0.25}
    path.parent.mkdir(exist_ok=True)
    AnnData(
        sparse.csr_matrix(made_slides.counts(9, seed)),
        obs=pd.DataFrame(array, columns=["array_row", "array_col"], dtype=int).rename(str),
        var=pd.DataFrame(index=made_slides.gene_ids(9)),
        obsm={"spatial": centres},
        uns={"spatial": {"lib": {"images": {"hires": pixels}, "scalefactors": factors}}},
    ).write_h5ad(path)


def test_files_of_one_name_and_a_file_that_was_replaced_keep_their_own_images(tmp_path):
    for seed, slide_id in enumerate(("T1", "T2"), start=1):
        own_image(tmp_path / slide_id / "adata.h5ad", seed)
    yaml = tmp_path / "mine.yaml"
    yaml.write_text(
        "{name: mine, format: h5ad, organism: human, split: {train: [T1], test: [T2]},"
        " slides: {T1: {path: T1/adata.h5ad}, T2: {path: T2/adata.h5ad}}}"
    )
    add_description(yaml, tmp_path)

    def colour(slide_id):
        path = read_slide(tmp_path / "mine", slide_id).uns["slide"]["image_path"]
        return tifffile.imread(path)[0, 0, 0]

    assert (colour("T1"), colour("T2")) == (40, 80)
    own_image(tmp_path / "T1/adata.h5ad", 3)
    os.utime(tmp_path / "T1/adata.h5ad", (1e9, 1e9))  # an older file, put in the place of the new
    assert colour("T1") == 120


def test_spots_beside_their_image_are_refused_when_a_dataset_is_added(tmp_path):
    own_image(tmp_path / "T1" / "adata.h5ad", 1)
    slide = anndata.read_h5ad(tmp_path / "T1" / "adata.h5ad")
    del slide.uns["spatial"]["lib"]["images"]  # which would tell that it is another image
    slide.write_h5ad(tmp_path / "T1" / "adata.h5ad")
    Image.new("RGB", (60, 60)).save(tmp_path / "small.png")
    yaml = tmp_path / "mine.yaml"
    yaml.write_text(
        "{name: mine, format: h5ad, organism: human, split: {train: [T1]},"
        " slides: {T1: {path: T1/adata.h5ad, image: small.png}}}"
    )
    with pytest.raises(CoordinateError, match=r"of 64 spots lie outside .*small\.png"):
        add_description(yaml, tmp_path)


def test_an_image_that_cannot_be_decoded_is_refused_when_a_dataset_is_added(tmp_path):
    own_image(tmp_path / "T1" / "adata.h5ad", 1)
    noise = np.random.default_rng(0).integers(0, 256, (480, 480, 3)).astype(np.uint8)
    image = tmp_path / "full.tif"
    tifffile.imwrite(image, noise, photometric="rgb", compression="zlib", tile=(64, 64))
    yaml = tmp_path / "mine.yaml"
    yaml.write_text(
        "{name: mine, format: h5ad, organism: human, split: {train: [T1]},"
        " slides: {T1: {path: T1/adata.h5ad, image: full.tif}}}"
    )
    image.write_bytes(image.read_bytes()[: image.stat().st_size // 2])
    with pytest.raises(ImageError, match=r"Slide 'T1' .*full\.tif .* cannot be decoded at x="):
        add_description(yaml, tmp_path)
    assert not (tmp_path / "mine" / "dataset.yaml").exists()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (gzip.compress(b"II*\0"), "It is packed by gzip: unpack it"),
        (b"PK\3\4" + bytes(40), "It is packed by zip: unpack it"),
        (b"<!DOCTYPE html><html>Sign in</html>", "It is a web page"),
        (
            b'<?xml version="1.0"?>\n<!-- a --><!DOCTYPE html PUBLIC "-//W3C">\n<html>',
            "It is a web page",
        ),
        (
            b'<?xml version="1.0"?>\n<!-- Inkscape -->\n<svg\n width="9">',
            r"It is a drawing \(SVG\)",
        ),
        (
            b'\xef\xbb\xbf<!DOCTYPE svg [\n<!ENTITY a "b">\n]>\n<svg:svg>',
            r"It is a drawing \(SVG\)",
        ),
        ('<?xml version="1.0" encoding="utf-16"?><svg>'.encode("utf-16"), r"It is a drawing"),
        (b'<?xml version="1.0"?><OME xmlns="x">', "It is a text in XML of the kind 'ome': name"),
        (b'<?xml version="1.0"?>\n<Error><Code>AccessDenied', "It is what a server has answered"),
        (b"version https://git-lfs.github.com/spec/v1\n", "It is a pointer of Git LFS"),
        (b"", "It is empty"),
        (bytes(4_096), "It begins with zeros alone"),
        (bytes(128) + b"DICM" + bytes(4_096), "It is DICOM, which no reader here knows"),
    ],
    ids=[
        "gzip",
        "zip",
        "page",
        "xhtml",
        "drawing",
        "dtd",
        "utf-16",
        "xml",
        "denied",
        "pointer",
        "empty",
        "zeros",
        "dicom",
    ],
)
def test_what_stands_in_the_place_of_an_image_is_told(tmp_path, content, told):
    own_image(tmp_path / "T1" / "adata.h5ad", 1)
    (tmp_path / "full.tif.gz").write_bytes(content)
    yaml = tmp_path / "mine.yaml"
    yaml.write_text(
        "{name: mine, format: h5ad, organism: human, split: {train: [T1]},"
        " slides: {T1: {path: T1/adata.h5ad, image: full.tif.gz}}}"
    )
    with pytest.raises(ImageError, match=rf"Slide 'T1' .*full\.tif\.gz is no image\. {told}"):
        add_description(yaml, tmp_path)
    with pytest.raises(ImageError, match=rf"full\.tif\.gz is no image\. {told}"):
        require_image(tmp_path / "full.tif.gz")


@pytest.mark.parametrize("name", ["full.tif", "full.png", "full.bmp"])
def test_an_image_of_four_bits_in_eight_is_refused_with_what_to_do(tmp_path, name):
    own_image(tmp_path / "T1" / "adata.h5ad", 1)
    yaml = tmp_path / "mine.yaml"
    yaml.write_text(
        "{name: mine, format: h5ad, organism: human, split: {train: [T1]},"
        f" slides: {{T1: {{path: T1/adata.h5ad, image: {name}}}}}}}"
    )
    dark = np.random.default_rng(0).integers(0, 16, (480, 480, 3)).astype(np.uint8)
    write = Image.fromarray if name != "full.tif" else None

    def save(pixels, **options):
        if write:
            write(pixels).save(tmp_path / name)
        else:
            tifffile.imwrite(tmp_path / name, pixels, photometric="rgb", **options)

    save(dark)
    told = rf"{name} has 8 bits and no value above 15.* by 17\. .* \(281\) of 255"
    with pytest.raises(ImageError, match=told):
        add_description(yaml, tmp_path)
    dark[470, 470, 1] = 16  # far from every spot
    save(dark)
    add_description(yaml, tmp_path)
    if not write:
        save(np.minimum(dark, 15), extratags=[(281, "H", 3, (255,) * 3, False)])
        add_description(yaml, tmp_path, replace=True)
        save(np.minimum(dark, 15), extratags=[(281, "H", 3, (15,) * 3, False)])
        with pytest.raises(ImageError, match="no value above 15"):
            add_description(yaml, tmp_path, replace=True)


@pytest.mark.parametrize(
    ("bands", "codec", "told"),
    [
        (4, "jp2", "has 4 bands and does not say that the last one is an opacity"),
        (4, "j2k", "has 4 bands and does not say that the last one is an opacity"),
        (2, "jp2", "has 2 bands and does not say that the last one is an opacity"),
        (3, "jp2", ""),
        (3, "signs", "has values with signs"),
        (4, "cdef", ""),  # Pillow says that it is one
    ],
)
def test_a_further_band_of_jpeg_2000_is_no_opacity_unless_the_file_says_so(
    yaml, tmp_path, bands, codec, told
):
    path = tmp_path / "slides/T2/full.jp2"
    pixels = np.asarray(made_slides.picture(2))
    pixels = np.dstack([pixels, np.full(pixels.shape[:2], 40, np.uint8)])[..., -bands:]
    if codec == "cdef":
        Image.fromarray(pixels, "RGBA").save(path)
    else:
        values = pixels.astype(np.int16) if codec == "signs" else pixels
        form = "j2k" if codec == "j2k" else "jp2"
        path.write_bytes(imagecodecs.jpeg2k_encode(values, level=0, codecformat=form))
    rewritten(yaml, "full.png", "full.jp2")
    if told:
        with pytest.raises(ImageError, match=told):
            add_description(yaml, tmp_path / "data")
    else:
        add_description(yaml, tmp_path / "data")


def test_what_is_done_to_an_image_is_told_with_the_slide(tmp_path):
    own_image(tmp_path / "T1" / "adata.h5ad", 1)
    deep = np.full((480, 480, 3), 3000, dtype=np.uint16)
    options = {"photometric": "rgb", "extratags": [(281, "H", 3, (4095,) * 3, False)]}
    tifffile.imwrite(tmp_path / "full.tif", deep, **options)
    yaml = tmp_path / "mine.yaml"
    yaml.write_text(
        "{name: mine, format: h5ad, organism: human, split: {train: [T1]},"
        " slides: {T1: {path: T1/adata.h5ad, image: full.tif}}}"
    )
    add_description(yaml, tmp_path)
    repairs = read_slide(tmp_path / "mine", "T1").uns["slide"]["repairs"]
    assert repairs[-1] == "Values of the image are scaled by 255 / 4095, as the file says."


def test_own_slides_take_the_protocol_own_and_are_told_so(yaml, tmp_path):
    rewritten(yaml, "split:", "folds: {patient: {p1: [1501], p2: [T2]}}\nsplit:")
    add_description(yaml, tmp_path / "w/data")
    arguments = ["-c", "none", "-p", "gene-mean", "--dry-run", "-w", str(tmp_path / "w")]
    run = CliRunner().invoke
    done = run(app, ["run", "-d", "mine", *arguments])
    assert done.exit_code == 0, done.output
    assert "1 cell under protocol own@1" in done.stdout
    assert "Protocol own@1, since none was named with `--suite`: Methods as pub" in done.stderr
    named = run(app, ["run", "-d", "mine", "--suite", str(TOY_PROTOCOL), *arguments])
    assert "under protocol toy@1" in named.stdout
    assert "none was named" not in named.stderr

    other = run(
        app, ["run", "-d", "MINE", *arguments]
    )  # took the demo's, as if it were none of own
    assert "1 cell under protocol own@1" in other.stdout

    both = run(app, ["run", "-d", "mine", "-d", "planted", *arguments])
    assert isinstance(both.exception, UsageError)
    assert "not clear which one is meant: 'mine' is a dataset of your own" in str(both.exception)
    both = run(app, ["run", "-d", "Mine", "-d", "PLANTED", *arguments])
    assert "not clear which one is meant: 'mine' is a dataset of your own" in str(both.exception)
    toys = run(app, ["run", "-d", "planted", *arguments])
    assert "Protocol demo@1, since none was named" in toys.stderr


def test_own_has_full_networks_and_honours_the_parameters_of_the_description(yaml, tmp_path):
    add_description(yaml, tmp_path / "w/data")
    bench = make_bench(workspace=tmp_path / "w", device="cpu", datasets=["mine"])
    assert bench.protocol.id == "own@1"
    assert bench.protocol.processing.for_dataset(bench.dataset("mine")).n_genes == 7
    assert bench.chosen("predictor", "hist2st").values == {}
    assert bench.protocol.patches.size == 224


@pytest.mark.parametrize(
    ("parameters", "protocol", "message"),
    [
        ("{n_genes: 7}", "demo", "`n_genes`, since it takes no parameters of datasets"),
        ("{batch_key: patient_id}", "own", "`batch_key`, since it corrects no batches"),
        ("{genes: []}", "own", "`genes`, since it names none"),
        ("{further_genes: []}", "own", "`further_genes`, since it names none"),
        ("{genes: [ISG15, AGRN], n_genes: 3}", "own", "`n_genes`, since `genes` names the genes"),
        ("{genes: [ISG15], real_fraction: 0.1}", "own", "`real_fraction`, since `genes`"),
    ],
)
def test_a_parameter_that_would_have_no_effect_is_refused(
    yaml, tmp_path, parameters, protocol, message
):
    rewritten(yaml, "{n_genes: 7}", parameters)
    add_description(yaml, tmp_path / "w/data")
    bench = make_bench(protocol, workspace=tmp_path / "w", device="cpu")
    for ask in (lambda: select(bench, ["mine"], ["none"], ["gene-mean"]),
                lambda: bench.prepared_inputs("mine")):  # fmt: skip
        with pytest.raises(UsageError, match=message):
            ask()


def test_a_column_of_slides_is_refused_where_it_has_no_effect(yaml):
    rewritten(yaml, "tissue: breast", "slide_column: section")
    with pytest.raises(UsageError, match="`slide_column` is set, which format 'space_ranger'"):
        read_description(yaml)


def labelled_yaml(tmp_path, labels, more=""):
    """Two AnnData files with a column of labels, and their description."""
    for number, slide_id in enumerate(("T1", "T2"), start=1):
        path = tmp_path / slide_id / "adata.h5ad"
        own_image(path, number)
        slide = anndata.read_h5ad(path)
        slide.obs["region"] = pd.Categorical(np.resize(labels, slide.n_obs))
        slide.write_h5ad(path)
    yaml = tmp_path / "mine.yaml"
    yaml.write_text(
        "{name: mine, format: h5ad, organism: human, split: {train: [T1], test: [T2]},"
        f" label_column: region{more},"
        " slides: {T1: {path: T1/adata.h5ad}, T2: {path: T2/adata.h5ad}}}"
    )
    return yaml


def test_a_column_of_obs_gives_labels_and_their_sorted_classes(tmp_path):
    yaml = labelled_yaml(tmp_path, ["tumour", "fat", None])
    described, kept = add_description(yaml, tmp_path / "data")
    assert described.spec().classes == ("fat", "tumour")
    assert read_description(kept) == described
    labels = read_slide(tmp_path / "data/mine", "T2").obs["label"]
    assert list(labels[:4]) == ["tumour", "fat", "", "tumour"]


def test_classes_that_are_given_keep_their_order_and_refuse_others(tmp_path):
    yaml = labelled_yaml(tmp_path, ["tumour", "fat"], ", classes: [tumour, fat, stroma]")
    spec = add_description(yaml, tmp_path / "data")[0].spec()
    assert spec.classes == ("tumour", "fat", "stroma")
    other = rewritten(yaml, "[tumour, fat, stroma]", "[tumor, fat]")
    with pytest.raises(ContractError, match=r"'T1' .*'tumour'.* no class .*Did you mean 'tumor'"):
        add_description(other, tmp_path / "data", replace=True)


def test_one_label_that_is_written_in_two_ways_is_not_two_classes(tmp_path):
    yaml = labelled_yaml(tmp_path, ["tumour", "fat", "Tumour"])
    with pytest.raises(UsageError, match=r"labels 'Tumour' and 'tumour' differ only in capitals"):
        add_description(yaml, tmp_path / "data")
    rewritten(yaml, "region", "region, classes: [fat, tumour, Tumour]")
    assert "classes 'tumour' and 'Tumour' differ" in refusal(yaml)


def test_a_column_of_tissue_is_named_in_the_description_and_counts_in_keys(tmp_path):
    yaml = labelled_yaml(tmp_path, ["in", "out"])
    add_description(yaml, tmp_path / "data")
    whole = read_slide(tmp_path / "data/mine", "T1")
    bench = make_bench(str(TOY_PROTOCOL), workspace=tmp_path, device="cpu")
    before = bench.data_inputs("mine")
    rewritten(yaml, "label_column: region", "tissue_column: region")
    add_description(yaml, tmp_path / "data", replace=True)
    half = read_slide(tmp_path / "data/mine", "T1")
    assert list(half.obs_names) == list(whole.obs_names[::2])
    again = make_bench(str(TOY_PROTOCOL), workspace=tmp_path, device="cpu")
    assert again.data_inputs("mine") != before


@pytest.mark.parametrize("more", ["", ", classes: [a, b]"])
def test_a_column_of_labels_is_refused_where_none_are_read(tmp_path, more):
    path = tmp_path / "mine.yaml"
    path.write_text(
        "{name: mine, format: hest, organism: human, split: {train: [T1]}, label_column: region"
        f"{more}, slides: {{T1: {{path: T1.h5ad}}}}}}"
    )
    with pytest.raises(UsageError, match="`label_column` is set, which format 'hest' does not use"):
        read_description(path)


def test_a_column_of_tissue_is_refused_where_it_has_no_effect(yaml):
    rewritten(yaml, "tissue: breast", "tissue_column: section")
    told = r"`tissue_column` is set, .*'space_ranger'.* \(it belongs to h5ad, spatialdata\)"
    with pytest.raises(UsageError, match=told):
        read_description(yaml)


def test_a_column_that_is_not_there_or_empty_is_refused(tmp_path):
    yaml = labelled_yaml(tmp_path, ["tumour"])
    with pytest.raises(ContractError, match=r"no obs column 'regions'.* Did you mean 'region'\?"):
        add_description(rewritten(yaml, "column: region", "column: regions"), tmp_path / "data")
    nothing = labelled_yaml(tmp_path, [None])
    with pytest.raises(UsageError, match="no spot has a label in column 'region'"):
        add_description(nothing, tmp_path / "data")


def test_a_table_labels_the_spots_of_a_slide_and_a_change_of_it_makes_them_again(yaml, tmp_path):
    table = tmp_path / "labels.csv"
    table.write_text("barcode,region,sure\nAAAC0002-1,fat,1\nAAAC0001-1,tumour,0\n")
    rewritten(yaml, "patient: p1", "patient: p1, labels: labels.csv")
    rewritten(yaml, "organism: human", "organism: human\nlabel_column: region")
    add_description(yaml, tmp_path / "w/data")
    bench = make_bench(str(TOY_PROTOCOL), workspace=tmp_path / "w", device="cpu")
    assert bench.dataset("mine").classes == ("fat", "tumour")
    train = prepare(bench, "mine").slides("train")
    labels = dict(zip(train.adata.obs_names, train.labels, strict=True))
    assert labels["1501_AAAC0002-1"] == "fat"
    assert set(labels.values()) <= {"", "fat", "tumour"}
    before = bench.data_inputs("mine")
    table.write_text(table.read_text().replace("0002-1,fat", "0002-1,tumour"))
    again = make_bench(str(TOY_PROTOCOL), workspace=tmp_path / "w", device="cpu")
    assert again.data_inputs("mine") != before


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("tissue: breast", "label_column: region", "no slide names a table of `labels`"),
        ("patient: p1", "labels: x.csv", "no `label_column` says in which column"),
        ("tissue: breast", "classes: [a]", "`classes` is set, and no `label_column`"),
    ],
)
def test_labels_need_a_column_and_a_column_needs_labels(yaml, before, after, message):
    with pytest.raises(UsageError, match=message):
        read_description(rewritten(yaml, before, after))


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("name: mine", "name: My Tumours", "must be 1-64 .*found 'My Tumours'. Choose another"),
        ("test: [T2]", "test: [T3]", r"split 'test' names slide 'T3', .* \['1501', 'T2'\]"),
        ("test: [T2]", "test: [T2, 1501]", "slide '1501' is in split 'train' and in 'test'"),
        ("train: [1501]", "val: [1501]", "the split has no training slides"),
    ],
)
def test_what_a_description_cannot_be_is_told_of_the_file_and_of_no_plugin(
    yaml, before, after, told
):
    said = refusal(rewritten(yaml, before, after))
    assert said.startswith(f"{yaml}: ") and re.search(told, said)
    assert "DatasetSpec" not in said and "plugin" not in said


def test_a_slide_that_no_split_names_is_told_when_it_is_added(yaml, tmp_path):
    """One forgotten among a dozen was read, shown, and never used."""
    rewritten(yaml, "test: [T2]", "")
    arguments = ["data", "add", str(yaml), "-w", str(tmp_path / "w")]
    added = CliRunner().invoke(app, arguments)
    assert added.exit_code == 0
    assert "Slide T2 is in no part of the `split`, so nothing is learned from" in added.stderr
    rewritten(yaml, "parameters:", "folds: {by_slide: {one: [T2]}}\nparameters:")
    added = CliRunner().invoke(app, [*arguments, "--replace"])
    assert (added.exit_code, "in no part" in added.stderr) == (0, False)
