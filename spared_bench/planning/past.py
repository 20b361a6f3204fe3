"""What past trials of a store took: seconds and bytes, for trainings of the same size to come."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from statistics import median
from typing import NamedTuple

from spared_bench.bench import Bench
from spared_bench.files import bytes_below
from spared_bench.interfaces import Job
from spared_bench.results import TrialResult
from spared_bench.store.entries import Store
from spared_bench.store.records import Records
from spared_bench.store.trials import TRIALS

_AT_ONCE = 200  # trials whose records are looked up together


class _Size(NamedTuple):
    """What makes trainings of a method take alike: they differ in steps and in data."""

    predictor: str
    configuration: str
    batch_size: int
    patch_px: int


class PastTrials:
    """Seconds and bytes of the trials of a store.

    Those of a small configuration, or of small patches, say nothing of what a published network
    takes. Of as many steps as are asked for, or in proportion where a method is trained by steps.
    """

    def __init__(self, store: Store) -> None:
        self._seconds: dict[tuple[str, _Size, str], list[tuple[float, int]]] = defaultdict(list)
        self._bytes: dict[_Size, list[int]] = defaultdict(list)
        self._devices: set[str] = set()
        keys = store.keys(TRIALS)
        with Records(store) as records:
            for start in range(0, len(keys), _AT_ONCE):
                some = keys[start : start + _AT_ONCE]
                records.read_ahead(TRIALS, some)
                for key in some:
                    result = records.trial(key)
                    if result is not None and result.ok and "total" in result.seconds:
                        with suppress(KeyError, TypeError, ValueError):  # of an earlier version
                            self._note(result, store.folder(TRIALS, key))

    def _note(self, result: TrialResult, folder: Path) -> None:
        facts = result.facts
        sizes = int(facts["batch_size"]), int(facts["patch_px"])
        size = _Size(result.predictor, str(facts["configuration"]), *sizes)
        # A method without a curve is not trained by steps.
        took = result.seconds["total"], int(facts["steps"]) if result.curves else 0
        device = result.environment.get("accelerator") or result.environment.get("device", "cpu")
        self._devices.add(device)
        for dataset in (result.dataset, ""):
            self._seconds[device, size, dataset].append(took)
        stored = bytes_below(folder)
        for kind in (size, size._replace(predictor="")):
            self._bytes[kind].append(stored)

    def hours(self, bench: Bench, jobs: Iterable[Job]) -> tuple[dict[str, float], list[Job]]:
        """Return hours by class of device, and the trials of which nothing is known."""
        hours: dict[str, float] = {}
        unknown = []
        for job in jobs:
            times = {device: self._of(bench, device, job) for device in self._devices}
            known = {device: took for device, took in times.items() if took}
            if not known:
                unknown.append(job)
            for device, took in known.items():
                hours[device] = hours.get(device, 0.0) + took / 3600
        return hours, unknown

    def _of(self, bench: Bench, device: str, job: Job) -> float:
        steps = job.iterations or bench.protocol.training.iterations
        size = _size_of(bench, job)
        for dataset in (job.dataset, ""):
            if past := self._seconds.get((device, size, dataset)):
                return median(took * steps / its if its else took for took, its in past)
        return 0.0

    def bytes_of(self, bench: Bench, jobs: Iterable[Job]) -> int | None:
        """Return the bytes of so many trials like the past ones; ``None`` where some have none.

        Of a predictor without a past one, as much as the others take in that size.
        """
        total = 0
        for job in jobs:
            size = _size_of(bench, job)
            past = self._bytes.get(size) or self._bytes.get(size._replace(predictor=""))
            if not past:
                return None
            total += int(median(past))
        return total


def _size_of(bench: Bench, job: Job) -> _Size:
    protocol = bench.protocol
    configuration = bench.chosen("predictor", job.predictor).configuration
    batch_size, patch_px = protocol.training.batch_size, protocol.patches.size
    return _Size(job.predictor, configuration, batch_size, patch_px)
