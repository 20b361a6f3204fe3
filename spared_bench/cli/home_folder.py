"""The home folder in the arguments of a command, wherever a path begins with ``~``."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path
from typing import Any

from typer.core import TyperGroup

#: Alone behind the equals sign of a setting it is YAML's word for nothing.
_HOME = re.compile(r"((?:[\w.-]+=)*(?=~/)|(?:--[\w-]+=)?(?=~$))~")


class Commands(TyperGroup):
    """The commands, to which ``~`` is the home folder wherever a path begins.

    Shells put it in for a word that begins with it, and most of them leave ``--out=~/board`` as it
    is: a folder called ``~`` would be made.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        with suppress(RuntimeError):  # nobody's home is known
            home = str(Path.home())
            args = [in_home(arg, home) for arg in args]
        return super().parse_args(ctx, args)


def in_home(argument: str, home: str) -> str:
    """Return an argument with the home folder in the place of ``~``, where a path begins."""
    found = _HOME.match(argument)
    return argument if found is None else f"{found[1]}{home}{argument[found.end() :]}"
