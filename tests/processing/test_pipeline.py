from __future__ import annotations

import json

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix

from spared_bench.errors import CountsError, DataError, SplitError
from spared_bench.processing import pipeline
from spared_bench.processing.annotation import gene_table
from spared_bench.processing.pipeline import prepare
from spared_bench.protocol import Protocol

SPLIT = {"train": ("s1", "s2"), "test": ("s3",)}


def protocol(**processing) -> Protocol:
    settings = {"target": "log1p_cp10k", "n_genes": 5, **processing}
    return Protocol.model_validate({"name": "trial", "version": 1, "processing": settings})


@pytest.fixture
def genes():
    table = gene_table("human")
    return table.index[table["gene_type"] == "protein_coding"][:12].tolist()


@pytest.fixture
def slides(rng, genes, make_slide):
    """Three slides of 30 spots, 12 genes that are mostly seen."""
    return {name: make_slide(rng.poisson(4, size=(30, 12)), genes) for name in ("s3", "s1", "s2")}


@pytest.fixture
def spec(make_dataset):
    return make_dataset(SPLIT, "human")


def test_a_prepared_dataset_has_its_slides_sorted_and_its_target_only_where_measured(slides, spec):
    prepared = prepare(slides, spec, protocol())

    assert list(dict.fromkeys(prepared.obs["slide_id"])) == ["s1", "s2", "s3"]
    assert prepared.obs_names[0] == "s1_0"
    assert set(prepared.obs["patient_id"]) == {f"donor_of_s{i}" for i in (1, 2, 3)}
    assert prepared.n_vars == 5
    assert np.all(np.diff(prepared.var["moran_i"]) <= 0)
    counts, mask = prepared.layers["counts"].toarray(), prepared.layers["mask"]
    np.testing.assert_array_equal(mask, counts > 0)
    assert not mask.all()
    np.testing.assert_array_equal(
        prepared.layers["target"][mask], prepared.layers["prefilled"][mask]
    )
    np.testing.assert_array_equal(prepared.layers["expression"][~mask], 0)
    assert prepared.layers["target"].dtype == np.float64


@pytest.mark.parametrize("target", ["log2_tpm", "log1p_cp10k", "counts"])
def test_how_many_spots_are_normalised_at_once_changes_no_bit(slides, spec, monkeypatch, target):
    whole = prepare(slides, spec, protocol(target=target))
    monkeypatch.setattr(pipeline, "_TOGETHER", 7)
    parts = prepare(slides, spec, protocol(target=target))
    for name in ("expression", "prefilled", "target"):
        np.testing.assert_array_equal(parts.layers[name], whole.layers[name])


def test_what_is_recorded_survives_json_and_a_file(slides, spec, tmp_path):
    prepared = prepare(slides, spec, protocol())
    record = prepared.uns["spared_bench"]
    assert json.loads(json.dumps(record)) == record
    assert record["spots"] == {"after": ["read", "spot counts", "empty"], "left": [90, 90, 90]}
    assert record["genes"]["left"] == [12, 12, 12, 5]
    assert record["held_out_fraction"] == 0.2
    assert "/somewhere" not in json.dumps(record)  # where an image lies on one machine

    prepared.write_h5ad(tmp_path / "prepared.h5ad")
    read = ad.read_h5ad(tmp_path / "prepared.h5ad")

    np.testing.assert_array_equal(read.layers["target"], prepared.layers["target"])
    assert read.uns["spared_bench"]["processing"]["n_genes"] == 5


def test_library_sizes_are_of_all_joined_genes_and_hidden_afterwards(slides, spec, genes):
    prepared = prepare(slides, spec, protocol())
    raw = slides["s1"].to_df()
    gene = prepared.var_names[0]
    expected = np.log1p(raw[gene] / raw.sum(axis=1) * 1e4)
    here = prepared.obs["slide_id"] == "s1"
    np.testing.assert_allclose(prepared[here].to_df("expression")[gene], expected, rtol=1e-6)
    assert not {"library_size"} & set(prepared.obs)


