"""Hist2ST's variants against outputs of the authors' code at random weights.

``tests/golden/{regclass,hist2st_gat}.npz``: ``param.*`` weights, ``input.*``, ``output.*`` in
evaluation mode. Regclass holds the whole of Hist2ST.
"""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from spared_bench.models.features import Standardised
from spared_bench.models.window_units import WindowBatch
from spared_bench_plugins.networks.graph_attention import (
    GraphAttention,
    softmax_of_edges,
    weighted_sum,
)
from spared_bench_plugins.networks.hist2st import hist2st_loss
from spared_bench_plugins.networks.labelled_windows import UNLABELLED, class_loss
from spared_bench_plugins.predictors.hist2st_encoder import Hist2STEncoder
from spared_bench_plugins.predictors.hist2st_gat import Hist2STGAT
from spared_bench_plugins.predictors.hist2st_regclass import Hist2STRegclass

GOLDEN = Path(__file__).parents[1] / "golden"


def read(name):
    with np.load(GOLDEN / f"{name}.npz") as file:
        return {name: torch.from_numpy(file[name]) for name in file}


HEADS = {
    "jump": "lstm", "head.0": "head_norm", "head.1": "head", "mean": "zinb_mean",
    "dispersion": "zinb_dispersion", "zero": "zinb_dropout", "weigh.0": "weigh0",
    "weigh.2": "weigh1",
}  # fmt: skip
MIXER = {
    "depthwise.0": "depthwise0", "depthwise.1": "norm0", "depthwise.3": "depthwise1",
    "depthwise.4": "norm1", "pointwise.0": "pointwise", "pointwise.2": "norm2",
}  # fmt: skip
BLOCK = {
    "norm1": "attention_norm", "attention.qkv": "qkv", "attention.out": "attention_out",
    "norm2": "feed_forward_norm", "feed_forward.0": "feed_forward0",
    "feed_forward.3": "feed_forward1",
}  # fmt: skip
HIST2ST = (
    HEADS
    | {"maps.0": "patch_convolution", "maps.4": "down_convolution"}
    | {f"maps.{2 + m}.{ours}": f"mixer{m}.{their}" for m in (0, 1) for ours, their in MIXER.items()}
    | {"column": "column_table", "row": "row_table"}
    | {f"blocks.{b}.{ours}": f"block{b}.{their}" for b in (0, 1) for ours, their in BLOCK.items()}
    | {f"graphs.{g}.linear": f"graph{g}" for g in range(4)}
)
REGCLASS = HIST2ST | {f"classifier.{3 * i}": f"classifier{i}" for i in range(5)}
GAT = HEADS | {"first.head.0": "projection", "attention.0.project": "attention_projection"}


def fill(network, golden, names):
    """Put the golden weights into a network; each has to find its place."""
    state, used = {}, set()
    for ours, value in network.state_dict().items():
        part, _, kind = ours.rpartition(".")
        if ours == "attention.0.attention":
            theirs = "param.attention_vector"
        elif kind == "num_batches_tracked" or part not in names:
            state[ours] = value
            continue
        else:
            theirs = f"param.{names[part]}.{kind}"
        assert golden[theirs].shape == value.shape, ours
        state[ours] = golden[theirs]
        used.add(theirs)
    assert used == {name for name in golden if name.startswith("param.")}
    network.load_state_dict(state)
    return network.eval()


def batch_of(golden, images, positions=None):
    spots, neighbours = golden["input.adjacency"].nonzero(as_tuple=True)
    n = len(golden["input.target"])
    return WindowBatch(
        images=images,
        positions=positions,
        core=torch.arange(n),
        target=golden["input.target"],
        mask=torch.ones_like(golden["input.target"], dtype=torch.bool),
        counts=golden["input.counts"],
        size_factors=golden["input.size_factors"],
        edges=torch.stack([neighbours, spots]),
    )


def close(found, golden, name):
    torch.testing.assert_close(found, golden[f"output.{name}"], rtol=1e-5, atol=1e-5)


