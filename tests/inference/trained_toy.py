"""A workspace in which methods are trained on the toy dataset."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from spared_bench.api import execute, make_bench, select
from tests.conftest import TOY_PLUGIN, TOY_PROTOCOL


def train(
    prepared: Path, folder: Path, predictors: Sequence[str], **parameters: Mapping[str, Any]
) -> Path:
    """Train predictors in a copy of a prepared workspace, and return it."""
    root = folder / "workspace"
    shutil.copytree(prepared, root)
    bench = make_bench(
        str(TOY_PROTOCOL),
        workspace=root,
        plugin_files=[TOY_PLUGIN],
        device="cpu",
        parameters=parameters,
    )
    plan = select(bench, ["toy"], ["none"], predictors)
    report = execute(plan, executor="inline", workers=1, track=False, figures=False)
    assert not report.failed
    return root
