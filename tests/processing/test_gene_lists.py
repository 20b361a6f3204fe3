"""Named lists of genes: what papers print, and what a dataset has of it."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from spared_bench.errors import CountsError, ProtocolError, StudyError
from spared_bench.processing.annotation import gene_table
from spared_bench.processing.pipeline import prepare
from spared_bench.protocol import Protocol, parse_protocol
from spared_bench.protocol.gene_lists import gene_lists

SPLIT = {"train": ("s1",), "val": ("s2",), "test": ("s3",)}
MARKERS = gene_lists()["jiang-markers"]


def prepared(names, make_dataset, make_slide, rng, **settings):
    slides = {
        f"s{at}": make_slide(rng.poisson(20, (20, len(names))), list(names)) for at in (1, 2, 3)
    }
    processing = {"target": "log1p_cp10k", **settings}
    protocol = Protocol.model_validate({"name": "x", "version": 1, "processing": processing})
    return prepare(slides, make_dataset(SPLIT, "human"), protocol)


def test_the_twelve_markers_are_those_of_the_protocol_of_the_review():
    from spared_bench.registry import discover

    text = discover().get("protocol", "jiang").load()()
    markers = parse_protocol(text, "jiang").processing.per_dataset["visium_breast"]["genes"]
    assert list(MARKERS) == markers


def test_lists_hold_no_gene_twice_and_ids_that_gencode_knows():
    known = set(gene_table("human").index)
    for name, genes in gene_lists().items():
        assert len(set(genes)) == len(genes), name
        ids = [gene for gene in genes if gene.startswith("ENSG")]
        assert set(ids) <= known, name


def test_a_named_list_is_taken_in_its_order_as_far_as_the_slides_have_it(
    make_dataset, make_slide, rng
):
    names = [*reversed(MARKERS[:5]), "ACTB", "GAPDH"]
    adata = prepared(names, make_dataset, make_slide, rng, gene_list="jiang-markers")

    assert list(adata.var["gene_name"]) == list(MARKERS[:5])
    assert adata.uns["spared_bench"]["fewer_genes_than_asked"]


def test_a_list_of_which_nothing_is_there_is_refused(make_dataset, make_slide, rng):
    with pytest.raises(CountsError, match="12 of the 12 genes"):
        prepared(["ACTB", "GAPDH"], make_dataset, make_slide, rng, gene_list="jiang-markers")


@pytest.mark.parametrize(
    ("organism", "settings", "told"),
    [
        (
            "mouse",
            {"gene_list": "jiang-markers"},
            "has 12 human genes (COX6C, TTLL12, HSP90AB1, ...)",
        ),
        ("mouse", {"gene_list": "asign-her2"}, "`gene_list: asign-her2` has 210 human genes"),
        ("mouse", {"genes": ["ENSG00000075624.17"]}, "has 1 human gene (ENSG00000075624.17) and"),
        (
            "human",
            {"genes": ["Actb", "ENSMUSG00000057666"]},
            "2 mouse genes (Actb, ENSMUSG00000057666)",
        ),
        ("human", {"gene_list": "jiang-markers"}, ""),
        ("mouse", {"genes": ["Actb", "MAPT"]}, ""),  # a gene of man in a mouse that carries it
        ("mouse", {"genes": ["ACTB", "eGFP"]}, ""),
        ("rat", {"genes": ["ACTB", "GAPDH"]}, ""),
    ],
)
def test_a_list_of_another_organism_is_refused_when_planning(
    workspace, tmp_path, organism, settings, told
):
    from spared_bench.api import make_bench, select
    from spared_bench.planning.figures import to_fetch

    (tmp_path / "listed.py").write_text(
        "from spared_bench import DatasetSpec, SlideInfo, hookimpl\n"
        "@hookimpl\ndef spared_bench_datasets():\n"
        "    slides = tuple(SlideInfo(each, patient_id=each) for each in 'ab')\n"
        "    return [DatasetSpec('listed', 'tests.toy_plugin:read_slide', slides=slides,"
        f" organism={organism!r}, split={{'train': ('a',), 'test': ('b',)}})]\n"
    )
    protocol = {"name": "x", "version": 1, "search": {"completer": "none"}}
    (tmp_path / "x.yaml").write_text(json.dumps(protocol | {"processing": settings}))
    bench = make_bench(
        str(tmp_path / "x.yaml"), workspace=workspace, plugin_files=[tmp_path / "listed.py"]
    )
    plan = select(bench, datasets=["listed"], completers=["none"], predictors=["gene-mean"])
    assert not plan.cells  # nor are its files here
    assert told in plan.unavailable["listed"]
    refused = f"Dataset 'listed' is declared as {organism}, and" in plan.unavailable["listed"]
    assert refused is bool(told)
    assert to_fetch(plan) == ([] if told else ["listed"])


def test_a_study_with_a_level_of_another_organisms_genes_is_refused(workspace, tmp_path):
    from spared_bench.cli import app

    study = {
        "name": "s", "base": "demo", "datasets": ["mob_demo"], "methods": ["gene-mean"],
        "completers": ["none"], "factors": {"list": {"setting": "processing.genes", "levels": {
            "mouse": ["Penk", "Actb"], "human": ["PENK", "ACTB"]}}},
    }  # fmt: skip
    (tmp_path / "s.yaml").write_text(json.dumps(study))
    command = ["study", "plan", str(tmp_path / "s.yaml"), "-w", str(workspace)]
    refused = CliRunner().invoke(app, command).exception
    assert isinstance(refused, StudyError)
    assert "'mob_demo' is declared as mouse, and `genes` has 2 human genes (PENK" in str(refused)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("gene_list: jiang-marker", r"Did you mean 'jiang-markers'\?"),
        ("{gene_list: jiang-markers, genes: [ACTB]}", "both name the genes"),
    ],
)
def test_a_wrong_list_is_refused(settings, message):
    text = f"name: x\nversion: 1\nprocessing: {{{settings.strip('{}')}}}\n"
    with pytest.raises(ProtocolError, match=message):
        parse_protocol(text, "x")
