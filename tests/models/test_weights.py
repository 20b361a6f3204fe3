import json
import os
import pickle
from pathlib import Path
from urllib.error import HTTPError, URLError

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file

from spared_bench.data import Patches
from spared_bench.errors import UsageError, WeightsUnavailableError
from spared_bench.models import weights as weights_module
from spared_bench.models.backbones import build_backbone
from spared_bench.models.encoders import TimmEncoder
from spared_bench.models.weights import read_weights, require_answer
from spared_bench.models.weights_folder import WEIGHTS_FOLDER

TIMM, TORCHVISION = "test_resnet", "shufflenet_v2_x0_5"


@pytest.fixture(autouse=True)
def empty_caches(monkeypatch, tmp_path):
    """No weights that this machine happens to have."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.delenv(WEIGHTS_FOLDER, raising=False)


@pytest.fixture
def offline(monkeypatch):
    def fail(*args, **kwargs):
        raise URLError("Name or service not known")

    monkeypatch.setattr(weights_module, "urlopen", fail)
    # A library that asks all the same fails in another way.
    monkeypatch.setattr("torch.hub.urlopen", lambda *a, **k: pytest.fail("torch.hub asked"))


def state_of(name, num_classes=1000):
    torch.manual_seed(5)
    return build_backbone(name, "random", num_classes).state_dict()


def assert_same_body(network, state):
    for name, value in network.state_dict().items():
        if not name.startswith("fc."):
            assert torch.equal(value, state[name]), name


@pytest.mark.parametrize("name", [TIMM, TORCHVISION])
def test_offline_the_error_gives_the_three_ways_out(name, offline):
    with pytest.raises(WeightsUnavailableError) as caught:
        build_backbone(name, "pretrained", 4)
    message = str(caught.value)
    assert f"weights of '{name}' cannot be fetched" in message
    assert "does not answer" in message
    assert "--weights FILE" in message
    assert f"{name}.safetensors" in message
    assert WEIGHTS_FOLDER in message
    assert "--weights random" in message


def test_a_network_that_timm_publishes_no_weights_for_says_so(offline):
    with pytest.raises(WeightsUnavailableError, match="timm publishes none"):
        build_backbone("resnetv2_152", "pretrained", 4)


def test_a_server_that_refuses_is_a_server_that_answers(monkeypatch):
    asked = []

    def refuse(request, timeout):
        asked.append(request.full_url)
        raise HTTPError(request.full_url, 404, "Not Found", {}, None)

    monkeypatch.setattr(weights_module, "urlopen", refuse)
    require_answer("https://example.org/weights", "net")
    assert asked == ["https://example.org/weights"]


@pytest.mark.parametrize("name", [TIMM, TORCHVISION])
@pytest.mark.parametrize("num_classes", [0, 4, 1000])
def test_a_file_fills_all_but_the_last_layer(name, num_classes, tmp_path):
    state = state_of(name)
    save_file(state, tmp_path / "own.safetensors")

    network = build_backbone(name, str(tmp_path / "own.safetensors"), num_classes)

    assert_same_body(network, state)
    if num_classes:
        assert not torch.equal(network.fc.weight[:4], state["fc.weight"][:4])


@pytest.mark.parametrize("wrap", [lambda s: s, lambda s: {"state_dict": s, "epoch": 3}])
def test_a_pth_file_works_too(wrap, tmp_path):
    state = state_of(TORCHVISION, 7)
    torch.save(wrap(state), tmp_path / "own.pth")
    assert_same_body(build_backbone(TORCHVISION, str(tmp_path / "own.pth"), 4), state)


def test_a_folder_of_files_takes_the_place_of_the_published_ones(tmp_path, monkeypatch, offline):
    monkeypatch.setenv(WEIGHTS_FOLDER, str(tmp_path))
    state = state_of(TORCHVISION)
    save_file(state, tmp_path / f"{TORCHVISION}.safetensors")

    assert_same_body(build_backbone(TORCHVISION, "pretrained", 4), state)
    with pytest.raises(WeightsUnavailableError, match=f"'{TIMM}' cannot be fetched"):
        build_backbone(TIMM, "pretrained", 4)


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".bin"])
def test_the_folder_takes_every_suffix_of_pytorch(tmp_path, monkeypatch, offline, suffix):
    monkeypatch.setenv(WEIGHTS_FOLDER, str(tmp_path))
    state = state_of(TORCHVISION)
    torch.save(state, tmp_path / f"{TORCHVISION}{suffix}")

    assert_same_body(build_backbone(TORCHVISION, "pretrained", 4), state)


def test_a_variable_that_names_no_folder_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setenv(WEIGHTS_FOLDER, str(tmp_path / "away"))
    with pytest.raises(WeightsUnavailableError, match=f"{WEIGHTS_FOLDER} must name a folder"):
        build_backbone(TORCHVISION, "pretrained", 4)


def test_what_torchvision_has_cached_needs_no_network(tmp_path, offline):
    state = state_of(TORCHVISION)
    cache = tmp_path / "torch" / "hub" / "checkpoints"
    cache.mkdir(parents=True)
    torch.save(state, cache / "shufflenetv2_x0.5-f707e7126e.pth")

    assert_same_body(build_backbone(TORCHVISION, "pretrained", 4), state)


def test_what_timm_has_cached_needs_no_network(tmp_path, offline):
    state = state_of(TIMM)
    repository = tmp_path / "hub" / "models--timm--test_resnet.r160_in1k"
    snapshot = repository / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("0" * 40)
    save_file(state, snapshot / "model.safetensors")

    assert_same_body(build_backbone(TIMM, "pretrained", 4), state)


def test_weights_that_are_no_file_are_an_error(tmp_path):
    with pytest.raises(WeightsUnavailableError, match="'pretrained', 'random' or an existing file"):
        build_backbone(TORCHVISION, "imagenet", 4)


def test_a_file_of_another_network_is_refused(tmp_path):
    save_file(state_of(TIMM), tmp_path / "other.safetensors")
    with pytest.raises(
        WeightsUnavailableError, match=r"another network: \d+ of \d+ tensors"
    ) as caught:
        build_backbone(TORCHVISION, str(tmp_path / "other.safetensors"), 4)
    assert "suggests" not in str(caught.value)  # no option of a constructor makes one of the other


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_nobody_is_advised_to_run_what_is_in_a_file(tmp_path):
    """PyTorch's message does: re-running with weights_only set to False will likely succeed."""
    for content in (b"garbage" * 100, pickle.dumps({"a": Path()})):
        (tmp_path / "own.pth").write_bytes(content)
        with pytest.raises(WeightsUnavailableError, match="is never run") as caught:
            read_weights(tmp_path / "own.pth")
        assert "weights_only" not in str(caught.value)