def test_test_slides_do_not_choose_genes_unless_fitted_on_all(slides, spec):
    def chosen(**processing):
        return prepare(slides, spec, protocol(**processing)).var[["moran_i"]]

    before, before_all = chosen(), chosen(fit_on="all")
    noise = np.random.default_rng(1).poisson(0.3, size=slides["s3"].shape)
    noise[:, 0] = np.arange(len(noise)) + 20  # one smooth gene, and spots that are not too empty
    slides["s3"].X = csr_matrix(noise, dtype=np.float32)

    pd.testing.assert_frame_equal(chosen(), before)
    assert not chosen(fit_on="all").equals(before_all)


def test_a_strip_of_training_slides_is_held_out_where_there_is_no_validation_slide(slides, spec):
    labels = prepare(slides, spec, protocol()).obs.groupby("slide_id")["split"].value_counts()
    assert labels.to_dict() == {
        ("s1", "train"): 24,
        ("s1", "val"): 6,
        ("s2", "train"): 24,
        ("s2", "val"): 6,
        ("s3", "test"): 30,
    }


def test_a_gene_without_length_stays_for_counts_per_ten_thousand_and_goes_for_tpm(
    slides, spec, genes
):
    for slide in slides.values():
        slide.var_names = ["NoSuchGene", *genes[1:]]
    kept = prepare(slides, spec, protocol(n_genes=99))
    assert kept.n_vars == 12
    assert np.isnan(kept.var.loc["NoSuchGene", "gene_length_bp"])
    assert kept.uns["spared_bench"]["fewer_genes_than_asked"]

    dropped = prepare(slides, spec, protocol(n_genes=99, target="log2_tpm"))
    assert sorted(dropped.var_names) == sorted(genes[1:])
    assert dropped.uns["spared_bench"]["unknown_genes"] == ["NoSuchGene"]


def test_spots_out_of_bounds_and_spots_without_kept_genes_are_dropped(slides, spec):
    counts = slides["s1"].X.toarray()
    counts[0] = 0
    counts[1] = 0
    counts[:, 11] = 0
    counts[1, 11] = 50  # a gene seen in one spot: too rare to be kept
    slides["s1"].X = csr_matrix(counts)
    prepared = prepare(slides, spec, protocol(filtering={"real_fraction": 0.97}))
    assert prepared.uns["spared_bench"]["spots"]["left"] == [90, 89, 88]
    assert not {"s1_0", "s1_1"} & set(prepared.obs_names)


def test_only_genes_of_all_slides_are_joined_by_id_or_symbol(slides, spec, genes, make_slide, rng):
    symbols = gene_table("human").loc[genes, "gene_name"].tolist()
    slides["s2"] = make_slide(rng.poisson(4, size=(30, 11)), symbols[::-1][:11])
    prepared = prepare(slides, spec, protocol(n_genes=99))
    assert sorted(prepared.var_names) == sorted(genes[1:])
    counts = pd.DataFrame(slides["s2"].X.toarray(), columns=slides["s2"].var_names)
    row = prepared[prepared.obs["slide_id"] == "s2"].to_df("counts")
    np.testing.assert_array_equal(row[genes[3]], counts[symbols[3]])


def test_combat_is_applied_to_the_filled_layer(slides, spec):
    from spared_bench.processing.combat import combat

    plain = prepare(slides, spec, protocol(fit_on="all"))
    for setting in ("combat", "combat_published"):
        settings = protocol(fit_on="all", batch_correction=setting, batch_key="patient_id")
        corrected = prepare(slides, spec, settings)
        expected = combat(
            plain.layers["prefilled"], plain.obs["patient_id"], setting == "combat_published"
        )
        np.testing.assert_array_equal(corrected.layers["prefilled"], expected)
        np.testing.assert_array_equal(corrected.layers["expression"], plain.layers["expression"])


