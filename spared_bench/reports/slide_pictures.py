"""The pictures of a slide (``tissue``): made once, whatever the protocol, and kept in the store."""

from __future__ import annotations

from typing import Any

from spared_bench.bench import Bench
from spared_bench.keys.hashing import digest
from spared_bench.reports.tissue import FRAME, Frame, write_pictures
from spared_bench.store.entries import Entry
from spared_bench.trials.raw_slides import read_raw_slides

#: The kind of entry that holds the pictures of a slide.
PICTURES = "pictures"


def picture_of(bench: Bench, dataset: str, slide_id: str) -> Entry | None:
    """Return the pictures of a slide, from the store or made now; ``None`` without an image.

    Parameters
    ----------
    bench : Bench
    dataset, slide_id : str

    Returns
    -------
    Entry or None
        With ``TISSUE``, ``SPOTS`` and ``FRAME`` (a ``Frame``).

    Raises
    ------
    SparedBenchError
        If the slide or its image cannot be read.
    """
    inputs, store = bench.picture_inputs(dataset, slide_id), bench.workspace.store
    if not store.has(PICTURES, digest(inputs)):
        slide = read_raw_slides(bench, dataset, [slide_id])[slide_id]
        if not slide.uns["slide"]["image_path"]:
            return None
        return store.obtain(PICTURES, inputs, lambda folder: write_pictures(slide, folder))
    return store.open(PICTURES, digest(inputs))


def read_frame(entry: Entry) -> Frame:
    """Return where the pictures of an entry lie."""
    values: dict[str, Any] = entry.read_json(FRAME)
    return Frame(**values)
