from __future__ import annotations

import numpy as np
import pytest

from spared_bench.completion.masking import draw_hidden, hide, hiding_probabilities
from spared_bench.errors import UsageError, WithheldError
from tests.completion.making import changed, slides_of


def test_the_probabilities_are_those_of_the_published_rules():
    expressed = np.array([0.75, 0.25, 1.0, 0.0])
    fraction = hiding_probabilities(expressed, "fraction", 0.3)
    prob_median = hiding_probabilities(expressed, "prob_median")
    assert fraction == pytest.approx([0.4, 1, 0.3, 1])
    assert prob_median == pytest.approx([1 / 3, 1, 0, 1])


def test_an_unknown_rule_is_refused_with_the_nearest_name():
    with pytest.raises(UsageError, match=r"No masking rule is named 'fractoin'\. .*'fraction'"):
        hiding_probabilities(np.ones(2), "fractoin")


def test_about_the_wanted_part_of_all_entries_is_hidden_and_only_measured_ones(rng):
    mask = rng.random((4000, 3)) < [0.9, 0.6, 0.4]
    hidden = draw_hidden(mask, hiding_probabilities(mask.mean(axis=0), rate=0.3), seed=1)
    assert not (hidden & ~mask).any()
    assert hidden.mean(axis=0) == pytest.approx([0.3] * 3, abs=0.03)


def test_the_same_seed_hides_the_same_entries():
    mask = np.ones((30, 3), dtype=bool)
    drawn = [draw_hidden(mask, np.full(3, 0.5), seed) for seed in (1, 1, 2)]
    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert (drawn[0] != drawn[2]).any()


def test_hidden_entries_look_unmeasured_and_the_others_as_before():
    slides = slides_of([20, 15])
    hidden = draw_hidden(slides.mask, np.full(4, 0.5), 0)
    seen = hide(slides, hidden)
    np.testing.assert_array_equal(seen.mask, slides.mask & ~hidden)
    np.testing.assert_array_equal(seen.target, np.where(seen.mask, slides.target, 0))
    np.testing.assert_array_equal(seen.prefilled[seen.mask], slides.target[seen.mask])
    assert slides.mask[hidden].all()  # the slides themselves are as they were


def test_nothing_that_a_completer_sees_depends_on_what_was_hidden():
    slides = slides_of([20, 15])
    hidden = draw_hidden(slides.mask, np.full(4, 0.5), 0)
    other = np.where(hidden, 1000, slides.target)
    lie = changed(slides, target=other, prefilled=np.where(hidden, 1000, slides.prefilled))

    first, second = hide(slides, hidden), hide(lie, hidden)

    assert set(first.adata.layers) == {"mask", "target", "prefilled"}
    for layer in first.adata.layers:
        np.testing.assert_array_equal(first.adata.layers[layer], second.adata.layers[layer])


def test_counts_and_expression_are_withheld():
    slides = slides_of([12])
    slides.adata.layers["counts"] = slides.target
    slides.adata.X = slides.target
    seen = hide(slides, np.zeros_like(slides.mask))
    assert seen.adata.X is None
    with pytest.raises(WithheldError, match="'counts' is not visible"):
        seen._layer("counts")
