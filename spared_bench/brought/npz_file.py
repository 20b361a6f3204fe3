"""A numpy archive: an array of predictions, with the names of its spots and genes beside it."""

from __future__ import annotations

import zipfile
import zlib
from collections import Counter
from pathlib import Path
from typing import IO, Any

import numpy as np

from spared_bench.brought.collecting import Named
from spared_bench.errors import SubmissionError

_VALUES = ("predictions", "prediction", "predicted", "mean", "X")
_SPOTS = ("spots", "obs_names", "barcodes")
_GENES = ("genes", "var_names", "gene_names")
_MOST_BYTES = 4_000_000_000
_NUMBERS = "iufb"


def read_npz(path: Path, layer: str = "") -> tuple[Named, Named | None]:
    """Open ``numpy.savez(path, predictions=..., spots=..., genes=...)``, maybe with ``variance``.

    Raises
    ------
    SubmissionError
        If an array is missing, stands twice, holds Python objects (which are never unpickled), is
        larger than 4 GB, or does not fit the names.
    """
    try:
        with zipfile.ZipFile(path) as packed:
            held = _held(packed, path)
            spots = _names(packed, path, _one(path, held, _SPOTS, "spots"))
            genes = _names(packed, path, _one(path, held, _GENES, "genes"))
            shape = len(spots), len(genes)
            values = _array(packed, path, _one(path, held, _VALUES, "predictions"), shape)
            variance = _array(packed, path, "variance", shape) if "variance" in held else None
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError) as error:
        raise _refused(path, f"it is no sound .npz: {str(error)[:200]}") from error
    told = None if variance is None else _named(path, spots, genes, variance)
    return _named(path, spots, genes, values), told


def _named(path: Path, spots: list[str], genes: list[str], values: np.ndarray) -> Named:
    block = spots, lambda rows, columns: values[np.ix_(rows, columns)].astype(np.float64)
    return Named(path.name, genes, iter([block]))


def _held(packed: zipfile.ZipFile, path: Path) -> set[str]:
    """Return the names of the arrays; a zip, unlike a folder, can hold one name twice."""
    members = [name for name in packed.namelist() if name.endswith(".npy")]
    for name, times in Counter(members).items():
        if times > 1:
            raise _refused(
                path,
                f"it holds {name[:200]!r} {times} times, and which of them is meant cannot be told."
                " Write it again, each array once",
            )
    return {name.removesuffix(".npy") for name in members}


def _one(path: Path, held: set[str], names: tuple[str, ...], what: str) -> str:
    for name in names:
        if name in held:
            return name
    raise _refused(
        path,
        f"it has no array of {what} (called {', '.join(names)}); it has"
        f" {', '.join(sorted(held)[:8]) or 'none'}. Write it with `numpy.savez(path,"
        " predictions=array, spots=names, genes=names)`",
    )


def _names(packed: zipfile.ZipFile, path: Path, name: str) -> list[str]:
    found = _read(packed, path, name, "US")
    if found.ndim != 1:
        raise _refused(path, f"{name} has shape {found.shape}; expected one name each")
    texts = np.char.decode(found, "utf-8", "replace") if found.dtype.kind == "S" else found
    return [str(each) for each in texts]


def _array(packed: zipfile.ZipFile, path: Path, name: str, shape: tuple[int, int]) -> np.ndarray:
    found = _read(packed, path, name, _NUMBERS)
    if found.shape != shape:
        turned = f". It lies the other way round: save `{name}.T`"
        raise _refused(
            path,
            f"{name} has shape {found.shape}, and the names are of {shape} (spots, genes)"
            f"{turned if found.shape == shape[::-1] else ''}",
        )
    return found


def _read(packed: zipfile.ZipFile, path: Path, name: str, kinds: str) -> np.ndarray:
    """Read an array whose header says that it is of the right kind and not too large."""
    with packed.open(f"{name}.npy") as file:
        try:
            shape, _, dtype = _header(file)
        except (ValueError, SyntaxError, EOFError) as error:
            raise _refused(path, f"{name} is no array: {str(error)[:200]}") from error
    if dtype.hasobject or dtype.kind not in kinds:
        what = "Python objects, which are never read" if dtype.hasobject else f"{dtype}"
        wanted = "text" if "U" in kinds else "numbers"
        raise _refused(
            path,
            f"{name} holds {what}; expected {wanted}"
            + (" (`numpy.asarray(names, dtype=str)`)" if "U" in kinds else ""),
        )
    if float(np.prod(shape, dtype=np.float64)) * dtype.itemsize > _MOST_BYTES:
        raise _refused(path, f"{name} would take more than {_MOST_BYTES / 1e9:.0f} GB")
    with packed.open(f"{name}.npy") as file:
        try:
            return np.asarray(np.lib.format.read_array(file, allow_pickle=False))
        except (ValueError, EOFError, MemoryError) as error:
            raise _refused(path, f"{name} cannot be read: {str(error)[:200]}") from error


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        return np.lib.format.read_array_header_1_0(file)
    return np.lib.format.read_array_header_2_0(file)


def _refused(path: Path, reason: str) -> SubmissionError:
    return SubmissionError(f"{path.name} cannot be read as predictions: {reason}.")
