"""The pages about methods against the methods."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest
import torch

from spared_bench.registry import discover

DOCS = Path(__file__).parents[2] / "docs"
REGISTRY = discover()


def rows(page, heading):
    """Return the cells of the first table after a heading."""
    text = (DOCS / page).read_text(encoding="utf-8").split(heading, 1)[1]
    table = re.search(r"(?:^\|.*\n)+", text, re.MULTILINE).group()
    return [
        [cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]
    ]


PARAMETERS = {
    re.findall(r"`(.*?)`", name)[0]: int(number.split()[0].replace(",", ""))
    for name, _, number, *_ in rows("predictors.md", "# The predictors")
    if number
}


def test_the_table_has_every_network():
    networks = {
        entry.spec.name for entry in REGISTRY.all("predictor") if hasattr(entry.load(), "build")
    }
    assert set(PARAMETERS) == networks


@pytest.mark.parametrize("name", sorted(PARAMETERS))
def test_the_table_says_how_many_parameters_the_default_has(name):
    factory = REGISTRY.get("predictor", name).load()
    random = {"weights": "random"} if "weights" in {each.name for each in fields(factory)} else {}
    with torch.device("meta"):
        network = factory(**random).new_network(128)
    assert sum(each.numel() for each in network.parameters()) == PARAMETERS[name]


def test_the_table_of_configurations_has_every_method_of_spared():
    listed = [
        name for cell, *_ in rows("predictors.md", "`spared` differs") for name in names(cell)
    ]
    having = [
        entry.spec.name
        for entry in REGISTRY.all("predictor")
        if "spared" in getattr(entry.load(), "configurations", {})
    ]
    assert sorted(listed) == sorted(having)


def names(cell):
    return re.findall(r"`(.*?)`", cell)


def test_the_literature_in_is_what_is_registered():
    page = (DOCS / "literature.md").read_text(encoding="utf-8")
    listed = {name for row in rows("literature.md", "are in") for name in names(row[1])}
    heads = {"linear-probe", "pretrained-probe", "feature-mlp", "feature-attention", "feature-flow"}
    beside = {"gene-mean", "shuffled", "view-attention"} | heads
    assert all(f"`{name}`" in page for name in beside)
    registered = set(REGISTRY.names("predictor"))
    known = {name for name in registered if name.startswith("known-")}  # docs/sections.md has them
    sections = (DOCS / "sections.md").read_text(encoding="utf-8")
    assert all(f"`{name}`" in sections for name in known)
    assert listed | beside == registered - known
