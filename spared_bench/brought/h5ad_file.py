"""AnnData as scanpy writes it, through HDF5 alone: names and the wanted values, and nothing else.

``anndata.read_h5ad`` would read everything that a file holds, and follow its links into others.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from spared_bench.brought.collecting import Block, Named
from spared_bench.brought.sparse_parts import ByColumns, read_rows
from spared_bench.errors import SubmissionError, did_you_mean

_ENTRIES_AT_ONCE = 20_000_000  # 160 MB
_MOST_NAMES = 20_000_000
_MOST_GENES = 1_000_000
_PREDICTED, _VARIANCE = "predicted", "variance"


def read_h5ad(path: Path, layer: str = "") -> tuple[Named, Named | None]:
    """Open the predictions of an AnnData, and the variances where it has a layer of them.

    Parameters
    ----------
    path : Path
    layer : str
        ``"X"`` or a layer; by default ``predicted`` where there is one, else ``X``.

    Raises
    ------
    SubmissionError
        If it is no AnnData, lacks the layer, or links to other files.
    """
    import h5py

    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise _refused(path, f"it is no HDF5 file: {str(error)[:200]}") from error
    spots, genes = (_index(file, path, axis) for axis in ("obs", "var"))
    if len(genes) > _MOST_GENES:
        raise _refused(path, f"it has {len(genes)} genes; at most {_MOST_GENES} are read")
    layers = list(_child(file, "layers", path)) if "layers" in file else []
    named = layer or (_PREDICTED if _PREDICTED in layers else "X")
    if named != "X" and named not in layers:
        hint = did_you_mean(named, layers)
        raise _refused(
            path,
            f"it has no layer {named!r}; its layers are {', '.join(layers) or 'none'}."
            f"{f' {hint}' if hint else ''} `--layer X` takes X",
        )
    where = "X" if named == "X" else f"layers/{named}"
    table = Named(path.name, genes, _blocks(file, path, where, spots, len(genes)))
    if _VARIANCE not in layers or layer == _VARIANCE:
        return table, None
    told = f"{path.name}, layer {_VARIANCE!r}"
    blocks = _blocks(file, path, f"layers/{_VARIANCE}", spots, len(genes))
    return table, Named(told, genes, blocks)


def _child(parent: Any, name: str, path: Path) -> Any:
    """Return a member that lies in the file itself."""
    import h5py

    for part in name.split("/"):
        link = parent.get(part, getlink=True)
        if link is None:
            raise _refused(path, f"it has no {name}, so it is no AnnData with predictions")
        if not isinstance(link, h5py.HardLink):
            raise _refused(path, f"{name} is a link to another place, which is not followed")
        parent = parent[part]
    if isinstance(parent, h5py.Dataset) and (parent.is_virtual or parent.external):
        raise _refused(path, f"{name} lies in another file, which is not opened")
    return parent


def _index(file: Any, path: Path, axis: str) -> list[str]:
    import h5py

    group = _child(file, axis, path)
    name = group.attrs.get("_index", "_index") if isinstance(group, h5py.Group) else ""
    if not isinstance(name, str) or not name or "/" in name:
        raise _refused(path, f"{axis} has no index")
    held = _child(group, name, path)
    if isinstance(held, h5py.Group) and held.attrs.get("encoding-type") == "nullable-string-array":
        held = _child(held, "values", path)
    if not isinstance(held, h5py.Dataset) or held.ndim != 1 or held.shape[0] > _MOST_NAMES:
        raise _refused(path, f"the index of {axis} is no list of at most {_MOST_NAMES:,} names")
    if not h5py.check_string_dtype(held.dtype):
        raise _refused(path, f"the index of {axis} holds {held.dtype}; expected names")
    return [str(each) for each in held.asstr(errors="replace")[:]]


def _blocks(file: Any, path: Path, where: str, spots: list[str], n_genes: int) -> Iterator[Block]:
    import h5py

    matrix = _child(file, where, path)
    step = max(1, min(1_024, _ENTRIES_AT_ONCE // max(n_genes, 1)))
    if isinstance(matrix, h5py.Dataset):
        if matrix.shape != (len(spots), n_genes) or matrix.dtype.kind not in "iufb":
            raise _refused(
                path,
                f"{where} has shape {matrix.shape} and holds {matrix.dtype}; expected numbers of"
                f" shape {(len(spots), n_genes)}",
            )
        for start in range(0, len(spots), step):

            def read(rows: np.ndarray, columns: np.ndarray, start: int = start) -> np.ndarray:
                return _told(path, lambda: _dense(matrix, start, rows, columns))

            yield spots[start : start + step], read
        return
    kind = str(matrix.attrs.get("encoding-type", "something unknown"))
    if kind not in ("csr_matrix", "csc_matrix"):
        raise _refused(
            path,
            f"{where} is stored as {kind!r}; dense arrays and sparse matrices (csr, csc) are read",
        )
    parts = tuple(_child(matrix, part, path) for part in ("data", "indices", "indptr"))
    n_pointers = 1 + (len(spots) if kind == "csr_matrix" else n_genes)
    if parts[2].shape != (n_pointers,):
        raise _refused(path, f"{where} has {parts[2].shape} pointers, and not {n_pointers}")
    by_columns = ByColumns(parts, len(spots), n_genes)
    for start in range(0, len(spots), step):

        def sparse(rows: np.ndarray, columns: np.ndarray, start: int = start) -> np.ndarray:
            if kind == "csc_matrix":
                return _told(path, lambda: by_columns.read(start, rows, columns))
            return _told(path, lambda: read_rows(parts, start, rows, columns, n_genes))

        yield spots[start : start + step], sparse


def _told(path: Path, read: Any) -> np.ndarray:
    try:
        values: np.ndarray = read()
        return values
    except (OSError, ValueError, IndexError, TypeError) as error:
        raise _refused(path, f"its values are damaged: {str(error)[:200]}") from error


def _dense(matrix: Any, start: int, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    first, last = int(rows.min()), int(rows.max()) + 1
    block = np.asarray(matrix[start + first : start + last], dtype=np.float64)
    return block[np.ix_(rows - first, columns)]


def _refused(path: Path, reason: str) -> SubmissionError:
    return SubmissionError(f"{path.name} cannot be read as predictions: {reason}.")
