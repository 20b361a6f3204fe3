"""The checks of slides (``quality``), when data are added and before a training: once per slide.

What was found is kept in the store under the slide's data and the code of the checks, so that it
costs a second of a processor once. A check only warns: whatever goes wrong in it ends in a line.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from spared_bench.bench import Bench
from spared_bench.errors import in_words
from spared_bench.keys.hashing import digest
from spared_bench.reports.quality import SlideCheck, check_slide
from spared_bench.trials.checks import CHECKS, FOUND, failures, stored_checks
from spared_bench.trials.fresh_reader import with_reader
from spared_bench.trials.products import read_raw_slides

if TYPE_CHECKING:
    from anndata import AnnData

    from spared_bench.planning.plan import Plan
    from spared_bench.trials.views import RawSlides

#: For the slides of a stranger's dataset; what is done by then is kept, and a next run goes on.
_SECONDS = 600.0


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


def check_slides(bench: Bench, name: str, slides: RawSlides) -> None:
    """Make the checks that the store lacks, of slides that are at hand.

    What goes wrong is told by whoever wants to know of them.
    """
    for info in bench.dataset(name).slides:
        with suppress(Exception):
            if stored_checks(bench, name, info.slide_id) is None:
                checks_of(bench, name, info.slide_id, slides()[info.slide_id])


class SlideWarnings:
    """What a run tells of the slides of its datasets: of each once, and before its trials begin.

    Parameters
    ----------
    plan : Plan
    tell : callable
        Gets each line.
    """

    def __init__(self, plan: Plan, tell: Callable[[str], None]) -> None:
        self._bench, self._tell = plan.bench, tell
        self._left: dict[str, str] = {}  # folds of one dataset share their slides
        for name in dict.fromkeys(cell.dataset for cell in plan.cells):
            self._left.setdefault(_whole(plan.bench, name), name)

    def begin(self) -> None:
        """Tell of what was checked before, and check strangers' datasets.

        Our own are checked where they are prepared, or else before their first training.
        """
        for name in list(self._left.values()):
            if not _is_ours(self._bench, name) or self._is_known(name):
                self.of(name)

    def of(self, name: str) -> None:
        """Tell of a dataset, if nothing was told of it so far."""
        if self._left.pop(_whole(self._bench, name), None):
            warn_of_slides(self._bench, name, self._tell)

    def end(self) -> None:
        """Tell of the datasets that this run did not come to."""
        for name in list(self._left.values()):
            self.of(name)

    def _is_known(self, name: str) -> bool:
        slides = self._bench.dataset(name).slides
        return all(stored_checks(self._bench, name, each.slide_id) is not None for each in slides)


def _is_ours(bench: Bench, name: str) -> bool:
    return bench.registry.get("dataset", name).plugin.is_ours


def _whole(bench: Bench, name: str) -> str:
    spec = bench.dataset(name)
    return spec.fold_of or spec.name


def warn_of_slides(bench: Bench, name: str, tell: Callable[[str], None]) -> None:
    """Check the slides of a dataset and tell of each that fails a test, in one line; never raise.

    Parameters
    ----------
    bench : Bench
    name : str
        Of the dataset.
    tell : callable
        Gets each line.
    """
    slides = [info.slide_id for info in bench.dataset(name).slides]
    for line in _lines(bench, name, _whole(bench, name), slides):
        tell(line)


def _lines(bench: Bench, name: str, dataset: str, slides: list[str]) -> Iterator[str]:
    """Yield what is to be told of a dataset's slides."""
    told = bench.registry.get("dataset", name).told is not None
    if told and any(stored_checks(bench, name, slide_id) is None for slide_id in slides):
        try:
            yield from with_reader(
                bench, name, f"{__name__}:lines_of", _SECONDS, whole=dataset, slides=slides
            )
            return
        except Exception as error:  # a check stops nothing
            yield f"Slides of {dataset} were not all checked: {' '.join(str(error).split())}"
        slides = [
            slide_id for slide_id in slides if stored_checks(bench, name, slide_id) is not None
        ]
    yield from filter(None, (_line(bench, name, dataset, each) for each in slides))


def lines_of(bench: Bench, dataset: str, whole: str, slides: Iterable[str]) -> list[str]:
    """Return what is to be told of slides; nothing of those that pass.

    Parameters
    ----------
    bench : Bench
    dataset : str
    whole : str
        What the dataset is a fold of, by whose name it is told of.
    slides : iterable of str
    """
    lines = (_line(bench, dataset, whole, slide_id) for slide_id in slides)
    return [line for line in lines if line]


def _line(bench: Bench, name: str, dataset: str, slide_id: str) -> str:
    """Return what is to be told of a slide; empty where nothing is."""
    try:
        checks = checks_of(bench, name, slide_id)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a stranger's reader may do anything, and a check stops nothing
        message, _ = in_words(error)
        return f"Slide {slide_id} of {dataset} was not checked: {' '.join(message.split())}"
    failed = failures([asdict(each) for each in checks])
    if not failed:
        return ""
    doubts = {check.test for check in checks if check.passed is False}
    if doubts == {"spots"}:
        doubt = "is small"
    elif "bits" in doubts and doubts <= {"spots", "bits", "colours"}:
        doubt = "may have an image that is read too dark"
    elif doubts <= {"spots", "colours"}:
        doubt = "may have an image that is not H&E"
    else:
        doubt = "may not belong to its image"
    return (
        f"Slide {slide_id} of {dataset} {doubt} ({' '.join(failed)})"
        f" `spared-bench data show {dataset}` draws it."
    )
