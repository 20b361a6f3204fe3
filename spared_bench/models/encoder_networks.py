"""The networks behind encoder specs, by the library that makes them.

Each is (n, 3, size, size), normalised -> (n, width). Weights fit tensor by tensor, or are refused.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from spared_bench.errors import PluginError, SparedBenchError, WeightsUnavailableError
from spared_bench.models.backbones import build_backbone
from spared_bench.models.encoder_table import KnownEncoder
from spared_bench.models.framing import Framing
from spared_bench.models.hub import refuse
from spared_bench.models.seeded import seeded
from spared_bench.models.weights_folder import is_offline
from spared_bench.specs import EncoderSpec

#: What an optional library is installed by.
_EXTRAS = {"transformers": "transformers", "open_clip": "open-clip"}
#: Arguments that are not the constructor's.
_OURS = ("model", "class", "config", "revision", "trust_remote_code", "dtype")
#: What libraries call a token that is none of a patch, and no register.
_CLASS_TOKENS = ("cls_token", "class_token", "class_embedding", "distillation_token")
#: Parts of transformers' networks that give no feature that is taken here.
_UNUSED = ("pooler.", "mask_token", "embeddings.mask_token", "position_ids")


def make_network(known: KnownEncoder, weights: str, file: Path | None) -> nn.Module:
    """Return the network of an encoder with its weights.

    Parameters
    ----------
    known : KnownEncoder
    weights : str
        ``"pretrained"``, ``"random"`` or what ``file`` was made of.
    file : Path or None
        Of the weights, or a folder of them; ``None``: random ones, or those that a library brings.

    Raises
    ------
    WeightsUnavailableError
    PluginError
        If the library is not installed, or the plugin's factory makes no network.
    """
    spec = known.spec
    require_library(spec)
    try:
        with seeded(0):
            network = _MAKERS[spec.loader](known, weights, file)
    except (SparedBenchError, torch.OutOfMemoryError, KeyboardInterrupt):
        raise
    except BaseException as error:  # of a library, or of a stranger's factory
        raise PluginError(
            f"Encoder {spec.name!r} of {known.distribution or 'this package'} cannot be made:"
            f" {type(error).__name__}: {' '.join(str(error).split())[:300]}. Correct its"
            f" {'factory' if spec.loader == 'factory' else 'arguments, source or weights'}."
        ) from error
    return network.eval()


def require_library(spec: EncoderSpec) -> None:
    """Refuse an encoder whose library is not installed.

    Raises
    ------
    PluginError
        With how to install it.
    """
    missing = [name for name in spec.extras if importlib.util.find_spec(name) is None]
    library = spec.loader if spec.loader in _EXTRAS else ""
    if library and importlib.util.find_spec(library) is None:
        raise PluginError(
            f"Encoder {spec.name!r} is loaded by the package {library!r}, which is not installed."
            f" Install it with `pip install 'spared-bench[{_EXTRAS[library]}]'`."
        )
    if missing:
        raise PluginError(
            f"Encoder {spec.name!r} needs packages that are not installed: {', '.join(missing)}."
            " Install them into this environment."
        )


def frame(spec: EncoderSpec, framing: Framing, images: Tensor) -> Tensor:
    """Resize, crop and normalise patches: uint8 (n, size, size, 3) -> (n, 3, side, side)."""
    values = images.permute(0, 3, 1, 2).float() / 255
    if values.shape[-1] != framing.side:
        side = (framing.side, framing.side)
        values = functional.interpolate(values, size=side, mode=spec.interpolation, antialias=True)
        if spec.interpolation == "bicubic":  # which swings beyond black and white
            values = values.clamp(0, 1)
    if framing.crop and framing.crop != framing.side:
        edge = (framing.side - framing.crop) // 2
        values = values[..., edge : edge + framing.crop, edge : edge + framing.crop]
    mean, std = (
        torch.tensor(each, dtype=torch.float32, device=values.device).view(1, 3, 1, 1)
        for each in (spec.mean, spec.std)
    )
    return (values - mean) / std


class Pooled(nn.Module):
    """A network of timm or torchvision, of whose output one part is taken."""

    def __init__(self, network: Any, pooling: str) -> None:
        super().__init__()
        self.network, self.pooling = network, pooling

    def forward(self, images: Tensor) -> Tensor:
        network: Any = self.network
        if self.pooling == "network":
            return network(images)
        if self.pooling.startswith("stage-"):
            maps = network.forward_intermediates(
                images, indices=[int(self.pooling[6:])], intermediates_only=True
            )
            return maps[0].mean(dim=(2, 3))
        tokens = network.forward_features(images)
        if not hasattr(network, "num_prefix_tokens"):
            raise PluginError(
                f"A network without tokens has no pooling {self.pooling!r}; take 'network', or"
                " 'stage-N' for the mean over a map."
            )
        if not isinstance(getattr(network, "fc_norm", None), nn.Identity | None):
            raise PluginError(
                f"A network that normalises after its own pooling has no pooling {self.pooling!r}:"
                " its tokens are not normalised. Take 'network', which is the mean of its patch"
                " tokens, normalised."
            )
        return _of_tokens(self.pooling, network, tokens, network.num_prefix_tokens)


def _of_tokens(pooling: str, network: nn.Module, tokens: Tensor, n_before: int) -> Tensor:
    """Return the class token, the mean of the patch tokens after so many others, or both."""
    if pooling != "mean" and not _tokens_before(network):
        raise PluginError(
            f"A network without a class token has no pooling {pooling!r}: its first token is a"
            " patch or a register. Take 'mean', or 'network'."
        )
    cls, patches = tokens[:, 0], tokens[:, n_before:].mean(dim=1)
    return {
        "cls": cls, "mean": patches, "cls+mean": torch.cat([cls, patches], dim=1)
    }[pooling]  # fmt: skip


def _tokens_before(network: nn.Module) -> int:
    """Return how many learnt tokens stand before the patches and the registers, by their names."""
    return sum(name.endswith(_CLASS_TOKENS) for name, _ in network.named_parameters())


def _of_timm(known: KnownEncoder, weights: str, file: Path | None) -> nn.Module:
    spec = known.spec
    model = str(spec.arguments.get("model") or spec.source.removeprefix("hf-hub:"))
    if spec.hub_id and "model" not in spec.arguments:
        raise PluginError(
            f"Encoder {spec.name!r}: weights of the hub need `arguments={{'model': ...}}`, the name"
            " of timm's architecture that they belong to."
        )
    options = constructor_arguments(spec)
    source = str(file) if file is not None else weights
    return Pooled(build_backbone(model, source, num_classes=0, **options), spec.pooling)


def constructor_arguments(spec: EncoderSpec) -> dict[str, Any]:
    """Return the arguments of a network's constructor; texts such as ``torch.nn.SiLU`` imported."""
    own = {name: value for name, value in spec.arguments.items() if name not in _OURS}
    return {
        name: _imported(value)
        if isinstance(value, str) and value.startswith(("timm.", "torch."))
        else value
        for name, value in own.items()
    }


