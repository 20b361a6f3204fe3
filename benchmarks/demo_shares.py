"""How much of a demo run is the harness's own time, and how much memory it takes.

    python benchmarks/demo_shares.py [--workers N]

Runs ``run --all --suite demo`` twice in a fresh workspace, in this process and its workers, and
prints the shares of the first run (planning, orchestrating, storing, tracking and the page), the
peak memory of all its processes together, and the time of the second run.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
from pathlib import Path

import psutil

from spared_bench.api import Report, execute, make_bench, select


class PeakMemory:
    """Samples the memory of this process and its children: pages they share count once (PSS)."""

    def __enter__(self) -> PeakMemory:
        self.peak = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _sample(self) -> None:
        me = psutil.Process()
        while not self._stop.wait(0.5):
            total = 0
            for process in [me, *me.children(recursive=True)]:
                try:
                    total += process.memory_full_info().pss
                except psutil.NoSuchProcess:
                    continue
            self.peak = max(self.peak, total)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workers", type=int, default=None)
    workers = parser.parse_args().workers
    with tempfile.TemporaryDirectory() as folder, PeakMemory() as memory:
        first, planning = run(Path(folder), workers)
        second, _ = run(Path(folder), workers)
    shares = {"planning": planning, **first.seconds}
    wall = shares.pop("wall") + planning
    own = sum(shares.values())
    print(
        f"first run: {wall:.1f} s, {first.new} trials; second run: {second.seconds['wall']:.1f} s,"
    )
    print(f"{second.new} trials. Peak memory of all processes {memory.peak / 2**30:.2f} GiB.")
    for name, seconds in shares.items():
        print(f"  {name:<14}{seconds:8.2f} s  {seconds / wall:6.1%}")
    print(f"  {'harness':<14}{own:8.2f} s  {own / wall:6.1%} of the wall time")


def run(workspace: Path, workers: int | None) -> tuple[Report, float]:
    """Run the demo; return the report and the seconds of planning."""
    started = time.perf_counter()
    plan = select(make_bench("demo", workspace=workspace, device="cpu"))
    planning = time.perf_counter() - started
    return execute(plan, workers=workers), planning


if __name__ == "__main__":
    main()
