"""Features within slides, against scikit-learn; parts of known slides as parts of a whole."""

from __future__ import annotations

import numpy as np
from sklearn.preprocessing import StandardScaler

from spared_bench.models.arrays import load_arrays, save_arrays
from spared_bench.models.slide_standards import SlideStandards


def test_each_slide_is_standardised_alone_as_scikit_learn_does(rng):
    slides = np.array(["a"] * 30 + ["b"] * 20 + ["c"])
    values = rng.normal(5, 3, size=(51, 4)).astype(np.float32)
    values[slides == "b", 2] = 0.1  # constant on one slide, and no number of binary digits
    found = SlideStandards().apply(values, slides, rng.normal(size=(51, 2)))
    for slide in "ab":
        here = slides == slide
        expected = StandardScaler().fit_transform(values[here].astype(np.float64))
        columns = [0, 1, 3] if slide == "b" else slice(None)
        np.testing.assert_allclose(found[here][:, columns], expected[:, columns], atol=1e-5)
    assert (found[slides == "b", 2] == 0).all()
    assert (found[slides == "c"] == 0).all()


def test_a_strip_of_a_known_slide_is_standardised_as_a_part_of_it(rng, tmp_path):
    slides, places = np.repeat("a", 40), rng.normal(size=(40, 2))
    values = rng.normal(5, 3, size=(40, 3)).astype(np.float32)
    expected = StandardScaler().fit_transform(values.astype(np.float64))
    known = SlideStandards.fitted(values, slides, places)
    save_arrays(tmp_path, known.arrays())
    read = SlideStandards.from_arrays(load_arrays(tmp_path)[0])
    for standards in (known, read):
        strip = standards.apply(values[30:], slides[30:], places[30:])
        np.testing.assert_allclose(strip, expected[30:], atol=1e-5)


def test_another_slide_of_the_same_id_is_standardised_by_itself(rng):
    slides, values = np.repeat("a", 40), rng.normal(5, 3, size=(40, 3)).astype(np.float32)
    known = SlideStandards.fitted(values, slides, rng.normal(size=(40, 2)))
    other = rng.normal(-2, 1, size=(25, 3)).astype(np.float32)
    found = known.apply(other, slides[:25], rng.normal(size=(25, 2)))
    expected = StandardScaler().fit_transform(other.astype(np.float64))
    np.testing.assert_allclose(found, expected, atol=1e-5)
