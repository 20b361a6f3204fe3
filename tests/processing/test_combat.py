from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spared_bench.errors import DataError, ShapeMismatchError
from spared_bench.processing.combat import combat, fit_combat

BATCHES = np.array(list("aaabbb"))
GIVEN = np.array(
    [[1, 2, 3, 4, 6, 8], [0, 1, 0, 2, 5, 3], [7, 5, 6, 2, 1, 3], [4, 4.5, 5, 6, 6.5, 8]]
).T
# What the package of the published benchmark returns; its defect spares the first gene.
PUBLISHED = np.array(
    [
        [2.468587, 3.914965, 5.361343, 2.503567, 4.136488, 5.769409],
        [1.267758, 2.777285, 1.267758, 0.852092, 3.294616, 1.666267],
        [4.839849, 3.934163, 4.387006, 3.677968, 3.010549, 4.345386],
        [4.896515, 5.612908, 6.329301, 5.073339, 5.480744, 6.702957],
    ]
).T
TEXTBOOK = np.array(
    [
        [2.468587, 3.914965, 5.361343, 2.503567, 4.136488, 5.769409],
        [1.266967, 2.779168, 1.266967, 0.851875, 3.294855, 1.666202],
        [5.440550, 2.961352, 4.200951, 3.720311, 2.897517, 4.543106],
        [4.885513, 5.613694, 6.341876, 5.072261, 5.480258, 6.704251],
    ]
).T


@pytest.mark.parametrize(("published", "expected"), [(True, PUBLISHED), (False, TEXTBOOK)])
def test_both_versions_give_their_known_answers(published, expected):
    corrected = combat(GIVEN, BATCHES, published=published)
    np.testing.assert_allclose(corrected, expected, rtol=0, atol=6e-7)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_the_textbook_version_does_not_depend_on_the_order_of_genes_or_spots(seed):
    rng = np.random.default_rng(seed)
    batches = np.repeat(["x", "y", "z"], [4, 7, 9])
    values = rng.normal(size=(20, 6)) + rng.normal(size=(3, 6))[np.repeat([0, 1, 2], [4, 7, 9])]
    genes, spots = rng.permutation(6), rng.permutation(20)
    whole = combat(values, batches)
    np.testing.assert_allclose(combat(values[:, genes], batches), whole[:, genes], atol=1e-10)
    np.testing.assert_allclose(combat(values[spots], batches[spots]), whole[spots], atol=1e-10)


def test_the_published_version_depends_on_the_order_of_genes():
    turned = combat(GIVEN[:, ::-1], BATCHES, published=True)[:, ::-1]
    assert np.abs(turned - combat(GIVEN, BATCHES, published=True)).max() > 0.01


def test_a_shift_between_batches_is_mostly_removed(rng):
    batches = np.repeat([0, 1], 200)
    values = rng.normal(size=(400, 30)) + 5.0 * batches[:, None]
    corrected = combat(values, batches)
    gap = corrected[:200].mean(axis=0) - corrected[200:].mean(axis=0)
    assert np.abs(gap).max() < 0.5


def test_one_batch_is_returned_as_it_is():
    np.testing.assert_array_equal(combat(GIVEN, np.zeros(6)), GIVEN)


def test_genes_that_are_constant_in_every_batch_are_left_alone_and_do_not_disturb_others():
    flat = np.column_stack([np.full(6, 2.0), GIVEN, np.repeat([1.0, 9.0], 3)])
    corrected = combat(flat, BATCHES)
    np.testing.assert_array_equal(corrected[:, [0, 5]], flat[:, [0, 5]])
    np.testing.assert_allclose(corrected[:, 1:5], combat(GIVEN, BATCHES))


def test_a_batch_of_one_spot_and_a_single_gene_give_finite_values():
    assert np.isfinite(combat(GIVEN, np.array(list("aaabbc")))).all()
    assert np.isfinite(combat(GIVEN[:, :1], BATCHES)).all()


def test_a_fit_gives_the_known_batches_their_shift_and_leaves_an_unknown_one_alone():
    correction = fit_combat(GIVEN, BATCHES)
    for rows in ([0], [1, 5, 3]):  # spot by spot as all at once
        np.testing.assert_allclose(
            correction.apply(GIVEN[rows], BATCHES[rows]), TEXTBOOK[rows], rtol=0, atol=6e-7
        )
    np.testing.assert_array_equal(correction.apply(GIVEN, np.full(6, "z")), GIVEN)


def test_a_missing_batch_label_is_refused():
    with pytest.raises(ShapeMismatchError, match=r"one batch label per spot.*\(6, 4\).*\(5,\)"):
        combat(GIVEN, BATCHES[:5])


def test_an_iteration_that_cannot_end_is_told():
    with pytest.raises(DataError, match=r"did not settle.*batch_correction: none"):
        combat(GIVEN, BATCHES, tolerance=-np.inf)
