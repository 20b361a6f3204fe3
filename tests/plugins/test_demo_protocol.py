"""The demo protocol against the methods that it runs."""

from __future__ import annotations

import pytest

from spared_bench.api import load_protocol
from spared_bench.registry import discover

REGISTRY = discover()
DEMO = load_protocol("demo", REGISTRY)
SMALL = {
    entry.spec.name: entry.load().small
    for entry in REGISTRY.all("predictor")
    if hasattr(entry.load(), "small")
}


@pytest.mark.parametrize("name", sorted(SMALL))
def test_the_demo_runs_the_small_configuration_of_a_method(name):
    assert DEMO.overrides[name] == SMALL[name]


def test_the_demo_overrides_nothing_that_is_not_there():
    known = set(REGISTRY.names("predictor")) | set(REGISTRY.names("completer"))
    assert set(DEMO.overrides) <= known
    assert set(DEMO.datasets) <= set(REGISTRY.names("dataset"))
    assert set(DEMO.completers) <= set(REGISTRY.names("completer"))
