"""The built-in completers, which fill unmeasured entries: each a file with its spec at its head."""

from __future__ import annotations

from pathlib import Path

from spared_bench import hookimpl
from spared_bench.specs import Spec
from spared_bench_plugins.spec_files import specs_of_files


@hookimpl
def spared_bench_completers() -> list[Spec]:
    return specs_of_files(Path(__file__).parent, __name__)