def _imported(address: str) -> Any:
    module, _, name = address.rpartition(".")
    try:
        found = getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise PluginError(f"There is no {address!r}, which an encoder's arguments name.") from error
    layer = address.startswith(("torch.nn.", "timm.layers.", "timm.models.")) and callable(found)
    if not layer and not isinstance(found, torch.dtype):
        raise PluginError(
            f"{address!r}, which an encoder's arguments name, is no layer of torch.nn or timm."
        )
    return found


class _Transformer(nn.Module):
    """A network of transformers, of whose output one part is taken."""

    def __init__(self, network: Any, pooling: str) -> None:
        super().__init__()
        self.network, self.pooling = network, pooling

    def forward(self, images: Tensor) -> Tensor:
        if self.pooling == "image_features":
            ask = getattr(self.network, "encode_image", None) or self.network.get_image_features
            found = ask(images)
            return getattr(found, "pooler_output", found)
        output = self.network(images)
        if self.pooling == "network":
            return output if isinstance(output, Tensor) else output[0]
        if self.pooling == "pooler":
            return output.pooler_output
        tokens = output.last_hidden_state
        registers = int(getattr(self.network.config, "num_register_tokens", 0) or 0)
        n_before = _tokens_before(self.network) + registers
        return _of_tokens(self.pooling, self.network, tokens, n_before)


