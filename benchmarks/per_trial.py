"""What a trial that computes nothing costs, against reading everything anew for each.

    python benchmarks/per_trial.py [--trials 60] [--rounds 3]

Trials of the training mean and their scores, in this process. In turn with the package as it is:
the same with the rows of a split cut for each use, the completed layer read for each split, the way
to counts fitted for each trial, and each plugin's object imported, under guard, at each use. Prints
seconds of the processor and on the clock, and their ratio.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness import QUIET, plan_of

from spared_bench.api import execute
from spared_bench.registry import Registered
from spared_bench.trials.products import Kept, Prepared


@contextmanager
def anew() -> Iterator[None]:
    """Keep nothing between two uses, as it was before."""
    shared, transform, load = Prepared.shared, Prepared.transform, Registered.load

    def forgetting(method):
        def call(self, *arguments):
            for name, value in vars(Kept()).items():
                setattr(self.kept, name, value)
            return method(self, *arguments)

        return call

    def import_again(self):
        vars(self).pop("_loaded", None)
        return load(self)

    Prepared.shared, Prepared.transform = forgetting(shared), forgetting(transform)
    Registered.load = import_again
    try:
        yield
    finally:
        Prepared.shared, Prepared.transform, Registered.load = shared, transform, load


def measured(root: Path, trials: int, first: int) -> tuple[float, float]:
    """Return milliseconds of the processor and on the clock, per trial."""
    plan = plan_of(root, trials, first=first)
    clock, busy = time.perf_counter(), time.process_time()
    report = execute(plan, executor="inline", **QUIET)
    spent = time.process_time() - busy, time.perf_counter() - clock
    assert report.new == trials
    return 1e3 * spent[0] / trials, 1e3 * spent[1] / trials


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    root = Path(tempfile.mkdtemp(prefix="spared-bench-per-trial-"))
    try:
        measured(root, 3, 10**6)  # prepares, and imports
        found: dict[str, list[tuple[float, float]]] = {"now": [], "anew": []}
        for number in range(chosen.rounds):
            first = 2 * number * chosen.trials
            found["now"].append(measured(root, chosen.trials, first))
            with anew():
                found["anew"].append(measured(root, chosen.trials, first + chosen.trials))
    finally:
        shutil.rmtree(root, ignore_errors=True)
    for at, what in enumerate(("of the processor", "on the clock")):
        now, before = (statistics.median(each[at] for each in found[n]) for n in ("now", "anew"))
        print(
            f"ms a trial {what}: {now:.1f}, everything anew {before:.1f}: {before / now:.2f} times"
        )


if __name__ == "__main__":
    main()
