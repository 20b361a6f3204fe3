"""Metrics of ranks, maps, domains and pathways, held against scipy, squidpy and scikit-learn."""

from __future__ import annotations

import importlib

import networkx
import numpy as np
import pytest
import scipy.stats
import squidpy
from anndata import AnnData
from sklearn.metrics import adjusted_rand_score
from sklearn.neighbors import kneighbors_graph

from spared_bench import MetricSpec
from spared_bench.errors import PluginError, ShapeMismatchError
from spared_bench.metrics.control import above_control
from spared_bench.metrics.domains import (
    domains_ari,
    domains_nmi,
    domains_of,
    labels_ari,
    labels_nmi,
    resolution_for,
)
from spared_bench.metrics.pathways import hallmark_sets, pathway_correlations, pcc_pathway
from spared_bench.metrics.pearson import pearson_gene
from spared_bench.metrics.scoring import Beside, means, score
from spared_bench.metrics.spatial import masked_morans_i, moran_error, moran_pcc
from spared_bench.metrics.spearman import spearman_gene
from spared_bench.metrics.structure import cells_of, ssim_gene
from spared_bench.metrics.tissue import Tissue, standardised
from spared_bench.processing.gene_choice import number_chosen, spatial_genes, variable_genes
from spared_bench_plugins.tissue_metrics import tissue_metrics

SIDE = 12


def grid_tissue(n_genes=6, slides=1, symbols=(), labels=None):
    """Slides of 12 x 12 spots on a square array."""
    row, col = np.divmod(np.arange(SIDE * SIDE), SIDE)
    array = np.tile(np.stack([row, col], axis=1).astype(float), (slides, 1))
    names = tuple(symbols) or tuple(f"g{i}" for i in range(n_genes))
    ids = np.repeat([f"s{i}" for i in range(slides)], SIDE * SIDE)
    return Tissue(ids, array[:, ::-1] * 10.0, array, names, labels)


def one_slide(n_spots):
    nowhere = np.zeros((n_spots, 2))
    return Tissue(np.full(n_spots, "s"), nowhere, nowhere, ())


def smooth(rng, n_genes=6, slides=1):
    """Maps in which neighbours resemble each other."""
    row, col = np.divmod(np.arange(SIDE * SIDE), SIDE)
    waves = [
        np.sin(row * a + p) + np.cos(col * b)
        for a, b, p in rng.uniform(0.2, 0.9, size=(n_genes * slides, 3))
    ]
    maps = np.concatenate(
        [np.stack(waves[i * n_genes : (i + 1) * n_genes], axis=1) for i in range(slides)]
    )
    return maps + 0.1 * rng.normal(size=maps.shape)


@pytest.fixture
def maps(rng):
    truth = smooth(rng)
    return truth, truth + rng.normal(size=truth.shape), rng.random(truth.shape) > 0.2


def test_spearman_is_that_of_scipy_with_ties_on_the_measured_spots(trio):
    truth, prediction, mask = (np.round(trio[0]), np.round(trio[1]), trio[2])

    scores = spearman_gene(truth, prediction, mask)

    for gene, seen in enumerate(mask.T):
        wanted = scipy.stats.spearmanr(truth[seen, gene], prediction[seen, gene]).statistic
        assert scores[gene] == pytest.approx(wanted)


def test_spearman_is_undefined_for_constants_and_for_what_is_not_finite(trio):
    truth, prediction, mask = (part.copy() for part in trio)
    truth[:, 0], prediction[:, 1], prediction[3, 2] = 1.0, 2.0, np.nan
    mask[3, 2], mask[1:, 4] = True, False

    undefined = np.isnan(spearman_gene(truth, prediction, mask))

    assert undefined.tolist() == [True, True, True, False, True, False, False]


