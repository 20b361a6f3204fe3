"""Packing: steps that come back, a bound that holds, and the room shared out fairly."""

from __future__ import annotations

import base64
import zlib

import numpy as np
import pytest

from spared_bench.leaderboard.packing import (
    CHARACTERS,
    COARSE,
    FINE,
    Budget,
    extremes,
    packed,
    share_out,
)


@pytest.mark.parametrize("levels", [FINE, COARSE])
def test_values_come_back_to_half_a_step_and_gaps_as_gaps(rng, levels):
    values = rng.normal(size=(50, 7)) * np.arange(1, 8)
    values[:, 3] = 2.5  # constant
    seen = rng.random(values.shape) > 0.3
    seen[:, 5] = False
    low, high = extremes(values, seen)
    found = packed(values, seen, low, high, levels)

    steps = np.frombuffer(zlib.decompress(base64.b64decode(found["steps"])), dtype=np.uint8)
    steps = steps.reshape(7, 50).T
    np.testing.assert_array_equal(steps == 255, ~seen)
    back = low + (high - low) * steps / levels
    error = np.abs(np.where(seen, back - values, 0)).max(axis=0)
    assert (error <= (high - low) / levels / 2 + 1e-9).all()
    assert (low[5], high[5]) == (0, 0)


@pytest.mark.parametrize("levels", [FINE, COARSE])
def test_no_values_take_more_characters_than_the_bound(rng, levels):
    noise = rng.random((2_000, 40))  # which nothing can compress
    seen = np.ones(noise.shape, dtype=bool)
    text = packed(noise, seen, *extremes(noise, seen), levels)["steps"]

    assert len(text) <= CHARACTERS[levels] * noise.size


def test_all_is_kept_finely_where_it_fits():
    budget = share_out([100, 5_000], 5_100 * CHARACTERS[FINE])

    assert budget == Budget(FINE, 5_000)
    assert budget.stride(100, 50) == 1


@pytest.mark.parametrize("seed", range(20))
def test_the_room_is_used_up_and_small_maps_stay_whole(seed):
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 10_000, size=rng.integers(1, 40)).tolist()
    characters = float(rng.uniform(0.1, 0.9) * sum(sizes) * CHARACTERS[COARSE])
    bound = share_out(sizes, characters).values

    def taken(most: int) -> float:
        return sum(min(size, most) for size in sizes) * CHARACTERS[COARSE]

    assert taken(bound) <= characters
    assert taken(bound + 2) > characters or bound + 2 >= max(sizes)


def test_nothing_to_share_is_no_error():
    assert share_out([], 10.0).levels == FINE
    assert share_out([1_000], 0.0) == Budget(COARSE, 1)
