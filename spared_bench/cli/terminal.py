"""What is written to a terminal can give it no orders, whoever's text it is.

Names, summaries, reasons and what files hold come from strangers, and an error quotes them.
"""

from __future__ import annotations

import warnings
from typing import Any

import typer

from spared_bench.harmless import harmless

_format = warnings.formatwarning


def echo(message: Any = "", *, err: bool = False, nl: bool = True) -> None:
    """Print a text as ``typer.echo`` does, harmless."""
    typer.echo(harmless(str(message)), err=err, nl=nl)  # noqa: TID251


def tame_warnings() -> None:
    """Print warnings, of libraries that quote names from files, harmless as well."""
    warnings.formatwarning = _harmless_warning


def _harmless_warning(*warning: Any, **told: Any) -> str:
    return harmless(_format(*warning, **told))