def test_a_gene_is_above_the_control_where_it_is_above_95_of_100_random_deals(rng):
    truth, mask = rng.exponential(size=(60, 40)), rng.random((60, 40)) > 0.1
    prediction = rng.normal(size=truth.shape) + rng.uniform(0, 0.6, 40) * truth

    found = above_control(truth, prediction, mask, one_slide(60))

    agreed = 0
    for gene, seen in enumerate(mask.T):
        t, p = truth[seen, gene], prediction[seen, gene]
        deals = [scipy.stats.pearsonr(t, rng.permutation(p)).statistic for _ in range(400)]
        share = np.mean(scipy.stats.pearsonr(t, p).statistic > np.array(deals))
        agreed += found[gene] == (share > 0.95) or abs(share - 0.95) < 0.03
    assert agreed >= 38
    assert 0 < found.mean() < 1


def test_what_knows_nothing_is_above_the_control_in_one_gene_of_twenty(rng):
    truth, prediction = rng.normal(size=(2, 100, 4000))

    share = above_control(truth, prediction, np.ones(truth.shape, bool), one_slide(100)).mean()

    assert share == pytest.approx(0.05, abs=0.015)


def test_the_control_counts_constant_predictions_0_and_leaves_few_spots_out(rng):
    truth, mask = rng.normal(size=(60, 4)), np.ones((60, 4), bool)
    prediction = truth.copy()
    prediction[:, 0], truth[:, 1], mask[15:, 2] = 3.0, 3.0, False

    np.testing.assert_array_equal(
        above_control(truth, prediction, mask, one_slide(60)), [0, np.nan, np.nan, 1]
    )


def test_morans_i_is_squidpys_where_all_is_measured(maps):
    truth, _, mask = maps
    tissue = grid_tissue()
    slide = AnnData(truth.astype(float), obsm={"spatial": tissue.places})
    squidpy.gr.spatial_neighbors(slide, coord_type="generic", n_neighs=6)
    wanted = squidpy.gr.spatial_autocorr(slide, mode="moran", copy=True, n_perms=None)

    found = masked_morans_i(truth, np.ones_like(mask), tissue.places)

    np.testing.assert_allclose(found, wanted["I"].loc[slide.var_names], rtol=1e-6)


def test_morans_i_of_measured_spots_does_not_see_the_others(maps):
    truth, _, mask = maps
    places = grid_tissue().places
    changed = np.where(mask, truth, 1e6)

    np.testing.assert_allclose(
        masked_morans_i(truth, mask, places), masked_morans_i(changed, mask, places)
    )
    # By hand for one gene: weights between measured neighbours, rows divided by their sums.
    from spared_bench.processing.graph import neighbour_graph

    seen = mask[:, 0]
    weights = neighbour_graph(places).toarray()[np.ix_(seen, seen)]
    weights = weights / weights.sum(axis=1, keepdims=True)
    z = truth[seen, 0] - truth[seen, 0].mean()
    wanted = len(z) / weights.sum() * (z @ weights @ z) / (z @ z)
    assert masked_morans_i(truth, mask, places)[0] == pytest.approx(wanted)


def test_morans_i_does_not_depend_on_the_unit(maps):
    truth, _, mask = maps
    places = grid_tissue().places
    of_truth = masked_morans_i(truth, mask, places)
    np.testing.assert_allclose(masked_morans_i(1e-4 * truth - 3, mask, places), of_truth)


def test_a_prediction_without_structure_counts_as_one_of_morans_i_0(rng):
    truth, mask, tissue = smooth(rng), np.ones((SIDE * SIDE, 6), bool), grid_tissue()
    flat = np.zeros_like(truth)

    of_truth = masked_morans_i(truth, mask, tissue.places)
    np.testing.assert_allclose(moran_error(truth, flat, mask, tissue), np.abs(of_truth))
    assert moran_pcc(truth, flat, mask, tissue) == 0
    assert moran_pcc(truth, truth, mask, tissue) == pytest.approx(1)
    assert np.isnan(moran_error(flat, truth, mask, tissue)).all()
    assert np.isnan(moran_pcc(flat, truth, mask, tissue))