def test_the_list_of_weights_in_parts_is_told_as_that(tmp_path):
    told = {"metadata": {"total_size": 4}, "weight_map": {"a.weight": "model-00001-of-00002.bin"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(told, indent=2))
    with pytest.raises(WeightsUnavailableError, match=r"lie in several files: .*write the tensors"):
        read_weights(tmp_path / "model.safetensors.index.json")


def test_a_file_that_is_no_weights_file_is_refused(tmp_path):
    (tmp_path / "own.safetensors").write_text("hello")
    with pytest.raises(WeightsUnavailableError, match=r"own.safetensors cannot be read"):
        read_weights(tmp_path / "own.safetensors")


class Payload:
    def __init__(self, trace: Path):
        self.trace = trace

    def __reduce__(self):
        return os.mkdir, (str(self.trace),)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_a_pth_file_that_would_run_code_is_refused_and_runs_none(tmp_path):
    trace = tmp_path / "code_ran"
    torch.save({"fc.weight": torch.zeros(2), "payload": Payload(trace)}, tmp_path / "own.pth")
    (tmp_path / "old.pth").write_bytes(pickle.dumps(Payload(trace)))

    for name in ("own.pth", "old.pth"):
        with pytest.raises(WeightsUnavailableError, match="without other Python objects"):
            read_weights(tmp_path / name)
    assert not trace.exists()


VIT = "vit_tiny_patch16_224"
IMAGES = torch.linspace(-2, 2, 3 * 224 * 224).view(1, 3, 224, 224)


def vit(**options):
    """Return a transformer in which every part matters to the features."""
    torch.manual_seed(5)
    network = timm.create_model(VIT, num_classes=0, depth=2, **options).eval()
    for name, value in network.named_parameters():
        if "gamma" in name:
            value.data.fill_(0.1)
        elif value.ndim != 4:
            torch.nn.init.normal_(value, std=0.3)
    return network


def features(network):
    with torch.inference_mode():
        return network.eval()(IMAGES)


@pytest.mark.parametrize(
    ("larger", "suggestion"),
    [
        ({"init_values": 1e-5}, "init_values: 1e-5"),
        ({"qk_norm": True}, "qk_norm: true"),
        ({"reg_tokens": 4}, "reg_tokens: 4"),
        ({"pre_norm": True}, "pre_norm: true"),
        ({"mlp_ratio": 2.0}, "mlp_ratio: 2"),
        ({"qkv_bias": False}, "qkv_bias: false"),
        ({"patch_size": 32}, "patch_size: 32"),
        ({"img_size": 448}, "an image of 28 x 28 tiles"),
    ],
    ids=str,
)
def test_a_file_of_a_network_with_other_parts_is_refused_until_the_network_has_them(
    tmp_path, larger, suggestion
):
    network = vit(**larger)
    file = tmp_path / "own.safetensors"
    save_file(network.state_dict(), file)
    with pytest.raises(WeightsUnavailableError, match="belongs to another network") as caught:
        build_backbone(VIT, str(file), depth=2)
    assert suggestion in str(caught.value)
    if "img_size" in larger:
        return
    loaded = build_backbone(VIT, str(file), depth=2, **larger)
    torch.testing.assert_close(features(loaded), features(network))


def test_a_deeper_network_is_refused_and_its_depth_named(tmp_path):
    save_file(vit().state_dict(), tmp_path / "own.safetensors")
    with pytest.raises(WeightsUnavailableError, match=r"no place for, 'blocks.1.*depth: 2"):
        build_backbone(VIT, str(tmp_path / "own.safetensors"), depth=1)


def test_a_hybrid_is_not_taken_for_the_network_inside_it(tmp_path):
    state = {f"patch_embed.backbone.{name}": value for name, value in state_of(TIMM).items()}
    state["blocks.0.norm1.weight"] = torch.ones(4)
    save_file(state, tmp_path / "own.safetensors")
    with pytest.raises(WeightsUnavailableError, match="belongs to another network"):
        build_backbone(TIMM, str(tmp_path / "own.safetensors"), 4)


def test_encoders_and_the_folder_of_files_refuse_as_methods_do(tmp_path, monkeypatch):
    save_file(vit(init_values=1e-5).state_dict(), tmp_path / f"{VIT}.safetensors")
    patches = Patches([np.zeros((1, 224, 224, 3), np.uint8)])
    monkeypatch.setenv(WEIGHTS_FOLDER, str(tmp_path))
    with pytest.raises(WeightsUnavailableError, match="init_values: 1e-5"):
        TimmEncoder(VIT).encode(patches)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: {f"module.{name}": value for name, value in state.items()},
        lambda state: {"state_dict": {f"backbone.{n}": v for n, v in state.items()}, "epoch": 3},
        lambda state: {"model": {f"_orig_mod.{n}": v for n, v in state.items()}},
        lambda state: {
            "epoch": 3,
            "model_state_dict": {f"module.{n}": v for n, v in state.items()},
            "optimizer_state_dict": {"state": {0: {"exp_avg": torch.ones(2)}}, "param_groups": []},
        },
        lambda state: {"state_dict": {f"model.resnet.{n}": v for n, v in state.items()}},  # Ciga's
        lambda state: {
            "teacher": {f"module.backbone.{n}": v for n, v in state.items()}
            | {"module.head.mlp.0.weight": torch.ones(2), "module.dino_head.last": torch.ones(2)},
            "student": {f"module.backbone.{n}": v + 1 for n, v in state.items()},
            "optimizer": {"state": {0: {"exp_avg": torch.ones(2)}}},
        },
        lambda state: (
            {f"encoder.{n}": v for n, v in state.items()}
            | {"projector.0.weight": torch.ones(2), "queue": torch.ones(2)}
            | {"decoder.0.weight": torch.ones(2)}
        ),
        lambda state: (
            {f"module.encoder_q.{n}": v for n, v in state.items()}
            | {f"module.encoder_k.{n}": v + 1 for n, v in state.items()}
            | {"module.encoder_q.head.0.weight": torch.ones(2), "module.queue": torch.ones(2)}
        ),
        lambda state: (
            {f"visual.trunk.{n}": v for n, v in state.items()}
            | {"text.token_embedding.weight": torch.ones(2), "logit_scale": torch.ones(())}
        ),
        lambda state: state | {"head.weight": torch.ones(7, 192), "mask_token": torch.ones(1, 192)},
    ],
    ids=[
        "module",
        "lightning",
        "compiled",
        "tutorial",
        "histology",
        "teacher",
        "projector",
        "momentum",
        "clip",
        "head",
    ],
)
def test_what_training_scripts_put_around_a_network_is_taken_off(tmp_path, wrap):
    network = vit(init_values=1e-5)
    torch.save(wrap(network.state_dict()), tmp_path / "own.pth")
    loaded = build_backbone(VIT, str(tmp_path / "own.pth"), depth=2, init_values=1e-5)
    torch.testing.assert_close(features(loaded), features(network))
    with pytest.raises(WeightsUnavailableError, match="init_values: 1e-5"):
        build_backbone(VIT, str(tmp_path / "own.pth"), depth=2)


