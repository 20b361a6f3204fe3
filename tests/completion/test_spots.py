"""Neighbourhoods in batches, held against the arrays that they are taken from, spot by spot."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from spared_bench.completion.neighbourhoods import two_hops
from spared_bench.completion.spots import SpotUnits
from tests.completion.making import slides_of

ROWS = [5, 0, 17]


@pytest.fixture
def table():
    return two_hops(slides_of([30, 1]))


@pytest.fixture
def values(table, rng):
    return rng.normal(size=(len(table), 6))


@pytest.fixture
def measured(table, rng):
    return rng.random((len(table), 6)) > 0.3


def batch(values, measured, table, rows=ROWS, **more):
    units = SpotUnits(values, measured, table, "cpu", **more)
    assert len(units) == len(table)
    return units.batch(torch.tensor(rows))


def test_every_slot_has_what_its_spot_has(values, measured, table):
    found = batch(values, measured, table)

    assert found.values.dtype == torch.float32
    for place, spot in enumerate(ROWS):
        for slot, other in enumerate(table.index[spot]):
            np.testing.assert_allclose(found.values[place, slot], values[other], rtol=1e-6)
            assert found.measured[place, slot].tolist() == measured[other].tolist()
        assert found.present[place].tolist() == table.present[spot].tolist()
        np.testing.assert_array_equal(found.distance[place], table.distance[spot])
    np.testing.assert_allclose(found.target, values[ROWS], rtol=1e-6)
    assert not found.hidden.any()  # nobody asked for any


def test_what_is_hidden_is_so_wherever_its_spot_appears(values, measured, table, rng):
    hidden = rng.random(values.shape) > 0.5

    found = batch(values, measured, table, hidden=hidden)

    for place, spot in enumerate(ROWS):
        for slot, other in enumerate(table.index[spot]):
            wanted = hidden[other] & measured[other] & table.present[spot, slot]
            assert found.hidden[place, slot].tolist() == wanted.tolist()
    np.testing.assert_array_equal(found.mask, (hidden & measured)[ROWS])


def test_each_gene_is_hidden_with_its_own_probability_and_only_where_it_was_measured(
    values, measured, table
):
    chances = np.array([0.0, 1.0, 0.5, 0.5, 0.25, 0.9])
    rows = list(range(30)) * 40

    found = batch(values, measured, table, rows, probabilities=chances)

    there = found.measured & found.present[..., None]
    assert not (found.hidden & ~there).any()
    for gene, chance in enumerate(chances):
        share = found.hidden[..., gene][there[..., gene]].float().mean()
        assert share == pytest.approx(chance, abs=0.02)


def test_of_several_rates_a_neighbourhood_takes_one(values, measured, table):
    rates = np.array([np.zeros(6), np.ones(6)])
    rows = list(range(30)) * 10

    found = batch(values, measured, table, rows, probabilities=rates)

    there = found.measured & found.present[..., None]
    all_, none = (
        (found.hidden == there).flatten(1).all(dim=1),
        (~found.hidden).flatten(1).all(dim=1),
    )
    assert (all_ ^ none).all()
    assert 0.35 < all_.float().mean() < 0.65


def test_a_spot_without_neighbours_is_alone_in_its_neighbourhood(values, measured, table):
    found = batch(values, measured, table, [30], probabilities=np.ones(6))

    assert found.present[0].tolist() == [True] + [False] * (table.index.shape[1] - 1)
    assert not found.hidden[0, 1:].any()
    assert found.mask[0].tolist() == measured[30].tolist()
