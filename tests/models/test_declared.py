import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from spared_bench.data import Patches
from spared_bench.errors import PluginError, ShapeMismatchError, WeightsUnavailableError
from spared_bench.models import encoding
from spared_bench.models.backbones import build_backbone
from spared_bench.models.declared import DeclaredEncoder
from spared_bench.models.encoder_facts import may_have_seen
from spared_bench.models.encoder_networks import _Transformer, frame, make_network
from spared_bench.models.encoder_table import KnownEncoder
from spared_bench.models.encoding import FrozenNetwork, precision_on, runs_of
from spared_bench.models.framing import framing
from spared_bench.models.weights_folder import OFFLINE, WEIGHTS_FOLDER
from spared_bench.specs import EncoderSpec

VIT = {"img_size": 32, "dynamic_img_size": True}


def known(name="mine", load=lambda: None, **values):
    told = {"loader": "timm", "source": "hf-hub:me/mine", "width": 64, "size": 32} | values
    return KnownEncoder(EncoderSpec(name, **told), "a-package", load)


def vit(pooling="cls", width=64, **values):
    return known(
        arguments={"model": "test_vit", **VIT}, pooling=pooling, width=width, multiple=16, **values
    )


@pytest.fixture
def images(rng):
    return rng.integers(0, 256, (7, 32, 32, 3), np.uint8)


@pytest.mark.parametrize(("pooling", "width"), [("cls", 64), ("mean", 64), ("cls+mean", 128)])
def test_pooling_takes_the_tokens_that_it_names(images, pooling, width):
    entry = vit(pooling, width)
    found = DeclaredEncoder(entry, "random").encode(Patches([images]))

    network = make_network(entry, "random", None).network
    mean, std = torch.tensor(entry.spec.mean), torch.tensor(entry.spec.std)
    inputs = ((torch.from_numpy(images) / 255 - mean) / std).permute(0, 3, 1, 2)
    with torch.no_grad():
        tokens = network.forward_features(inputs).numpy()
    parts = {"cls": tokens[:, 0], "mean": tokens[:, 1:].mean(axis=1)}
    expected = np.concatenate([parts[name] for name in pooling.split("+")], axis=1)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "pooling", "message"),
    [
        ({"class_token": False}, "cls", "without a class token"),
        ({"class_token": False}, "cls+mean", "without a class token"),
        ({"class_token": False, "reg_tokens": 1}, "cls", "a patch or a register"),
        ({"global_pool": "avg"}, "mean", "normalises after its own pooling"),
        ({"global_pool": "avg"}, "cls", "normalises after its own pooling"),
    ],
)
def test_tokens_that_a_network_does_not_have_are_not_taken(images, arguments, pooling, message):
    model = {"model": "vit_tiny_patch16_224", "img_size": 32, "depth": 1, "global_pool": ""}
    width = 384 if "+" in pooling else 192
    entry = known(arguments=model | arguments, pooling=pooling, width=width)
    with pytest.raises(PluginError, match=message):
        DeclaredEncoder(entry, "random").encode(Patches([images]))


class Tokens(nn.Module):
    """A network of transformers whose tokens are 1, 2 and 6 for every image."""

    def __init__(self, *before):
        super().__init__()
        self.config = SimpleNamespace(num_register_tokens=0)
        for name in (*before, "position_embedding"):
            self.register_parameter(name, nn.Parameter(torch.zeros(1)))

    def forward(self, images):
        tokens = torch.tensor([1.0, 2.0, 6.0]).view(1, 3, 1)
        return SimpleNamespace(last_hidden_state=tokens.expand(len(images), 3, 1))


def test_the_mean_is_over_the_tokens_of_patches_whether_a_class_token_stands_before_them_or_not():
    images = torch.zeros(1, 3, 8, 8)
    assert _Transformer(Tokens(), "mean")(images).item() == 3
    assert _Transformer(Tokens("cls_token"), "mean")(images).item() == 4
    assert _Transformer(Tokens("cls_token", "distillation_token"), "mean")(images).item() == 6
    assert _Transformer(Tokens("class_embedding"), "cls")(images).item() == 1
    with pytest.raises(PluginError, match="without a class token"):
        _Transformer(Tokens(), "cls")(images)


