"""Named lists of genes: what papers print, and what a dataset has of it."""

from __future__ import annotations

import pytest

from spared_bench.errors import CountsError, ProtocolError
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