def ssim_by_formula(x, y, data_range, window=7):
    """Mean over windows of Wang's formula, sample variances, windows wholly inside the map."""
    c1, c2, found = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2, []
    for i in range(x.shape[0] - window + 1):
        for j in range(x.shape[1] - window + 1):
            a, b = (m[i : i + window, j : j + window].ravel() for m in (x, y))
            cov = np.cov(a, b)
            found.append(
                (2 * a.mean() * b.mean() + c1)
                * (2 * cov[0, 1] + c2)
                / ((a.mean() ** 2 + b.mean() ** 2 + c1) * (cov[0, 0] + cov[1, 1] + c2))
            )
    return np.array(found).reshape(x.shape[0] - window + 1, -1)


def test_structural_similarity_is_wangs_formula_inside_the_map(rng):
    truth = smooth(rng, 1)
    prediction = truth + 0.5 * rng.normal(size=truth.shape)
    tissue, mask = grid_tissue(1), np.ones(truth.shape, bool)
    x, y = truth.reshape(SIDE, SIDE), prediction.reshape(SIDE, SIDE)
    by_hand = ssim_by_formula(x, y, np.ptp(truth))

    from skimage.metrics import structural_similarity

    _, full = structural_similarity(x, y, data_range=np.ptp(truth), full=True)
    np.testing.assert_allclose(full[3:-3, 3:-3], by_hand, rtol=1e-6)
    assert ssim_gene(truth, prediction, mask, tissue)[0] == pytest.approx(full.mean())


def test_structural_similarity_does_not_see_unmeasured_spots_and_notices_scale(maps):
    truth, prediction, mask = maps
    tissue = grid_tissue()
    elsewhere = np.where(mask, prediction, 1e3)

    scores = ssim_gene(truth, prediction, mask, tissue)
    np.testing.assert_allclose(ssim_gene(truth, elsewhere, mask, tissue), scores)
    np.testing.assert_allclose(ssim_gene(truth, truth, mask, tissue), 1)
    assert (ssim_gene(truth, 0.2 * truth, mask, tissue) < 0.9).all()


def test_a_staggered_array_has_no_gaps_and_a_shared_or_broken_place_is_no_array():
    row, half = np.divmod(np.arange(12), 3)
    visium = np.stack([row, 2 * half + row % 2], axis=1)

    assert cells_of(visium).tolist() == np.stack([row, half], axis=1).tolist()
    assert cells_of(np.array([[0, 0], [0, 0]])) is None
    assert cells_of(np.array([[0, 0.5], [0, 1]])) is None
    assert cells_of(np.array([[0, 0], [10**5, 10**5]])) is None
    assert cells_of(np.empty((0, 2))) is None


def test_a_slide_without_an_array_has_no_structural_similarity(maps):
    tissue = grid_tissue()
    broken = Tissue(tissue.slide_ids, tissue.places, tissue.array + 0.25, tissue.symbols)
    assert np.isnan(ssim_gene(*maps, broken)).all()


@pytest.fixture
def planted(rng):
    """Three domains of unlike expression, and what knows the first two of them only."""
    domain = np.repeat([0, 1, 2], 48)
    profiles = rng.normal(0, 4, size=(3, 8))
    truth = profiles[domain] + rng.normal(0, 0.3, size=(144, 8))
    merged = profiles[np.minimum(domain, 1)] + rng.normal(0, 0.3, size=(144, 8))
    return domain, truth, merged


def test_domains_are_those_that_were_planted(planted):
    domain, truth, merged = planted
    mask, tissue = np.ones(truth.shape, bool), grid_tissue(8)

    found = domains_of(standardised(truth, mask), 0.3)
    assert adjusted_rand_score(domain, found) == 1
    labels = np.array(["a", "b", "c"])[domain]
    labels[::7] = ""
    told = grid_tissue(8, labels=labels)
    wanted = adjusted_rand_score(labels[labels != ""], np.minimum(domain, 1)[labels != ""])
    assert resolution_for(standardised(truth, mask), 3) <= 0.3
    assert labels_ari(truth, truth, mask, told) == pytest.approx(1)
    assert labels_ari(truth, merged, mask, told) == pytest.approx(wanted, abs=0.15)
    assert domains_ari(truth, truth, mask, tissue) == 1
    assert domains_nmi(truth, truth, mask, tissue) == pytest.approx(1)


