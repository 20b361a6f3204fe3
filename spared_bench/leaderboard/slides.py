"""What the page shows of a dataset's slides: pictures of the tissue, and the checks of quality.

Both need the raw files, or what an earlier run or build has kept of them in the store. Where
neither is there, the page shows spots only.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress

from spared_bench.bench import Bench
from spared_bench.errors import SparedBenchError
from spared_bench.keys.hashing import digest
from spared_bench.leaderboard.maps import Drawn
from spared_bench.leaderboard.site_data import plain
from spared_bench.reports.slide_pictures import PICTURES, may_be_shown, picture_of, read_frame
from spared_bench.reports.tissue import SPOTS, TISSUE
from spared_bench.specs import DatasetSpec
from spared_bench.store.entries import Entry
from spared_bench.store.imports import read_mark
from spared_bench.store.predictions import UNREADABLE, reason_of
from spared_bench.trials.checks import CHECKS, stored_checks
from spared_bench.trials.fresh_reader import with_reader

#: For the pictures of a stranger's dataset; those made by then are kept, and a next build goes on.
_SECONDS = 600.0


class SlidePictures:
    """The pictures of slides, as files of the page.

    Parameters
    ----------
    bench : Bench
        Whose protocol does not matter.
    left_out : list of str
        Takes a sentence for each dataset of which pictures could not be made.
    """

    def __init__(self, bench: Bench, left_out: list[str]) -> None:
        self.bench = bench
        self.left_out = left_out
        self._refused: set[str] = set()
        self._tried: set[str] = set()

    def tissue(self, dataset: str, slides: Sequence[str]) -> tuple[dict[str, str], Iterable[Drawn]]:
        """Return the name of each slide's picture, and the files of these names."""
        found = self._entries(dataset, slides)
        names = {slide: f"tissue-{entry.key[:12]}" for slide, entry in found.items()}
        return names, (_tissue(names[slide], entry) for slide, entry in found.items())

    def overview(self, dataset: str) -> Iterator[Drawn]:
        """Yield ``slides-<dataset's key>``: every slide with its spots, and its checks."""
        spec = self._spec(dataset)
        if spec is None:
            return
        names = [info.slide_id for info in spec.slides]
        found = self._entries(dataset, names)
        checks = {name: stored_checks(self.bench, dataset, name) for name in names}
        if found or any(checks.values()):
            yield Drawn(
                f"slides-{digest([dataset])[:12]}",
                {
                    "pictures": {name: _text(entry, SPOTS) for name, entry in found.items()},
                    "facts": {
                        name: plain(vars(read_frame(entry))) for name, entry in found.items()
                    },
                    "checks": plain({name: each for name, each in checks.items() if each}),
                    "imported": self._imported(dataset, found, checks),
                },
            )

    def _imported(
        self, dataset: str, pictures: Mapping[str, Entry], checks: Mapping[str, object]
    ) -> list[str]:
        """Return the slides of which a picture or check came by ``store import``."""
        marked = {name for name, entry in pictures.items() if read_mark(entry.folder) is not None}
        for name in filter(checks.get, checks):
            inputs = self.bench.slide_check_inputs(dataset, name)
            entry = self.bench.workspace.store.find(CHECKS, inputs)
            if entry is not None and read_mark(entry.folder) is not None:
                marked.add(name)
        return sorted(marked)

    def _entries(self, dataset: str, slides: Sequence[str]) -> dict[str, Entry]:
        spec = self._spec(dataset)
        if spec is None or not may_be_shown(spec):
            return {}
        try:
            if dataset not in self._refused:
                self._make(dataset, slides)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a stranger's reader raises anything; it stops no page
            self._refused.add(dataset)
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            self.left_out.append(f"Slides of {dataset} are shown without their tissue: {reason}")
        found = {slide: self._stored(dataset, slide) for slide in slides}
        return {
            slide: entry
            for slide, entry in found.items()
            if entry is not None and self._readable(dataset, slide, entry)
        }

    def _make(self, dataset: str, slides: Sequence[str]) -> None:
        """Make the pictures that the store lacks."""
        if self.bench.registry.get("dataset", dataset).told is None:
            make_pictures(self.bench, dataset, slides)
            return
        missing = any(self._stored(dataset, slide) is None for slide in slides)
        if missing and dataset not in self._tried:
            # No code of others is imported here, and no fork can read what libvips decodes.
            self._tried.add(dataset)
            names = [info.slide_id for info in self.bench.dataset(dataset).slides]
            making = f"{__name__}:{make_pictures.__name__}"
            with_reader(self.bench, dataset, making, _SECONDS, slides=names)

    def _stored(self, dataset: str, slide: str) -> Entry | None:
        with suppress(Exception):  # files that came and went
            inputs = self.bench.picture_inputs(dataset, slide)
            return self.bench.workspace.store.find(PICTURES, inputs)
        return None

    def _readable(self, dataset: str, slide: str, entry: Entry) -> bool:
        """Whether the pictures can be read; where not, they are left out and named, once."""
        try:
            read_frame(entry)
            for file in (SPOTS, TISSUE):
                (entry.folder / file).read_bytes()
        except (SparedBenchError, *UNREADABLE) as error:
            told = f"The pictures of {slide} of {dataset} cannot be read: {reason_of(error)}"
            if told not in self.left_out:
                self.left_out.append(told)
            return False
        return True

    def _spec(self, dataset: str) -> DatasetSpec | None:
        """Return a dataset whose raw files are on this machine; ``None`` for any other."""
        try:
            self.bench.folder(dataset)
            return self.bench.dataset(dataset)
        except (SparedBenchError, OSError):
            return None


def make_pictures(bench: Bench, dataset: str, slides: Sequence[str]) -> None:
    """Make the pictures of slides that the store lacks; of one without an image there is none."""
    for slide in slides:
        picture_of(bench, dataset, slide)


def _tissue(name: str, entry: Entry) -> Drawn:
    frame = read_frame(entry)
    place = {"left": frame.left, "top": frame.top, "width": frame.width, "height": frame.height}
    return Drawn(name, {**plain(place), "webp": _text(entry, TISSUE)})


def _text(entry: Entry, file: str) -> str:
    return base64.b64encode((entry.folder / file).read_bytes()).decode()
