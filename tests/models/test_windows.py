import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spared_bench.errors import CoordinateError, WithheldError
from spared_bench.models.graphs import nearest
from spared_bench.models.window_cutting import cut_pieces, cut_windows
from spared_bench.models.window_units import WindowUnits, size_factors, table_rows


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 120), st.integers(1, 40), st.floats(0, 3), st.integers(1, 12), st.integers(0, 99)
)
def test_the_cores_are_a_partition_and_a_window_holds_its_core(n, limit, margin, extent, seed):
    places = np.random.default_rng(seed).integers(0, extent, (n, 2)).astype(float)
    windows = cut_windows(places, limit, margin)

    cores = np.concatenate([window.spots[window.core] for window in windows])
    assert sorted(cores) == list(range(n))
    for window in windows:
        one_place = len(np.unique(places[window.spots[window.core]], axis=0)) == 1
        assert len(window.spots) <= limit or one_place


def test_a_slide_that_is_small_enough_is_one_window():
    (window,) = cut_windows(np.random.default_rng(0).uniform(size=(30, 2)), 30, 2.0)
    assert window.spots.tolist() == window.core.tolist() == list(range(30))


def test_a_window_sees_a_margin_of_so_many_neighbour_distances():
    line = np.stack([np.arange(100) * 5.0, np.zeros(100)], axis=1)
    windows = cut_windows(line, 40, margin=3)
    for window in windows:
        core = window.spots[window.core]
        low, high = max(core.min() - 3, 0), min(core.max() + 3, 99)
        assert window.spots.tolist() == list(range(low, high + 1))
    assert len(windows) == 4


def test_windows_do_not_depend_on_the_order_of_the_spots(rng):
    places = rng.integers(0, 20, (90, 2)).astype(float)
    order = rng.permutation(90)

    def as_sets(windows, names):
        return [(set(names[w.spots]), set(names[w.spots[w.core]])) for w in windows]

    first = as_sets(cut_windows(places, 30, 1.0), np.arange(90))
    assert as_sets(cut_windows(places[order], 30, 1.0), order) == first


def test_coordinates_beyond_the_table_of_positions_are_an_error_that_says_its_size():
    assert table_rows(np.array([[0.0, 63.0], [4.9999, 2.0]]), 64).tolist() == [[0, 63], [5, 2]]
    message = r"from 0 to 127.*rows 0 to 63.*`n_positions` to 128"
    with pytest.raises(CoordinateError, match=message):
        table_rows(np.array([[0, 127]]), 64)
    with pytest.raises(CoordinateError, match=r"from -2 to 5.*number the array from 0"):
        table_rows(np.array([[-2, 5]]), 64)


def test_a_size_factor_is_a_total_over_the_median_of_its_slide():
    counts = np.array([[1, 1], [4, 0], [3, 3], [0, 0], [0, 0], [7, 0]])
    slide_ids = np.array(["a", "a", "a", "b", "b", "b"])
    assert size_factors(counts, slide_ids).tolist() == [0.5, 1.0, 1.5, 1.0, 1.0, 1.0]


def test_a_batch_holds_the_spots_of_a_window_and_the_truth_of_its_core(tiny_slides):
    train = tiny_slides.train
    units = WindowUnits(train, max_spots=25, margin=1.0, n_positions=16, counts=True)
    assert sorted(np.concatenate(units.predicted)) == list(range(80))
    assert len(units) > 2
    for i, window in enumerate(units.windows):
        batch = units.batch(torch.tensor([i]))
        assert len(set(train.slide_ids[window.spots])) == 1
        assert batch.images.shape == (len(window.spots), 3, 24, 24)
        places = train.array_coordinates[window.spots][:, ::-1]
        np.testing.assert_array_equal(batch.positions.numpy(), places)
        core = window.spots[batch.core.numpy()]
        np.testing.assert_array_equal(batch.target.numpy(), train.target[core])
        np.testing.assert_array_equal(batch.mask.numpy(), train.mask[core])
        np.testing.assert_array_equal(batch.counts.numpy(), train.counts[core])


def test_counts_are_withheld_where_expression_is(tiny_slides):
    bare = tiny_slides.test.without_expression()
    with pytest.raises(WithheldError, match="'counts' is not visible"):
        _ = bare.counts
    batch = WindowUnits(bare, 100, 1.0, 16, counts=True).batch(torch.tensor([0]))
    assert batch.counts.shape == batch.target.shape == (40, 0)
    assert batch.size_factors.tolist() == [1.0] * 40


def literal_pieces(places, n):
    """Piece by piece, in the words of the description."""
    columns, rows = sorted({x for x, _ in places}), sorted({y for _, y in places}, reverse=True)
    wide, high = max(len(columns) // n, 1), max(len(rows) // n, 1)
    pieces = {}
    for spot, (x, y) in enumerate(places):
        row = min(rows.index(y) // high, n - 1)
        column = min(columns.index(x) // wide, n - 1)
        pieces.setdefault(row * n + column, []).append(spot)
    return [pieces[number] for number in sorted(pieces)]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 4), st.integers(1, 120))
def test_pieces_are_those_of_the_description_and_small_ones_join_others(seed, n, n_spots):
    places = np.random.default_rng(seed).integers(0, 12, (n_spots, 2)).astype(float)
    expected = literal_pieces(places.tolist(), n)
    pieces = cut_pieces(places, n)
    assert sorted(np.concatenate(pieces).tolist()) == list(range(n_spots))
    assert len(pieces) == 1 or min(map(len, pieces)) >= 5
    if min(map(len, expected)) >= 5:
        assert [piece.tolist() for piece in pieces] == expected


def test_a_small_piece_joins_the_next_and_the_last_the_one_before():
    corner = [(9.0, 9.0)] * 2  # the first: largest y is the first row, and x = 9 its right half
    many = [(0.0, 0.0)] * 6 + [(9.0, 0.0)] * 6
    assert [len(piece) for piece in cut_pieces(np.array(corner + many), 2)] == [8, 6]
    few = [(9.0, 0.0)] * 2
    assert [len(piece) for piece in cut_pieces(np.array(many[:6] + few), 2)] == [8]


def test_a_piece_stands_for_a_slide_of_its_own(tiny_slides):
    train = tiny_slides.train
    units = WindowUnits(
        train, 0, 0.0, 16, counts=True, neighbours=lambda array: nearest(array, 4), pieces=2
    )
    assert len(units) == 8
    assert sorted(np.concatenate(units.predicted).tolist()) == list(range(80))
    for unit, spots in enumerate(units.predicted):
        assert len(set(train.slide_ids[spots])) == 1
        batch = units.batch(torch.tensor([unit]))
        assert len(batch.images) == len(batch.target) == len(spots)
        totals = train.counts[spots].sum(axis=1)
        np.testing.assert_allclose(batch.size_factors, totals / np.median(totals), rtol=1e-5)
        expected = nearest(train.array_coordinates[spots], 4)
        np.testing.assert_array_equal(batch.edges, expected)


def test_without_a_limit_a_slide_is_one_window(rng):
    places = rng.uniform(size=(50, 2))
    assert [len(window.core) for window in cut_windows(places, 0, 1.0)] == [50]
