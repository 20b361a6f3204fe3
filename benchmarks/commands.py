"""Time what a person waits for: small commands, of this checkout and by turns of an earlier one.

    python benchmarks/commands.py [--before FOLDER] [--rounds 5]

FOLDER is a checkout of an earlier commit (``git worktree add FOLDER COMMIT``). Each command is run
in a process of its own, in the folder of its checkout, so that a board has the entries of others
that lie there. Prints, of each, the least seconds of the processor over the rounds, children
included.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parents[1]
RUN = ["run", "--suite", "tests/toy.yaml", "--plugin", "tests/toy_plugin.py", "-d", "toy"]
RUN += ["-c", "none", "-p", "toy-mean", "--device", "cpu", "--workers", "1", "--no-figures"]
COMMANDS = {
    "--help": ["--help"],
    "list predictors": ["list", "predictors"],
    "run, of which all is in the store": [*RUN, "--no-track"],
    "leaderboard build, of one run": ["leaderboard", "build", "--from", "store", "--out", "OUT"],
}


def seconds(checkout: Path, words: list[str]) -> float:
    """Return the seconds of the processor that a command takes."""
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
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--before", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args()
    checkouts = {"now": HERE} | ({"before": chosen.before.resolve()} if chosen.before else {})
    with tempfile.TemporaryDirectory(prefix="spared-bench-commands-") as place:
        taken: dict[tuple[str, str], list[float]] = {}
        for name, checkout in checkouts.items():
            seconds(checkout, [*RUN, "--no-track", "-w", f"{place}/{name}"])
        for _ in range(chosen.rounds):
            for what, words in COMMANDS.items():
                for name, checkout in checkouts.items():
                    workspace = [] if words[0].startswith("-") or words[0] == "list" else ["-w"]
                    workspace += [f"{place}/{name}"] if workspace else []
                    told = [f"{place}/out-{name}" if word == "OUT" else word for word in words]
                    found = seconds(checkout, [*told, *workspace])
                    taken.setdefault((what, name), []).append(found)
    for what in COMMANDS:
        now = min(taken[what, "now"])
        earlier = min(taken.get((what, "before"), [float("nan")]))
        print(f"{what:<36}{now:6.2f} s now {earlier:6.2f} s before {earlier / now:6.2f} times")


if __name__ == "__main__":
    main()
