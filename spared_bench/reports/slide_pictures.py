"""The pictures of a slide (``tissue``): made once, whatever the protocol, and kept in the store."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from spared_bench.bench import Bench
from spared_bench.keys.hashing import digest
from spared_bench.reports.tissue import FRAME, Frame, write_pictures
from spared_bench.specs import DatasetSpec
from spared_bench.store.entries import Entry
from spared_bench.trials.raw_slides import read_raw_slides

if TYPE_CHECKING:
    from anndata import AnnData

    from spared_bench.trials.views import RawSlides

#: The kind of entry that holds the pictures of a slide.
PICTURES = "pictures"


def may_be_shown(spec: DatasetSpec) -> bool:
    """Whether pictures may stand on a page: under a licence, or one's own."""
    return bool(spec.licence) or not spec.files


def draw_slides(bench: Bench, dataset: str, slides: RawSlides) -> None:
    """Make the pictures that the store lacks, of slides that are at hand.

    What goes wrong is told by whoever wants to show them.
    """
    spec, store = bench.dataset(dataset), bench.workspace.store
    for info in spec.slides if may_be_shown(spec) else ():
        with suppress(Exception):
            if not store.has(PICTURES, digest(bench.picture_inputs(dataset, info.slide_id))):
                picture_of(bench, dataset, info.slide_id, slides()[info.slide_id])


def picture_of(
    bench: Bench, dataset: str, slide_id: str, raw: AnnData | None = None
) -> Entry | None:
    """Return the pictures of a slide, from the store or made now; ``None`` without an image.

    Parameters
    ----------
    bench : Bench
    dataset, slide_id : str
    raw : AnnData, optional
        The raw slide, where it was read already.

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
        slide = raw if raw is not None else read_raw_slides(bench, dataset, [slide_id])[slide_id]
        if not slide.uns["slide"]["image_path"]:
            return None
        return store.obtain(PICTURES, inputs, lambda folder: write_pictures(slide, folder))
    return store.open(PICTURES, digest(inputs))


def read_frame(entry: Entry) -> Frame:
    """Return where the pictures of an entry lie."""
    values: dict[str, Any] = entry.read_json(FRAME)
    return Frame(**values)
