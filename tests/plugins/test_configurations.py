"""The named configurations that methods bring along, for protocols to choose from."""

from __future__ import annotations

import pytest

from spared_bench.api import load_protocol, make_bench
from spared_bench.registry import discover

REGISTRY = discover()
DEMO = load_protocol("demo", REGISTRY)
METHODS = {
    entry.spec.name: entry.load()
    for kind in ("predictor", "completer")
    for entry in REGISTRY.all(kind)
}
NAMED = [
    (method, name)
    for method, factory in METHODS.items()
    for name in getattr(factory, "configurations", {})
]
SMALL = sorted(method for method, name in NAMED if name == "small")


@pytest.mark.parametrize(("method", "name"), NAMED)
def test_a_configuration_constructs_the_method(method, name):
    values = METHODS[method].configurations[name]
    built = METHODS[method](**values)
    assert {field: getattr(built, field) for field in values} == values
    assert name != "published", "that name stands for the defaults"


def test_every_network_has_a_small_configuration():
    networks = {name for name, factory in METHODS.items() if hasattr(factory, "build")}
    assert networks & set(REGISTRY.names("predictor")) == set(SMALL)


def test_the_demo_runs_every_network_small_and_repeats_no_values():
    bench = make_bench("demo", device="cpu")
    assert not DEMO.overrides
    for method in SMALL:
        chosen = bench.chosen("predictor", method)
        assert chosen.configuration == "small"
        assert chosen.values == METHODS[method].configurations["small"]


def test_the_demo_names_what_is_there():
    assert set(DEMO.datasets) <= set(REGISTRY.names("dataset"))
    assert set(DEMO.completers) <= set(REGISTRY.names("completer"))
