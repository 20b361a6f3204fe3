"""Time what a person waits for: small commands, of this checkout and by turns of an earlier one.

    python benchmarks/commands.py [--before FOLDER] [--rounds 5]

FOLDER is a checkout of an earlier commit (``git worktree add FOLDER COMMIT``). Each command is run
in a process of its own, in the folder of its checkout, so that a board has the entries of others
that lie there. Prints, of each, the least seconds of the processor over the rounds, children
included, and the least on the clock.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from math import nan
from pathlib import Path

HERE = Path(__file__).parents[1]
RUN = ["run", "--suite", "tests/toy.yaml", "--plugin", "tests/toy_plugin.py", "-d", "toy"]
RUN += ["-c", "none", "-p", "toy-mean", "--device", "cpu", "--workers", "1", "--no-figures"]
FIRST = "a first run, of three trainings"  # to its board
COMPLETION = "complete, of one slide by one method"
IN_AN_EMPTY_WORKSPACE = (FIRST, COMPLETION)
COMMANDS = {
    "--help": ["--help"],
    "list predictors": ["list", "predictors"],
    "run, of which all is in the store": [*RUN, "--no-track"],
    "leaderboard build, of one run": ["leaderboard", "build", "--from", "store", "--out", "OUT"],
    COMPLETION: ["complete", "her2st_demo", "-c", "median", "--repeats", "1", "--device", "cpu"],
    FIRST: ["run", "--suite", "demo", "-c", "median", "-p", "gene-mean"],
}


def seconds(checkout: Path, words: list[str]) -> tuple[float, float]:
    """Return the seconds of the processor that a command takes, and those on the clock."""
    begun = time.perf_counter()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, "-m", "spared_bench", *words],
        cwd=checkout,
        env={**os.environ, "PYTHONPATH": str(checkout)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return used, time.perf_counter() - begun


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--before", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args()
    checkouts = {"now": HERE} | ({"before": chosen.before.resolve()} if chosen.before else {})
    with tempfile.TemporaryDirectory(prefix="spared-bench-commands-") as place:
        taken: dict[tuple[str, str], list[tuple[float, float]]] = {}
        for name, checkout in checkouts.items():
            seconds(checkout, [*RUN, "--no-track", "-w", f"{place}/{name}"])
        for number in range(chosen.rounds):
            for what, words in COMMANDS.items():
                for name, checkout in checkouts.items():
                    workspace = [] if words[0].startswith("-") or words[0] == "list" else ["-w"]
                    new = f"{number}{what[0]}" if what in IN_AN_EMPTY_WORKSPACE else ""
                    folder = f"{place}/{name}{new}"
                    workspace += [folder] if workspace else []
                    told = [f"{place}/out-{name}" if word == "OUT" else word for word in words]
                    found = seconds(checkout, [*told, *workspace])
                    taken.setdefault((what, name), []).append(found)
    for what in COMMANDS:
        for unit, at in (("s", 0), ("s on the clock", 1)):
            now = min(each[at] for each in taken[what, "now"])
            earlier = min(each[at] for each in taken.get((what, "before"), [(nan, nan)]))
            told = f"{now:6.2f} now {earlier:6.2f} before {earlier / now:6.2f} times, {unit}"
            print(f"{what:<38}{told}")


if __name__ == "__main__":
    main()
