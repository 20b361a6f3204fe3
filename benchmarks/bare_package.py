"""Lets the package be imported from a copied folder, where torch, timm and NumPy are all there is.

A machine that is lent for minutes seldom has the package installed. What networks and their trainer
need beyond torch is pluggy, of which only the decorators are used, and they mark functions;
annotated_types, whose bounds only say what a parameter may be; and the name that the folder
``plugins`` has once it is installed.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from dataclasses import make_dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
_PLUGINS = "spared_bench_plugins"


def find_package() -> None:
    """Make ``spared_bench`` and its plugins importable, installed or not."""
    if importlib.util.find_spec("spared_bench") is None:
        sys.path.insert(0, str(ROOT))
    for name, stand_in in (("pluggy", _marks_alone), ("annotated_types", _bounds_alone)):
        try:
            importlib.import_module(name)
        except ModuleNotFoundError:
            sys.modules[name] = stand_in()
    if importlib.util.find_spec(_PLUGINS) is None:
        folder = ROOT / "plugins"
        spec = importlib.util.spec_from_file_location(
            _PLUGINS, folder / "__init__.py", submodule_search_locations=[str(folder)]
        )
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[_PLUGINS] = module
        spec.loader.exec_module(module)


def _marks_alone() -> ModuleType:
    """Return a module with pluggy's two decorators, which leave functions as they are."""

    class Marker:
        def __init__(self, project: str) -> None:
            self.project = project

        def __call__(self, function: Any = None, **options: Any) -> Any:
            return (lambda marked: marked) if function is None else function

    module = ModuleType("pluggy")
    module.HookspecMarker = module.HookimplMarker = Marker  # type: ignore[attr-defined]
    return module


def _bounds_alone() -> ModuleType:
    """Return a module with annotated_types' bounds, as far as parameters use them."""
    module = ModuleType("annotated_types")
    for name in ("ge", "gt", "le", "lt"):
        kind = make_dataclass(name.title(), [(name, Any)], frozen=True)
        setattr(module, kind.__name__, kind)
    module.Interval = make_dataclass("Interval", [])  # type: ignore[attr-defined]
    return module
