"""DeepSpaCE's VGG16 against outputs of the authors' code on one made narrow.

``tests/golden/deepspace.npz``: ``param.*`` weights, ``input.images``, ``output.*`` in evaluation
mode.
"""

from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from torch.nn import functional

from spared_bench_plugins.networks import vgg
from spared_bench_plugins.networks.vgg import narrow_vgg, pretrained_vgg16

GOLDEN = Path(__file__).parents[1] / "golden" / "deepspace.npz"


@pytest.fixture(scope="module")
def golden():
    with np.load(GOLDEN) as file:
        return {name: torch.from_numpy(file[name]) for name in file}


def test_prediction_and_losses_are_the_authors(golden):
    network = narrow_vgg(6, channels=4, wide=64, pool=2).eval()
    names = [f"convolution{i}" for i in range(13)] + ["wide0", "wide1", "head"]
    weights = [golden[f"param.{name}.{kind}"] for name in names for kind in ("weight", "bias")]
    network.load_state_dict(dict(zip(network.state_dict(), weights, strict=True)))
    with torch.no_grad():
        prediction = network(golden["input.images"])
    torch.testing.assert_close(prediction, golden["output.prediction"], rtol=1e-5, atol=1e-5)
    losses = {"mse": functional.mse_loss, "smooth_l1": functional.smooth_l1_loss}
    for name, loss in losses.items():
        found = loss(prediction, golden["input.target"]).item()
        assert found == pytest.approx(golden[f"output.loss_{name}"].item(), rel=1e-5)


def test_pretrained_weights_make_the_same_function_of_it(monkeypatch):
    # A VGG16 of timm's made narrow stands for the one of 134 million parameters.
    plan = [width if width == "M" else width // 16 for width in timm.models.vgg.cfgs["vgg16"]]
    theirs = timm.models.vgg.VGG(plan, num_classes=5).eval()
    theirs.pre_logits = timm.models.vgg.ConvMlp(32, 24, kernel_size=7, drop_rate=0.0)
    theirs.head.fc = torch.nn.Linear(24, 5)
    torch.manual_seed(0)
    for value in theirs.parameters():
        torch.nn.init.normal_(value, std=0.2)
    monkeypatch.setattr(vgg, "build_backbone", lambda *_: theirs)
    monkeypatch.setattr(vgg, "narrow_vgg", lambda n, dropout: narrow_vgg(n, 4, 24, 7, dropout))
    ours = pretrained_vgg16(5, "pretrained").eval()
    ours[-1].load_state_dict(theirs.head.fc.state_dict())
    images = torch.randn(2, 3, 224, 224)
    with torch.no_grad():
        expected = theirs.eval()(images)
        torch.testing.assert_close(ours(images), expected, rtol=1e-4, atol=1e-4)
    assert expected.std() > 0.01
