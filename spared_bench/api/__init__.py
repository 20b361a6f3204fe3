"""What the command line does, for notebooks and scripts: plan a selection, carry it out, report."""

from __future__ import annotations

from spared_bench.api.benches import make_bench
from spared_bench.api.execution import check_executor, check_machine, execute
from spared_bench.api.notebooks import load_dataset, run
from spared_bench.api.options import RunOptions, default_workers
from spared_bench.api.plans import is_shipped, results_of, select
from spared_bench.api.protocols import (
    DEFAULT_PROTOCOL,
    OWN_PROTOCOL,
    default_protocol,
    load_protocol,
)
from spared_bench.api.report import Report

__all__ = [
    "DEFAULT_PROTOCOL",
    "OWN_PROTOCOL",
    "Report",
    "RunOptions",
    "check_executor",
    "check_machine",
    "default_protocol",
    "default_workers",
    "execute",
    "is_shipped",
    "load_dataset",
    "load_protocol",
    "make_bench",
    "results_of",
    "run",
    "select",
]
