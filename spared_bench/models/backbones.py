"""Image networks by name, from timm and torchvision, with a fresh last layer.

A name that timm knows (``"resnet50"``, ``"densenet121.tv_in1k"``) is timm's, any other is
torchvision's (``"shufflenet_v2_x0_5"``).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

from spared_bench.errors import UsageError, did_you_mean
from spared_bench.models.freezing import mark_body
from spared_bench.models.weights import (
    in_torch_cache,
    load_body,
    local_file,
    read_weights,
    require_answer,
    unavailable,
)


def build_backbone(
    name: str,
    weights: str = "pretrained",
    num_classes: int = 0,
    *,
    image_size: int = 0,
    **options: Any,
) -> nn.Module:
    """Build a network of images with a fresh linear layer on top.

    Parameters
    ----------
    name : str
        Of timm or torchvision.
    weights : str
        ``"random"``; ``"pretrained"``: the file ``<name>.safetensors`` (or ``.pth``) in the folder
        that the variable SPARED_BENCH_WEIGHTS names, if it is there, else what timm or torchvision
        publishes (torchvision: the ``IMAGENET1K_V1`` set); or the path of such a file.
    num_classes : int
        Width of the last layer, which never comes from a file; 0 for pooled features without one.
    image_size : int
        Of the images, in pixels, for a network that takes only one size (a vision transformer);
        0: as published.
    **options
        Handed to the network's constructor, for a variant of it: ``growth_rate=12``. Where timm
        publishes weights for the plain network, those that fit no longer are an error.

    Returns
    -------
    nn.Module
        (n, 3, size, size) -> (n, num_classes), or (n, width) without a last layer.

    Raises
    ------
    UsageError
        If neither library has a network of this name, or it does not take these options.
    WeightsUnavailableError
        If the weights cannot be had or are another network's.
    """
    in_timm = _in_timm(name)
    if image_size:
        options["img_size" if in_timm else "image_size"] = image_size
    library = _Timm(name, options) if in_timm else _Torchvision(name, options)
    file = None if weights == "random" else local_file(name, weights)
    try:
        if weights != "random" and file is None:
            return mark_body(library.pretrained(num_classes), library.heads)
        network = library.create(num_classes)
    except (TypeError, ValueError) as error:
        if not options:
            raise
        raise UsageError(
            f"{name!r} cannot be built with {options}: {error}. Leave an option out that the"
            " network does not take; with weights='random' more of them are possible."
        ) from error
    if file is not None:
        load_body(network, library.heads, file)
    return mark_body(network, library.heads)


def require_weights(name: str, weights: str) -> None:
    """Raise what ``build_backbone`` would raise for want of weights, without reading them.

    Raises
    ------
    UsageError
        If neither library has a network of this name.
    WeightsUnavailableError
        If the weights are no file, and are neither on this machine nor to be had.
    """
    if weights != "random" and local_file(name, weights) is None:
        (_Timm(name, {}) if _in_timm(name) else _Torchvision(name, {})).find()


def require_network(name: str) -> None:
    """Raise what ``build_backbone`` would raise for a name that no network has.

    Raises
    ------
    UsageError
    """
    if not _in_timm(name):
        _Torchvision(name, {})


def is_network(name: str) -> bool:
    """Return whether timm or torchvision has a network of this name."""
    from torchvision import models

    return _in_timm(name) or name in models.list_models(module=models)


def _in_timm(name: str) -> bool:
    import timm

    return bool(timm.is_model(name))


class _Timm:
    """A network of timm; ``heads`` are the names of its last layers, once it is created."""

    def __init__(self, name: str, options: dict[str, Any]) -> None:
        self.name, self.options = name, options
        self.heads: tuple[str, ...] = ()

    def create(self, num_classes: int, **source: Any) -> nn.Module:
        import timm

        network: Any = timm.create_model(
            self.name, num_classes=num_classes, **source, **self.options
        )
        heads = network.pretrained_cfg["classifier"]
        if heads is None:
            raise UsageError(
                f"{self.name!r} of timm ends in no classifier and pools nothing, so it cannot be a"
                " backbone. Take a network that does, 'resnet50' for example."
            )
        self.heads = (heads,) if isinstance(heads, str) else tuple(heads)
        return network

    def pretrained(self, num_classes: int) -> nn.Module:
        try:
            return self.create(num_classes, pretrained=True, **self._source())
        except OSError as error:  # every failure of the hub and of a download is one
            unavailable(self.name, f"{type(error).__name__}: {error}", error)

    def _source(self) -> dict[str, Any]:
        """Point timm at the cached file, where it is the hub's."""
        file = self.find()
        return (
            {} if file is None else {"pretrained_cfg_overlay": {"state_dict": read_weights(file)}}
        )

    def find(self) -> Path | None:
        """Return the hub's cached file, or make sure that timm has another, or somewhere to ask."""
        import timm
        from huggingface_hub import constants, try_to_load_from_cache

        config = timm.get_pretrained_cfg(self.name)
        if config is not None and config.hf_hub_id:
            file = config.hf_hub_filename or "model.safetensors"
            cached = try_to_load_from_cache(config.hf_hub_id, file)
            if isinstance(cached, str):
                return Path(cached)
            require_answer(f"{constants.ENDPOINT}/{config.hf_hub_id}", self.name)
        elif config is not None and isinstance(config.url, str) and config.url:
            if not in_torch_cache(config.url):
                require_answer(config.url, self.name)
        else:
            unavailable(self.name, "timm publishes none")
        return None


class _Torchvision:
    """A classification network of torchvision; ``heads`` as above."""

    def __init__(self, name: str, options: dict[str, Any]) -> None:
        import timm
        from torchvision import models

        known = models.list_models(module=models)
        if name not in known:
            nearest = did_you_mean(name, [*known, *timm.list_models()])
            raise UsageError(
                f"Neither timm nor torchvision has a network named {name!r}. {nearest} See"
                " `timm.list_models()` and `torchvision.models.list_models()`."
            )
        self.name, self.options = name, options
        self.heads: tuple[str, ...] = ()

    def create(self, num_classes: int, weights: Any = None) -> nn.Module:
        from torchvision import models

        network = models.get_model(self.name, weights=weights, **self.options)
        linear = {n: part for n, part in network.named_modules() if isinstance(part, nn.Linear)}
        if not linear:
            raise UsageError(
                f"{self.name!r} ends in no linear layer, so it cannot be a backbone. Take a"
                " network that does, 'shufflenet_v2_x0_5' for example."
            )
        head, last = list(linear.items())[-1]
        # Replaced rather than asked for: some constructors start a head of another width at zero.
        fresh = nn.Linear(last.in_features, num_classes) if num_classes else nn.Identity()
        network.set_submodule(head, fresh)
        self.heads = (head,)
        return network

    def find(self) -> Any:
        """Return torchvision's name of the weights; make sure that they are there or to be had."""
        from torchvision import models

        choices: Any = models.get_model_weights(self.name)
        weights = choices.__members__.get("IMAGENET1K_V1", choices.DEFAULT)
        if not in_torch_cache(weights.url):
            require_answer(weights.url, self.name)
        return weights

    def pretrained(self, num_classes: int) -> nn.Module:
        weights = self.find()
        try:
            return self.create(num_classes, weights)
        except (OSError, RuntimeError) as error:  # RuntimeError: a file whose hash is wrong
            unavailable(self.name, f"{type(error).__name__}: {error}", error)