def pairs_alike(first, second):
    """Hubert and Arabie's index, over all pairs of spots."""
    upper = np.triu_indices(len(first), 1)
    one, other = ((each[:, None] == each[None, :])[upper] for each in (first, second))
    both, by_chance = (one & other).sum(), one.sum() * other.sum() / len(one)
    return (both - by_chance) / ((one.sum() + other.sum()) / 2 - by_chance)


def information_shared(first, second):
    """Mutual information over the mean of the two entropies."""
    joint = np.array(
        [[((first == a) & (second == b)).mean() for b in set(second)] for a in set(first)]
    )
    rows, columns = joint.sum(axis=1), joint.sum(axis=0)
    seen = joint > 0
    mutual = (joint[seen] * np.log(joint[seen] / np.outer(rows, columns)[seen])).sum()
    entropy = sum(-(part * np.log(part)).sum() for part in (rows, columns))
    return 2 * mutual / entropy


def test_agreement_is_counted_pair_by_pair_over_labelled_spots(planted, rng):
    domain, truth, merged = planted
    mask = np.ones(truth.shape, dtype=bool)
    labels = np.array(["a", "b", "c"])[np.where(rng.random(144) < 0.2, 2 - domain, domain)]
    labels[::7] = ""
    told = grid_tissue(8, labels=labels)
    resolution = resolution_for(standardised(truth, mask), 3)
    measured, found = (domains_of(standardised(each, mask), resolution) for each in (truth, merged))
    seen = labels != ""
    for metric, count, first, second in (
        (domains_ari, pairs_alike, measured, found),
        (domains_nmi, information_shared, measured, found),
        (labels_ari, pairs_alike, labels[seen], found[seen]),
        (labels_nmi, information_shared, labels[seen], found[seen]),
    ):
        wanted = count(first, second)
        assert 0.1 < wanted < 0.95
        assert metric(truth, merged, mask, told) == pytest.approx(wanted, abs=1e-9)


def test_a_constant_prediction_is_one_domain_whatever_the_order_of_the_spots(planted):
    _, truth, _ = planted
    mask, tissue = np.ones(truth.shape, bool), grid_tissue(8)
    assert domains_ari(truth, np.ones_like(truth), mask, tissue) == 0
    assert domains_nmi(truth, np.ones_like(truth), mask, tissue) == 0


def test_domains_of_a_resolution_have_the_highest_modularity_there(rng):
    """As networkx counts it, on the graph of the 15 nearest spots of scikit-learn."""
    values = rng.normal(size=(90, 4)) + 4 * rng.normal(size=(6, 4))[np.arange(90) % 6]
    near = kneighbors_graph(values, 15).toarray()
    graph = networkx.from_numpy_array(near + near.T)
    found = {resolution: domains_of(values, resolution) for resolution in (0.1, 1.0, 2.0)}

    def modularity(domains, resolution):
        parts = [set(np.flatnonzero(domains == each)) for each in np.unique(domains)]
        return networkx.community.modularity(graph, parts, resolution=resolution)

    for resolution, domains in found.items():
        others = [modularity(each, resolution) for each in found.values()]
        assert modularity(domains, resolution) == pytest.approx(max(others))
    n_domains = [len(np.unique(domains)) for domains in found.values()]
    assert n_domains == sorted(set(n_domains))
    assert resolution_for(values, n_domains[-1]) <= 2.0 == resolution_for(values, 89)


def test_domains_are_undefined_without_domains_labels_or_spots(planted):
    _, truth, _ = planted
    mask, tissue = np.ones(truth.shape, bool), grid_tissue(8)
    assert np.isnan(domains_ari(np.ones_like(truth), truth, mask, tissue))
    assert np.isnan(labels_ari(truth, truth, mask, tissue))
    one = grid_tissue(8, labels=np.full(144, "tumour"))
    assert np.isnan(labels_ari(truth, truth, mask, one))
    few = tissue.rows(np.arange(10))
    assert np.isnan(domains_ari(truth[:10], truth[:10], mask[:10], few))


