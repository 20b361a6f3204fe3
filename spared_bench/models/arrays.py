"""What a fitted method learnt, on disk: named arrays and a few facts in one safetensors file.

No pickle, so that a file from a stranger can be opened without running their code.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from spared_bench.errors import CorruptEntryError, MissingFileError

FILE_NAME = "learned.safetensors"
_FACTS = "spared_bench"


def save_arrays(folder: Path, arrays: Mapping[str, np.ndarray], **facts: Any) -> Path:
    """Write arrays and JSON-ready facts into a folder, which is made if need be.

    Returns
    -------
    Path
        Of the file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / FILE_NAME
    whole = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    save_file(whole, path, metadata={_FACTS: json.dumps(facts)})
    return path


def load_arrays(folder: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Read what ``save_arrays`` wrote, into this folder or as this file: arrays and facts.

    Raises
    ------
    MissingFileError
        If nothing was saved in this folder.
    CorruptEntryError
        If the file is no safetensors file of ours.
    """
    path = folder if folder.is_file() else folder / FILE_NAME
    if not path.is_file():
        raise MissingFileError(
            f"{folder} holds no {FILE_NAME}: expected a folder that `save` wrote. Fit the method"
            " again, or name the right folder."
        )
    try:
        with safe_open(path, framework="numpy") as file:
            facts = json.loads((file.metadata() or {})[_FACTS])
            return {name: file.get_tensor(name) for name in file.keys()}, facts  # noqa: SIM118
    except (SafetensorError, KeyError, ValueError) as error:
        raise CorruptEntryError(
            f"{path} cannot be read as what a fitted method saved ({error}). It is damaged or from"
            " elsewhere: fit the method again."
        ) from error
