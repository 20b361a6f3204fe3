"""The commands, a file each: ``register(app)`` adds what the file defines."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

import typer


def register_all(app: typer.Typer) -> None:
    """Add the commands of every file in this folder, by the files' names."""
    for module in iter_modules(__path__, f"{__name__}."):
        import_module(module.name).register(app)
