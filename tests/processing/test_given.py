"""Patches that come with a slide are resized as windows of an image are."""

from __future__ import annotations

from types import SimpleNamespace

import h5py
import numpy as np
import pytest
import torch
from torch.nn.functional import interpolate

from spared_bench.data.views import View
from spared_bench.processing.given import GIVEN, GIVEN_ROWS, GIVEN_UM, write_given


@pytest.mark.parametrize("antialias", [True, False])
@pytest.mark.parametrize("size", [10, 30])
def test_windows_of_given_patches_are_interpolated_averaging_or_not(tmp_path, rng, antialias, size):
    images = rng.integers(0, 256, (4, 48, 48, 3), dtype=np.uint8)
    with h5py.File(tmp_path / "patches.h5", "w") as file:
        file["img"] = images
    rows = [2, 0, 3]
    facts = {GIVEN: tmp_path / "patches.h5", GIVEN_ROWS: rows, GIVEN_UM: 96.0, "um_per_px": 2.0}
    slide = SimpleNamespace(uns={"slide": facts})
    write_given(slide, View(um=48, size=size), antialias, tmp_path / "cut.npy")

    middle = torch.from_numpy(images[rows, 12:36, 12:36]).permute(0, 3, 1, 2).float()
    expected = interpolate(middle, (size, size), mode="bilinear", antialias=antialias)
    found = np.load(tmp_path / "cut.npy").astype(float)
    assert np.abs(found - expected.permute(0, 2, 3, 1).numpy()).max() <= 1.01
