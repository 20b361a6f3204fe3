"""One HTML file about a study: everything is in it, pictures and styles included.

It loads nothing from anywhere, and what comes from data or plugins is escaped by the template.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from spared_bench.files import write_text
from spared_bench.leaderboard.text import visible
from spared_bench.studies.blocks import Section

PAGE = "index.html"
_TEMPLATE = "study.html"


def write_page(
    folder: Path,
    *,
    title: str,
    summary: str,
    question: str,
    facts: Mapping[str, str],
    sections: Sequence[Section],
    files: Sequence[Path],
    command: str,
) -> Path:
    """Write the page of a study into a folder; return it.

    Parameters
    ----------
    folder : Path
    title, summary, question : str
    facts : mapping of str to str
        What is shown at its head.
    sections : sequence of Section
    files : sequence of Path
        Tables beside it.
    command : str
        What made it.
    """
    from importlib.resources import files as resources

    from jinja2 import Environment, StrictUndefined

    text = (resources("spared_bench.studies") / _TEMPLATE).read_text(encoding="utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    environment.filters["seen"] = lambda value: visible(str(value), 600)
    environment.filters["finite"] = math.isfinite
    html = environment.from_string(text).render(
        title=title,
        summary=summary,
        question=question,
        facts=facts,
        sections=sections,
        files=[path.name for path in files],
        command=command,
    )
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / PAGE
    write_text(path, html, sync=False)
    return path