def check_heads(network, golden, batch, views):
    """Compare embedding, heads and losses; return the whole loss without classes."""
    h = network.embed(batch.images, batch)
    close(h, golden, "embedding")
    close(network(batch), golden, "prediction")
    for found, name in zip(network.distribution(h), ("mean", "dispersion", "dropout"), strict=True):
        close(found, golden, f"zinb_{name}")
    embedded = [network.embed(view, batch) for view in views]
    distilled = network.distilled(embedded)
    close(distilled, golden, "distilled")
    close(functional.mse_loss(network.head(h), batch.target), golden, "loss_mse")
    close(network.zinb(h, batch), golden, "loss_zinb")
    close(functional.mse_loss(distilled, network.head(h)), golden, "loss_distillation")
    return h, hist2st_loss(network, h, embedded, batch)


@torch.no_grad()
def test_regclass_and_the_whole_of_hist2st_are_the_authors():
    golden = read("regclass")
    method = Hist2STRegclass(
        image_size=21, n_positions=16, depth=2, heads=2, head_width=64, class_width=12
    )
    network = fill(method.build(6), golden, REGCLASS)
    # Their patches have columns before rows; ours are images.
    images = golden["input.patches_channel_column_row"].transpose(2, 3)
    batch = batch_of(golden, images, golden["input.positions_column_row"])
    views = golden["input.views"].transpose(3, 4)
    h, loss = check_heads(network, golden, batch, views)
    classes = golden["input.classes"]
    assert golden["input.softmax_in_classifier"] == 1
    close(network.classifier(h), golden, "class_output")
    close(network.probabilities(h), golden, "class_output")
    of_classes = class_loss(network.classifier(h), classes)
    close(of_classes, golden, "loss_cross_entropy")
    close(loss + golden["input.gamma"] * of_classes, golden, "loss")


@torch.no_grad()
def test_regclass_without_a_softmax_has_the_same_classifier():
    method = Hist2STRegclass(image_size=14, softmax=False, depth=1, heads=1, class_width=5)
    network = method.build(3).eval()
    h = torch.randn(4, 16)
    expected = network.classifier(h).softmax(dim=1)
    torch.testing.assert_close(network.probabilities(h), expected)
    assert (network.classifier(h).sum(dim=1) - 1).abs().max() > 1e-3


@torch.no_grad()
def test_hist2st_gat_is_the_authors():
    golden = read("hist2st_gat")
    method = Hist2STGAT(encoder="color", n_views=0, width=16, heads=4)
    network = method.build(6)
    network.first = Standardised(20, torch.nn.Sequential(torch.nn.Linear(20, 16)))
    network = fill(network, golden, GAT)
    batch = batch_of(golden, golden["input.features"])
    views = golden["input.view_features"]
    h, loss = check_heads(network, golden, batch, views)
    close(network.weigh(h), golden, "weighting")
    close(loss, golden, "loss")


@torch.no_grad()
def test_attention_along_edges_is_the_matrix_that_the_authors_hold():
    golden = read("hist2st_gat")
    method = Hist2STGAT(encoder="color", n_views=0, width=16, heads=4)
    network = method.build(6)
    network.first = Standardised(20, torch.nn.Sequential(torch.nn.Linear(20, 16)))
    network = fill(network, golden, GAT)
    batch = batch_of(golden, golden["input.features"])
    x = network.first(batch.images)
    layer = network.attention[0]
    for _ in range(3):
        x = layer(x, batch.edges)
    p = layer.project(x).view(13, 4, 4)
    dense = golden["output.attention_of_last_layer_head_row_column"].clone()
    alone = golden["input.adjacency"].sum(dim=1) == 0
    assert alone.tolist() == [False] * 12 + [True]
    torch.testing.assert_close(dense[:, alone], torch.full((4, 1, 13), 1 / 13))
    neighbours, spots = batch.edges
    found = torch.zeros(4, 13, 13)
    found[:, spots, neighbours] = layer.weights(p, batch.edges).T
    dense[:, alone] = 0
    torch.testing.assert_close(found, dense, rtol=1e-5, atol=1e-5)


