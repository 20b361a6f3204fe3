"""The reference of the command line, made from the command line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import typer
from typer.main import get_command

from spared_bench.cli import app

#: How values are called, by their types.
_VALUES = {"str": "TEXT", "int": "N", "float": "NUMBER", "path": "PATH", "Path": "PATH"}
_ABOUT = """# The command line

Made from the commands themselves; each says the same with `--help`. Exit status: 0 done, 1
something selected failed, 2 wrong usage."""


def page() -> str:
    """Return the page in Markdown."""
    return "\n\n".join([_ABOUT, *_sections(get_command(app), "spared-bench", 1)])


def _sections(command: Any, name: str, depth: int) -> Iterator[str]:
    """Yield the section of a command, then those of its commands."""
    context = typer.Context(command, info_name=name)
    if depth > 1:
        yield f"{'#' * min(depth, 3)} {name}"
        yield _escaped(command.help or "")
    commands = getattr(command, "commands", {})
    if not commands:
        yield f"```text\n{' '.join([name, *command.collect_usage_pieces(context)])}\n```"
    elif depth > 1:
        yield "\n".join(f"- `{name} {each}`: {_first(commands[each])}" for each in commands)
    if rows := [row for each in command.get_params(context) if (row := _row(each, context))]:
        yield "\n".join(["| | |", "|---|---|", *(f"| {left} | {right} |" for left, right in rows)])
    for each in commands:
        yield from _sections(commands[each], f"{name} {each}", depth + 1)


def _first(command: Any) -> str:
    return _escaped((command.help or "").split("\n")[0])


def _row(parameter: Any, context: Any) -> tuple[str, str] | None:
    """Return how a parameter is written, and its help."""
    if "--help" in parameter.opts:
        return None
    record = parameter.get_help_record(context)
    left, right = record if record else (parameter.make_metavar(context), parameter.help or "")
    left = re.sub(r"<(?:list\[)?(\w+)( range)?\]?>", lambda m: _VALUES.get(m[1], m[1]), left)
    return f"`{left.strip()}`".replace("|", "\\|"), _escaped(re.sub(r"\s+", " ", right)).strip()


def _escaped(text: str) -> str:
    """Return help as Markdown: what stands in angle or square brackets is text."""
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(
        part if part.startswith("`") else re.sub(r"([<>\[\]*_|])", r"\\\1", part) for part in parts
    )