def test_a_stage_is_the_mean_of_its_map(images):
    entry = known(source="test_resnet", pooling="stage-3", width=192, multiple=1)
    found = DeclaredEncoder(entry, "random").encode(Patches([images]))

    import timm

    network = make_network(entry, "random", None).network
    cut = timm.create_model("test_resnet", features_only=True, out_indices=[3])
    cut.load_state_dict(network.state_dict(), strict=False)
    mean, std = torch.tensor(entry.spec.mean), torch.tensor(entry.spec.std)
    inputs = ((torch.from_numpy(images) / 255 - mean) / std).permute(0, 3, 1, 2)
    with torch.no_grad():
        expected = cut.eval()(inputs)[0].mean(dim=(2, 3)).numpy()
    assert expected.shape == found.shape
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "entry"),
    [
        ("mine", vit()),
        # As timm publishes it: a file that is named after the network stands for its weights.
        ("test_vit", known(source="test_vit", arguments=VIT, pooling="cls", multiple=16)),
    ],
)
def test_the_file_in_the_users_folder_is_taken_and_is_in_the_identity(
    images, tmp_path, monkeypatch, name, entry
):
    network = build_backbone("test_vit", "random", 0, **VIT)
    for value in network.state_dict().values():
        value.add_(0.01)
    save_file(network.state_dict(), tmp_path / f"{name}.safetensors")
    monkeypatch.setenv(WEIGHTS_FOLDER, str(tmp_path))
    encoder = DeclaredEncoder(entry)

    found, before = encoder.encode(Patches([images])), encoder.identity()

    other = DeclaredEncoder(entry, "random").encode(Patches([images]))
    assert np.abs(found - other).max() > 1e-3
    next(iter(network.state_dict().values())).add_(1.0)
    save_file(network.state_dict(), tmp_path / f"{name}.safetensors")
    assert DeclaredEncoder(entry).identity()["content"] != before["content"]


def test_weights_of_another_architecture_are_refused(tmp_path, monkeypatch, images):
    save_file(build_backbone("test_resnet", "random").state_dict(), tmp_path / "mine.safetensors")
    monkeypatch.setenv(WEIGHTS_FOLDER, str(tmp_path))

    with pytest.raises(WeightsUnavailableError, match="belongs to another network"):
        DeclaredEncoder(vit()).encode(Patches([images]))


def test_an_empty_folder_of_an_encoder_is_told(tmp_path, monkeypatch):
    (tmp_path / "mine").mkdir()
    monkeypatch.setenv(WEIGHTS_FOLDER, str(tmp_path))

    with pytest.raises(WeightsUnavailableError, match="holds no weights of encoder 'mine'"):
        DeclaredEncoder(vit()).require()


def test_a_gated_encoder_without_a_token_says_where_to_ask_and_where_to_put_the_file(monkeypatch):
    monkeypatch.delenv(OFFLINE, raising=False)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.delenv(WEIGHTS_FOLDER, raising=False)
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)

    with pytest.raises(WeightsUnavailableError) as error:
        DeclaredEncoder(vit(gated=True)).require()

    told = str(error.value)
    assert "https://huggingface.co/me/mine" in told
    assert "HF_TOKEN" in told
    assert "mine.safetensors" in told
    assert WEIGHTS_FOLDER in told


def test_a_library_that_is_not_installed_is_named_with_its_extra(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)

    with pytest.raises(PluginError, match=r"spared-bench\[transformers\]"):
        DeclaredEncoder(known(loader="transformers")).require()
    with pytest.raises(PluginError, match="their_package"):
        DeclaredEncoder(vit(extras=("their_package",))).require()


def test_a_width_that_is_not_that_of_the_features_is_refused(images):
    with pytest.raises(ShapeMismatchError, match="width=65"):
        DeclaredEncoder(vit(width=65), "random").encode(Patches([images]))


def test_a_factory_must_make_a_network(images):
    entry = known(
        load=lambda: lambda weights: "no network", loader="factory", factory="a.b:c", source=""
    )
    with pytest.raises(PluginError, match=r"returned str; expected a torch\.nn\.Module"):
        DeclaredEncoder(entry, "random").encode(Patches([images]))


