"""Whether a file of weights is a network's own: every tensor of either, found in the other.

A file of a larger network holds all that a smaller one asks for, under the same names, and gives
other features once the rest is dropped. So what is left over has to be a last layer, a part that
only training has, or a number that follows from the others; anything else is refused.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from torch import Tensor

#: What training scripts and wrappers put before the names of a network.
_WRAPPERS = {
    "_orig_mod", "backbone", "base_encoder", "base_model", "encoder", "encoder_q", "model",
    "module", "net", "network", "resnet", "state_dict", "student", "teacher", "trunk", "visual",
}  # fmt: skip
#: Parts beside a wrapped network that give no features.
_OTHER_PARTS = {
    "classifier", "decoder", "dino_head", "dino_loss", "encoder_k", "fc", "head", "heads",
    "ibot_head", "ibot_patch_loss", "logit_bias", "logit_scale", "loss", "momentum_encoder",
    "optimizer", "predictor", "projection_head", "projector",
    "queue", "queue_ptr", "student", "text",
}  # fmt: skip
_LAST_LAYERS = ("fc", "head", "heads.head", "classifier", "last_linear")
#: Ends of names of what follows from the settings, or is seen in training alone.
_NO_FEATURE = (
    "num_batches_tracked", "relative_position_index", "attn_mask", "position_ids", "mask_token",
)  # fmt: skip


class Match(NamedTuple):
    """How a file and a network's body go together.

    Parameters
    ----------
    prefix : str
        Before the names of the network in the file.
    lacking, other_shape : list of str
        Of the network's tensors, those that are not in the file, and those of another shape there.
    left_over : list of str
        Of the file's tensors, those that the network has no place for, by their names in the file.
    """

    prefix: str
    lacking: list[str]
    other_shape: list[str]
    left_over: list[str]

    @property
    def whole(self) -> bool:
        """Whether the file holds this network and no other."""
        return not (self.lacking or self.other_shape or self.left_over)


def best_match(
    body: Mapping[str, Tensor], heads: Iterable[str], state: Mapping[str, Tensor]
) -> Match:
    """Compare a file with the body of a network under every prefix that it may have there.

    Parameters
    ----------
    body : mapping of str to Tensor
        The network's tensors without its last layers.
    heads : iterable of str
        Names of the last layers.
    state : mapping of str to Tensor
        What the file holds.

    Returns
    -------
    Match
        Under the prefix that fits best. Of a teacher and a student, the teacher is the network (it
        is what authors of self-distillation evaluate), and the student a part of training; any
        other second copy of the network is left over.
    """
    first = next(iter(body), "")
    prefixes = {name[: -len(first)] for name in state if first and name.endswith(first)} | {""}
    found = [
        _match(prefix, body, tuple(heads), state)
        for prefix in sorted(prefixes)
        if _is_wrapper(prefix)
    ]
    return min(
        found,
        key=lambda match: (len(match.lacking) + len(match.other_shape), len(match.left_over)),
    )


def unwrapped(name: str) -> str:
    """Return a tensor's name without what wrappers put before it."""
    parts = name.split(".")
    start = next((at for at, part in enumerate(parts) if part not in _WRAPPERS), len(parts) - 1)
    return ".".join(parts[start:])


def entry_of(prefix: str) -> str:
    """Return which entry of a checkpoint a prefix is of, without the wrappers at its end."""
    return re.sub(rf"(\.({'|'.join(_WRAPPERS)}))+$", "", prefix)


def _is_wrapper(prefix: str) -> bool:
    parts = prefix.split(".")
    return parts[-1] == "" and set(parts[:-1]) <= _WRAPPERS


def _match(
    prefix: str, body: Mapping[str, Tensor], heads: tuple[str, ...], state: Mapping[str, Tensor]
) -> Match:
    lacking, other_shape = [], []
    for name, value in body.items():
        if prefix + name not in state:
            if not name.endswith("num_batches_tracked"):  # files of before 2018 have none
                lacking.append(name)
        elif state[prefix + name].shape != value.shape:
            other_shape.append(name)
    aside = _beside_the_body(body, heads)
    left_over = [name for name in state if not _is_used(name, prefix, body, aside)]
    return Match(prefix, lacking, other_shape, left_over)