def test_combat_fitted_on_training_spots_leaves_slides_without_any_as_they_are(slides, spec, rng):
    from spared_bench.processing.combat import fit_combat

    plain = prepare(slides, spec, protocol())
    corrected = prepare(slides, spec, protocol(batch_correction="combat"))
    before, after = plain.layers["prefilled"], corrected.layers["prefilled"]
    splits, ids = plain.obs["split"].to_numpy(), plain.obs["slide_id"].to_numpy()
    train = splits == "train"
    fitted = fit_combat(before[train], ids[train])
    np.testing.assert_array_equal(after[splits == "test"], before[splits == "test"])
    for split in ("train", "val"):  # the strip held out of a training slide has a known batch
        rows = splits == split
        np.testing.assert_array_equal(after[rows], fitted.apply(before[rows], ids[rows]))
        assert not np.allclose(after[rows], before[rows])

    test_slide = spec.split["test"][0]
    noise = rng.permutation(slides[test_slide].X.toarray())
    slides[test_slide].X = csr_matrix(noise)
    other = prepare(slides, spec, protocol(batch_correction="combat"))
    np.testing.assert_array_equal(
        other.layers["prefilled"][train], corrected.layers["prefilled"][train]
    )


def test_slides_that_the_split_does_not_name_are_left_aside(slides, make_dataset):
    spec = make_dataset({"train": ("s1",), "val": ("s3",)}, "human")
    prepared = prepare(slides, spec, protocol())
    assert set(prepared.obs["split"]) == {"train", "val"}
    assert prepared.uns["spared_bench"]["unused_slides"] == ["s2"]


def test_the_input_is_not_changed(slides, spec):
    before = {name: slide.copy() for name, slide in slides.items()}
    prepare(slides, spec, protocol(target="log2_tpm", batch_correction="combat", fit_on="all"))
    for name, slide in slides.items():
        np.testing.assert_array_equal(slide.X.toarray(), before[name].X.toarray())
        assert list(slide.obs) == list(before[name].obs)


def test_a_slide_that_was_not_read_is_named(slides, spec):
    del slides["s3"]
    with pytest.raises(SplitError, match=r"names slides \['s3'\].*read were \['s1', 's2'\]"):
        prepare(slides, spec, protocol())


def test_slides_without_a_common_gene_are_refused(slides, spec, make_slide, rng):
    slides["s2"] = make_slide(rng.poisson(4, size=(30, 2)), ["other", "another"])
    with pytest.raises(CountsError, match=r"No gene is in all 3 slides.*s2: 'another'.*one way"):
        prepare(slides, spec, protocol())


def test_filters_that_leave_nothing_say_how_many_each_left(slides, spec):
    counts = slides["s1"].X.toarray()
    np.fill_diagonal(counts, 0)  # every gene is missing somewhere
    slides["s1"].X = csr_matrix(counts)
    with pytest.raises(CountsError, match=r"12 read, 12 gene counts, 0 real fraction.*Lower"):
        prepare(slides, spec, protocol(filtering={"real_fraction": 1.0}))
    with pytest.raises(CountsError, match=r"12 read, 0 gene counts"):
        prepare(slides, spec, protocol(filtering={"gene_min_counts": 1e5}))


def test_a_slide_that_loses_all_spots_is_named_with_the_bounds(slides, spec):
    slides["s2"].X = slides["s2"].X * 0
    with pytest.raises(CountsError, match=r"slide 's2' has counts between 10 and 1e\+06.*30 spots"):
        prepare(slides, spec, protocol())


def test_genes_of_no_known_length_are_refused_for_tpm(slides, spec, genes):
    for slide in slides.values():
        slide.var_names = [f"gene_{i}" for i in range(12)]
    assert prepare(slides, spec, protocol()).n_vars == 5
    with pytest.raises(DataError, match=r"None of the 12 filtered genes.*log1p_cp10k"):
        prepare(slides, spec, protocol(target="log2_tpm"))


LAYERS = ("counts", "expression", "mask", "prefilled", "target")


def what_training_sees(prepared) -> dict[str, object]:
    train = prepared[prepared.obs["split"] == "train"]
    layers = {name: train.to_df(name) for name in LAYERS}
    return {"obs": train.obs, "var": prepared.var, **layers}


