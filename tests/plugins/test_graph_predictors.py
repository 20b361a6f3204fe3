"""The predictors of slides, graphs and exemplars beyond what the contract asks of all."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from spared_bench.api import execute, make_bench, select
from spared_bench.errors import CoordinateError, UsageError
from spared_bench.interfaces import Budget, Context
from spared_bench.models.seeded import seeded
from spared_bench_plugins.networks.hist2st import distort, neighbours
from spared_bench_plugins.predictors.eggn import EGGN, close_edges, gated_mean
from spared_bench_plugins.predictors.egn import EGN
from spared_bench_plugins.predictors.hist2st import Hist2ST
from spared_bench_plugins.predictors.histogene import HisToGene
from spared_bench_plugins.predictors.sepal import SEPAL, KeepBest
from spared_bench_plugins.predictors.vit_b_delta import ViTBDelta
from tests.conftest import TOY_PLUGIN, TOY_PROTOCOL


def count(network):
    return sum(p.numel() for p in network.parameters() if p.requires_grad)


@pytest.mark.parametrize(
    ("predictor", "published"),
    [
        (HisToGene(image_size=112, n_positions=64), 105_974_912),
        (HisToGene(), 221_711_488),
        (EGN(), 132_856_960),
        (EGGN(), 11_089_537),
        (Hist2ST(n_positions=64), 73_096_133),
        (Hist2ST(image_size=224, head_width=128), 892_660_677),
        (SEPAL(), 967_937),
        (SEPAL(layout="legacy_st", hops=1), 196_993),
    ],
    ids=[
        "histogene",
        "histogene-spared",
        "egn",
        "eggn",
        "hist2st",
        "hist2st-spared",
        "sepal-visium",
        "sepal-legacy",
    ],
)
def test_the_published_configuration_has_the_published_number_of_parameters(predictor, published):
    with torch.device("meta"):
        assert count(predictor.build(n_genes=128)) == published


def completed(slides):
    return slides.with_target(slides.adata.layers["prefilled"])


@pytest.mark.parametrize(
    "predictor",
    [
        HisToGene(**HisToGene.tiny),
        EGN(**EGN.tiny),
        EGGN(**EGGN.tiny),
        SEPAL(**SEPAL.tiny),
    ],
    ids=lambda predictor: predictor.name,
)
def test_it_learns_the_planted_relation(predictor, tiny_slides):
    predictor.lr = 3e-3
    context = Context(budget=Budget(iterations=80, batch_size=32, validate_every=10))
    predictor.fit(completed(tiny_slides.train), completed(tiny_slides.val), context)
    prediction = predictor.predict(tiny_slides.test.without_expression())
    truth = tiny_slides.test.adata.layers["prefilled"]
    found = [np.corrcoef(t, p)[0, 1] for t, p in zip(truth.T, prediction.T, strict=True)]
    assert np.mean(found) > 0.4


def around(slides):
    """Take for a spot's expression the mean of its neighbours'."""
    target = slides.adata.layers["prefilled"].copy()
    for slide_id in np.unique(slides.slide_ids):
        here = np.flatnonzero(slides.slide_ids == slide_id)
        near, spot = neighbours(slides.array_coordinates[here])
        for i, row in enumerate(here):
            target[row] = slides.adata.layers["prefilled"][here[near[spot == i]]].mean(axis=0)
    return slides.with_target(target)


def test_hist2st_learns_what_the_neighbours_of_a_spot_foretell(tiny_slides):
    # Its graph layers take the mean over a spot's neighbours, without the spot.
    method = Hist2ST(**(Hist2ST.tiny | {"n_views": 0, "image_size": 21, "lr": 1e-2}))
    context = Context(budget=Budget(iterations=160, batch_size=1, validate_every=20))
    method.fit(around(tiny_slides.train), around(tiny_slides.val), context)
    truth = around(tiny_slides.test).target
    prediction = method.predict(tiny_slides.test.without_expression())
    found = [np.corrcoef(t, p)[0, 1] for t, p in zip(truth.T, prediction.T, strict=True)]
    assert np.mean(found) > 0.3


@pytest.mark.parametrize("predictor", [HisToGene(**HisToGene.tiny), Hist2ST(**Hist2ST.tiny)])
def test_in_windows_every_spot_is_predicted_and_the_order_of_spots_is_no_matter(
    predictor, tiny_slides, rng
):
    predictor = replace(predictor, max_spots=18, margin=1.0)
    predictor.fit(tiny_slides.train, tiny_slides.val, Context(budget=Budget(3, 16, 3)))
    bare = tiny_slides.test.without_expression()
    order = rng.permutation(40)
    prediction = predictor.predict(bare)
    assert np.isfinite(prediction).all()
    assert len(predictor.units(bare, "cpu", False).windows) > 2
    np.testing.assert_allclose(
        predictor.predict(bare.subset(order)), prediction[order], rtol=1e-4, atol=1e-5
    )


def test_two_slides_predicted_together_are_predicted_as_alone(tiny_slides):
    bare = tiny_slides.train.without_expression()
    mixed = np.random.default_rng(0).permutation(80)  # spots of both slides, dealt together
    for predictor in (HisToGene, EGGN, SEPAL, Hist2ST):
        method = predictor(**predictor.tiny)
        method.fit(tiny_slides.train, tiny_slides.val, Context(budget=Budget(3, 16, 3)))
        alone = np.concatenate([method.predict(slide) for _, slide in bare.each()])
        together = method.predict(bare.subset(mixed))
        np.testing.assert_allclose(together, alone[mixed], rtol=1e-4, atol=1e-5)


def test_a_spot_far_from_all_others_gets_a_finite_prediction_and_leaves_no_nan(tiny_slides):
    bare = tiny_slides.test.without_expression()
    bare = replace(bare, adata=bare.adata.copy())
    bare.adata.obsm["spatial"][7] = 1e5
    bare.adata.obs.loc[bare.adata.obs_names[7], ["array_row", "array_col"]] = 15
    for predictor in (EGGN, SEPAL, Hist2ST):
        method = predictor(**predictor.tiny)
        method.fit(tiny_slides.train, tiny_slides.val, Context(budget=Budget(3, 16, 3)))
        assert np.isfinite(method.predict(bare)).all()


def test_sepal_without_a_correction_is_its_first_stage_plus_the_training_mean(tiny_slides):
    method = SEPAL(**SEPAL.tiny)
    curves = set()
    context = Context(budget=Budget(4, 16, 2), report=lambda step, values: curves.update(values))
    method.fit(tiny_slides.train, tiny_slides.val, context)
    assert curves == {"first_train_mse", "first_val_mse", "train_mse", "val_mse"}
    torch.nn.init.zeros_(method.network_.after.weight)
    torch.nn.init.zeros_(method.network_.after.bias)
    expected = method.first_.predict(tiny_slides.test) + tiny_slides.train.target.mean(axis=0)
    np.testing.assert_allclose(method.predict(tiny_slides.test), expected, rtol=1e-4, atol=1e-5)


def test_all_candidates_of_sepal_build_on_one_first_stage_of_the_store(tmp_path):
    tiny = {name: value for name, value in SEPAL.tiny.items() if name != "lr"}  # that is searched
    bench = make_bench(
        str(TOY_PROTOCOL),
        workspace=tmp_path,
        plugin_files=[TOY_PLUGIN],
        parameters={"sepal": tiny, "vit-b-delta": {"options": {"drop_rate": 0.1}}},
    )
    plan = select(bench, ["toy"], ["none"], ["sepal"])
    report = execute(plan, executor="inline", track=False, figures=False)
    assert [result.status for result in report.results] == ["ok"]
    assert report.new > 2
    (network,) = bench.workspace.store.entries("networks")
    assert network.inputs["predictor"]["parameters"] == {
        "backbone": "test_resnet", "weights": "random", "lr": 1e-3, "options": {"drop_rate": 0.1},
    }  # fmt: skip


def test_sepal_given_its_first_stage_leaves_it_as_it_was_and_survives_being_saved(
    tiny_slides, tmp_path
):
    train = tiny_slides.train
    mean = train.target.mean(axis=0)
    first = ViTBDelta(lr=1e-3, backbone="test_resnet", weights="random", options={"drop_rate": 0.1})
    parts = [each.with_target(each.target - mean) for each in (train, tiny_slides.val)]
    first.fit(*parts, Context(budget=Budget(4, 16, 2)))
    before = first.predict(tiny_slides.test)

    method = SEPAL(**SEPAL.tiny)
    method.fit(train, tiny_slides.val, Context(budget=Budget(4, 16, 2), stages={"first": first}))
    np.testing.assert_array_equal(method.first_.predict(tiny_slides.test), before)
    method.save(tmp_path)
    other = SEPAL(**SEPAL.tiny)
    other.load(tmp_path)
    assert other.first_.options == {"drop_rate": 0.1}
    np.testing.assert_array_equal(other.predict(tiny_slides.test), method.predict(tiny_slides.test))

    larger = SEPAL(**(SEPAL.tiny | {"backbone": "resnet10t"}))
    with pytest.raises(UsageError, match="first stage has the backbone 'test_resnet', and SEPAL"):
        larger.fit(train, tiny_slides.val, Context(stages={"first": first}))


def test_sepal_builds_released_graphs_only_where_it_is_told_to(tiny_slides):
    assert SEPAL.configurations["spared"]["released_graphs"]
    for released in (False, True):
        method = SEPAL(**SEPAL.tiny, released_graphs=released)
        method.fit(tiny_slides.train, tiny_slides.val, Context(budget=Budget(2, 16, 2)))
        batch = method.units(tiny_slides.test, "cpu", False).batch(torch.arange(40))
        assert (batch.edges[0] == batch.edges[1]).any() == released


def test_sepal_names_the_layouts_it_has():
    with pytest.raises(UsageError, match=r"no layout 'hexagon'.*'visium', 'legacy_st' or 'free'"):
        SEPAL(backbone="test_resnet", layout="hexagon").build(4)


def test_a_slide_that_the_table_of_positions_cannot_hold_is_refused(tiny_slides):
    method = HisToGene(**(HisToGene.tiny | {"n_positions": 4}))
    with pytest.raises(CoordinateError, match="table of learned positions has rows 0 to 3"):
        method.fit(tiny_slides.train, tiny_slides.val, Context(budget=Budget(1, 16, 1)))


def test_hist2st_begins_at_the_training_mean_of_every_count(tiny_slides):
    train = tiny_slides.train
    counts = np.array(train.counts)
    counts[0], counts[:, 1] = 0, 0  # a spot and a gene without any
    train = replace(train, adata=train.adata.copy())
    train.adata.layers["counts"] = counts
    method = Hist2ST(**Hist2ST.tiny)
    network = method.build(train.n_genes)
    method.start(network, train)
    totals = counts.sum(axis=1)
    factors = np.concatenate([t / np.median(t) for t in (totals[:40], totals[40:])])
    assert list(train.slide_ids) == ["a"] * 40 + ["b"] * 40
    begun = network.mean.bias.exp().detach().numpy()
    expected = counts.sum(axis=0) / factors.sum()
    np.testing.assert_allclose(begun, np.maximum(expected, 1e-5), rtol=1e-5)
    assert (begun * factors.mean()).sum() == pytest.approx(totals.mean(), rel=1e-3)


def test_hist2st_without_views_or_with_them_has_a_finite_loss_whose_parts_add_up(tiny_slides):
    method = Hist2ST(**Hist2ST.tiny)
    method.fit(tiny_slides.train, tiny_slides.val, Context(budget=Budget(2, 16, 2)))
    batch = method.units(tiny_slides.train, "cpu", False).batch(torch.tensor([0]))
    with torch.no_grad():
        h = method.network_.embed(batch.images, batch)
        mse = torch.nn.functional.mse_loss(method.network_.head(h), batch.target)
        plain = mse + 0.25 * method.network_.zinb(h, batch)
        alone = replace(method, n_views=0).loss(method.network_, batch)
        assert torch.allclose(alone, plain)
        assert method.loss(method.network_, batch) >= plain


def test_a_view_turns_every_patch_by_its_own_draw():
    patch = torch.arange(300.0).view(1, 3, 10, 10) / 300
    with seeded(0):
        views = distort(patch.repeat(6, 1, 1, 1))
    assert views.shape == (6, 3, 10, 10)
    assert len(views.flatten(1).unique(dim=0)) == 6


def test_the_gate_of_eggn_stretches_as_published():
    parts = torch.randn(3, 5, 8)
    gate = torch.rand(5, 2)
    laid = torch.cat(list(parts), dim=1) * torch.stack([gate] * 12, dim=2).flatten(1)
    expected = laid.view(5, 3, 8).mean(dim=1)
    assert torch.allclose(gated_mean(tuple(parts), gate), expected)


def test_eggn_connects_every_example_to_the_three_nearest(rng):
    examples = torch.from_numpy(rng.normal(size=(12, 4)))
    edges = close_edges(examples)
    distances = torch.cdist(examples, examples).fill_diagonal_(torch.inf)
    for example in range(12):
        theirs = edges[0][edges[1] == example]
        assert set(theirs.tolist()) == set(distances[example].argsort()[:3].tolist())
    assert close_edges(examples[:1]).shape == (2, 0)


def test_sepals_free_layout_is_the_published_one_where_it_names_its_parts(rng):
    published = SEPAL(backbone="test_resnet", width=32).build(5)
    free = SEPAL(backbone="test_resnet", width=32, layout="free").build(5)
    theirs = published.state_dict()
    names = {"graph1": "graphs.0", "graph2": "graphs.1"}
    moved = {}
    for name, value in theirs.items():
        head, _, rest = name.partition(".")
        moved[f"{names.get(head, head)}.{rest}"] = value
    free.load_state_dict(moved)
    batch = sepal_batch(rng, published.before.in_features // 2)

    with torch.no_grad():
        torch.testing.assert_close(free(batch), published(batch))


@pytest.mark.parametrize(
    "parts",
    [
        *({"operator": name} for name in ("sage", "gat", "gin", "graphconv", "transformer")),
        {"positions": "sum"},
        {"positions": "none"},
        {"layers": 1, "after": False},
        {"layers": 4, "before": False},
    ],
    ids=str,
)
def test_every_part_of_sepals_search_gives_a_value_per_gene(rng, parts):
    settings = {"backbone": "test_resnet", "width": 32, "layout": "free"} | parts
    network = SEPAL(**settings).build(5)
    width = network.before.in_features if network.before else None
    embedding = SEPAL(backbone="test_resnet", width=32).build(5).before.in_features // 2
    batch = sepal_batch(rng, embedding)

    found = network(batch)

    assert found.shape == (2, 5)
    assert torch.isfinite(found).all()
    if width is not None:
        assert width == embedding * (2 if settings.get("positions", "concat") == "concat" else 1)


def sepal_batch(rng, embedding):
    """Two graphs of three and two nodes."""
    from spared_bench.models.local_graphs import LocalGraphs

    def floats(*shape):
        return torch.from_numpy(rng.normal(size=shape).astype(np.float32))

    edges = torch.tensor([[0, 1, 1, 2, 3, 4], [1, 0, 2, 1, 4, 3]])
    graph = torch.tensor([0, 0, 0, 1, 1])
    ones = torch.ones(2, 5)
    return LocalGraphs(
        floats(5, embedding), floats(5, 2), edges, graph, floats(2, 5), floats(2, 5), ones
    )


@pytest.mark.parametrize("large", [1.0, -1.0])
def test_sepal_keeps_the_node_of_the_highest_score_where_tanh_makes_all_equal(rng, large):
    batch = sepal_batch(rng, 4)
    pool = KeepBest(4)
    with torch.no_grad():
        for weight in pool.score.parameters():
            weight.zero_()
        pool.score.lin_root.weight[0, 0] = 1.0  # the score of a node is its first number
    x = batch.embeddings.clone()
    x[:, 0] = large * (40 + torch.from_numpy(rng.permutation(len(x))))

    found = pool(x, batch).detach().numpy()

    for graph, kept in enumerate(found):
        nodes = x[batch.graph == graph].numpy()
        np.testing.assert_allclose(kept, large * nodes[nodes[:, 0].argmax()])


def test_sepal_refuses_an_operator_that_there_is_not():
    with pytest.raises(UsageError, match=r"no operator 'sagee'\. Did you mean 'sage'\?"):
        SEPAL(backbone="test_resnet", layout="free", operator="sagee").build(5)
