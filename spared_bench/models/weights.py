"""First weights of a backbone: from a local file, a cache or the network, without running code.

Where they cannot be had, the error comes within seconds and says what else can be done.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, NoReturn
from urllib.error import HTTPError
from urllib.parse import urlparse
from urllib.request import Request, urlopen

import torch
from torch import Tensor, nn

from spared_bench.errors import WeightsUnavailableError
from spared_bench.models.weights_folder import WEIGHTS_FOLDER, file_of, is_offline
from spared_bench.models.weights_match import (
    Match,
    best_match,
    entry_of,
    suggested_options,
    unwrapped,
)

_TIMEOUT_S = 10
_FEWEST_BYTES = 2  # of a number that was not quantised
_EXPECTED = "Expected named tensors in .safetensors, or in .pth without other Python objects."
_ZIP = b"PK"
_SAME_NETWORK = 0.9  # of its tensors: an average over the training may lack counters
#: Entries of a checkpoint that are its network: Lightning's, that of PyTorch's tutorials, timm's.
_NETWORKS = ("state_dict", "model_state_dict", "model")


def local_file(name: str, weights: str) -> Path | None:
    """Return the file that the user means, or ``None`` where it is the published one.

    Parameters
    ----------
    name : str
        Of the backbone.
    weights : str
        ``"pretrained"``, for which the folder named in SPARED_BENCH_WEIGHTS is searched, or a path.

    Raises
    ------
    WeightsUnavailableError
        If the path is no file, or the variable names no folder.
    """
    if weights != "pretrained":
        file = Path(weights).expanduser()
        if not file.is_file():
            raise WeightsUnavailableError(
                f"weights must be 'pretrained', 'random' or an existing file; found {weights!r},"
                " and there is no such file."
            )
        return file
    return file_of(name)


def read_weights(file: Path) -> dict[str, Tensor]:
    """Read named tensors from a ``.safetensors`` or ``.pth`` file, running no code from it.

    Parameters
    ----------
    file : Path
        Of a checkpoint, what its entry ``state_dict``, ``model_state_dict`` or ``model`` holds;
        tensors in deeper entries are named after these: ``teacher.backbone.norm.weight``.

    Raises
    ------
    WeightsUnavailableError
        If the file cannot be read in this way, or holds no tensors.
    """
    try:
        if file.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(file)
        whole = torch.load(file, map_location="cpu", weights_only=True)
        chosen, state = _chosen(whole)
        tensors = dict(_named_tensors(state))
        again = _copies(whole, chosen, tensors)
    except Exception as error:
        # PyTorch's own message advises to run what is in the file.
        why = "it is no file of PyTorch, or holds what is no tensor, which is never run"
        if not isinstance(error, UnpicklingError):
            why = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        raise WeightsUnavailableError(
            f"The weights file {file} cannot be read: {why}. {_what_it_is(file) or _EXPECTED}"
        ) from error
    if again:
        named = " and ".join(map(repr, [".".join(chosen), *again]))
        raise WeightsUnavailableError(
            f"The weights file {file} holds the network {1 + len(again)} times, as {named}: an"
            " average over its training, say, which gives other features. Save the one that is"
            " meant on its own."
        )
    if not tensors:
        raise WeightsUnavailableError(
            f"The weights file {file} holds no named tensors. Expected the state_dict of a network."
        )
    return tensors


def _what_it_is(file: Path) -> str:
    """Say what stands in the place of weights; PyTorch's own files are zip archives, if whole."""
    from spared_bench.readers.instead import instead  # which comes with all readers

    try:
        with file.open("rb") as stream:
            return "" if stream.read(len(_ZIP)) == _ZIP else instead(file)
    except OSError:  # which is what was told
        return ""


def _named_tensors(state: Mapping[Any, Any], before: str = "") -> Iterator[tuple[str, Tensor]]:
    for name, value in state.items():
        if isinstance(value, Tensor):
            yield f"{before}{name}", value
        elif isinstance(value, Mapping):
            yield from _named_tensors(value, f"{before}{name}.")


def _chosen(whole: Mapping[Any, Any]) -> tuple[list[str], Mapping[Any, Any]]:
    """Return the entries of a checkpoint that lead to the network, and what is there."""
    keys: list[str] = []
    state = whole
    for key in _NETWORKS:
        if isinstance(inner := state.get(key), Mapping):
            keys, state = [*keys, key], inner
    return keys, state


def _copies(whole: Any, chosen: list[str], tensors: Mapping[str, Tensor]) -> list[str]:
    """Return what else in a checkpoint holds a network of the same tensors, by what leads there.

    Whatever wrappers stand before either, and however deep it lies: ``callbacks.EMA.weights``.
    """
    own = "".join(f"{key}." for key in chosen)
    shapes = {unwrapped(name): value.shape for name, value in tensors.items()}
    alike: dict[str, list[str]] = {}
    for path, value in _named_tensors(whole):
        parts = path.split(".")
        ends = (".".join(parts[at:]) for at in range(len(parts)))
        end = next((each for each in ends if shapes.get(each) == value.shape), "")
        if end and not (own and path.startswith(own)):
            alike.setdefault(parts[0], []).append(path.removesuffix(end).rstrip("."))
    copies = [found for found in alike.values() if len(found) >= _SAME_NETWORK * len(shapes)]
    return [entry_of(min(found, key=len)) for found in copies] if own else []


