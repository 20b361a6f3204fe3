"""Predictions of the toy dataset, as an outsider may hold them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from spared_bench.trials.products import prepared_table


@pytest.fixture
def table(bench):
    return prepared_table(bench, "toy")


@pytest.fixture
def frame(bench, table, rng):
    """Noisy predictions of the evaluated slides, a DataFrame with full names."""
    rows = table.obs["split"].to_numpy() == bench.dataset("toy").evaluation_split
    values = np.asarray(table.layers["target"])[rows]
    noisy = values + rng.normal(0, 0.3, values.shape)
    return pd.DataFrame(noisy, index=table.obs_names[rows], columns=table.var_names)