@pytest.mark.parametrize("target", ["log1p_cp10k", "log2_tpm"])
@pytest.mark.parametrize("ranking", ["moran", "variable"])
@pytest.mark.parametrize("split", [SPLIT, {"train": ("s1",), "val": ("s2",), "test": ("s3",)}])
def test_nothing_that_training_sees_moves_with_the_expression_of_other_splits(
    slides, make_dataset, split, ranking, target
):
    spec = make_dataset(split, "human")
    settings = protocol(ranking=ranking, target=target, filtering={"real_fraction": 0.98})
    before = prepare(slides, spec, settings)
    noise = np.random.default_rng(3)
    for slide_id, slide in slides.items():
        rows = [f"{slide_id}_{spot}" for spot in slide.obs_names]
        of_train = before.obs["split"].reindex(rows).eq("train").to_numpy()
        counts = slide.X.toarray()
        counts[~of_train] = noise.poisson(noise.uniform(0, 9, 12), size=((~of_train).sum(), 12))
        counts[np.flatnonzero(~of_train)[:2]] = 0  # spots that the filters drop
        slide.X = csr_matrix(counts)

    after = prepare(slides, spec, settings)

    assert after.n_obs < before.n_obs
    for name, value in what_training_sees(before).items():
        pd.testing.assert_frame_equal(what_training_sees(after)[name], value, obj=name)
    everything = settings.model_copy(
        update={"processing": settings.processing.model_copy(update={"fit_on": "all"})}
    )
    with pytest.raises(AssertionError):  # the change is one that the published way notices
        pd.testing.assert_frame_equal(prepare(slides, spec, everything).var, before.var)


def test_the_most_variable_genes_are_those_of_scanpy_on_every_slide(slides, spec, genes):
    for slide in slides.values():
        counts = slide.X.toarray()
        counts[:, 2] = np.where(np.arange(30) % 2, 40, 1)  # twelve genes of like mean but for one
        slide.X = csr_matrix(counts)
    chosen = prepare(slides, spec, protocol(ranking="variable", n_genes=3))
    assert chosen.var_names[0] == genes[2]
    assert chosen.n_vars == 3
    assert chosen.uns["spared_bench"]["genes"]["after"][-1] == "most variable"


def test_zeros_that_count_as_measured_are_scored_and_not_filled(slides, spec):
    prepared = prepare(slides, spec, protocol(zeros="measured"))
    counts = prepared.layers["counts"].toarray()
    assert prepared.layers["mask"].all()
    assert (counts == 0).any()
    np.testing.assert_array_equal(prepared.layers["target"], prepared.layers["expression"])
    np.testing.assert_array_equal(prepared.layers["target"][counts == 0], 0)


def test_listed_genes_are_kept_in_order_whatever_the_filters(slides, spec, genes):
    symbol = str(gene_table("human").loc[genes[7], "gene_name"])
    wanted = [genes[9], symbol, genes[0]]
    prepared = prepare(slides, spec, protocol(genes=wanted, filtering={"gene_min_counts": 1e5}))
    assert list(prepared.var_names) == [genes[9], genes[7], genes[0]]
    assert not prepared.uns["spared_bench"]["fewer_genes_than_asked"]
    with pytest.raises(CountsError, match=r"1 of the 2 genes .* all slides have: NOGENE\. Correct"):
        prepare(slides, spec, protocol(genes=[genes[0], "NOGENE"]))


def test_the_list_in_a_datasets_own_files_is_taken_where_a_protocol_says_so(slides, spec, genes):
    wanted = [genes[9], genes[0]]
    for slide in slides.values():
        slide.uns["slide"]["listed_genes"] = wanted
    asked = protocol(gene_list="dataset", filtering={"gene_min_counts": 1e5})
    assert list(prepare(slides, spec, asked).var_names) == wanted
    slides["s3"].uns["slide"]["listed_genes"] = wanted[::-1]
    with pytest.raises(CountsError, match="lists none, or others for every slide"):
        prepare(slides, spec, asked)
    for slide in slides.values():
        del slide.uns["slide"]["listed_genes"]
    with pytest.raises(CountsError, match="lists none"):
        prepare(slides, spec, asked)
    with pytest.raises(ValueError, match="no list is named so"):
        protocol(gene_list="datasets")


