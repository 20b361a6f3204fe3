"""Parts of an array in an HDF5 file that nobody wrote, which are read as zeros without a word."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def unwritten(array: Any) -> int:
    """Return how many chunks of an array of h5py have no place in its file.

    Writers give a place to what is zero, too; a chunk without one is left by an interrupted one.
    """
    if array.is_virtual or array.external or not array.size or not array.shape:
        return 0
    if array.chunks is None:
        return int(array.id.get_storage_size() == 0)
    sides = zip(array.shape, array.chunks, strict=True)
    return math.prod(-(-length // side) for length, side in sides) - array.id.get_num_chunks()


def unwritten_part(path: Path) -> str:
    """Return the first matrix, or image, of an ``.h5ad`` that lacks chunks; empty for none."""
    import h5py

    with h5py.File(path) as file:
        for name, matrix in _matrices(file):
            parts = matrix.values() if isinstance(matrix, h5py.Group) else [matrix]
            if any(isinstance(part, h5py.Dataset) and unwritten(part) for part in parts):
                return name
    return ""


def _matrices(file: Any) -> Iterator[tuple[str, Any]]:
    """Yield counts, coordinates, and all that squidpy keeps in ``uns["spatial"]``."""
    for name in ("X", "raw/X", "obsm/spatial"):
        if name in file:
            yield name, file[name]
    for name, layer in file.get("layers", {}).items():
        yield f"layers/{name}", layer
    yield from _below("uns/spatial", file.get("uns/spatial"))


def _below(place: str, found: Any) -> Iterator[tuple[str, Any]]:
    if not hasattr(found, "items"):
        yield place, found
        return
    for name, inner in found.items():
        yield from _below(f"{place}/{name}", inner)