def test_a_weighted_sum_over_edges_has_the_gradient_of_its_plain_form(rng):
    weights = torch.from_numpy(rng.normal(size=(9, 2))).requires_grad_()
    values = torch.from_numpy(rng.normal(size=(5, 2, 3))).requires_grad_()
    edges = torch.from_numpy(rng.integers(0, 5, (2, 9)))
    assert torch.autograd.gradcheck(lambda w, v: weighted_sum(w, v, edges), (weights, values))
    found = weighted_sum(weights, values, edges)
    expected = torch.zeros(5, 2, 3, dtype=torch.float64)
    for edge, (neighbour, spot) in enumerate(edges.T):
        expected[spot] += weights[edge][:, None] * values[neighbour]
    torch.testing.assert_close(found, expected)


def test_a_softmax_over_edges_is_one_for_each_spot_however_large_the_scores(rng):
    spots = torch.from_numpy(rng.integers(0, 4, 15))
    scores = torch.from_numpy(rng.normal(scale=500, size=(15, 2)))
    found = softmax_of_edges(scores, spots, 6)
    for spot in spots.unique():
        here = spots == spot
        torch.testing.assert_close(found[here], scores[here].softmax(dim=0))


def test_a_graph_attention_layer_has_its_gradient_from_every_weight():
    layer = GraphAttention(8, 2).double()
    edges = torch.tensor([[0, 1, 2, 2], [1, 0, 1, 3]])  # spot 2 has no neighbour
    x = torch.randn(4, 8, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: layer(x, edges), (x,))


@pytest.mark.parametrize(
    ("labels", "undetermined", "counted"),
    [
        ([0, 2, 1, 2], UNLABELLED, [0, 1, 2, 3]),
        ([0, UNLABELLED, 1, 2], 2, [0, 2, 3]),  # undetermined is a class like others
        ([2, UNLABELLED, 2, 2], 2, []),
        ([UNLABELLED] * 4, 2, []),
    ],
)
def test_the_loss_of_classes_is_that_of_the_labelled_spots(labels, undetermined, counted):
    outputs, weights = torch.randn(4, 3, requires_grad=True), torch.tensor([2.0, 0.5, 1.0])
    labels = torch.tensor(labels)
    loss = class_loss(outputs, labels, weights, undetermined)
    loss.backward()
    assert outputs.grad.isfinite().all()
    of_spots = -outputs.log_softmax(dim=1)[counted, labels[counted]] * weights[labels[counted]]
    expected = of_spots.sum() / weights[labels[counted]].sum() if counted else torch.tensor(0.0)
    torch.testing.assert_close(loss, expected)


PUBLISHED = {
    "encoder-resnet50": (Hist2STEncoder(n_positions=64), 219_566_592),
    "encoder-efficientnet": (
        Hist2STEncoder(n_positions=64, encoder="efficientnet_v2_s"),
        101_839_872,
    ),
    "encoder-swin": (Hist2STEncoder(n_positions=64, encoder="swin_s"), 46_948_352),
    "gat-resnet50": (Hist2STGAT(), 21_783_041),
    "gat-efficientnet": (Hist2STGAT(encoder="efficientnet_v2_s"), 20_996_609),
    "gat-swin": (Hist2STGAT(encoder="swin_s"), 20_472_321),
    "regclass-visium": (Hist2STRegclass(), 75_971_207),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_published_form_has_the_published_number_of_parameters(name):
    method, published = PUBLISHED[name]
    with torch.device("meta"):
        assert sum(each.numel() for each in method.build(128).parameters()) == published


def test_regclass_of_seven_classes_has_the_published_number_of_parameters():
    method = Hist2STRegclass(**Hist2STRegclass.configurations["her2st"])
    method.classes_ = [f"class{i}" for i in range(7)]
    with torch.device("meta"):
        assert sum(each.numel() for each in method.build(128).parameters()) == 75_844_140