def test_a_dataset_may_set_what_a_protocol_lets_it(slides, make_dataset):
    spec = make_dataset(SPLIT, "human", parameters={"n_genes": 4, "spot_min_counts": 30})
    assert prepare(slides, spec, protocol()).n_vars == 5
    prepared = prepare(slides, spec, protocol(from_dataset=True))
    assert prepared.n_vars == 4
    assert prepared.uns["spared_bench"]["processing"]["filtering"]["spot_min_counts"] == 30


def test_validation_spots_that_are_all_dropped_are_missed(slides, make_dataset):
    spec = make_dataset(SPLIT, "human")
    before = prepare(slides, spec, protocol())
    for slide_id in ("s1", "s2"):
        labels = before.obs["split"].reindex([f"{slide_id}_{i}" for i in range(30)])
        slides[slide_id].X = csr_matrix(
            np.where((labels == "val").to_numpy()[:, None], 0, slides[slide_id].X.toarray())
        )
    with pytest.raises(CountsError, match=r"No spot of split 'val' has.*held_out_fraction"):
        prepare(slides, spec, protocol())


@pytest.fixture
def with_mitochondrial(slides, genes, rng):
    """The slides with three mitochondrial genes, half of all reads, in place of three others."""
    names = [*genes[:9], "MT-CO1", "ENSG00000198888", "MT-RNR2"]
    for slide in slides.values():
        counts = slide.X.toarray()
        counts[:, 9:] = counts[:, :9].sum(axis=1, keepdims=True) // 3
        slide.X, slide.var_names = csr_matrix(counts), names
    return slides


def test_mitochondrial_genes_have_no_part_in_tpm_where_they_are_left_out(
    with_mitochondrial, spec, genes
):
    def prepared(mitochondrial):
        settings = {"target": "log2_tpm", "n_genes": 99, "mitochondrial": mitochondrial}
        return prepare(with_mitochondrial, spec, protocol(**settings))

    left_out, counted = prepared("left_out"), prepared("counted")

    lengths = gene_table("human").loc[genes[:9], "length_bp"].to_numpy()
    for name, slide in with_mitochondrial.items():
        rates = slide.X.toarray()[:, :9] / lengths
        tpm = 1e6 * rates / rates.sum(axis=1, keepdims=True)
        here = left_out[left_out.obs["slide_id"] == name].to_df("expression")[genes[:9]]
        np.testing.assert_allclose(here, np.log2(tpm + 1), rtol=1e-12)
    assert set(counted.var_names) - set(left_out.var_names) == {
        "ENSG00000198804", "ENSG00000198888", "ENSG00000210082"  # of MT-CO1, MT-ND1, MT-RNR2
    }  # fmt: skip
    shift = left_out.to_df("expression") - counted.to_df("expression")[left_out.var_names]
    seen = left_out.to_df("counts").to_numpy() > 0
    assert shift.to_numpy()[seen].min() > 0.5  # more than half of TPM: they are short
    record = left_out.uns["spared_bench"]["genes"]
    assert dict(zip(record["after"], record["left"], strict=True))["not mitochondrial"] == 9


def test_mitochondrial_counts_leave_the_ten_thousand_too_but_not_the_filters(
    with_mitochondrial, spec, genes
):
    slide = with_mitochondrial["s1"]
    counts = slide.X.toarray()
    counts[0, :9] = [1, 0, 0, 0, 0, 0, 0, 0, 0]  # kept for its mitochondrial reads alone
    counts[0, 9:] = 20
    slide.X = csr_matrix(counts)
    settings = {"n_genes": 99, "mitochondrial": "left_out"}

    prepared = prepare(with_mitochondrial, spec, protocol(**settings))

    values = prepared[prepared.obs["slide_id"] == "s1"].to_df("expression")[genes[:9]]
    expected = np.log1p(1e4 * counts[:, :9] / counts[:, :9].sum(axis=1, keepdims=True))
    np.testing.assert_allclose(values, expected, rtol=1e-6)
    assert "s1_0" in prepared.obs_names
    assert not {"mitochondrial_counts", "library_size"} & set(prepared.obs)