def test_domains_are_the_same_every_time(planted):
    _, truth, merged = planted
    mask, tissue = np.ones(truth.shape, bool), grid_tissue(8)
    first = domains_ari(truth, merged, mask, tissue)
    assert domains_ari(truth, merged, mask, tissue) == first


def test_the_kept_sets_have_as_many_genes_as_were_published():
    sizes = {name.removeprefix("HALLMARK_"): len(genes) for name, genes in hallmark_sets().items()}
    assert sizes == {
        "HYPOXIA": 200,
        "TGF_BETA_SIGNALING": 54,
        "G2M_CHECKPOINT": 200,
        "ESTROGEN_RESPONSE_EARLY": 200,
        "INTERFERON_ALPHA_RESPONSE": 97,
        "MYOGENESIS": 200,
        "EPITHELIAL_MESENCHYMAL_TRANSITION": 200,
        "OXIDATIVE_PHOSPHORYLATION": 200,
        "MYC_TARGETS_V1": 200,
    }


def test_the_activity_of_a_pathway_is_the_mean_of_its_standardised_genes(rng):
    symbols = ("Mki67", "TOP2A", "AURKA", "NOT_A_GENE", "ISG15", "MX1")
    truth, prediction = rng.normal(size=(2, SIDE * SIDE, 6))
    mask, tissue = np.ones(truth.shape, bool), grid_tissue(symbols=symbols)

    found = pathway_correlations(truth, prediction, mask, tissue)

    cycle = [scipy.stats.zscore(part[:, :3]).mean(axis=1) for part in (truth, prediction)]
    assert list(found) == ["HALLMARK_G2M_CHECKPOINT"]  # two interferon genes are too few
    wanted = scipy.stats.pearsonr(*cycle).statistic
    assert found["HALLMARK_G2M_CHECKPOINT"] == pytest.approx(wanted)
    assert pcc_pathway(truth, prediction, mask, tissue) == pytest.approx(wanted)
    assert pcc_pathway(truth, np.ones_like(truth), mask, tissue) == 0
    assert np.isnan(pcc_pathway(truth, truth, mask, grid_tissue()))


def test_genes_are_chosen_by_training_slides_of_equal_weight(rng):
    ids = np.array(["g3", "g2", "g1", "g0"])
    slides = np.repeat(["a", "b"], [SIDE * SIDE, 3 * SIDE * SIDE])
    values = rng.normal(size=(len(slides), 4)) * [1, 2, 3, 4]
    values[slides == "b", 3] = 0  # varies on the smaller slide alone
    wanted = np.mean([values[slides == s].var(axis=0) for s in "ab"], axis=0)

    chosen = variable_genes(values, slides, ids)

    assert set(np.flatnonzero(chosen)) == set(np.argsort(-wanted)[: number_chosen(4)])
    assert [number_chosen(n) for n in (1, 3, 32, 99, 128, 5000)] == [1, 2, 16, 50, 50, 50]


def test_spatial_genes_are_those_in_patterns(rng):
    patterned = smooth(rng, 3)
    values = np.concatenate([rng.normal(size=patterned.shape), patterned], axis=1)
    tissue = grid_tissue()
    chosen = spatial_genes(values, tissue.slide_ids, tissue.places, np.array(list("abcdef")))
    assert chosen.tolist() == [False, False, False, True, True, True]


def test_a_metric_of_some_genes_scores_them_and_keeps_all_places(maps):
    truth, prediction, mask = maps
    flags = np.array([True, False, True, True, False, False])
    tissue = grid_tissue()
    tissue = Tissue(
        tissue.slide_ids, tissue.places, tissue.array, tissue.symbols, None, {"spatial": flags}
    )
    spec = MetricSpec("some", "x:y", undefined="correlation", genes="spatial")
    metrics = {"some": (spec, pearson_gene)}

    found = score(metrics, truth, prediction, mask, tissue.slide_ids, beside=Beside(tissue=tissue))

    every = pearson_gene(truth, prediction, mask)
    assert found.means["some"] == pytest.approx(every[flags].mean())
    np.testing.assert_allclose(found.by_gene["some"], np.where(flags, every, np.nan))
    assert means(metrics, truth, prediction, mask, tissue.slide_ids) == {}


