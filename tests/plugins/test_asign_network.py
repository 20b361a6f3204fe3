"""ASIGN's network against outputs of the authors' code at random weights.

``tests/golden/asign_{2d,3d}.npz`` hold weights, inputs and outputs in evaluation mode; names:
``param.<block>.<part>``, ``input.*``, ``output.*``. Their ``spot_features`` stand for the output
of the image encoder. They come from hrlblab/ASIGN at a98c5d6, run by PyTorch 2.14 on a CPU.
"""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from spared_bench_plugins.networks.asign import (
    LEVELS,
    ASIGN3DNet,
    ASIGNNet,
    Graph,
    Levels,
    Nodes,
    propagated,
)
from spared_bench_plugins.networks.asign_loss import (
    WEIGHTS_2D,
    WEIGHTS_3D,
    asign_loss,
    row_correlation_loss,
)

GOLDEN = Path(__file__).parents[1] / "golden"
FORMS = {"2d": (ASIGNNet, WEIGHTS_2D), "3d": (ASIGN3DNet, WEIGHTS_3D)}
THEIRS = {"spot": "spots", "region": "regions", "globe": "globals"}
CROSS = {"region": "cross_region", "globe": "cross_global"}


@pytest.fixture(scope="module", params=FORMS)
def golden(request):
    with np.load(GOLDEN / f"asign_{request.param}.npz") as file:
        return request.param, {name: torch.from_numpy(file[name]) for name in file}


def theirs(name):
    """Return the golden file's name of one of our weights."""
    parts = name.split(".")
    if parts[0] == "cross":
        return ".".join([CROSS[parts[1]], *parts[2:]])
    if parts[0] == "graphs":
        level = "global" if parts[1] == "globe" else parts[1]
        kind = "row_scale_vector" if parts[3] == "idle_scale" else "weight"
        return f"graph_{level}{parts[2]}.{kind}"
    if name == "reader.positions":
        return "layer_positions"
    if parts[0] == "reader":
        return f"transformer{parts[2]}." + ".".join(parts[3:]).replace("out_proj", "out")
    if parts[0] == "head":
        return f"head{'_norm' if parts[1] == '0' else ''}.{parts[2]}"
    return name


def network_of(golden, form):
    n_genes, width = golden["param.head.weight"].shape
    network = FORMS[form][0](
        n_genes, width, int(golden["input.heads"]), nn.Identity(), width, released=True
    )
    used = [name for name in network.state_dict() if "idle_" not in name or "scale" in name]
    state = {name: golden[f"param.{theirs(name)}"] for name in used}
    assert len(state) == sum(each.startswith("param.") for each in golden)
    lacking, unknown = network.load_state_dict(state, strict=False)
    assert all("idle" in name for name in lacking)
    assert not unknown
    return network.eval()


def graph_of(adjacency):
    node, source = adjacency.nonzero(as_tuple=True)
    return Graph(torch.stack([source, node]), adjacency[node, source])


def nodes_of(golden):
    own = torch.arange(len(golden["input.spot_features"]))
    inside = {"spot": own, "region": golden["input.region_of_spot"]}
    inside["globe"] = golden["input.global_of_spot"]
    features = {name: golden[f"input.{'global' if name == 'globe' else name}_features"]
                for name in LEVELS}  # fmt: skip
    return {
        name: Nodes(
            features[name], graph_of(golden[f"input.adjacency_{THEIRS[name]}"]), inside[name]
        )
        for name in LEVELS
    }


def labels_of(golden):
    return Levels(*(golden[f"input.labels_{THEIRS[name]}"] for name in LEVELS))


def predicted(golden, form, spots):
    network, nodes = network_of(golden, form), nodes_of(golden)
    every = {name: nodes[name].features for name in LEVELS[1:]}
    own = {"region": golden["input.region_feature_of_spot"]}  # drawn apart from the regions
    own["globe"] = golden["input.global_feature_of_spot"]
    found = network.predicted({**every, "spot": network.met(spots, every, own)}, nodes)
    if form == "3d":
        labels = golden["input.known_labels"]
        known = labels.sum(dim=1) != 0
        found = network.mixed(found, labels, known, nodes["spot"].graph)
    return found


def close(found, expected):
    torch.testing.assert_close(found.detach(), expected, rtol=0, atol=1e-5)


def test_spots_regions_and_globals_are_predicted_as_by_the_authors(golden):
    form, arrays = golden
    found = predicted(arrays, form, arrays["input.spot_features"])
    for name in LEVELS:
        close(getattr(found, name), arrays[f"output.{THEIRS[name]}"])


def test_every_part_of_the_loss_and_their_sum_are_those_of_the_authors(golden):
    form, arrays = golden
    found = predicted(arrays, form, arrays["input.spot_features"])
    inside = {name: node.of_spot for name, node in nodes_of(arrays).items()}
    parts = asign_loss(found, labels_of(arrays), inside)
    close(parts.mse, arrays["output.loss_mse_spots"])
    close(parts.spots, arrays["output.loss_correlation_spots"])
    close(parts.coarse, arrays["output.loss_correlation_regions_and_globals"])
    close(parts.consistency, arrays["output.loss_consistency"])
    close(parts.total(FORMS[form][1]), arrays["output.loss"])


