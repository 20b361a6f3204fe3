"""The built-in predictors: each is one file, with its spec at its head."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

from spared_bench import hookimpl
from spared_bench.shipped import shipped_yaml
from spared_bench.specs import PredictorSpec, Spec, Speed
from spared_bench_plugins.spec_files import specs_of_files

_FOLDER = Path(__file__).parent


@hookimpl
def spared_bench_predictors() -> list[Spec]:
    return list(_predictors())


@cache  # a process asks several times
def _predictors() -> tuple[Spec, ...]:
    measured = shipped_yaml((_FOLDER / "speeds.yaml").read_text(encoding="utf-8"))
    return tuple(
        replace(spec, speeds=tuple(Speed(**each) for each in measured.get(spec.name, ())))
        if isinstance(spec, PredictorSpec)
        else spec
        for spec in specs_of_files(_FOLDER, __name__)
    )