def test_mitochondrial_genes_that_are_all_or_that_are_asked_for_are_refused(
    with_mitochondrial, spec, genes
):
    with pytest.raises(CountsError, match=r"lists MT-CO1 among its genes.*counted"):
        settings = {"genes": [genes[0], "MT-CO1"], "mitochondrial": "left_out"}
        prepare(with_mitochondrial, spec, protocol(**settings))
    for slide in with_mitochondrial.values():
        counts = slide.X.toarray()
        counts[:, :9] = 0
        slide.X = csr_matrix(counts)
    with pytest.raises(CountsError, match=r"All 3 genes that passed .* are mitochondrial"):
        prepare(with_mitochondrial, spec, protocol(mitochondrial="left_out"))


def test_joined_genes_stand_in_the_order_of_the_first_training_slide(
    slides, make_dataset, genes, make_slide, rng
):
    from spared_bench.processing.joining import join_slides

    order = rng.permutation(genes).tolist()
    slides["s2"] = make_slide(rng.poisson(4, size=(30, 12)), order)
    spec = make_dataset({"train": ("s2", "s1"), "test": ("s3",)}, "human")
    assert join_slides(slides, spec)[0].var_names.tolist() == order


def test_which_gene_is_cut_follows_the_file_only_where_the_protocol_says_published(
    slides, spec, genes, rng
):
    mostly = np.ones((30, 12))
    mostly[:12] = 1 - np.eye(12)  # every gene is missing in one spot: all tie
    mostly[:, 9:] = 0
    mostly[0, 9:] = 5  # and three are far too rare

    def kept(order, ties):
        for slide in slides.values():
            slide._inplace_subset_var(slice(None))
            slide.X, slide.var_names = csr_matrix(mostly[:, order] * 9), np.array(genes)[order]
        settings = protocol(n_genes=99, ties=ties, fit_on="all", filtering={"real_fraction": 0.8})
        return set(prepare(slides, spec, settings).var_names)

    orders = [np.arange(12), np.arange(12)[::-1]]
    by_id = [kept(order, "id") for order in orders]
    by_file = [kept(order, "published") for order in orders]
    assert by_id[0] == by_id[1]
    assert len(by_id[0]) == len(by_file[0]) == 10  # nine, and one of three that tie
    assert by_file[0] != by_file[1]


@pytest.mark.parametrize("listed", [False, True])
def test_the_share_of_spots_that_have_a_gene_is_of_the_spots_that_choose(
    slides, spec, genes, listed
):
    slides["s1"].X = csr_matrix(np.where(np.arange(30)[:, None] < 2, 0, slides["s1"].X.toarray()))

    def shares(fit_on):
        prepared = prepare(slides, spec, protocol(fit_on=fit_on, genes=genes[:4] * listed))
        assert prepared.n_vars == 4 + (not listed)
        return prepared.var["expressed_fraction"], prepared

    everywhere, prepared = shares("all")
    seen = {
        name: slide.to_df()[slide.to_df().sum(axis=1) > 10] > 0 for name, slide in slides.items()
    }
    whole = pd.concat(seen.values())[prepared.var_names].mean()
    pd.testing.assert_series_equal(everywhere, whole, check_names=False)
    trained, prepared = shares("train")
    spots = prepared.obs_names[prepared.obs["split"] == "train"]
    of_train = pd.concat(each.add_prefix(f"{name}_", axis=0) for name, each in seen.items())
    expected = of_train.loc[spots, prepared.var_names].mean()
    pd.testing.assert_series_equal(trained, expected, check_names=False)