def test_a_file_with_the_network_twice_is_refused(tmp_path):
    state = vit().state_dict()
    both = {f"{name}.{key}": v.clone() for name in ("model", "module") for key, v in state.items()}
    save_file(both, tmp_path / "own.safetensors")
    with pytest.raises(WeightsUnavailableError, match=r"no place for, 'module\.blocks"):
        build_backbone(VIT, str(tmp_path / "own.safetensors"), depth=2)


@pytest.mark.parametrize("names", [("model", "model_ema"), ("state_dict", "state_dict_ema")])
@pytest.mark.parametrize("wrapped", [False, True])
def test_a_checkpoint_with_an_average_of_its_network_is_refused(tmp_path, names, wrapped):
    """Timm takes the average, and the other one was taken here without a word."""
    state = vit().state_dict()
    average = {f"{'module.' * wrapped}{name}": value + 1 for name, value in state.items()}
    file = str(tmp_path / "own.pth")
    steps = {"state": {0: {"exp_avg": torch.ones(3)}}}
    torch.save({names[0]: state, "optimizer": steps, names[1]: average, "epoch": 3}, file)
    told = rf"holds the network 2 times, as '{names[0]}' and '{names[1]}'"
    with pytest.raises(WeightsUnavailableError, match=told):
        build_backbone(VIT, file, depth=2)
    torch.save({names[0]: state, "optimizer": steps, "epoch": 3}, file)
    build_backbone(VIT, file, depth=2)


