"""A study of the toy dataset that takes seconds, and what belongs to it."""

from __future__ import annotations

import pytest

from spared_bench.studies.loading import Opened
from spared_bench.studies.model import parse_study
from tests.conftest import TOY_PLUGIN, TOY_PROTOCOL

STUDY = """
name: toy-study
base: toy
methods: [linear-probe]
metric: mse
set: {linear-probe.alpha: 10.0}
factors:
  target:
    setting: processing.target
    levels: [log1p_cp10k, log1p_cpm, counts]
"""


@pytest.fixture
def toy_bench(workspace):
    """The toy protocol on a workspace of one's own, with every method of the toy plugin."""
    from spared_bench.api import make_bench

    return make_bench(
        str(TOY_PROTOCOL), workspace=workspace, plugin_files=[TOY_PLUGIN], device="cpu"
    )


@pytest.fixture
def opened(toy_bench):
    """Return what opens a study of the toy protocol from its YAML."""

    def of(text: str = STUDY) -> Opened:
        return Opened(parse_study(text, "study.yaml"), toy_bench)

    return of