def _is_used(
    name: str, prefix: str, body: Mapping[str, Tensor], aside: Callable[[str], bool]
) -> bool:
    if name.endswith(_NO_FEATURE):
        return True
    if name.startswith(prefix):
        inner = name.removeprefix(prefix)
        return inner in body or aside(inner)
    # Beside a wrapped network: the first part of the name that is no wrapper tells what it is of.
    return next((part for part in name.split(".") if part not in _WRAPPERS - {"student"}), "") in (
        _OTHER_PARTS
    )


def _beside_the_body(body: Mapping[str, Tensor], heads: tuple[str, ...]) -> Callable[[str], bool]:
    """Return what tells a last layer by its name, whatever the width of its own."""
    whole = {f"{head}." for head in heads}
    # Without classes, some networks have no part at all where the others have their last layers.
    whole |= {
        top for top in (f"{head.split('.')[0]}." for head in heads)
        if not any(name.startswith(top) for name in body)
    }  # fmt: skip
    single = {f"{head}.{end}" for head in _LAST_LAYERS for end in ("weight", "bias")} - set(body)
    return lambda name: name in single or name.startswith(tuple(whole))


def suggested_options(match: Match, body: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> str:
    """Say which options of timm's constructors, or which other network, a file speaks for."""
    extra = {name.removeprefix(match.prefix): state[name] for name in match.left_over}
    told = [
        text
        for marks, text in (
            (("ls1.", "ls2.", "gamma_1", "gamma_2", "layer_scale"), "init_values: 1e-5"),
            (("q_norm.", "k_norm."), "qk_norm: true"),
            (("fc_norm.",), "global_pool: avg"),
            (("attn_pool.",), "global_pool: map"),
            (("norm_pre.",), "pre_norm: true"),
            ((".w12.", "fc1_g."), "a gated perceptron (SwiGLU)"),
        )
        if any(mark in name for mark in marks for name in extra)
    ]
    for name, value in extra.items():
        if name in {"reg_token", "register_tokens"}:
            told.append(f"reg_tokens: {value.shape[1]}")
    blocks = [int(part) + 1 for name in extra if (part := _block(name)) is not None]
    if blocks and max(blocks) > _depth(body):
        told.append(f"depth: {max(blocks)}")
    if any(name.endswith("qkv.bias") for name in match.lacking):
        told.append("qkv_bias: false")
    told += _of_shapes(match, body, state)
    return ", ".join(dict.fromkeys(told))


def _of_shapes(match: Match, body: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> list[str]:
    """Options that tensors of another shape speak for, the first of a kind."""
    told = []
    for name in match.other_shape:
        ours, theirs = body[name].shape, state[match.prefix + name].shape
        if name.endswith("pos_embed") and len(theirs) == 3 and ours[2] == theirs[2]:
            side = math.isqrt(max(theirs[1] - 1, 0))
            square = side**2 == theirs[1] - 1  # beside the class token
            told.append(
                f"an image of {side} x {side} tiles" if square else f"{theirs[1]} positions"
            )
        elif name.endswith("mlp.fc1.weight") and ours[1] == theirs[1]:
            told.append(f"mlp_ratio: {theirs[0] / theirs[1]:g}")
        elif name.endswith(("patch_embed.proj.weight", "conv_proj.weight")):
            told.append(f"patch_size: {theirs[-1]}")
    return told


def _block(name: str) -> str | None:
    before, _, after = name.partition("blocks.")
    number = after.partition(".")[0]
    return number if not before and number.isdigit() else None


def _depth(body: Mapping[str, Tensor]) -> int:
    return max((int(part) + 1 for name in body if (part := _block(name)) is not None), default=0)
