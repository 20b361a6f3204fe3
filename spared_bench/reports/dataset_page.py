"""One HTML file about a dataset: what it is, what is wrong with it, what processing made of it.

Everything is in the file, pictures included, so it can be sent by mail. Names that come from data
are escaped by the template, and shown without what nobody sees.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from spared_bench.errors import SparedBenchError
from spared_bench.harmless import harmless
from spared_bench.reports import dataset_facts as told
from spared_bench.reports.dataset_parts import page_parts

if TYPE_CHECKING:
    from spared_bench.bench import Bench

_TEMPLATE = "dataset_page.html"


def write_dataset_page(bench: Bench, name: str, path: Path, prepare: bool = True) -> Path:
    """Write the page of a dataset.

    Parameters
    ----------
    bench : Bench
        Its protocol prepares the dataset.
    name : str
    path : Path
        The HTML file; its folder is made.
    prepare : bool
        Whether to prepare the dataset; without, the page tells of raw slides only.

    Raises
    ------
    SparedBenchError
        If the dataset or its raw slides cannot be read. That it cannot be prepared is told on the
        page.
    """
    from spared_bench.files import write_text
    from spared_bench.processing.annotation import add_symbols
    from spared_bench.trials.products import cut_all_patches, read_raw_slides
    from spared_bench.trials.products import prepare as make

    spec = bench.dataset(name)
    slides = read_raw_slides(bench, name)
    for slide in slides.values():
        add_symbols(slide, spec.organism)
    rows = [told.slide_row(bench, spec, slide_id, slide) for slide_id, slide in slides.items()]
    prepared, problem = None, ""
    if prepare:
        try:
            cut_all_patches(bench, name)
            prepared = make(bench, name)
        except SparedBenchError as error:
            problem = f"{type(error).__name__}: {error}"
    sections = page_parts(slides, spec, rows, prepared)
    html = _render(
        spec=spec,
        facts=told.facts_of(spec, rows, prepared) | told.labels_of(slides),
        protocol=bench.protocol.id,
        rows=rows,
        problem=problem,
        notices=told.notices_of(spec, rows, prepared, bench.protocol.patches),
        sections=sections,
        steps=told.steps_of(prepared),
        drops=told.drops_of(prepared),
        settings=told.settings_of(prepared),
        prepared=prepared is not None,
    )
    write_text(path, html, sync=False)
    return path


def _render(**values: Any) -> str:
    from importlib.resources import files

    from jinja2 import Environment, StrictUndefined

    text = (files("spared_bench.reports") / _TEMPLATE).read_text(encoding="utf-8")
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, finalize=_seen
    )
    return environment.from_string(text).render(**values)


def _seen(value: Any) -> Any:
    """Return what the page shows of a value: of a text, nothing that turns what follows it."""
    return type(value)(harmless(value)) if isinstance(value, str) else value
