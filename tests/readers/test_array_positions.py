"""Array positions that are made from pixels are those of the array."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from spared_bench.api import load_dataset
from spared_bench.readers.array_positions import array_from_pixels

ROWS, COLUMNS = np.mgrid[:26, :40]
STAGGERED = np.stack([COLUMNS, ROWS], axis=-1)[(ROWS + COLUMNS) % 2 == 0]
SQUARE = np.stack([COLUMNS, ROWS], axis=-1).reshape(-1, 2)
#: Array positions, and micrometres between their columns and rows.
ARRAYS = {
    "Visium": (STAGGERED, (50.0, 50.0 * 3**0.5)),
    "ST": (SQUARE, (200.0, 200.0)),
    "stretched ST": (SQUARE, (200.0, 209.0)),
    "staggered ST": (STAGGERED, (100.0, 111.0)),
}


def turned(points, degrees):
    angle = np.deg2rad(degrees)
    cos, sin = np.cos(angle), np.sin(angle)
    return points @ np.array([[cos, sin], [-sin, cos]])


@pytest.mark.parametrize("name", ["mob_demo", "her2st_demo", "planted"])
def test_those_of_embedded_slides_are_found_from_their_pixels(name, tmp_path):
    table = load_dataset(name, protocol="demo", workspace=tmp_path).adata
    for slide in table.obs["slide_id"].unique():
        here = table[table.obs["slide_id"] == slide]
        told = here.obs[["array_col", "array_row"]].to_numpy()
        found = array_from_pixels(here.obsm["spatial"])
        np.testing.assert_array_equal(found, told - told.min(axis=0))


@pytest.mark.parametrize("name", ARRAYS)
@pytest.mark.parametrize("degrees", [0, -7, 8, 180])
def test_gaps_a_turn_and_loose_spots_change_nothing(name, degrees):
    array, steps = ARRAYS[name]
    rng = np.random.default_rng(5)
    array = array[rng.random(len(array)) < 0.5]
    pixels = 0.7 * turned(array * np.array(steps), degrees) + [3000, 5000]
    pixels += rng.normal(0, 0.02 * 0.7 * max(steps), pixels.shape)
    expected = array if degrees < 90 else -array
    np.testing.assert_array_equal(array_from_pixels(pixels), expected - expected.min(axis=0))


def pairs(points, reach):
    return {tuple(sorted(pair)) for pair in cKDTree(points).query_pairs(reach)}


@given(
    name=st.sampled_from(["Visium", "ST"]),
    degrees=st.floats(0, 360),
    um_per_px=st.floats(0.1, 30),
    mirrored=st.booleans(),
    seed=st.integers(0, 1000),
)
@settings(max_examples=60, deadline=None)
def test_neighbours_in_the_array_are_neighbours_on_the_slide(
    name, degrees, um_per_px, mirrored, seed
):
    array, steps = ARRAYS[name]
    kept = np.random.default_rng(seed).random(len(array)) < 0.7
    um = array[kept] * np.array(steps)
    pixels = turned(um * [-1 if mirrored else 1, 1], degrees) / um_per_px
    found = array_from_pixels(pixels)
    pitch, unit = (100.0, [1, 3**0.5]) if name == "Visium" else (200.0, [1, 1])
    places = found * np.array(unit)  # of a square array turned by 45 degrees, 1.4 apart
    nearest = np.median(cKDTree(places).query(places, 2)[0][:, 1])
    assert pairs(places, 1.1 * nearest) == pairs(um, 1.1 * pitch)


def test_spots_of_no_array_stand_at_their_pixels():
    rng = np.random.default_rng(3)
    scattered = rng.uniform(0, 1000, (400, 2))
    half = np.median(cKDTree(scattered).query(scattered, 2)[0][:, 1]) / 2
    expected = np.rint((scattered - scattered.min(axis=0)) / half)
    np.testing.assert_array_equal(array_from_pixels(scattered), expected)


@pytest.mark.parametrize(
    ("centres", "expected"),
    [
        ([[5, 7]], [[0, 0]]),
        ([[0, 0], [10, 0]], [[0, 0], [2, 0]]),
        ([[5, 7], [5, 7], [5, 7], [5, 7]], [[0, 0]] * 4),
        ([[0, 0], [10, 0], [20, 0], [30, 0], [40, 0]], [[0, 0], [2, 0], [4, 0], [6, 0], [8, 0]]),
    ],
)
def test_too_few_for_an_array(centres, expected):
    np.testing.assert_array_equal(array_from_pixels(np.array(centres)), expected)
