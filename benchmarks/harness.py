"""What the harness costs where trials cost nothing: thousands of trials of the training mean.

    python benchmarks/harness.py [--trials 5000] [--isolated 60] [--tracked 300] [--workers 1]

Prints, each with its target: planning; wall time per trial with reused processes, and with a child
process for each; a re-run in which all is cached; MLflow's pace; listing and averaging 20,000
results; the orchestrator's peak memory; and, on two cores, two workers' throughput against one's on
trials that compute. All plugins are our own, whose trials share a process; those of strangers
have one each, which the line on isolation counts.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

from spared_bench.api import execute, make_bench, select
from spared_bench.bench import Bench, Limits
from spared_bench.keys.hashing import digest
from spared_bench.leaderboard.publish import build_leaderboard
from spared_bench.leaderboard.rows import board_rows
from spared_bench.planning.plan import Plan
from spared_bench.registry import discover
from spared_bench.store import onlooker
from spared_bench.store.entries import Store
from spared_bench.store.index import forget_index
from spared_bench.store.maintenance import unneeded
from spared_bench.store.records import Records
from spared_bench.store.trials import RESULT, SCORE_RECORD, SCORES, TRIALS
from spared_bench.trials.cells import cells_in, failures_since, finished_cells
from spared_bench.workspace import Workspace

QUIET = {"track": False, "figures": False}


PROTOCOL = """
name: harness
version: 1
comparable: false
datasets: [planted]
completers: [none]
processing: {target: log1p_cp10k, n_genes: 6}
patches: {size: 8}
search: {completer: none, grids: {alpha: [10.0]}}
"""


def plan_of(root: Path, trials: int, predictor: str = "gene-mean", first: int = 0) -> Plan:
    """Plan so many repetitions of one predictor on the generated dataset."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "harness.yaml").write_text(PROTOCOL)
    bench = make_bench(str(root / "harness.yaml"), workspace=root, device="cpu")
    seeds = tuple(range(first, first + trials))
    protocol = bench.protocol.model_copy(update={"seeds": seeds})
    settings = replace(bench.settings, protocol=protocol.model_dump(mode="json"))
    return select(Bench(settings, bench.registry), ["planted"], ["none"], [predictor])


def timed(call):
    """Return what a call returns, and its seconds."""
    started = time.perf_counter()
    value = call()
    return value, time.perf_counter() - started


def processor_seconds() -> float:
    """Return what this process and its ended children have used."""
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(used.ru_utime + used.ru_stime for used in both)


def tell(what: str, value: float, unit: str, target: str) -> None:
    print(f"{what:<52}{value:10.2f} {unit:<10} target {target}", flush=True)


def many(root: Path, trials: int, workers: int) -> None:
    plan, seconds = timed(lambda: plan_of(root, trials))
    tell(f"planning {trials} trials", seconds, "s", "< 10 s for 5,000")
    with ProcessPoolExecutor(1) as pool:  # prepares; neither its time nor its memory counts
        pool.submit(_prepare, root).result()
    before = processor_seconds()
    report, seconds = timed(lambda: execute(plan, workers=workers, **QUIET))
    busy = processor_seconds() - before
    assert len(report.results) == trials
    tell("a trial, processes reused, wall", 1e3 * seconds / trials * workers, "ms", "-")
    inside = sum(result.seconds["total"] for result in report.results) / trials
    tell("  of this inside the trial (load, score, write)", 1e3 * inside, "ms", "-")
    tell("  processor time of all processes", 1e3 * busy / trials, "ms", "-")
    over = 1e3 * (seconds * workers / trials - inside)
    tell("  the harness's overhead", over, "ms", "< 30 ms")
    again, seconds = timed(lambda: execute(plan, workers=workers, **QUIET))
    assert again.new == 0
    tell("the same again, all cached", seconds, "s", "< 15 s")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    tell("peak memory of the orchestrator", peak, "MiB", "< 500 MB")


def _prepare(root: Path) -> None:
    execute(plan_of(root, 1), workers=1, **QUIET)


def isolated(root: Path, trials: int) -> None:
    plan = plan_of(root, trials, first=10**6)
    report, seconds = timed(lambda: execute(plan, workers=1, limits=Limits(isolate=True), **QUIET))
    inside = sum(result.seconds["total"] for result in report.results) / trials
    tell("a trial in a child of its own, overhead", seconds / trials - inside, "s", "< 1 s")


def tracked(root: Path, trials: int) -> None:
    from spared_bench.tracking.tracker import Tracker

    cells = [
        cell for _, cell in zip(range(trials), finished_cells(Store(root / "store")), strict=False)
    ]
    tracker = Tracker(root)
    tracker.connect()
    busy = time.process_time()
    _, seconds = timed(lambda: tracker.sync(cells))
    busy = time.process_time() - busy
    tell(f"MLflow sync of {len(cells)} trials", len(cells) / seconds, "trials/s", ">= 20")
    tell("  by the processor's time alone", len(cells) / busy, "trials/s", "-")


