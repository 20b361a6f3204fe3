"""Random slides for timing networks, in tables that need NumPy alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from spared_bench.data import COUNTS, MASK, TARGET, Patches, Slides
from spared_bench.data.contract import EXPRESSED, PREFILLED


class Column:
    """A column of a table."""

    def __init__(self, values: np.ndarray) -> None:
        self._values = values

    def to_numpy(self, dtype: Any = None) -> np.ndarray:
        return np.asarray(self._values, dtype=dtype)


class Columns:
    """Named columns of one length."""

    def __init__(self, columns: dict[str, np.ndarray]) -> None:
        self._columns = columns

    def __contains__(self, name: object) -> bool:
        return name in self._columns

    def __getitem__(self, names: Any) -> Column:
        if isinstance(names, str):
            return Column(self._columns[names])
        return Column(np.column_stack([self._columns[name] for name in names]))

    def rows(self, rows: np.ndarray) -> Columns:
        return Columns({name: values[rows] for name, values in self._columns.items()})


@dataclass
class Spots:
    """What ``Slides`` reads of an AnnData."""

    obs: Columns
    obsm: dict[str, np.ndarray]
    layers: dict[str, np.ndarray]
    var_names: list[str]
    var: Columns = field(default_factory=lambda: Columns({}))
    uns: dict[str, Any] = field(default_factory=dict)

    @property
    def n_obs(self) -> int:
        return len(self.obsm["spatial"])

    @property
    def n_vars(self) -> int:
        return len(self.var_names)

    def __getitem__(self, rows: np.ndarray) -> Spots:
        obsm = {name: values[rows] for name, values in self.obsm.items()}
        layers = {name: values[rows] for name, values in self.layers.items()}
        return Spots(self.obs.rows(rows), obsm, layers, self.var_names, self.var, self.uns)


def made_up_slides(
    n_spots: int, n_genes: int = 128, size: int = 224
) -> tuple[Slides, np.ndarray, np.ndarray]:
    """Return random patches and targets, as slides and as arrays."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (n_spots, size, size, 3), dtype=np.uint8)
    target = rng.normal(size=(n_spots, n_genes)).astype(np.float32)
    row, column = np.divmod(np.arange(n_spots), 8)
    ids = np.full(n_spots, "made_up")
    spots: Any = Spots(
        Columns({"slide_id": ids, "array_row": row, "array_col": column}),
        {"spatial": 100.0 * np.column_stack([column, row])},
        {
            COUNTS: rng.poisson(3, target.shape).astype(np.float32),
            TARGET: target,
            PREFILLED: target,
            MASK: np.ones_like(target, dtype=bool),
        },
        [f"gene{number}" for number in range(n_genes)],
        Columns({EXPRESSED: rng.uniform(0.5, 1.0, n_genes)}),
    )
    return Slides(spots, Patches([images])), images, target
