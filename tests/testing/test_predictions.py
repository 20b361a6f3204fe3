"""The kit on methods that predict variances and classes."""

from __future__ import annotations

import pytest

from spared_bench.registry import discover
from spared_bench.testing import outcomes, predictor_checks, tiny_slides
from spared_bench.testing.slides import CLASSES
from tests.conftest import TESTS

PARTS = "variances are not negative and probabilities of classes sum to one"


@pytest.fixture(scope="module")
def registry():
    return discover([TESTS / "labelled_plugin.py"])


def told(registry, name):
    checks = predictor_checks(name, registry)
    return {each.name: each for each in outcomes(f"predictor {name}", checks)}


def test_a_sound_method_passes_all_of_them(registry):
    found = told(registry, "full")
    assert [each.message for each in found.values() if each.status == "failed"] == []
    assert found[PARTS].status == "passed"


def test_a_negative_variance_is_found_out_by_its_sentence(registry):
    found = told(registry, "negative")
    assert found[PARTS].status == "failed"
    assert "'negative' returned a variance that is negative" in found[PARTS].message


def test_a_method_that_asks_for_labels_is_found_out(registry):
    assert "labels of these spots are not visible" in told(registry, "peeking")[PARTS].message


def test_a_plain_array_is_passed_over(registry):
    found = told(discover(), "gene-mean")
    assert (found[PARTS].status, found[PARTS].message) == (
        "skipped",
        "it predicts neither variances nor classes",
    )


def test_the_tiny_slides_have_labels_of_both_classes_and_of_none():
    slides = tiny_slides()
    assert slides.train.classes == CLASSES
    for part in slides:
        assert set(part.labels) == {"", *CLASSES}