def named(state, before):
    return {f"{before}{name}": value + 1 for name, value in state.items()}


@pytest.mark.parametrize(
    ("checkpoint", "told"),
    [
        (
            lambda state: {
                "model": named(state, "module."),
                "model_ema": named(state, "module.module."),
            },
            "'model' and 'model_ema'",
        ),
        (
            lambda state: {"state_dict": named(state, "model."), "ema_state_dict": state},
            "'state_dict' and 'ema_state_dict'",
        ),
        (
            lambda state: {
                "state_dict": named(state, "model."),
                "callbacks": {"EMA": {"decay": 0.9, "weights": named(state, "module.")}},
            },
            "'state_dict' and 'callbacks.EMA.weights'",
        ),
        (
            lambda state: {"model": state, "ema": {"shadow": named(state, "net.")}},
            "'model' and 'ema.shadow'",
        ),
        (
            lambda state: {"model_state_dict": state, "ema_state_dict": named(state, "module.")},
            "'model_state_dict' and 'ema_state_dict'",
        ),
    ],
    ids=["data parallel", "lightning", "callback", "shadow", "tutorial"],
)
def test_a_second_network_is_found_wherever_it_lies_and_whatever_stands_before_it(
    tmp_path, checkpoint, told
):
    state = vit().state_dict()
    torch.save(checkpoint(state), tmp_path / "own.pth")
    with pytest.raises(WeightsUnavailableError, match=f"holds the network 2 times, as {told}:"):
        build_backbone(VIT, str(tmp_path / "own.pth"), depth=2)


@pytest.mark.parametrize("name", ["own.pth", "own.safetensors"])
def test_a_pointer_in_the_place_of_weights_is_called_one(tmp_path, name):
    (tmp_path / name).write_text("version https://git-lfs.github.com/spec/v1\nsize 5\n")
    with pytest.raises(WeightsUnavailableError, match="It is a pointer of Git LFS"):
        build_backbone(VIT, str(tmp_path / name), depth=2)


