from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

import spared_bench.completion.feed_forward
from spared_bench.completion import transformer
from spared_bench.completion.feed_forward import Kept, feed_forward, quick_dropout
from spared_bench.completion.transformer import NeighbourhoodTransformer, Slots
from tests.completion.making import create


@pytest.fixture
def network():
    torch.manual_seed(0)
    return NeighbourhoodTransformer(5, 8, n_layers=2, n_heads=2, inner=24, dropout=0.1).eval()


@pytest.fixture(params=["on a CPU", "on a GPU"])
def both_ways(request, monkeypatch):
    """Take those that are there as a CPU does, and every slot as a GPU does."""
    pick = request.param == "on a CPU"
    monkeypatch.setattr(transformer, "Slots", lambda present, **chosen: Slots(present, pick))


def some_input(n_spots=6, n_slots=4, n_genes=5):
    generator = torch.Generator().manual_seed(1)
    present = torch.rand(n_spots, n_slots, generator=generator) < 0.7
    present[:, 0] = True
    return torch.randn(n_spots, n_slots, n_genes, generator=generator), present


@pytest.mark.usefixtures("both_ways")
def test_it_computes_what_pytorchs_encoder_computes_with_the_same_weights(network):
    x, present = some_input()
    layer = nn.TransformerEncoderLayer(8, 2, 24, dropout=0.1, batch_first=True)
    encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False).eval()
    encoder.layers.load_state_dict(network.layers.state_dict())

    expected = network.leave(encoder(network.enter(x), src_key_padding_mask=~present))

    torch.testing.assert_close(network(x, present)[present], expected[present])


@pytest.mark.usefixtures("both_ways")
def test_in_training_its_derivatives_are_those_of_pytorchs_encoder():
    torch.manual_seed(0)
    network = NeighbourhoodTransformer(5, 8, n_layers=2, n_heads=2, inner=24, dropout=0.0)
    x, present = some_input(n_spots=40)
    x.requires_grad_()
    layer = nn.TransformerEncoderLayer(8, 2, 24, dropout=0.0, batch_first=True)
    encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
    encoder.layers.load_state_dict(network.layers.state_dict())
    inner = encoder(network.enter(x), src_key_padding_mask=~present)
    theirs = network.leave(inner)[present].square().sum()
    ours = network(x, present)[present].square().sum()

    torch.testing.assert_close(ours, theirs)
    of_theirs = torch.autograd.grad(theirs, [x, *encoder.layers.parameters()])
    of_ours = torch.autograd.grad(ours, [x, *network.layers.parameters()])
    for found, expected in zip(of_ours, of_theirs, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.usefixtures("both_ways")
def test_slots_without_a_neighbour_are_told_as_zeros(network):
    x, present = some_input()
    assert not present.all()
    assert (network(x, present)[~present] == 0).all()


@pytest.mark.usefixtures("both_ways")
def test_as_released_it_is_pytorchs_encoder_fed_with_the_batch_as_its_sequence():
    torch.manual_seed(0)
    network = create("spackle-released").build(5).eval()
    x, _ = some_input()
    layer = nn.TransformerEncoderLayer(5, 1, 16, dropout=0.1)  # batch_first=False, the default
    encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False).eval()
    encoder.layers.load_state_dict(network.layers.state_dict())

    expected = network.leave(encoder(network.enter(x)))

    torch.testing.assert_close(network(x), expected)
    torch.testing.assert_close(network(x, centre_only=True), expected[:, 0])


@pytest.mark.usefixtures("both_ways")
def test_asked_for_the_centre_alone_it_answers_as_for_all(network):
    x, present = some_input()
    centre = network(x, present, centre_only=True)
    torch.testing.assert_close(centre, network(x, present)[:, 0])


@pytest.mark.usefixtures("both_ways")
def test_absent_neighbours_have_no_influence(network):
    x, present = some_input()
    other = torch.where(present[..., None], x, 99.0)
    torch.testing.assert_close(network(other, present)[present], network(x, present)[present])


@pytest.mark.parametrize("n_tokens", [1, 639, 1300])
def test_the_block_and_its_derivatives_are_those_of_the_plain_expression(n_tokens, monkeypatch):
    monkeypatch.setattr(spared_bench.completion.feed_forward, "_BLOCK_BYTES", 640 * 7 * 4)
    torch.manual_seed(2)
    first, second = nn.Linear(3, 7), nn.Linear(7, 3)
    x = torch.randn(n_tokens, 3, requires_grad=True)
    inputs = [x, *first.parameters(), *second.parameters()]
    weight = torch.randn(n_tokens, 3)

    quick = (feed_forward(x, first, second, 0.0, training=True, low=False) * weight).sum()
    plain = (second(functional.relu(first(x))) * weight).sum()

    torch.testing.assert_close(quick, plain)
    pairs = zip(torch.autograd.grad(quick, inputs), torch.autograd.grad(plain, inputs), strict=True)
    for ours, theirs in pairs:
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_the_derivatives_belong_to_the_entries_that_were_dropped(monkeypatch):
    monkeypatch.setattr(spared_bench.completion.feed_forward, "_BLOCK_BYTES", 2 * 9 * 8)
    torch.manual_seed(3)
    first, second = nn.Linear(3, 9).double(), nn.Linear(9, 2).double()
    x = torch.randn(5, 3, dtype=torch.float64, requires_grad=True)

    def block(*tensors):
        torch.manual_seed(7)
        return feed_forward(tensors[0], first, second, 0.4, training=True, low=False)

    assert torch.autograd.gradcheck(block, (x,))


def test_in_low_precision_the_block_is_the_same_to_a_percent():
    torch.manual_seed(4)
    first, second = nn.Linear(32, 64), nn.Linear(64, 32)
    x = torch.randn(200, 32)
    low, full = (feed_forward(x, first, second, 0.0, True, low) for low in (True, False))
    assert low.dtype == torch.float32
    assert (low - full).norm() / full.norm() < 0.01


def test_dropout_drops_the_wanted_part_and_keeps_the_expectation():
    torch.manual_seed(5)
    draws = Kept(0.1, torch.float32)
    kept, again = (draws.factors(torch.Size((1001, 331))).double() for _ in range(2))
    assert kept.shape == (1001, 331)
    assert kept.unique().tolist() == [0, 1]
    assert float(kept.mean()) == pytest.approx(0.9, abs=0.002)
    assert kept.mean(0).std() < 0.015  # no column is special
    assert float((kept * again).mean()) == pytest.approx(0.81, abs=0.003)  # no draw is repeated
    kept = quick_dropout(torch.ones(1000, 300), 0.25, training=True)
    assert kept.unique().tolist() == pytest.approx([0, 4 / 3])
    assert float(kept.mean()) == pytest.approx(1, abs=0.01)
    assert torch.equal(quick_dropout(kept, 0.25, training=False), kept)


@pytest.mark.parametrize(
    ("name", "n_genes", "n_parameters"),
    [
        ("spackle", 128, 1_219_072),
        ("spackle", 32, 1_194_400),
        ("spackle-released", 128, 1_219_072),
        ("spackle-released", 32, 277_120),
    ],
)
def test_the_networks_have_the_published_number_of_parameters(name, n_genes, n_parameters):
    completer = create(name, inner=2048, **({"width": 128} if name == "spackle" else {}))
    network = completer.build(n_genes)
    assert sum(p.numel() for p in network.parameters()) == n_parameters