def listed(root: Path, results: int) -> None:
    """Copy one result under many keys, then list and average them all."""
    source, target = Store(root / "store"), Store(root / "many" / "store")
    (cell, *_) = finished_cells(source)
    trial = cell.final.as_dict()
    scores = (cell.scores / SCORE_RECORD).read_text()
    for number in range(results):
        names = ["harness@1", "planted", "none", f"method-{number % 10}", number]
        key = _write_plainly(
            target,
            TRIALS,
            number,
            RESULT,
            lambda key, names=names: json.dumps(
                trial | {"key": key, "predictor": names[3], "seed": names[4]}
            ),
        )
        scored = _write_plainly(target, SCORES, number, SCORE_RECORD, lambda key: scores)
        record = {"cell": names, "final": key, "search": [], "scores": scored, "figures": ""}
        cells = target.root / "cells"
        cells.mkdir(exist_ok=True)
        (cells / f"{digest(names)}.json").write_text(json.dumps(record))
    (rows, found), seconds = timed(lambda: _aggregate(target))
    assert found == results
    tell(f"listing and averaging {found} results, {rows} rows", seconds, "s", "< 10 s")
    time.sleep(2)  # the index believes no file that is younger
    forget_index(target)
    for what in ("reading them as files", "reading them by the index"):
        busy = time.process_time()
        _, seconds = timed(lambda: sum(1 for _ in finished_cells(target)))
        tell(f"{what}, {2 * found} entries", seconds, "s", "-")
        tell("  by the processor's time alone", time.process_time() - busy, "s", "-")
    shown_again(target.root.parent, results)
    _, seconds = timed(lambda: unneeded(target, 7))
    tell("what `store gc` would take", seconds, "s", "-")


def shown_again(root: Path, results: int) -> None:
    """Show many results for the second time: the first puts them into the index as they are shown.

    With the files of all of them looked at by a child, and, as before, between everything else.
    """

    def status() -> int:
        with Records(Store(root / "store"), outcomes=True) as records:
            return sum(1 for _ in cells_in(records)) + sum(1 for _ in failures_since(records))

    def board() -> Path | None:
        return build_leaderboard(Workspace.at(root), source="store", registry=known)

    known = discover()
    for what, show in (("the board", board), ("status", status)):
        show()
        for how, worth in (("by itself", 10**9), ("with a child", onlooker._WORTH)):
            with patch.object(onlooker, "_WORTH", worth):
                _, seconds = timed(show)
            tell(f"{what} of {2 * results} entries, {how}", seconds, "s", "< 3 s for 100,000")


def _write_plainly(
    target: Store, kind: str, number: int, name: str, text_of: Callable[[str], str]
) -> str:
    """Write an entry as the store does, without the care for power cuts that takes minutes."""
    inputs = {"copy": number, "kind": kind}
    key = digest(inputs)
    text, folder = text_of(key), target.folder(kind, key)
    folder.mkdir(parents=True)
    (folder / name).write_text(text)
    files = {name: {"bytes": len(text.encode()), "sha256": ""}}
    manifest = {"kind": kind, "inputs": inputs, "files": files}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return key


def _aggregate(store: Store) -> tuple[int, int]:
    finals = [cell.final for cell in finished_cells(store)]
    return len(board_rows(finals).protocols), len(finals)


def scaling(root: Path, trials: int) -> None:
    """Two workers against one, on trials that compute, start of the workers included.

    That start takes nearly 3 seconds, the imports of the first trial in each worker among them: of
    few such trials it is what counts.

    Beside it, what the machine itself gives: two bare processes against one with the same work.
    """
    taken, bare = [], []
    for workers, first in ((1, 0), (2, 10**5)):
        plan = plan_of(root, trials, "linear-probe", first=first)
        _, seconds = timed(
            lambda plan=plan, workers=workers: execute(plan, workers=workers, **QUIET)
        )
        taken.append(seconds)
        with ProcessPoolExecutor(workers) as pool:
            list(pool.map(_count, [4_000_000] * workers))  # the processes are there
            bare.append(timed(lambda pool=pool: list(pool.map(_count, [4_000_000] * 100)))[1])
    tell("two workers' throughput over one's", taken[0] / taken[1], "times", ">= 1.8")
    tell("  two bare processes' over one's", bare[0] / bare[1], "times", "-")


def _count(rounds: int) -> int:
    total = 0
    for number in range(rounds):
        total += number % 7
    return total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=5000)
    parser.add_argument("--isolated", type=int, default=60)
    parser.add_argument("--tracked", type=int, default=300)
    parser.add_argument("--listed", type=int, default=20000)
    parser.add_argument("--busy", type=int, default=600, help="trials that compute")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--no-scaling", action="store_true", help="where cores are not free")
    chosen = parser.parse_args()
    root = Path(tempfile.mkdtemp(prefix="spared-bench-harness-"))
    try:
        many(root, chosen.trials, chosen.workers)
        isolated(root, chosen.isolated)
        tracked(root, chosen.tracked)
        listed(root, chosen.listed)
        if not chosen.no_scaling:
            scaling(root, chosen.busy)
    finally:
        shutil.rmtree(root, ignore_errors=True)


if __name__ == "__main__":
    main()
