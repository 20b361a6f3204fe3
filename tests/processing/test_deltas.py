from __future__ import annotations

import numpy as np

from spared_bench.processing.deltas import deltas


def test_only_training_spots_decide_the_mean():
    values = np.array([[1.0, 2.0], [3.0, 4.0], [100.0, -100.0]])
    differences, means = deltas(values, np.array([True, True, False]))
    assert means.tolist() == [2, 3]
    assert differences.tolist() == [[-1, -1], [1, 1], [98, -103]]
