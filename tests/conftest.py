"""Shared fixtures: random numbers, and small data made on the spot so that nothing is downloaded."""

from __future__ import annotations

import numpy as np
import pytest


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20240711)
