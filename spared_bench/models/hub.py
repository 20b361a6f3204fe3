"""Weights files of declared encoders: in the user's folder, in the hub's cache, or fetched from it.

Nothing here is asked for without need: a file at hand is used without a word to the network.
"""

from __future__ import annotations

import os
import re
from functools import lru_cache
from pathlib import Path
from typing import NoReturn

from spared_bench.errors import WeightsUnavailableError
from spared_bench.keys.hashing import digest, file_digest
from spared_bench.models.weights_folder import SUFFIXES, WEIGHTS_FOLDER, is_offline
from spared_bench.specs import EncoderSpec

_FILES = ("model.safetensors", "pytorch_model.bin")
_SHA256 = re.compile(r"[0-9a-f]{64}")


def own_file(spec: EncoderSpec) -> Path | None:
    """Return the file, or the folder, of an encoder in the folder that the user names.

    ``<name>.safetensors`` (or ``.pth``, ``.pt``, ``.bin``), or a folder ``<name>`` that holds what
    the hub has; of an encoder that is a network of timm or torchvision as published, also one that
    is named after the network, which takes the place of its weights (``build_backbone``).

    Raises
    ------
    WeightsUnavailableError
        If the variable names no folder, or the encoder's folder holds no weights.
    """
    if not os.environ.get(WEIGHTS_FOLDER):
        return None
    folder = Path(os.environ[WEIGHTS_FOLDER]).expanduser()
    if not folder.is_dir():
        raise WeightsUnavailableError(
            f"{WEIGHTS_FOLDER} must name a folder of weights files; {str(folder)!r} is none."
        )
    names = [spec.name, *spec.aliases]
    if spec.loader in ("timm", "torchvision") and not spec.hub_id:
        names.append(str(spec.arguments.get("model") or spec.source))
    for name in names:
        for suffix in SUFFIXES:
            if (file := folder / f"{name}{suffix}").is_file():
                return file.resolve()
        if (folder / name).is_dir():
            return in_folder(spec, folder / name)
    return None


def in_folder(spec: EncoderSpec, folder: Path) -> Path:
    """Return the weights in a folder that holds what the hub has; of transformers, the folder.

    Raises
    ------
    WeightsUnavailableError
        If there are none.
    """
    names = (spec.hub_file,) if spec.hub_file else _FILES
    found = next((folder / name for name in names if (folder / name).is_file()), None)
    if found is None:
        raise WeightsUnavailableError(
            f"The folder {folder} holds no weights of encoder {spec.name!r}: expected"
            f" {' or '.join(names)}, as {spec.hub_id or 'its source'} has them."
        )
    return folder.resolve() if spec.loader == "transformers" else found.resolve()


def cached_file(spec: EncoderSpec) -> Path | None:
    """Return the file in the hub's cache on this machine, if it is there."""
    from huggingface_hub import try_to_load_from_cache

    names = (spec.hub_file,) if spec.hub_file else _FILES
    revision = spec.arguments.get("revision")
    found = (try_to_load_from_cache(spec.hub_id, name, revision=revision) for name in names)
    return next((Path(each) for each in found if isinstance(each, str)), None)


def hub_file(spec: EncoderSpec) -> Path:
    """Return an encoder's file from the hub, fetching it where it is not in the cache.

    Raises
    ------
    WeightsUnavailableError
        With what to do: who gives access, and where a file could lie instead.
    """
    require_hub(spec)
    if (found := cached_file(spec)) is not None:
        return found
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import (
        EntryNotFoundError,
        GatedRepoError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
    )

    names = (spec.hub_file,) if spec.hub_file else _FILES
    for name in names:
        try:
            revision = spec.arguments.get("revision")
            return Path(hf_hub_download(spec.hub_id, name, revision=revision))
        except LocalEntryNotFoundError as error:  # the library's word for no connection
            refuse(spec, "the hub does not answer", error)
        except EntryNotFoundError:
            continue
        except (GatedRepoError, RepositoryNotFoundError) as error:
            refuse(spec, "the hub does not let this token in", error)
        except OSError as error:
            refuse(spec, f"{type(error).__name__}: {' '.join(str(error).split())[:200]}", error)
    refuse(spec, f"{spec.hub_id} holds none of {', '.join(names)}")


def require_hub(spec: EncoderSpec) -> None:
    """Raise at once what ``hub_file`` would raise for want of a network or a token.

    Raises
    ------
    WeightsUnavailableError
    """
    if cached_file(spec) is not None:
        return
    if is_offline():
        refuse(spec, "they are not on this machine, and downloading is switched off")
    from huggingface_hub import constants, get_token

    if spec.gated and not get_token():
        refuse(spec, "they are gated, and there is no token on this machine")
    from spared_bench.models.weights import require_answer

    try:
        require_answer(f"{constants.ENDPOINT}/{spec.hub_id}", spec.name)
    except WeightsUnavailableError as error:
        reason = str(error).partition(": ")[2].partition(" Three ways out:")[0].rstrip(".")
        refuse(spec, reason, error)


def refuse(spec: EncoderSpec, why: str, cause: Exception | None = None) -> NoReturn:
    """Raise ``WeightsUnavailableError`` with the ways in."""
    raise WeightsUnavailableError(
        f"The weights of encoder {spec.name!r} cannot be had: {why}. {ways_in(spec)}"
    ) from cause


def ways_in(spec: EncoderSpec) -> str:
    """Say how to get at the weights of an encoder, and where to put them."""
    told = []
    if spec.hub_id:
        page = f"https://huggingface.co/{spec.hub_id}"
        told.append(
            f"Ask for access at {page}, then give the token with `hf auth login`, or in HF_TOKEN."
            if spec.gated
            else f"They are at {page}."
        )
    where = f"{spec.name}.safetensors (or .pth), or a folder {spec.name} with what the hub has,"
    if spec.loader == "transformers":
        where = f"a folder {spec.name} with what the hub has (config.json and the weights)"
    told.append(f"Or put {where.rstrip(',')} into the folder that {WEIGHTS_FOLDER} names.")
    return " ".join(told)


def content_digest(path: Path) -> str:
    """Return the SHA-256 of a file, or of the files of a folder; the hub's cache knows its own."""
    if path.is_dir():
        parts = sorted(each for each in path.rglob("*") if each.is_file())
        return digest({each.relative_to(path).as_posix(): content_digest(each) for each in parts})
    real = path.resolve()
    if path.is_symlink() and _SHA256.fullmatch(real.name) and real.parent.name == "blobs":
        return real.name
    facts = real.stat()
    return _digest_of(real, facts.st_size, facts.st_mtime_ns)


@lru_cache(maxsize=256)
def _digest_of(path: Path, size: int, changed: int) -> str:
    """Hash a file of gigabytes once, and again when it has changed."""
    return file_digest(path)
