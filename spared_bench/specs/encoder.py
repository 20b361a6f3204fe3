"""What a frozen encoder says about itself: what loads it, what it is fed, who may use it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, get_args

from spared_bench.errors import PluginError
from spared_bench.specs.base import Spec

Loader = Literal["timm", "torchvision", "transformers", "open_clip", "colour", "factory"]
Precision = Literal["float32", "float16", "bfloat16"]
Interpolation = Literal["bilinear", "bicubic"]
#: What can be taken of a network's output; ``stage-3`` is the mean of the third stage's map.
_TOKENS = ("network", "cls", "mean", "cls+mean")
_POOLINGS = {
    "timm": (*_TOKENS, "stage-N"),
    "torchvision": ("network",),
    "transformers": (*_TOKENS, "pooler", "image_features"),
    "open_clip": ("network", "image_features"),
    "colour": ("network",),
    "factory": ("network",),
}
#: Factory of every encoder that is described by values alone.
_DECLARED = "spared_bench.models.declared:DeclaredEncoder"


@dataclass(frozen=True)
class EncoderSpec(Spec):
    """A frozen network from patches to features, which any predictor with ``encoder`` can take.

    All but ``name`` is best given by keyword.

    Parameters
    ----------
    loader : {"timm", "torchvision", "transformers", "open_clip", "colour", "factory"}
        What makes the network. ``"factory"``: the function that ``factory`` names, called as
        ``factory(weights)`` with ``"pretrained"``, ``"random"`` or a file, returns an ``nn.Module``
        from normalised images (n, 3, size, size) to features (n, width). ``"colour"``: the 24
        numbers of ``spared_bench.models.ColorEncoder``.
    source : str
        Where its weights are: ``"hf-hub:owner/name"``, with ``/file`` behind it where the file has
        no usual name; or the name that timm or torchvision publishes them under.
    arguments : mapping
        Of the network's constructor. ``model`` is the name of timm's architecture for weights of
        the hub. Texts such as ``"torch.nn.SiLU"`` stand for the class. Of transformers:
        ``class``, ``trust_remote_code`` and what its constructor takes.
    pooling : str
        ``"network"``: what the network returns; ``"cls"``: the class token after the last norm;
        ``"mean"``: the mean of the patch tokens after the last norm, without class and register
        tokens; ``"cls+mean"``: both, one after the other; ``"stage-N"``: the mean over the map of a
        convolutional network's stage; ``"pooler"`` and ``"image_features"``: transformers' and
        CLIP's output of that name.
    width : int
        Number of features.
    mean, std : tuple of float
        Of red, green and blue on a scale of 0 to 1, as in training.
    size : int
        Side in pixels of what the network sees.
    multiple : int
        Of how many pixels another side must be a multiple (1: any side); 0: the network takes
        ``size`` alone.
    resize, crop : int
        Side in pixels that a patch is resized to before the middle square of ``crop`` is taken; 0:
        ``size`` for either.
    interpolation : {"bilinear", "bicubic"}
    um_per_px : float or tuple of float
        Micrometres per pixel that it was trained at, several if there were; empty: none in
        particular. Patches are resampled to the nearest of them.
    precision : {"float32", "float16", "bfloat16"}
        That its makers run it in; taken on devices that have it, else float32.
    gated : bool
        Whether one must ask for the weights.
    pretraining : str
        What it was trained on, in words.
    seen_slides : tuple of str or None
        What its makers say it has seen: names of datasets, studies or slides, such as
        ``("TCGA",)``; compared with those that are tested on. ``None``: not said.
    aliases : tuple of str
        Other names that a user may type; letters count the same in either case.
    parameters_millions : float
        Of the image part; 0: not known. Held against the network by ``encoders check``.
    known_output : tuple of float
        The first features of ``spared_bench.testing.encoders.known_patch(size)``, computed with
        its makers' own code; empty for none.

    Raises
    ------
    PluginError
        For a word that is none of these, or a number that cannot be.
    """

    kind: ClassVar[str] = "encoder"

    factory: str = _DECLARED
    loader: Loader = "timm"
    source: str = ""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    pooling: str = "network"
    width: int = 0
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    size: int = 224
    multiple: int = 0
    resize: int = 0
    crop: int = 0
    interpolation: Interpolation = "bilinear"
    um_per_px: tuple[float, ...] = ()
    precision: Precision = "float32"
    gated: bool = False
    pretraining: str = ""
    seen_slides: tuple[str, ...] | None = None
    aliases: tuple[str, ...] = ()
    parameters_millions: float = 0.0
    known_output: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        label = f"EncoderSpec(name={self.name!r})"
        for name in ("loader", "source", "pooling", "interpolation", "precision", "pretraining"):
            if not isinstance(getattr(self, name), str):
                raise PluginError(f"{label}: {name} must be a text, found {getattr(self, name)!r}.")
        words = {"loader": Loader, "precision": Precision, "interpolation": Interpolation}
        for name, known in words.items():
            if getattr(self, name) not in get_args(known):
                raise PluginError(
                    f"{label}: {name} {getattr(self, name)!r} is none of"
                    f" {', '.join(get_args(known))}."
                )
        if isinstance(self.um_per_px, int | float):
            object.__setattr__(self, "um_per_px", (float(self.um_per_px),))
        self._check_numbers(label)
        self._check_texts(label)
        if self.loader == "factory" and self.factory == _DECLARED:
            raise PluginError(
                f"{label}: loader 'factory' needs `factory`, the address of the function that"
                " makes the network, such as 'my_package.encoders:load'."
            )
        if self.loader not in ("colour", "factory") and not self.source:
            raise PluginError(
                f"{label}: loader {self.loader!r} needs a `source`, such as"
                " 'hf-hub:owner/name' or the name of a network."
            )

    def _check_numbers(self, label: str) -> None:
        if self.loader == "colour" and self.width != 24:
            raise PluginError(f"{label}: width is {self.width!r}; loader 'colour' has 24 features.")
        if not _is_whole(self.width) or self.width < 1:
            raise PluginError(
                f"{label}: width is {self.width!r}; expected the number of features, 1 or more."
            )
        for name, least in (("size", 1), ("multiple", 0), ("resize", 0), ("crop", 0)):
            value = getattr(self, name)
            if not _is_whole(value) or not least <= value <= 4096:
                raise PluginError(
                    f"{label}: {name} is {value!r}; expected pixels from {least} to 4096."
                )
        whole, seen = self.resize or self.size, self.crop or self.size
        if seen > whole:
            raise PluginError(
                f"{label}: a patch is resized to {whole} px, and the middle {seen} px of it are to"
                f" be taken (size={self.size}, resize={self.resize}, crop={self.crop}). Give a"
                " `crop`, or a `size`, that is no more than that."
            )
        for name in ("mean", "std"):
            values = getattr(self, name)
            if not _are_numbers(values) or len(values) != 3 or (name == "std" and min(values) <= 0):
                raise PluginError(
                    f"{label}: {name} is {values!r}; expected three numbers, of red, green and"
                    " blue on a scale of 0 to 1."
                )
            if max(map(abs, values)) > 1:
                raise PluginError(
                    f"{label}: {name} is {values!r}; expected it on a scale of 0 to 1, on which no"
                    " colour has more. Divide what is on a scale of 0 to 255 by 255."
                )
        if not _are_numbers(self.um_per_px) or not all(0 < um < 1e3 for um in self.um_per_px):
            raise PluginError(
                f"{label}: um_per_px is {self.um_per_px!r}; expected micrometres per pixel, such as"
                " 0.5, or () where it was trained at none in particular."
            )
        if not _are_numbers(self.known_output) or len(self.known_output) > self.width:
            raise PluginError(
                f"{label}: known_output is {self.known_output!r}; expected the first of its"
                f" {self.width} features, as numbers."
            )
        if not _are_numbers([self.parameters_millions]) or self.parameters_millions < 0:
            raise PluginError(
                f"{label}: parameters_millions is {self.parameters_millions!r}; expected a number,"
                " 0 where it is not known."
            )

    def _check_texts(self, label: str) -> None:
        stage = self.pooling.startswith("stage-") and self.pooling[6:].isdigit()
        known = _POOLINGS[self.loader]
        if ("stage-N" if stage else self.pooling) not in known:
            raise PluginError(
                f"{label}: pooling {self.pooling!r} is none of {', '.join(known)}, which loader"
                f" {self.loader!r} has."
            )
        if self.source.startswith("hf-hub:") and "/" not in self.source:
            raise PluginError(
                f"{label}: source {self.source!r} names no repository of the hub; expected"
                " 'hf-hub:owner/name'."
            )
        if not isinstance(self.gated, bool):
            raise PluginError(f"{label}: gated must be True or False, found {self.gated!r}.")
        if not isinstance(self.arguments, Mapping) or not _is_plain(dict(self.arguments)):
            raise PluginError(
                f"{label}: arguments must map names to plain values (numbers, texts, lists), found"
                f" {self.arguments!r}. A class is given as a text, such as 'torch.nn.SiLU'."
            )
        for name in ("seen_slides", "aliases"):
            values = getattr(self, name)
            if values is None and name == "seen_slides":
                continue
            if not isinstance(values, tuple | list) or not all(
                isinstance(each, str) and each for each in values
            ):
                raise PluginError(
                    f"{label}: {name} must be a tuple of texts, found {values!r}."
                    + (" `None` stands for what is not known." if name == "seen_slides" else "")
                )

    @property
    def hub_id(self) -> str:
        """``owner/name`` of the hub, empty where its weights are elsewhere."""
        if not self.source.startswith("hf-hub:"):
            return ""
        return "/".join(self.source.removeprefix("hf-hub:").split("/")[:2])

    @property
    def hub_file(self) -> str:
        """The file that ``source`` names; empty for the usual ones."""
        if not self.hub_id:
            return ""
        return "/".join(self.source.removeprefix("hf-hub:").split("/")[2:])


def _is_plain(value: object) -> bool:
    """Whether a value can be told to another process, and stand in a key."""
    try:
        told = json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError, RecursionError):
        return False
    return isinstance(value, dict) and set(told) == set(value)


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _are_numbers(values: object) -> bool:
    return isinstance(values, tuple | list) and all(
        isinstance(v, int | float) and not isinstance(v, bool) and math.isfinite(v) for v in values
    )
