"""The base of networks that look at several views."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import nn

from spared_bench import View
from spared_bench.errors import PluginError
from spared_bench.models import ViewPredictor
from spared_bench.models.viewed import ViewUnits
from spared_bench.registry import discover
from spared_bench.testing import tiny_slides
from spared_bench.testing.conformance import examine
from spared_bench.testing.views import with_views

DECLARED = {
    "target": View(size=0),
    "twin": View(size=24, pixels=24),
    "region": View(size=32, scale=4.6),
    "around": View(size=8, tiles=3),
    "context": View(size=40, pixels=250, grid=True),
}
MODEL = """
from dataclasses import dataclass

import torch
from torch import nn

from spared_bench import View
from spared_bench.models import ViewPredictor
from spared_bench.models.augmentation import HedJitter


class Net(nn.Module):
    def __init__(self, n_genes):
        super().__init__()
        self.head = nn.Linear(6, n_genes)

    def forward(self, target, region):
        means = [each.mean(dim=(2, 3)) for each in (target, region)]
        return self.head(torch.cat(means, dim=1))


@dataclass
class TwoViews(ViewPredictor):
    views = {"target": View(size=0), "region": View(scale=4.6, size=64)}
    weights: str = "random"
    lr: float = 1e-2

    def build(self, n_genes):
        return Net(n_genes)

    def start(self, network, train):
        with torch.no_grad():
            network.head.bias.copy_(torch.from_numpy(train.target.mean(axis=0)))

    def augmentation(self):
        return HedJitter(0.1)
"""
PLUGIN = """
from spared_bench import PredictorSpec, hookimpl


@hookimpl
def spared_bench_predictors():
    return [PredictorSpec("two-views", "seen_twice_model:TwoViews", summary="Two views")]
"""


@pytest.fixture(scope="module")
def train():
    return with_views(tiny_slides(), DECLARED).train


def test_a_batch_has_every_view_of_its_spots(train):
    rows = np.array([3, 70, 3, 41])
    units = ViewUnits(train, DECLARED, normalisation="raw")

    batch = units.batch(torch.from_numpy(rows))

    assert list(batch.views) == list(DECLARED)
    windows = train.windows("context")
    expected = {
        "target": train.patches[rows],
        "twin": train.view("twin")[rows],
        "region": train.view("region")[rows],
        "around": train.tiles("around")[rows],
        "context": windows.patches[windows.of_spot[rows]],
    }
    for name, images in expected.items():
        seen = np.moveaxis(batch.views[name].numpy(), -3, -1)
        np.testing.assert_allclose(seen, images, atol=1e-3, err_msg=name)
    assert batch.views["around"].shape == (4, 9, 3, 8, 8)
    np.testing.assert_array_equal(batch.target, train.target[rows])
    np.testing.assert_array_equal(batch.mask, train.mask[rows])
    streamed = ViewUnits(train, DECLARED, budget=0, normalisation="raw").batch(torch.tensor(rows))
    assert all(torch.equal(streamed.views[name], batch.views[name]) for name in DECLARED)


def test_the_windows_of_a_spot_are_turned_alike_and_those_of_others_are_not(train):
    units = ViewUnits(train, DECLARED, normalisation="raw")
    rows = torch.arange(40)
    torch.testing.assert_close(units.batch(rows).views["target"], units.batch(rows).views["twin"])

    drawn = torch.Generator().manual_seed(1)
    first, second = units.batch(rows, drawn), units.batch(rows, drawn)

    torch.testing.assert_close(first.views["target"], first.views["twin"])
    assert not torch.equal(first.views["target"], second.views["target"])
    again = units.batch(rows, torch.Generator().manual_seed(1))
    assert all(torch.equal(again.views[name], first.views[name]) for name in DECLARED)
    same = units.batch(torch.zeros(40, dtype=torch.int64), drawn).views["around"].flatten(0, 1)
    assert len({tile.numpy().tobytes() for tile in same}) > 9  # tiles are drawn one by one


def test_a_method_of_two_views_with_its_own_augmentation_passes_the_kit(tmp_path):
    (tmp_path / "seen_twice_model.py").write_text(MODEL)
    (tmp_path / "seen_twice_plugin.py").write_text(PLUGIN)
    registry = discover([tmp_path / "seen_twice_plugin.py"])
    results = list(examine(registry, [("predictor", "two-views")]))
    assert [each for each in results if each.status == "failed"] == []


def test_a_method_without_views_is_told_to_declare_them(train):
    @dataclass
    class Blind(ViewPredictor):
        def build(self, n_genes):
            return nn.Identity()

    with pytest.raises(PluginError, match=r"Blind declares no views\. Give it an attribute"):
        Blind().units(train, "cpu", True)


def test_a_network_whose_arguments_are_not_the_views_is_told_before_it_is_trained(train):
    class Net(nn.Linear):
        def forward(self, region, context): ...

    @dataclass
    class Mistaken(ViewPredictor):
        views = {"region": View(scale=2), "around-it": View(scale=4)}  # noqa: RUF012

        def build(self, n_genes):
            return Net(3, n_genes)

    told = r"'Mistaken': the forward .* takes \(region, context\), and its views are region, aro"
    with pytest.raises(PluginError, match=told):
        Mistaken().new_network(6)

    class Own(Mistaken):
        def predict_batch(self, network, batch): ...

    assert isinstance(Own().new_network(6), Net)  # it calls its network as it likes
