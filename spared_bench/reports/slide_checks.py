"""The checks of slides (``quality``) when data are added and when a run starts: once per slide.

What was found is kept in the store under the slide's data and the code of the checks, so that it
costs a second of a processor once. A check only warns: whatever goes wrong in it ends in a line.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from spared_bench.apart import do_apart
from spared_bench.bench import Bench
from spared_bench.errors import in_words
from spared_bench.keys.hashing import digest
from spared_bench.reports.quality import SlideCheck, check_slide
from spared_bench.trials.checks import CHECKS, FOUND, failures, stored_checks
from spared_bench.trials.guests import import_reader
from spared_bench.trials.products import read_raw_slides

if TYPE_CHECKING:
    from anndata import AnnData


def checks_of(
    bench: Bench, name: str, slide_id: str, slide: AnnData | None = None
) -> list[SlideCheck]:
    """Return the checks of a slide: from the store, else made now and kept there.

    Parameters
    ----------
    bench : Bench
    name : str
        Of the dataset.
    slide_id : str
    slide : AnnData, optional
        The raw slide, where it was read already.

    Raises
    ------
    Exception
        Whatever the reader or the image raises; it is not kept, since another library or a file
        that comes back may mend it.
    """
    found = stored_checks(bench, name, slide_id)
    if found is None:
        raw = slide if slide is not None else read_raw_slides(bench, name, [slide_id])[slide_id]
        checks = check_slide(raw)

        def make(folder: Path) -> None:
            text = json.dumps([asdict(check) for check in checks], indent=1)
            (folder / FOUND).write_text(text, encoding="utf-8")

        inputs = bench.slide_check_inputs(name, slide_id)
        store = bench.workspace.store
        if store.has(CHECKS, digest(inputs)):  # there, and not to be read
            store.remove(CHECKS, digest(inputs))
        store.obtain(CHECKS, inputs, make)
        return checks
    return [SlideCheck(**check) for check in found]


def warn_of_slides(bench: Bench, names: Iterable[str], tell: Callable[[str], None]) -> None:
    """Check the slides of datasets and tell of each that fails a test, in one line; never raise.

    Parameters
    ----------
    bench : Bench
    names : iterable of str
        Datasets; folds of one dataset share their slides, which are told of once.
    tell : callable
        Gets each line.
    """
    seen: set[str] = set()
    for name in names:
        spec = bench.dataset(name)
        dataset = spec.fold_of or spec.name
        if dataset in seen:
            continue
        seen.add(dataset)
        for info in spec.slides:
            line = _line(bench, name, dataset, info.slide_id)
            if line:
                tell(line)


def _line(bench: Bench, name: str, dataset: str, slide_id: str) -> str:
    """Return what is to be told of a slide; empty where nothing is."""

    def apart() -> str:
        import_reader(bench, name)
        return _line(bench, name, dataset, slide_id)

    try:
        if bench.registry.get("dataset", name).told is not None:
            return str(do_apart(apart))
        checks = checks_of(bench, name, slide_id)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a stranger's reader may do anything, and a check stops nothing
        message, _ = in_words(error)
        return f"Slide {slide_id} of {dataset} was not checked: {' '.join(message.split())}"
    failed = failures([asdict(each) for each in checks])
    if not failed:
        return ""
    return (
        f"Slide {slide_id} of {dataset} may not belong to its image ({' '.join(failed)})"
        f" `spared-bench data show {dataset}` draws it."
    )
