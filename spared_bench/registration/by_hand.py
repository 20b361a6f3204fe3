"""Transforms of sections that a person gives, where images do not tell.

One file for a dataset, ``DATA_DIR/registration/<dataset>.yaml``, which ``spared-bench data align
NAME --transforms FILE`` checks and puts there::

    C2: [[0.985, -0.172, 310.0], [0.172, 0.985, -920.0], [0, 0, 1]]

Each leads from full-resolution pixels of the section (x, y) to those of the middle section of its
sample.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from spared_bench.errors import ContractError, UsageError
from spared_bench.strict import in_one_line, load_mapping, text_of


def place_of(data_dir: Path, dataset: str) -> Path:
    """Return where the transforms of a dataset lie."""
    return data_dir / "registration" / f"{dataset}.yaml"


def read_transforms(path: Path) -> dict[str, list[list[float]]]:
    """Read a file of transforms.

    Returns
    -------
    dict of str to list
        By section, a matrix of 3 x 3.

    Raises
    ------
    UsageError
        If the file cannot be read.
    ContractError
        If what stands there is no such matrix.
    """
    found, what = {}, "file of transforms"
    text = text_of(path, what, UsageError)
    for name, values in load_mapping(text, str(path), what, UsageError, names=True).items():
        found[name] = checked_matrix(name, values).tolist()
    return found


def checked_matrix(name: str, values: object) -> np.ndarray:
    """Return a transform of a section as a matrix of shape (3, 3).

    Raises
    ------
    ContractError
        If it is none, or flattens the section.
    """
    try:
        matrix = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        matrix = np.empty(0)
    sound = matrix.shape == (3, 3) and np.isfinite(matrix).all()
    if not sound or not np.allclose(matrix[2], (0, 0, 1)) or abs(np.linalg.det(matrix)) < 1e-9:
        raise ContractError(
            f"The transform of section {name!r} must be 3 x 3 finite numbers with the last row"
            f" [0, 0, 1], and must not flatten the section; found {in_one_line(values)}."
        )
    return matrix
