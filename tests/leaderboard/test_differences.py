"""Protocols in words: every difference that moves a score is told, and nothing that does not."""

from __future__ import annotations

import pytest

from spared_bench.leaderboard.differences import in_words, settings_of
from spared_bench.protocol import Protocol
from tests.board_samples import METRICS

PLAIN = Protocol(name="a", version=1)


def changed(**settings) -> dict[str, tuple[str, str]]:
    other = Protocol.model_validate({**PLAIN.model_dump(mode="json"), **settings})
    pairs = zip(in_words(PLAIN), in_words(other), strict=True)
    return {what: (one, two) for (what, one), (_, two) in pairs if one != two}


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({"comparable": False}, "Comparable with published numbers"),
        ({"processing": {"fit_on": "all"}}, "Which slides choose genes"),
        ({"processing": {"target": "log1p_cp10k"}}, "Target"),
        ({"processing": {"n_genes": 32}}, "Genes"),
        ({"processing": {"genes": ["A", "B"]}}, "Genes"),
        ({"processing": {"batch_correction": "combat"}}, "Batch correction"),
        ({"processing": {"zeros": "measured"}}, "Zeros"),
        ({"processing": {"smoothing": "array_neighbours"}}, "Smoothing"),
        ({"patches": {"size": 48}}, "Patches"),
        ({"views": "target-only"}, "Other windows of a slide"),
        ({"validation": {"without_test": "hold_out"}}, "Datasets without test slides"),
        ({"training": {"iterations": 60}}, "Training"),
        ({"configuration": "small"}, "Configuration of the methods"),
        ({"search": {"strategy": "halving"}}, "Search"),
        ({"search": {"grids": {"lr": [0.1, 0.2]}}}, "Search"),
        ({"seeds": [0, 1, 2]}, "Seeds"),
        ({"pooling": "split"}, "Pooling"),
        ({"mean_rule": "published"}, "Rule for undefined scores"),
        ({"ranking": {"metric": "pcc-gene"}}, "Ranked by"),
    ],
)
def test_a_setting_that_differs_is_told_and_no_other(settings, what):
    assert list(changed(**settings)) == [what]


def test_protocols_that_are_alike_but_for_their_names_do_not_differ():
    assert changed(name="b", version=2, summary="another") == {}


def test_metrics_are_called_by_their_titles():
    told = settings_of({"a@1": PLAIN}, METRICS)["a@1"]

    assert dict(told["settings"])["Ranked by"] == "MSE, completer all"