def _of_transformers(known: KnownEncoder, weights: str, file: Path | None) -> nn.Module:
    import transformers

    spec = known.spec
    name = str(spec.arguments.get("class", "AutoModel"))
    factory: Any = getattr(transformers, name)
    options = constructor_arguments(spec)
    if weights == "random":
        return _Transformer(_random_transformer(spec, factory), spec.pooling)
    if spec.arguments.get("trust_remote_code"):
        _require_trust(spec)
        options["trust_remote_code"] = True
    if file is None and "revision" in spec.arguments:
        options["revision"] = spec.arguments["revision"]
    try:
        network, told = factory.from_pretrained(
            str(file or spec.hub_id),
            output_loading_info=True,
            local_files_only=file is not None or is_offline(),
            **options,
        )
    except (OSError, ValueError) as error:
        refuse(spec, " ".join(str(error).split())[:300], error)
    wrong = [
        f"{len(names)} {what} ({sorted(map(str, names))[0]!r} first)"
        for what, key in (
            ("are missing", "missing_keys"),
            ("have no place", "unexpected_keys"),
            ("are of another shape", "mismatched_keys"),
        )
        if (names := [each for each in told.get(key, ()) if not _is_unused(each)])
    ]
    if wrong:
        raise WeightsUnavailableError(
            f"The weights in {file or spec.hub_id} belong to another network than encoder"
            f" {spec.name!r}: of their tensors, {', '.join(wrong)}."
        )
    return _Transformer(network, spec.pooling)


def _is_unused(name: Any) -> bool:
    text = str(name)
    return text.startswith(_UNUSED) or text.endswith(_UNUSED)


def _random_transformer(spec: EncoderSpec, factory: Any) -> nn.Module:
    config = spec.arguments.get("config")
    if not isinstance(config, Mapping) or not hasattr(factory, "config_class"):
        raise WeightsUnavailableError(
            f"Encoder {spec.name!r} has no random weights: its spec does not say its"
            " architecture (`arguments={'class': ..., 'config': {...}}`). Take 'pretrained', or a"
            " folder."
        )
    network: nn.Module = factory(factory.config_class(**config), **constructor_arguments(spec))
    return network


def _require_trust(spec: EncoderSpec) -> None:
    if os.environ.get("SPARED_BENCH_REMOTE_CODE") != "1":
        raise WeightsUnavailableError(
            f"Encoder {spec.name!r} runs code that comes with its weights ({spec.hub_id}). Read it,"
            " then allow it with SPARED_BENCH_REMOTE_CODE=1 in the environment."
        )


class _Clip(nn.Module):
    """The image part of a CLIP network of open_clip."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        features: Tensor = self.network.encode_image(images)
        return features


def _of_open_clip(known: KnownEncoder, weights: str, file: Path | None) -> nn.Module:
    import open_clip

    spec = known.spec
    published = weights == "pretrained" and file is None
    model = str(spec.arguments.get("model") or spec.source)
    try:
        network = open_clip.create_model(
            spec.source if published else model,
            pretrained=None if published or file is None else str(file),
            load_weights=weights != "random",
            **constructor_arguments(spec),
        )
    except (OSError, RuntimeError) as error:
        refuse(spec, " ".join(str(error).split())[:300], error)
    return _Clip(network)


def _of_torchvision(known: KnownEncoder, weights: str, file: Path | None) -> nn.Module:
    spec = known.spec
    source = str(file) if file is not None else weights
    network = build_backbone(spec.source, source, num_classes=0, **constructor_arguments(spec))
    return Pooled(network, spec.pooling)


def _of_factory(known: KnownEncoder, weights: str, file: Path | None) -> nn.Module:
    factory = known.load()
    network = factory(str(file) if file is not None and weights != "random" else weights)
    if not isinstance(network, nn.Module):
        raise PluginError(
            f"Encoder {known.spec.name!r}: {known.spec.factory} returned"
            f" {type(network).__name__}; expected a torch.nn.Module, from normalised images"
            " (n, 3, size, size) to features (n, width)."
        )
    return network


_MAKERS: dict[str, Callable[[KnownEncoder, str, Path | None], nn.Module]] = {
    "timm": _of_timm,
    "torchvision": _of_torchvision,
    "transformers": _of_transformers,
    "open_clip": _of_open_clip,
    "factory": _of_factory,
}
