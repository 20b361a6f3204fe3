"""Time how long a worker takes until it can do a job: begun by itself, and forked from a server.

    python benchmarks/workers.py [--workers 5]

Each way in a process of its own, whose first worker is not counted: it is begun by itself either
way. A job that fits something needs torch besides, which a worker that was begun by itself imports
then; from its second worker on, a server has imported it before it forks. Prints seconds of the
clock and of the processor for each worker, and what the server took for its imports apart.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import queue
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

TESTS = Path(__file__).parents[1] / "tests"


def busy(pid: int) -> float:
    """Return the seconds of the processor that a process has taken."""
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system


def measured(forked: bool, workers: int, report: Path) -> None:
    """Start workers one after the other, each when the one before is ready."""
    from spared_bench.api import make_bench
    from spared_bench.executors import worker_process
    from spared_bench.executors.slot import Slot

    if not forked:
        worker_process._can_fork = lambda: False
    found: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        options: Any = {"plugin_files": [TESTS / "toy_plugin.py"], "device": "cpu"}
        bench = make_bench(str(TESTS / "toy.yaml"), workspace=Path(folder), **options)
        slots = []
        for number in range(workers + 1):
            inbox: queue.Queue = queue.Queue()
            started = time.perf_counter()
            slots.append(Slot(bench.settings, number, inbox))
            inbox.get(timeout=120)
            seconds = time.perf_counter() - started
            found.append({"seconds": seconds, "busy": busy(slots[-1]._process.pid)})
        servers = [server._process.pid for _, server in worker_process._servers]
        of_servers = sum(map(busy, servers))
        for slot in slots:
            slot.kill()
    report.write_text(json.dumps({"workers": found[1:], "servers": of_servers}))


def main() -> None:
    """Measure both ways and print them."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--workers", type=int, default=5)
    count = parser.parse_args().workers
    for way in ("begun by itself", "forked"):
        with tempfile.TemporaryDirectory() as folder:
            report = Path(folder) / "report.json"
            child = multiprocessing.get_context("spawn").Process(
                target=measured, args=(way == "forked", count, report)
            )
            child.start()
            child.join()
            found = json.loads(report.read_text())
        seconds = " ".join(f"{each['seconds']:.2f}" for each in found["workers"])
        took = " ".join(f"{each['busy']:.2f}" for each in found["workers"])
        print(f"{way}: {seconds} s; {took} s of the processor; server {found['servers']:.2f} s")


if __name__ == "__main__":
    main()
