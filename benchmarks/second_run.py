"""What a run costs that finds everything in the store, against logging and building anew.

    python benchmarks/second_run.py [--workspace DIR] [--rounds 2] [-- SELECTION ...]

Runs the command on a workspace in which the same has been run (it is run first, whatever that
takes), in turn as it is and, as it was before, without the notes by which it leaves MLflow and the
page alone. Prints seconds of the processor and on the clock. The selection is the whole demo
(`--all --suite demo`) unless given.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

NOTES = ("mlflow.logged.json", "leaderboard/.built.json")


def run(workspace: Path, selection: list[str]) -> tuple[float, float]:
    """Run the command; return its seconds of the processor, and on the clock."""
    clock, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "spared_bench", "run", *selection, "-w", str(workspace)]
    subprocess.run(command, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    busy = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return busy, time.perf_counter() - clock


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workspace", type=Path, default=None)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("selection", nargs="*", default=["--all", "--suite", "demo"])
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        workspace = chosen.workspace or Path(folder)
        run(workspace, chosen.selection)
        found: dict[str, list[tuple[float, float]]] = {"now": [], "anew": []}
        for _ in range(chosen.rounds):
            found["now"].append(run(workspace, chosen.selection))
            for note in NOTES:
                (workspace / note).unlink()
            found["anew"].append(run(workspace, chosen.selection))
    for at, what in enumerate(("of the processor", "on the clock")):
        now, before = (statistics.median(each[at] for each in found[n]) for n in found)
        print(f"seconds {what}: {now:.1f}; all anew {before:.1f}, {before / now:.2f} times")


if __name__ == "__main__":
    main()
