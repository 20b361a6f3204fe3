"""One protocol on one workspace with one set of plugins: what determines what."""

from __future__ import annotations

from spared_bench.bench.harness import HARNESS_VERSION
from spared_bench.bench.inputs import Bench
from spared_bench.bench.settings import Limits, Settings

__all__ = ["HARNESS_VERSION", "Bench", "Limits", "Settings"]
