"""The feature-barcode matrix of 10x Genomics' software, as HDF5 or as a folder of three files."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

import numpy as np

from spared_bench.errors import CountsError, MissingFileError

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

_H5 = "filtered_feature_bc_matrix.h5"
_MTX = "filtered_feature_bc_matrix"
_GENES = "Gene Expression"


@dataclass(frozen=True)
class FeatureMatrix:
    """Counts as read: spots x genes.

    Parameters
    ----------
    matrix : csr_matrix of float32, of shape (n_spots, n_genes)
    barcodes : list of str
    ids, symbols : list of str
        Of the genes; symbols need not be unique.
    """

    matrix: csr_matrix
    barcodes: list[str]
    ids: list[str]
    symbols: list[str]


def read_feature_matrix(folder: Path) -> FeatureMatrix:
    """Read the filtered matrix, HDF5 before mtx; features that are no genes are left out.

    Raises
    ------
    MissingFileError
        If there is neither, or several HDF5 files.
    CountsError
        If what is there is damaged.
    """
    h5 = sorted(path for path in folder.glob(f"*{_H5}") if not path.name.startswith("."))
    if len(h5) > 1:
        raise MissingFileError(
            f"{folder} holds {len(h5)} matrices: {[path.name for path in h5]}. Keep the one of"
            " this slide."
        )
    if h5:
        return _read_h5(h5[0])
    if (folder / _MTX).is_dir():
        return _read_mtx(folder / _MTX)
    raise MissingFileError(
        f"There are no counts in {folder}: expected {_H5} or the folder {_MTX}/. Name the folder"
        " that Space Ranger calls `outs`."
    )


def _read_h5(path: Path) -> FeatureMatrix:
    import h5py
    from scipy import sparse

    try:
        with h5py.File(path) as file:
            group = file["matrix"]
            features = group["features"]
            kinds = features["feature_type"].asstr()[:]
            ids, symbols = features["id"].asstr()[:], features["name"].asstr()[:]
            barcodes = group["barcodes"].asstr()[:]
            # Columns of the file are spots: read as rows, the same arrays are their transpose.
            parts = (group["data"][:].astype(np.float32), group["indices"][:], group["indptr"][:])
            matrix = sparse.csr_matrix(parts, shape=(len(barcodes), len(ids)))
            matrix.check_format(full_check=True)
    except (OSError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise _damaged(path, error) from error
    return _genes_only(matrix, list(barcodes), ids, symbols, kinds)


def _read_mtx(folder: Path) -> FeatureMatrix:
    from scipy import io, sparse

    try:
        barcodes = [line[0] for line in _rows(folder / "barcodes.tsv")]
        features = np.array([(*line, _GENES)[:3] for line in _rows(folder / "features.tsv")])
        with _open(folder / "matrix.mtx") as file:
            matrix = sparse.csr_matrix(io.mmread(file).T.astype(np.float32))
        if matrix.shape != (len(barcodes), len(features)):
            raise ValueError(
                f"the matrix is {matrix.shape[1]} x {matrix.shape[0]}, but there are"
                f" {len(features)} features and {len(barcodes)} barcodes"
            )
    except FileNotFoundError as error:
        raise MissingFileError(
            f"{error.filename} is missing. Copy the whole folder {_MTX} of Space Ranger's output."
        ) from error
    except (OSError, EOFError, ValueError, IndexError) as error:
        raise _damaged(folder, error) from error
    return _genes_only(matrix, barcodes, *features.T)


def _genes_only(
    matrix: csr_matrix,
    barcodes: list[str],
    ids: np.ndarray,
    symbols: np.ndarray,
    kinds: np.ndarray,
) -> FeatureMatrix:
    genes = np.flatnonzero(kinds == _GENES)
    if len(genes) < len(ids):
        matrix = matrix[:, genes]
    return FeatureMatrix(matrix, barcodes, list(ids[genes]), list(symbols[genes]))


def _rows(path: Path) -> list[list[str]]:
    with _open(path) as file:
        return [line.decode().rstrip("\n").split("\t") for line in file]


def _open(path: Path) -> IO[bytes]:
    """Open ``path.gz`` if it is there, else ``path``."""
    packed = path.with_name(f"{path.name}.gz")
    return cast(IO[bytes], gzip.open(packed)) if packed.is_file() else path.open("rb")


def _damaged(path: Path, error: Exception) -> CountsError:
    return CountsError(
        f"The feature-barcode matrix {path} cannot be read: {error}. It is damaged, incomplete or"
        " of another format; copy it again from Space Ranger's output."
    )