@pytest.mark.parametrize(
    ("size", "um", "side", "crop", "shown"),
    [
        (224, 0.5, 224, 0, 0.5),  # as it was trained
        (224, 0.25, 112, 0, 0.5),  # a spot of 56 µm: half as many pixels
        (100, 1.0, 196, 0, 100 / 196),  # 200 px, rounded to what 14 divides
        (224, 0.0, 224, 0, 0.0),  # unknown: the usual size
        (4000, 0.5, 1022, 0, 4000 * 0.5 / 1022),  # not without bounds
    ],
)
def test_patches_are_resampled_to_the_scale_that_the_encoder_knows(size, um, side, crop, shown):
    spec = EncoderSpec("e", source="x", width=1, multiple=14, um_per_px=0.5)
    found = framing(spec, size, um)
    assert (found.side, found.crop) == (side, crop)
    assert found.um_per_px == pytest.approx(shown)


def test_of_several_scales_the_nearest_is_taken():
    spec = EncoderSpec("e", source="x", width=1, multiple=14, um_per_px=(0.25, 0.5, 1.0))
    assert framing(spec, 224, 0.9).side == pytest.approx(224 * 0.9, abs=7)


def test_a_network_of_one_size_sees_every_patch_at_that_size():
    spec = EncoderSpec("e", source="x", width=1, um_per_px=0.5)
    found = framing(spec, 100, 1.0)
    assert found.side == 224
    assert found.um_per_px == pytest.approx(100 / 224)


def test_resizing_before_a_crop_shows_the_middle(rng):
    spec = EncoderSpec("e", source="x", width=1, resize=256, crop=224, mean=(0,) * 3, std=(1,) * 3)
    images = torch.from_numpy(rng.integers(0, 256, (1, 224, 224, 3), np.uint8))
    found = frame(spec, framing(spec, 224, 0.0), images)
    whole = nn.functional.interpolate(
        images.permute(0, 3, 1, 2) / 255, size=(256, 256), mode="bilinear", antialias=True
    )
    torch.testing.assert_close(found, whole[..., 16:240, 16:240])


def test_patches_of_several_scales_are_encoded_each_at_its_own(images):
    scales = np.array([0.5, 0.5, 1.0, 1.0, 1.0, 0.0, 0.0])
    encode = DeclaredEncoder(vit(um_per_px=0.5), "random").opened("cpu")
    found = encode(Patches([images]), scales)
    for um in set(scales):
        rows = np.flatnonzero(scales == um)
        np.testing.assert_allclose(
            found[rows], encode(Patches([images[rows]]), um), rtol=1e-4, atol=1e-5
        )


def test_runs_are_stretches_of_one_scale():
    runs = runs_of(np.array([1.0, 1.0, 2.0, 1.0]), 4)
    assert [(r.start, r.stop, r.um_per_px) for r in runs] == [(0, 2, 1), (2, 3, 2), (3, 4, 1)]
    assert runs_of(0.0, 0) == []


class Mean(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(3))
        self.largest = 0

    def forward(self, images):
        self.largest = max(self.largest, len(images))
        if len(images) > 2:
            raise torch.OutOfMemoryError("too many")
        return images.mean(dim=(2, 3)) * self.weight


def as_images(images, um):
    return images.permute(0, 3, 1, 2).float()


def test_a_batch_that_the_memory_does_not_hold_is_halved(images):
    found = FrozenNetwork(Mean(), as_images)(Patches([images]))
    np.testing.assert_allclose(found, images.mean(axis=(1, 2)), rtol=1e-5)


def test_several_devices_share_the_batches_and_keep_their_order(images, monkeypatch):
    monkeypatch.setattr(encoding, "devices_of", lambda device: ("cpu", "cpu"))
    monkeypatch.setattr(encoding, "_CPU_BYTES", 2 * 32 * 32 * 3 * 4)
    found = FrozenNetwork(Mean(), as_images)(Patches([images]))
    np.testing.assert_allclose(found, images.mean(axis=(1, 2)), rtol=1e-5)