def load_body(network: nn.Module, heads: tuple[str, ...], file: Path) -> None:
    """Load a file into all of a network but its last layers, and insist that it is all of the file.

    Parameters
    ----------
    network : nn.Module
    heads : tuple of str
        Names of the last layers, which stay as they are.
    file : Path

    Raises
    ------
    WeightsUnavailableError
        If the file cannot be read, or holds another network, a larger one among them.
    """
    state = read_weights(file)
    last = tuple(f"{head}." for head in heads)
    own = network.state_dict()
    body = {name: value for name, value in own.items() if not name.startswith(last)}
    best = best_match(body, heads, state)
    if not best.whole:
        _refuse(best, body, state, file)
    values = {name: state[best.prefix + name] for name in body if best.prefix + name in state}
    require_trained(values, body, file)
    network.load_state_dict(values, strict=False)


def require_trained(values: Mapping[str, Tensor], own: Mapping[str, Tensor], file: Path) -> None:
    """Refuse tensors of a file that are none that a network was trained to.

    Parameters
    ----------
    values, own : mapping of str to Tensor
        What the file holds, and the network's, under the same names.
    file : Path
        For the message.

    Raises
    ------
    WeightsUnavailableError
    """
    for name, value in values.items():
        if why := _why_no_weights(name, value, own[name]):
            raise WeightsUnavailableError(
                f"The weights file {file} cannot be used: its tensor {name!r} {why}. Expected"
                " finite numbers of 16 bits or more; take the file that was not converted."
            )


def _why_no_weights(name: str, value: Tensor, own: Tensor) -> str:
    """Say why the values of a tensor are not those that a network was trained to; "" if they are.

    Whole numbers would be taken as they are, and those of a quantised network are so many steps.
    Biases, places and tokens may be zero throughout; what multiplies an input is so in no network.
    """
    if value.layout != torch.strided or value.is_meta or value.is_quantized:
        return "holds no plain values"
    if not own.is_floating_point():
        return ""
    if not value.is_floating_point() or value.element_size() < _FEWEST_BYTES:
        return f"is {str(value.dtype).removeprefix('torch.')}, as of a quantised network"
    if not value.isfinite().all():
        return "holds nan or infinite values"
    if value.ndim > 1 and name.endswith("weight") and not value.any():
        return "is zero throughout, as in a file of which a part never came"
    return ""


def _refuse(match: Match, body: Mapping[str, Tensor], state: Any, file: Path) -> NoReturn:
    """Say in what a file differs from the network, and what that speaks for."""
    wrong = match.lacking + match.other_shape
    if wrong:
        what = (
            f"{len(wrong)} of {len(body)} tensors are missing or of another shape,"
            f" {wrong[0]!r} first"
        )
    else:
        what = (
            f"it holds {len(match.left_over)} tensors that the network has no place for,"
            f" {match.left_over[0]!r} first, and would give other features without them"
        )
    shared = len(state) - len(match.left_over)
    alike = 2 * shared >= min(len(body), len(state))  # else it is of something else altogether
    options = suggested_options(match, body, state) if alike else ""
    if options:
        hint = (
            f" The file suggests {options}: set it in the `options` of a method that has them, or"
            " take a backbone or an encoder that is made so."
        )
    elif entry := _entry_with(body, state):
        hint = f" Its entry {entry!r} holds this network: save that on its own."
    else:
        hint = " Expected tensors named as in the state_dict of timm's or torchvision's network."
    raise WeightsUnavailableError(
        f"The weights file {file} belongs to another network: {what}.{hint}"
    )


def _entry_with(body: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> str:
    """Return the entry of a file that holds this network under its own names; "" without one."""
    first = next(iter(body), "")
    for before in (name[: -len(first)] for name in state if first and name.endswith(f".{first}")):
        inside = {name: state.get(before + name) for name in body}
        same = [value is not None and value.shape == body[n].shape for n, value in inside.items()]
        if sum(same) >= _SAME_NETWORK * len(body):
            return before.removesuffix(".")
    return ""


def in_torch_cache(url: str) -> bool:
    """Whether ``torch.hub`` has already downloaded this file."""
    return Path(torch.hub.get_dir(), "checkpoints", Path(urlparse(url).path).name).is_file()


def require_answer(url: str, name: str) -> None:
    """Raise within seconds where a server is away; the libraries retry for most of a minute.

    Raises
    ------
    WeightsUnavailableError
        Also where downloading is switched off; nothing is asked then.
    """
    if is_offline():
        unavailable(name, "they are not on this machine, and downloading is switched off")
    try:
        urlopen(Request(url, method="HEAD"), timeout=_TIMEOUT_S).close()
    except HTTPError:
        return  # It answers; the library may say what it makes of it.
    except OSError as error:
        unavailable(name, f"{urlparse(url).netloc} does not answer ({error})", error)


def unavailable(name: str, why: str, cause: Exception | None = None) -> NoReturn:
    """Raise ``WeightsUnavailableError`` with the three ways out."""
    raise WeightsUnavailableError(
        f"The pretrained weights of {name!r} cannot be fetched: {why}. Three ways out:"
        " `--weights FILE` with a local .safetensors or .pth file; a folder of such files, named"
        f" {name}.safetensors and so on, in the environment variable {WEIGHTS_FOLDER}; or"
        " `--weights random`, which the result records."
    ) from cause