def test_labels_flow_as_those_of_the_authors():
    with np.load(GOLDEN / "asign_3d.npz") as file:
        arrays = {name: torch.from_numpy(file[name]) for name in file}
    labels = arrays["input.known_labels"]
    known = labels.sum(dim=1) != 0
    assert 0 < known.sum() < len(known)
    graph = graph_of(arrays["input.adjacency_spots"])
    assert (graph.weights == 2).any()
    close(propagated(labels, known, graph), arrays["output.propagated_labels"])
    noise = torch.where(known[:, None], labels, 7.0)
    close(propagated(noise, known, graph), arrays["output.propagated_labels"])


def test_as_released_the_image_of_a_spot_has_no_effect(golden):
    form, arrays = golden
    spots = torch.randn_like(arrays["input.spot_features"]).requires_grad_()
    found = predicted(arrays, form, spots)
    close(found.spot, arrays["output.spots"])
    assert not found.spot.requires_grad or torch.autograd.grad(
        found.spot.sum(), spots, allow_unused=True
    ) == (None,)


def test_one_key_attended_to_is_the_key_alone():
    with np.load(GOLDEN / "asign_2d.npz") as file:
        arrays = {name: torch.from_numpy(file[name]) for name in file}
    cross = network_of(arrays, "2d").cross["region"]
    spot, key = torch.randn(2, 1, 24)
    close(cross(spot, key), cross.alone(key).detach())


@pytest.fixture
def corrected():
    torch.manual_seed(0)
    return ASIGNNet(5, 16, 2, nn.Identity(), 12).eval()


def made_up(n=9):
    """Return spots and nodes of a section: a ring of spots, 4 regions, 2 global patches."""
    torch.manual_seed(1)
    nodes = {}
    for name, size in (("spot", n), ("region", 4), ("globe", 2)):
        ring = torch.arange(size)
        edges = torch.stack([torch.cat([ring.roll(1), ring.roll(-1)]), ring.repeat(2)])
        inside = ring if name == "spot" else ring.repeat(n)[:n]
        nodes[name] = Nodes(torch.randn(size, 12), Graph(edges, torch.ones(2 * size)), inside)
    return torch.randn(n, 16), nodes


def test_corrected_it_sees_the_spot_and_every_region(corrected):
    spots, nodes = made_up()
    for name in LEVELS[1:]:
        nodes[name].features.requires_grad_()
    spots.requires_grad_()
    corrected(spots, nodes).spot[0].square().sum().backward()
    # A ring: three layers reach three steps to either side.
    assert (spots.grad.abs().sum(dim=1) > 0).tolist() == [True] * 4 + [False] * 2 + [True] * 3
    for name in LEVELS[1:]:
        assert (nodes[name].features.grad.abs().sum(dim=1) > 0).all()


def test_corrected_it_predicts_the_same_in_any_order_of_spots_and_regions(corrected):
    spots, nodes = made_up()
    before = corrected(spots, nodes)
    order = {name: torch.randperm(len(nodes[name].features)) for name in LEVELS}
    moved = {}
    for name in LEVELS:
        place = order[name].argsort()
        graph = Graph(place[nodes[name].graph.edges], nodes[name].graph.weights)
        inside = place[nodes[name].of_spot[order["spot"]]]
        moved[name] = Nodes(nodes[name].features[order[name]], graph, inside)
    after = corrected(spots[order["spot"]], moved)
    for name in LEVELS:
        close(getattr(after, name), getattr(before, name)[order[name]].detach())


def test_an_isolated_node_leaves_no_nan(corrected):
    spots, nodes = made_up()
    nodes["spot"] = Nodes(spots, Graph(torch.empty(2, 0).long(), torch.empty(0)), torch.arange(9))
    assert corrected(spots, nodes).spot.isfinite().all()


def test_the_correlation_of_a_row_is_numpys():
    a, b = np.random.default_rng(0).normal(size=(2, 6, 11))
    expected = np.mean([1 - np.corrcoef(x, y)[0, 1] for x, y in zip(a, b, strict=True)])
    found = row_correlation_loss(torch.from_numpy(a), torch.from_numpy(b))
    assert float(found) == pytest.approx(expected, abs=1e-6)
    assert float(row_correlation_loss(torch.ones(2, 3), torch.ones(2, 3))) == 1


def test_the_released_code_has_as_many_parameters_as_the_authors():
    from spared_bench.models.backbones import build_backbone

    with torch.device("meta"):
        encoder = build_backbone("resnet50.tv_in1k", "random", 1024)
        for kind, number in ((ASIGNNet, 111_030_720), (ASIGN3DNet, 94_237_248)):
            network = kind(128, 1024, 8, encoder, 2048, released=True)
            assert sum(each.numel() for each in network.parameters()) == number
