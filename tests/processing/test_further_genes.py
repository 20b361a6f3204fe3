"""Genes that are taken beside the chosen ones: they stand there, and move nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from spared_bench.errors import CountsError
from spared_bench.leaderboard.differences import in_words
from spared_bench.processing.pipeline import prepare
from spared_bench.protocol import Protocol, parse_protocol

SPLIT = {"train": ("s1", "s2"), "val": ("s4",), "test": ("s3",)}
GENES = [f"g{i:02d}" for i in range(12)]
RARE = "g03"


def protocol(**processing) -> Protocol:
    filtering = {"real_fraction": 0.85}  # which the rare gene does not pass
    settings = {"target": "log1p_cp10k", "n_genes": 5, "filtering": filtering, **processing}
    return Protocol.model_validate({"name": "trial", "version": 1, "processing": settings})


@pytest.fixture
def slides(rng, make_slide):
    """Four slides; one gene is in few spots, and in some spots alone."""
    made = {}
    for name in ("s3", "s1", "s2", "s4"):
        counts = rng.poisson(3, size=(30, 12))
        counts[:, 3] = 0
        counts[:5, 3] = 20
        counts[:2, [*range(3), *range(4, 12)]] = 0
        made[name] = make_slide(counts, GENES)
    return made


def rename(slides, names):
    for slide in slides.values():
        slide.var_names = [names.get(gene, gene) for gene in GENES]


@pytest.fixture
def spec(make_dataset):
    return make_dataset(SPLIT, organism="human")


@pytest.mark.parametrize("ranking", ["moran", "mean", "variable"])
def test_a_named_gene_follows_the_chosen_ones_and_moves_none_of_their_values(slides, spec, ranking):
    plain = prepare(slides, spec, protocol(ranking=ranking))
    with_rare = prepare(slides, spec, protocol(ranking=ranking, further_genes=[RARE]))

    assert RARE not in plain.var_names
    assert list(with_rare.var_names) == [*plain.var_names, RARE]
    assert list(with_rare.obs_names) == list(plain.obs_names)
    for layer in ("expression", "prefilled", "mask", "target"):
        np.testing.assert_array_equal(with_rare[:, :5].layers[layer], plain.layers[layer])
    assert set(with_rare.var.columns) == set(plain.var.columns)


def test_its_values_are_those_of_any_gene(slides, spec):
    prepared = prepare(slides, spec, protocol(further_genes=[RARE]))
    for name in SPLIT["train"]:
        raw = slides[name].X.toarray().astype(float)
        seen = raw[:, [i for i in range(12) if i != 3]].any(axis=1)
        logged = np.log1p(raw / raw.sum(axis=1, keepdims=True) * 1e4)[seen, 3]
        here = prepared[prepared.obs["slide_id"] == name, RARE]
        np.testing.assert_allclose(here.layers["expression"][:, 0], logged)
        np.testing.assert_array_equal(here.layers["mask"][:, 0], logged > 0)
    assert np.isfinite(prepared.layers["prefilled"]).all()


def test_a_gene_that_is_chosen_anyway_adds_none_and_one_by_id_and_symbol_stands_once(slides, spec):
    plain = prepare(slides, spec, protocol())
    best = plain.var_names[0]
    rename(slides, {RARE: "ENSG00000141736"})
    again = prepare(slides, spec, protocol(further_genes=[best, "ERBB2", "ENSG00000141736"]))
    assert list(again.var_names) == [*plain.var_names, "ENSG00000141736"]
    steps = again.uns["spared_bench"]["genes"]
    assert dict(zip(steps["after"][-2:], steps["left"][-2:], strict=True)) == {
        "highest Moran's I": 5,
        "and named besides": 6,
    }


def test_too_few_chosen_genes_are_told_though_named_ones_make_up_the_number(slides, spec):
    asked = protocol(n_genes=12, further_genes=[RARE])
    prepared = prepare(slides, spec, asked)
    assert prepared.n_vars == 12
    assert prepared.uns["spared_bench"]["fewer_genes_than_asked"]


def test_a_gene_that_a_slide_lacks_is_refused_by_name(slides, spec):
    with pytest.raises(CountsError, match=r"1 of the 1 gene that the protocol lists .* nope\."):
        prepare(slides, spec, protocol(further_genes=["nope"]))


def test_a_gene_that_the_protocol_cannot_use_is_refused_by_name(slides, spec):
    rename(slides, {RARE: "MT-CO1"})
    left_out = protocol(further_genes=["MT-CO1"], mitochondrial="left_out")
    with pytest.raises(CountsError, match=r"lists MT-CO1 .* off `genes` or `further_genes`"):
        prepare(slides, spec, left_out)


def test_a_gene_without_a_length_is_refused_where_lengths_are_needed(slides, spec):
    rename(slides, {"g00": "ACTB", "g01": "GAPDH", "g02": "B2M", RARE: "no_gene"})
    wanted = protocol(target="log2_tpm", n_genes=2, further_genes=["no_gene"])
    with pytest.raises(CountsError, match=r"names no_gene besides .* no length of it is known"):
        prepare(slides, spec, wanted)


@pytest.mark.parametrize("listed", [{"genes": ["COX6C", "g01"]}, {"gene_list": "jiang-markers"}])
def test_they_follow_listed_genes_too(slides, spec, listed):
    rename(slides, {"g00": "COX6C"})
    listed = {"gene_list": "", **listed}
    plain = prepare(slides, spec, protocol(**listed))
    prepared = prepare(slides, spec, protocol(**listed, further_genes=[RARE, "g01", "COX6C"]))
    missing = [gene for gene in (RARE, "g01") if gene not in plain.var_names]
    assert plain.var["gene_name"].iloc[0] == "COX6C"
    assert list(prepared.var_names) == [*plain.var_names, *missing]
    assert list(prepared.obs_names) == list(plain.obs_names)
    np.testing.assert_array_equal(
        prepared[:, : plain.n_vars].layers["target"], plain.layers["target"]
    )
    few = [each.uns["spared_bench"]["fewer_genes_than_asked"] for each in (plain, prepared)]
    assert few[0] == few[1] == (plain.n_vars < len(protocol(**listed).processing.listed_genes))


def test_a_dataset_may_name_some_where_the_protocol_lets_it(slides, make_dataset):
    spec = make_dataset(SPLIT, parameters={"further_genes": [RARE]})
    asked = protocol(from_dataset=True)
    assert prepare(slides, spec, asked).var_names[-1] == RARE
    assert asked.processing.idle_parameters(spec) == {}
    assert set(protocol().processing.idle_parameters(spec)) == {"further_genes"}
    listed = protocol(from_dataset=True, genes=["g01"]).processing
    assert listed.idle_parameters(spec) == {}
    assert listed.for_dataset(spec).further_genes == (RARE,)


def test_which_spots_stay_does_not_depend_on_them(slides, spec):
    prepared = prepare(slides, spec, protocol(further_genes=[RARE]))
    assert not {f"{name}_s{row}" for name in slides for row in (0, 1)} & set(prepared.obs_names)
    steps = prepared.uns["spared_bench"]["spots"]
    assert dict(zip(steps["after"], steps["left"], strict=True))["empty"] == 4 * 28


def test_they_are_told_and_move_the_hash_only_where_there_are_some():
    text = "name: small\nversion: 1\n"
    plain = parse_protocol(text, "x")
    named = parse_protocol(f"{text}processing: {{further_genes: [A, B, C, D]}}\n", "x")
    assert parse_protocol(f"{text}processing: {{further_genes: []}}\n", "x").hash == plain.hash
    assert named.hash != plain.hash
    differing = [
        (one, two) for one, two in zip(in_words(plain), in_words(named), strict=True) if one != two
    ]
    assert differing == [
        (
            ("Genes", "128 of highest Moran's I"),
            ("Genes", "128 of highest Moran's I, and A, B, C …"),
        )
    ]


def test_test_slides_do_not_decide_what_follows_them(slides, spec):
    before = prepare(slides, spec, protocol(further_genes=[RARE]))
    slides["s3"].X = csr_matrix(slides["s3"].X.toarray()[:, ::-1] * 3)
    after = prepare(slides, spec, protocol(further_genes=[RARE]))
    assert list(after.var_names) == list(before.var_names)
