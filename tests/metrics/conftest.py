"""The published library's scores, and small random arrays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.fixture(scope="session", params=["human_2slides", "mouse_4slides"])
def golden_scores(request: pytest.FixtureRequest) -> dict[str, Any]:
    with np.load(GOLDEN / f"pipeline_{request.param}.npz") as archive:
        return dict(archive)


@pytest.fixture
def trio(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Truth, prediction and mask of 40 spots and 7 genes."""
    truth = rng.normal(5, 2, size=(40, 7))
    return truth, truth + rng.normal(size=truth.shape), rng.random(truth.shape) > 0.3
