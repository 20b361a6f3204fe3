"""The expression map: the right genes, in the right places, for every kind of score."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from spared_bench.reports.expression_map import _choose, _side_by_side, expression_map


def made_up(rng, n_slides=2, n_spots=40, n_genes=4):
    n = n_slides * n_spots
    ids = np.repeat([f"slide{i}" for i in range(n_slides)], n_spots)
    places = rng.uniform(0, 1000, size=(n, 2))
    truth = rng.normal(size=(n, n_genes))
    return places, ids, truth, 0.5 * truth, rng.random((n, n_genes)) > 0.3


@pytest.mark.parametrize("n_slides", [1, 2, 7])
def test_a_png_is_written_with_two_rows_of_maps(rng, tmp_path, n_slides):
    places, ids, truth, prediction, mask = made_up(rng, n_slides)
    scores = np.array([0.1, np.nan, -0.4, 0.8])

    expression_map(tmp_path / "a.png", places, ids, truth, prediction, mask, list("abcd"), scores)
    one = scores * np.array([np.nan, np.nan, np.nan, 1])
    expression_map(tmp_path / "b.png", places, ids, truth, prediction, mask, list("abcd"), one)

    with Image.open(tmp_path / "a.png") as two_rows, Image.open(tmp_path / "b.png") as one_row:
        assert two_rows.format == "PNG"
        assert two_rows.height > 1.8 * one_row.height
        assert np.asarray(two_rows.convert("L")).std() > 10  # it is not blank


def test_the_best_and_the_worst_gene_are_chosen_by_their_score(rng):
    *_, truth, _, mask = made_up(rng)

    chosen = _choose(np.array([0.1, np.nan, -0.4, 0.8]), truth, mask)

    assert chosen == [(3, "best gene"), (2, "worst gene")]


def test_without_any_score_the_most_variable_measured_gene_is_drawn(rng, tmp_path):
    places, ids, truth, _, mask = made_up(rng)
    truth[:, 2] *= 5
    truth[~mask] = 1e6  # what is not measured decides nothing

    assert _choose(np.full(4, np.nan), truth, mask) == [(2, "most variable gene")]
    constant = np.ones_like(truth)
    scores = np.full(4, np.nan)
    expression_map(tmp_path / "a.png", places, ids, truth, constant, mask, list("abcd"), scores)
    assert (tmp_path / "a.png").stat().st_size > 1000


def test_slides_keep_their_shape_and_do_not_overlap(rng):
    places, ids, *_ = made_up(rng, n_slides=5)

    moved, labels = _side_by_side(places, ids)

    boxes = []
    for name in dict.fromkeys(ids):
        here = ids == name
        np.testing.assert_allclose(np.ptp(moved[here], axis=0), np.ptp(places[here], axis=0))
        np.testing.assert_allclose(
            moved[here] - moved[here][0], places[here] - places[here][0], atol=1e-9
        )
        boxes.append((moved[here].min(axis=0), moved[here].max(axis=0)))
    for i, (low, high) in enumerate(boxes):
        for other_low, other_high in boxes[i + 1 :]:
            assert (high < other_low).any() or (other_high < low).any()
    assert [name for name, _, _ in labels] == list(dict.fromkeys(ids))


@pytest.mark.parametrize("symbol", ["$\\frac{", "a_b^c$", "<b>", "基因"])
@pytest.mark.filterwarnings("ignore:Glyph")
def test_any_gene_symbol_can_be_drawn(rng, tmp_path, symbol):
    places, _, truth, prediction, mask = made_up(rng, n_slides=1)
    ids = [symbol] * len(places)

    expression_map(
        tmp_path / "a.png", places, ids, truth, prediction, mask, [symbol] * 4, np.arange(4.0)
    )

    assert (tmp_path / "a.png").is_file()


def test_a_gene_without_a_measured_spot_and_a_slide_of_one_spot_can_be_drawn(tmp_path):
    truth = np.array([[1.0]])

    expression_map(
        tmp_path / "a.png", np.zeros((1, 2)), ["s"], truth, truth, truth > 5, ["g"], np.array([0.0])
    )

    assert (tmp_path / "a.png").is_file()
