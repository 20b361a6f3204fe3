"""The built-in predictors: each is one file, with its spec at its head."""

from __future__ import annotations

from pathlib import Path

from spared_bench import hookimpl
from spared_bench.specs import Spec
from spared_bench_plugins.spec_files import specs_of_files


@hookimpl
def spared_bench_predictors() -> list[Spec]:
    return specs_of_files(Path(__file__).parent, __name__)
