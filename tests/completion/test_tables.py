"""In which order the tables of completion list the completers."""

from __future__ import annotations

import re

from spared_bench.completion.benchmark import CompletionResult, Condition
from spared_bench.completion.tables import Collection, markdown


def listed(errors):
    """The order of the table of these errors, by completer and rate."""
    results = [
        CompletionResult(
            "k", "p@1", "d", completer, "test", Condition("fraction", rate),
            [{"mse": error, "pcc": 0.5, "n_hidden": 3, "slides": {}}],
        )
        for completer, by_rate in errors.items()
        for rate, error in by_rate.items()
    ]  # fmt: skip
    text = markdown(Collection(results, ["the command"])).partition("PCC")[0]
    return re.findall(r"^\| (median|knn|graph-mae) \|", text, flags=re.MULTILINE)


def test_who_was_measured_where_it_is_easy_alone_is_not_listed_as_the_best():
    errors = {"median": {0.1: 1.1, 0.7: 4.0}, "graph-mae": {0.1: 1.0, 0.7: 3.0}, "knn": {0.1: 1.2}}
    assert listed(errors) == ["graph-mae", "median", "knn"]


def test_without_a_mask_that_all_were_asked_about_all_that_is_known_orders_them():
    assert listed({"median": {0.7: 4.0}, "knn": {0.1: 1.2}}) == ["knn", "median"]


def test_a_rate_at_which_nothing_was_hidden_has_no_say():
    errors = {"median": {0.1: 1.0, 0.7: None}, "knn": {0.1: 0.9, 0.7: None}}
    assert listed(errors) == ["knn", "median"]
