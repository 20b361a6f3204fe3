"""First weights of a backbone: from a local file, a cache or the network, without running code.

Where they cannot be had, the error comes within seconds and says what else can be done.
"""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn
from urllib.error import HTTPError
from urllib.parse import urlparse
from urllib.request import Request, urlopen

import torch
from torch import Tensor, nn

from spared_bench.errors import WeightsUnavailableError
from spared_bench.models.weights_folder import WEIGHTS_FOLDER, file_of, is_offline

_TIMEOUT_S = 10


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

    Raises
    ------
    WeightsUnavailableError
        If the file cannot be read in this way.
    """
    try:
        if file.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(file)
        state = torch.load(file, map_location="cpu", weights_only=True)
        for key in ("state_dict", "model"):
            state = state.get(key, state)
        return {name: value for name, value in state.items() if isinstance(value, Tensor)}
    except Exception as error:
        raise WeightsUnavailableError(
            f"The weights file {file} cannot be read: {type(error).__name__}: {error}. Expected"
            " named tensors in .safetensors, or in .pth without other Python objects."
        ) from error


def load_body(network: nn.Module, heads: tuple[str, ...], file: Path) -> None:
    """Load a file into all of a network but its last layers, and insist that all of it is there.

    Parameters
    ----------
    network : nn.Module
    heads : tuple of str
        Names of the last layers, which stay as they are.
    file : Path

    Raises
    ------
    WeightsUnavailableError
        If the file cannot be read, or holds another network.
    """
    state = read_weights(file)
    last = tuple(f"{head}." for head in heads)
    shapes = {name: value.shape for name, value in network.state_dict().items()}
    body = {name: shape for name, shape in shapes.items() if not name.startswith(last)}
    wrong = [name for name in body if name not in state or state[name].shape != body[name]]
    if wrong:
        raise WeightsUnavailableError(
            f"The weights file {file} belongs to another network: {len(wrong)} of {len(body)}"
            f" tensors are missing or of another shape, {wrong[0]!r} first. Expected tensors named"
            " as in the state_dict of timm's or torchvision's network."
        )
    network.load_state_dict({name: state[name] for name in body}, strict=False)


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