@pytest.mark.parametrize("entry", ["params_ema", "generator.weights", "my_vit.module"])
def test_where_in_a_file_the_network_lies_is_said(tmp_path, entry):
    """All its tensors were told as missing, though they are there."""
    state = {f"{entry}.{name}": value for name, value in vit().state_dict().items()}
    save_file(state | {"other.weight": torch.ones(2)}, tmp_path / "own.safetensors")
    with pytest.raises(WeightsUnavailableError, match=f"entry '{entry}' holds this network"):
        build_backbone(VIT, str(tmp_path / "own.safetensors"), depth=2)
    with pytest.raises(WeightsUnavailableError) as caught:
        build_backbone(VIT, str(tmp_path / "own.safetensors"), depth=3)
    assert "holds this network" not in str(caught.value)


def test_a_network_without_pooled_features_is_no_backbone():
    with pytest.raises(UsageError, match="ends in no classifier and pools nothing"):
        build_backbone("qwen3_vit_88m_enc", "random")


def test_a_part_beside_a_wrapped_network_that_may_give_features_is_refused(tmp_path):
    state = {f"backbone.{name}": value for name, value in vit().state_dict().items()}
    state["neck.weight"] = torch.ones(2)
    save_file(state, tmp_path / "own.safetensors")
    with pytest.raises(WeightsUnavailableError, match=r"no place for, 'neck.weight' first"):
        build_backbone(VIT, str(tmp_path / "own.safetensors"), depth=2)


@pytest.mark.parametrize(
    "name", ["convnext_atto", "levit_128s", "test_vit", "deit_tiny_distilled_patch16_224"]
)
@pytest.mark.parametrize("num_classes", [0, 4])
def test_a_whole_classifier_loads_whatever_its_last_layers_are(tmp_path, name, num_classes):
    torch.manual_seed(5)
    network = timm.create_model(name)
    save_file(network.state_dict(), tmp_path / "own.safetensors")
    loaded = build_backbone(name, str(tmp_path / "own.safetensors"), num_classes).state_dict()
    heads = network.pretrained_cfg["classifier"]
    heads = (heads,) if isinstance(heads, str) else tuple(heads)
    for key, value in loaded.items():
        if not key.startswith(heads):
            assert torch.equal(value, network.state_dict()[key]), key


def test_a_file_without_counters_of_batches_is_whole(tmp_path):
    state = {n: v for n, v in state_of(TORCHVISION).items() if not n.endswith("batches_tracked")}
    torch.save(state, tmp_path / "own.pth")
    assert_same_body(
        build_backbone(TORCHVISION, str(tmp_path / "own.pth"), 4), state_of(TORCHVISION)
    )


@pytest.mark.parametrize("content", [[], {}, {"epoch": 3}, torch.ones(2)], ids=str)
def test_a_file_without_named_tensors_is_refused(tmp_path, content):
    torch.save(content, tmp_path / "own.pth")
    with pytest.raises(WeightsUnavailableError, match=r"named tensors"):
        read_weights(tmp_path / "own.pth")


CONVERTED = {
    "int8": lambda value: (value * 100).to(torch.int8),
    "bool": lambda value: value > 0,
    "complex64": lambda value: value.to(torch.complex64),
    "float8_e4m3fn": lambda value: value.to(torch.float8_e4m3fn),
    "nan or infinite": lambda value: value / 0,
    "no plain values": lambda value: value.to_sparse(),
    "zero throughout": torch.zeros_like,
}


@pytest.mark.parametrize("kind", CONVERTED)
def test_values_that_no_network_was_trained_to_are_refused(tmp_path, kind):
    state = state_of(TORCHVISION)
    name = next(name for name, value in state.items() if value.ndim > 1)
    torch.save(state | {name: CONVERTED[kind](state[name])}, tmp_path / "own.pth")
    with pytest.raises(WeightsUnavailableError, match=f"tensor '{name}' .*{kind}"):
        build_backbone(TORCHVISION, str(tmp_path / "own.pth"), 4)


def test_weights_of_sixteen_bits_are_read(tmp_path):
    state = {n: v.half() if v.is_floating_point() else v for n, v in state_of(TORCHVISION).items()}
    torch.save(state, tmp_path / "own.pth")
    loaded = build_backbone(TORCHVISION, str(tmp_path / "own.pth"), 4).state_dict()
    name = next(name for name, value in state.items() if value.ndim > 1)
    torch.testing.assert_close(loaded[name], state[name].float())


@pytest.mark.parametrize("name", ["gone.pth", ""])
def test_weights_that_are_not_there_are_told_as_that(tmp_path, name):
    with pytest.raises(WeightsUnavailableError, match=r"cannot be read: (FileNotFound|IsADir)"):
        read_weights(tmp_path / name)