def test_a_cpu_computes_in_single_precision_whatever_is_asked():
    assert precision_on("cpu", "float16") == precision_on("cpu", "bfloat16") == "float32"


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (None, "unknown"),
        ((), "declared: none"),
        (("TCGA",), "declared: TCGA"),
        (("TCGA", "HEST_IDC"), "overlap: HEST_IDC"),
    ],
)
def test_what_an_encoder_may_have_seen(seen, expected):
    spec = EncoderSpec("e", source="x", width=1, seen_slides=seen)
    assert may_have_seen(spec, ["hest_idc", "TENX95"]) == expected


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"loader": "jax"}, "none of timm"),
        ({"width": 0}, "number of features"),
        ({"mean": (0.5, 0.5)}, "three numbers"),
        ({"std": (0.5, 0.0, 0.5)}, "three numbers"),
        ({"um_per_px": -0.5}, "micrometres per pixel"),
        ({"pooling": "max"}, "none of network"),
        ({"pooling": "pooler"}, "which loader 'timm' has"),
        ({"pooling": 3}, "must be a text"),
        ({"source": "hf-hub:alone"}, "names no repository"),
        ({"source": None}, "must be a text"),
        ({"gated": "yes"}, "True or False"),
        ({"arguments": {"act_layer": nn.SiLU}}, "plain values"),
        ({"arguments": {3: 4}}, "plain values"),
        ({"arguments": [1]}, "plain values"),
        ({"known_output": (1.0, 2.0)}, "the first of its 1 features"),
        ({"parameters_millions": "many"}, "expected a number"),
        ({"loader": "colour", "width": 7}, "24 features"),
        ({"source": ""}, "needs a `source`"),
        ({"loader": "factory"}, "needs `factory`"),
        ({"seen_slides": "TCGA"}, "tuple of texts"),
        ({"precision": "int8"}, "none of float32"),
        ({"mean": (123.675, 116.28, 103.53)}, "mean .* Divide what is on a scale of 0 to 255"),
        ({"std": (58.395, 57.12, 57.375)}, "std .* Divide what is on a scale of 0 to 255"),
        ({"crop": 256}, "resized to 224 px, and the middle 256 px"),
        ({"resize": 192}, "resized to 192 px, and the middle 224 px"),
    ],
)
def test_a_spec_that_cannot_be_is_refused(values, message):
    with pytest.raises(PluginError, match=message):
        EncoderSpec("e", **({"source": "x", "width": 1} | values))


class Odd(nn.Module):
    """Returns what ``make`` makes of the features of a batch."""

    def __init__(self, make) -> None:
        super().__init__()
        self.make, self.layer = make, nn.Linear(3, 3)

    def forward(self, images):
        return self.make(images.mean(dim=(2, 3)))


def raising(weights):
    raise KeyError("layer9")


@pytest.mark.parametrize(
    ("load", "message"),
    [
        (raising, "'mine' of a-package cannot be made: KeyError: 'layer9'"),
        (lambda weights: sys.exit(0), "cannot be made: SystemExit: 0"),
        (lambda weights: Odd(lambda x: (x,)), "gave tuple for 6 patches"),
        (lambda weights: Odd(lambda x: x[:1]), r"gave torch.Size\(\[1, 3\]\) for 6 patches"),
        (lambda weights: Odd(lambda x: x / 0), "nan or infinite"),
        (lambda weights: Odd(lambda x: x @ x), "fails on patches of 32 px"),
    ],
)
def test_a_factory_that_makes_something_else_is_told_with_the_name_of_the_encoder(
    images, load, message
):
    entry = known(
        loader="factory", source="", factory="a.b:c", width=3, multiple=1, load=lambda: load
    )
    with pytest.raises(PluginError, match=message):
        DeclaredEncoder(entry, "random").encode(Patches([images[:6]]))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"arguments": {"act_layer": "torch.nothing.here"}}, "There is no 'torch.nothing.here'"),
        ({"arguments": {"act_layer": "torch.hub.load"}}, "is no layer"),
        ({"pooling": "cls"}, "A network without tokens"),
        ({"pooling": "stage-9"}, "fails on patches of 32 px"),
    ],
)
def test_what_timm_cannot_make_of_a_spec_is_told(images, values, message):
    entry = known(**{"source": "test_resnet", "width": 1, "multiple": 1} | values)
    with pytest.raises(PluginError, match=message):
        DeclaredEncoder(entry, "random").encode(Patches([images]))
