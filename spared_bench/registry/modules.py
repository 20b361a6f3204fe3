"""The module of a plugin: of an entry point, or of a file that is not installed."""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

from spared_bench.errors import PluginError


def module_name(target: str) -> str:
    """Return the module under which a plugin is found in ``sys.modules``."""
    if not target.endswith(".py"):
        return target
    return f"spared_bench_file_{re.sub(r'[^A-Za-z0-9_]', '_', Path(target).stem)}"


def from_module(name: str) -> Callable[[], ModuleType]:
    return lambda: importlib.import_module(name)


def from_file(path: Path) -> Callable[[], ModuleType]:
    def load() -> ModuleType:
        name = module_name(str(path))
        spec = importlib.util.spec_from_file_location(name, path)
        if spec is None or spec.loader is None:
            raise PluginError(f"{path} is not a Python file.")
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[name]
            raise
        return module

    return load


def refuse(path: Path, other: Path) -> Callable[[], ModuleType]:
    def load() -> ModuleType:
        raise PluginError(
            f"{path} and {other} would be one module, because their names are the same. Rename one."
        )

    return load