SPECS = {spec.name: spec for spec in tissue_metrics()}


def function_of(spec):
    module, _, name = spec.factory.partition(":")
    return getattr(importlib.import_module(module), name)


@pytest.mark.parametrize("name", SPECS)
@pytest.mark.parametrize("pooling", ["slide", "split"])
def test_a_perfect_prediction_reaches_the_bound_and_one_that_is_not_finite_nothing(
    name, pooling, rng
):
    symbols = ("MKI67", "TOP2A", "AURKA", "PLK1", "CDC20", "TTK")
    labels = np.tile(np.repeat(["a", "b"], SIDE * SIDE // 2), 2)
    tissue = grid_tissue(slides=2, symbols=symbols, labels=labels)
    flags = np.arange(6) < 3
    chosen = {"variable": flags, "spatial": flags}
    tissue = Tissue(tissue.slide_ids, tissue.places, tissue.array, symbols, labels, chosen)
    truth = smooth(rng, slides=2) + 3 * (labels == "a")[:, None] * rng.normal(size=6)
    mask, beside = rng.random(truth.shape) > 0.1, Beside(tissue=tissue)
    metrics = {name: (SPECS[name], function_of(SPECS[name]))}
    broken = truth.copy()
    broken[np.flatnonzero(mask[:, 1])[0], 1] = np.nan

    def mean(prediction):
        given = (metrics, truth, prediction, mask, tissue.slide_ids)
        return means(given[0], *given[1:], beside=beside, pooling=pooling)[name]

    assert np.isnan(mean(broken))
    low, high = SPECS[name].bounds
    if name.startswith("labels"):  # no prediction must agree with what people see
        assert low <= mean(truth) <= high
    else:
        assert mean(truth) == pytest.approx(SPECS[name].perfect)
    assert low <= mean(rng.normal(size=truth.shape)) <= high


def test_shapes_that_differ_are_told():
    tissue = grid_tissue()
    with pytest.raises(ShapeMismatchError, match="must all be"):
        moran_error(np.ones((144, 6)), np.ones((144, 5)), np.ones((144, 6), bool), tissue)


def test_a_spec_of_classes_has_no_genes_and_words_are_checked():
    with pytest.raises(PluginError, match="of spots and of no genes"):
        MetricSpec("x", "a:b", per="class", given="classes", genes="spatial")
    with pytest.raises(PluginError, match="genes 'best' is none of"):
        MetricSpec("x", "a:b", genes="best")


def test_domains_do_not_depend_on_the_order_of_genes(rng):
    """Spots that lie in no clear domains, in which one look at them finds now these, now those."""
    truth = rng.normal(size=(144, 12)) + 0.7 * rng.normal(size=(3, 12))[np.arange(144) // 48]
    prediction = truth + rng.normal(size=truth.shape)
    mask, tissue = rng.random(truth.shape) < 0.9, grid_tissue(12)
    orders = [rng.permutation(12) for _ in range(8)]
    found = {
        float(domains_ari(truth[:, order], prediction[:, order], mask[:, order], tissue))
        for order in orders
    }
    assert len(found) == 1


@pytest.mark.parametrize("score", [domains_ari, labels_ari])
def test_spots_without_a_measured_gene_are_in_no_domain(planted, score):
    domain, truth, merged = planted
    labels = np.array(["a", "b", "c"])[domain]
    mask, tissue = np.ones(truth.shape, bool), grid_tissue(8, labels=labels)
    known = np.arange(144) % 4 > 0
    mask[~known] = False
    alone = score(truth[known], merged[known], mask[known], tissue.rows(known))
    assert score(truth, merged, mask, tissue) == alone
