"""The built-in studies: one YAML file each, beside this one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from spared_bench import StudySpec, hookimpl
from spared_bench.shipped import shipped_yaml

_HERE = Path(__file__).parent


def __getattr__(name: str) -> Callable[[], str]:
    """Return what reads the study of that file: ``jiang_stain`` of ``jiang-stain.yaml``."""
    path = _HERE / f"{name.replace('_', '-')}.yaml"
    if not path.is_file():
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return lambda: path.read_text(encoding="utf-8")


@hookimpl
def spared_bench_studies() -> list[StudySpec]:
    return [_spec(path) for path in sorted(_HERE.glob("*.yaml"))]


def _spec(path: Path) -> StudySpec:
    """Read of a study what a list shows."""
    values = shipped_yaml(path.read_text(encoding="utf-8"))
    return StudySpec(
        values["name"],
        f"{__name__}:{path.stem.replace('-', '_')}",
        version=str(values.get("version", 1)),
        summary=values["summary"],
        citation=values.get("citation", ""),
    )
