"""What is written to a terminal can give it no orders, whoever's text it is.

Names, summaries, reasons and what files hold come from strangers, and an error quotes them.
"""

from __future__ import annotations

from typing import Any

import typer

from spared_bench.harmless import harmless


def echo(message: Any = "", *, err: bool = False, nl: bool = True) -> None:
    """Print a text as ``typer.echo`` does, harmless."""
    typer.echo(harmless(str(message)), err=err, nl=nl)  # noqa: TID251
