"""TRIPLEX's network against outputs of the authors' code at random weights.

``tests/golden/triplex_{2024,2025}.npz`` hold weights, inputs and outputs in evaluation mode;
names: ``param.<block>.<part>``, ``input.*``, ``output.*``. They come from NEXGEM/TRIPLEX at 17e6f20
and 4750051, run by PyTorch 2.14 on a CPU.
"""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from spared_bench_plugins.networks.slide_grid import first_grid, grid_cells, pixel_cells
from spared_bench_plugins.networks.triplex import (
    Outputs,
    Sizes,
    SlideContext,
    TriplexBatch,
    TriplexNet,
    triplex_loss,
)

GOLDEN = Path(__file__).parents[1] / "golden"
VERSIONS = ("2024", "2025")
BLOCK = {
    "norm1": "attention_norm",
    "attention.qkv": "qkv",
    "attention.out": "attention_out",
    "norm2": "feed_forward_norm",
    "feed_forward.0": "feed_forward0",
    "feed_forward.3": "feed_forward1",
}
CROSS = {"norm1": "attention_norm", "q": "q", "kv": "kv", "out": "attention_out"} | {
    each: BLOCK[each] for each in ("norm2", "feed_forward.0", "feed_forward.3")
}
TOP = {
    "slide.position.convolution": "position_convolution",
    "slide.norm": "global_norm",
    "neighbour.norm": "neighbour_norm",
    "fusion_norm": "fusion_norm",
    "target": "target_projection",
    "heads.fusion": "head_fusion",
    "heads.target": "head_target",
    "heads.neighbour": "head_neighbour",
    "heads.slide": "head_global",
}


def theirs(name):
    """Return the golden file's name of one of our weights."""
    module, _, kind = name.rpartition(".")
    if module == "neighbour.bias":
        return f"neighbour{kind}.offset_bias"
    for ours, stem, parts in (
        ("neighbour.blocks.", "neighbour", BLOCK),
        ("slide.blocks.", "global", BLOCK),
        ("fusion.", "fusion", CROSS),
    ):
        if module.startswith(ours):
            number, _, part = module.removeprefix(ours).partition(".")
            return f"{stem}{number}.{parts[part]}.{kind}"
    return f"{TOP[module]}.{kind}"


def value_of(golden, name, version):
    """Return a weight; rows of the 2025 global projections are q, k, v fastest there."""
    found = golden[f"param.{theirs(name)}"]
    if version == "2025" and name.startswith("slide.blocks.") and "qkv" in name:
        found = found.reshape(-1, 3, found.shape[1]).transpose(1, 0, 2).reshape(found.shape)
    return torch.from_numpy(found.astype(np.float32))


def network_of(golden, version, released=False):
    fusion, slide, neighbour = golden["input.heads_fusion_global_neighbour"].tolist()
    n_genes, width = golden["param.head_fusion.weight"].shape
    network = TriplexNet(
        n_genes,
        width,
        width,
        Sizes(1, fusion, 4, 0.0),
        Sizes(3, slide, 4, 0.0),
        Sizes(3, neighbour, 1, 0.0),
        nn.Identity(),
        golden["input.target_map"].shape[1],
        version,
        released,
    )
    state = {name: value_of(golden, name, version) for name in network.state_dict()}
    network.load_state_dict(state)
    assert len(state) == sum(each.startswith("param.") for each in golden)
    return network.eval()


def batch_of(golden, version):
    positions = golden["input.positions_x_y"]
    if version == "2024":
        places = (positions - positions.min(axis=0)).astype(int)
    else:
        places = pixel_cells(positions, first_grid(positions))
    cell, around = (torch.from_numpy(each) for each in grid_cells(places))
    slide = SlideContext(torch.from_numpy(golden["input.slide_features"]), cell, around)
    target = torch.from_numpy(golden["input.target_expression"])
    return TriplexBatch(
        torch.from_numpy(golden["input.target_map"]),
        target,
        torch.ones_like(target, dtype=torch.bool),
        torch.from_numpy(golden["input.neighbour_features"]),
        torch.from_numpy(golden["input.neighbour_mask"]).bool(),
        [slide],
        torch.from_numpy(golden["input.spot_of_each_target"]),
    )


@pytest.fixture(scope="module", params=VERSIONS)
def golden(request):
    with np.load(GOLDEN / f"triplex_{request.param}.npz") as file:
        return request.param, dict(file)


def close(found, expected):
    np.testing.assert_allclose(found.detach().numpy(), expected, rtol=0, atol=1e-5)


def test_the_tokens_of_a_slide_are_those_of_the_authors(golden):
    version, arrays = golden
    network = network_of(arrays, version)
    found = network.slide_tokens(batch_of(arrays, version).slides[0])
    close(found, arrays["output.global_tokens_of_slide"])


def test_the_four_predictions_and_their_loss_are_those_of_the_authors(golden):
    version, arrays = golden
    batch = batch_of(arrays, version)
    outputs = network_of(arrays, version, released=True)(batch)
    for name, found in zip(("fusion", "target", "neighbour", "global"), outputs, strict=True):
        close(found, arrays[f"output.{name}"])
    close(triplex_loss(outputs, batch.target), arrays["output.loss"])


def test_without_the_released_faults_2025_predicts_what_can_be_negative():
    with np.load(GOLDEN / "triplex_2025.npz") as file:
        arrays = dict(file)
    outputs = network_of(arrays, "2025")(batch_of(arrays, "2025"))
    for name, found in zip(("fusion", "target", "neighbour", "global"), outputs, strict=True):
        close(found, arrays[f"output.before_clamp.{name}"])
        assert (found < 0).any()


def test_a_masked_tile_changes_nothing(golden):
    version, arrays = golden
    network, batch = network_of(arrays, version), batch_of(arrays, version)
    assert not batch.inside.all()
    before = network(batch)
    batch.neighbours[~batch.inside] = 1e3
    close(network(batch).fusion, before.fusion.detach().numpy())


def test_the_position_layer_is_a_convolution_of_the_dense_map(golden):
    version, arrays = golden
    network = network_of(arrays, version)
    rng = np.random.default_rng(0)
    places = rng.integers(0, 6, size=(30, 2))  # so few cells that some hold two spots
    cell, around = (torch.from_numpy(each) for each in grid_cells(places))
    x = torch.from_numpy(rng.normal(size=(30, 32)).astype(np.float32))
    dense, number = torch.zeros(32, 6, 6), torch.zeros(6, 6)
    for (column, row), token in zip(places, x, strict=True):
        dense[:, row, column] += token
        number[row, column] += 1
    maps = network.slide.position.convolution(dense / number.clamp(min=1))
    expected = maps[:, places[:, 1], places[:, 0]].T + (x if version == "2024" else 0)
    found = network.slide.position(x, SlideContext(x, cell, around))
    close(found, expected.detach().numpy())


@pytest.mark.parametrize("version", VERSIONS)
def test_released_dropout_stays_on_at_evaluation(version):
    sizes = Sizes(1, 2, 1, 0.5)
    for released in (True, False):
        network = TriplexNet(
            3, 8, 8, sizes, sizes, sizes, nn.Identity(), 8, version, released
        ).eval()
        cell, around = (torch.from_numpy(each) for each in grid_cells(np.zeros((4, 2), int)))
        slide = SlideContext(torch.randn(4, 8), cell, around)
        first, second = network.slide_tokens(slide), network.slide_tokens(slide)
        assert torch.equal(first, second) != released


def test_the_outputs_are_named_in_the_order_of_the_heads():
    assert Outputs._fields == ("fusion", "target", "neighbour", "slide")
