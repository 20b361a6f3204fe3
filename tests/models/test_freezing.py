"""What is frozen: told apart by hand here, on networks small enough to name every weight."""

from dataclasses import dataclass, replace
from typing import ClassVar

import pytest
import torch
from torch import nn

from spared_bench.errors import PluginError, UsageError
from spared_bench.interfaces import Budget, Context
from spared_bench.models import TorchPredictor, build_backbone
from spared_bench.models.freezing import freeze, mark_body, training_mode

CONTEXT = Context(seed=3, budget=Budget(iterations=3, batch_size=16, validate_every=3))


class Net(nn.Module):
    def __init__(self, n_genes):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))  # of no part, so of the body
        self.body = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5))
        self.head = nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, n_genes))

    def forward(self, images):
        return self.head(self.scale * self.body(images).mean(dim=(2, 3)))


@dataclass
class Named(TorchPredictor):
    name: ClassVar[str] = "named"
    head_parts: ClassVar[tuple[str, ...]] = ("head",)
    lr: float = 0.1

    def build(self, n_genes):
        return Net(n_genes)


def trained(network):
    return {name for name, each in network.named_parameters() if each.requires_grad}


def test_all_that_the_head_does_not_hold_is_body():
    network = Net(6)
    freeze(network, ("head",), "it")
    assert trained(network) == {"head.0.weight", "head.0.bias", "head.1.weight", "head.1.bias"}


def test_in_training_the_body_is_as_when_it_predicts_and_the_head_is_not():
    network = Net(6)
    freeze(network, ("head",), "it")
    training_mode(network)
    modes = {name: part.training for name, part in network.named_modules()}
    still = {"body", "body.0", "body.1", "body.2"}
    assert {name for name, training in modes.items() if not training} == still
    network.eval()
    assert not any(part.training for part in network.modules())


def test_a_network_that_is_not_frozen_trains_whole():
    network = Net(6)
    training_mode(network)
    assert all(part.training for part in network.modules())


def test_training_moves_the_head_and_no_bit_of_the_body(tiny_slides):
    started = {}

    class Watched(Named):
        def start(self, network, train):
            started.update({name: each.clone() for name, each in network.state_dict().items()})

    predictor = Watched(freeze=True)
    predictor.fit(tiny_slides.train, tiny_slides.val, CONTEXT)
    after = predictor.network_.state_dict()
    same = {name for name, value in started.items() if torch.equal(value, after[name])}
    assert same == {name for name in after if not name.startswith("head")}
    assert {"body.1.running_mean", "body.1.num_batches_tracked"} <= same
    assert predictor.n_parameters == 2 * 4 + 4 * 6 + 6


def test_weight_decay_does_not_reach_the_body(tiny_slides):
    class Decaying(Named):
        def optimizer(self, parameters):
            return torch.optim.AdamW(parameters, lr=self.lr, weight_decay=0.5)

    predictor = Decaying(freeze=True)
    predictor.fit(tiny_slides.train, tiny_slides.val, CONTEXT)
    assert predictor.network_.scale.item() == 1.0


def test_the_same_predictor_unfrozen_moves_the_body(tiny_slides):
    predictor = Named()
    predictor.fit(tiny_slides.train, tiny_slides.val, CONTEXT)
    assert predictor.network_.scale.item() != 1.0
    assert predictor.network_.body[1].num_batches_tracked == 3


def test_what_was_trained_frozen_is_loaded_frozen(tiny_slides, tmp_path):
    predictor = Named(freeze=True)
    predictor.fit(tiny_slides.train, tiny_slides.val, CONTEXT)
    predictor.save(tmp_path / "saved")
    again = Named(freeze=True)
    again.load(tmp_path / "saved")
    assert again.n_parameters == predictor.n_parameters
    expected = predictor.predict(tiny_slides.test)
    assert (again.predict(tiny_slides.test) == expected).all()


def test_a_killed_training_goes_on_frozen_to_the_same_weights(tiny_slides, tmp_path, monkeypatch):
    monkeypatch.setattr("spared_bench.models.checkpoint.SECONDS_BETWEEN", 0.0)
    monkeypatch.setattr("spared_bench.models.checkpoint._SHARE_OF_TIME", float("inf"))
    often = replace(CONTEXT, budget=Budget(iterations=6, batch_size=16, validate_every=1))
    whole = Named(freeze=True)
    whole.fit(tiny_slides.train, tiny_slides.val, often)

    def killed(step, values):
        if step == 4:
            raise KeyboardInterrupt

    parts = replace(often, scratch=tmp_path, report=killed)
    with pytest.raises(KeyboardInterrupt):
        Named(freeze=True).fit(tiny_slides.train, tiny_slides.val, parts)
    assert (tmp_path / "training.pt").is_file()
    resumed = Named(freeze=True)
    resumed.fit(tiny_slides.train, tiny_slides.val, replace(often, scratch=tmp_path))
    for name, value in whole.network_.state_dict().items():
        assert torch.equal(value, resumed.network_.state_dict()[name]), name


@pytest.mark.parametrize("name", ["resnet18", "densenet121.tv_in1k", "test_vit", "vgg11",
                                  "efficientnet_b0", "shufflenet_v2_x0_5"])  # fmt: skip
def test_of_a_backbone_only_the_fresh_layer_trains(name):
    network = build_backbone(name, "random", 7)
    freeze(network, (), "it")
    found = {each.shape for each in network.parameters() if each.requires_grad}
    shapes = {tuple(each) for each in found}
    assert (7,) in shapes
    assert len(shapes) == 2
    assert all(shape[0] == 7 for shape in shapes)


def test_of_a_backbone_without_a_last_layer_all_is_body_and_what_stands_on_it_trains():
    network = nn.Sequential(build_backbone("resnet18", "random"), nn.Linear(512, 5))
    freeze(network, (), "it")
    assert trained(network) == {"1.weight", "1.bias"}
    training_mode(network)
    assert not any(part.training for part in network[0].modules())
    assert network.training
    assert network[1].training


def test_a_name_that_the_network_does_not_have_is_the_plugins_error():
    with pytest.raises(PluginError, match=r"'heads' is a part.*Did you mean 'head'"):
        freeze(Net(6), ("heads",), "predictor 'named'")


def test_a_network_of_which_nothing_is_told_is_refused_with_what_to_write():
    with pytest.raises(UsageError, match=r"predictor 'x' has `freeze`.*head_parts: ClassVar"):
        freeze(Net(6), (), "predictor 'x'")


def test_a_network_that_is_all_body_is_refused():
    with pytest.raises(UsageError, match=r"all body: nothing is left to train"):
        freeze(mark_body(Net(6), ()), (), "predictor 'x'")


def test_a_stranger_s_field_of_this_name_is_theirs(tiny_slides):
    @dataclass
    class Theirs(Named):
        head_parts: ClassVar[tuple[str, ...]] = ()
        freeze: int = 3  # type: ignore[assignment]

    predictor = Theirs()
    predictor.fit(tiny_slides.train, tiny_slides.val, CONTEXT)
    assert trained(predictor.network_) == {name for name, _ in Net(6).named_parameters()}
