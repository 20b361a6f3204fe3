import os
import pickle
from pathlib import Path
from urllib.error import HTTPError, URLError

import pytest
import torch
from safetensors.torch import save_file

from spared_bench.errors import WeightsUnavailableError
from spared_bench.models import weights as weights_module
from spared_bench.models.backbones import build_backbone
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
    with pytest.raises(WeightsUnavailableError, match=r"another network: \d+ of \d+ tensors"):
        build_backbone(TORCHVISION, str(tmp_path / "other.safetensors"), 4)


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
