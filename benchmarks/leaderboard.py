"""How long the leaderboard takes: 10,000 runs to the finished site, and the site in a browser.

    python benchmarks/leaderboard.py [--runs 10000] [--json FILE] [--before FOLDER]

Makes a store of made-up results (200 predictors x 40 datasets x 5 completers, of which a run keeps
the first 10,000 where asked for fewer), builds the site from it in a process of its own, whose time
and largest memory are measured, and opens it in headless Chromium. The full table, which the page
has to show, is built from 200 x 40 x 5 results; with FOLDER, a checkout of an earlier commit, by
turns also by that one, whose tables must be the same.
"""

from __future__ import annotations

import argparse
import filecmp
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from made_up_board import COMPLETERS, DATASETS, PREDICTORS, write_store

HERE = Path(__file__).parents[1]
BUILD = """
import resource, sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from made_up_board import registry
from spared_bench.leaderboard.publish import build_leaderboard
from spared_bench.workspace import Workspace
known, place, out = registry(), Workspace.at(Path(sys.argv[1])), Path(sys.argv[2])
begun = time.perf_counter()
build_leaderboard(place, source="store", out=out, registry=known)
used = resource.getrusage(resource.RUSAGE_SELF)
print(time.perf_counter() - begun, used.ru_utime + used.ru_stime, used.ru_maxrss / 1e6)
"""


def time_build(root: Path, out: Path, checkout: Path = HERE) -> dict[str, float]:
    """Build in a process of its own; return seconds (start of Python included) and gigabytes."""
    begun = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", BUILD, str(root), str(out), str(Path(__file__).parent)],
        cwd=checkout,
        env={**os.environ, "PYTHONPATH": str(checkout)},
        check=True,
        capture_output=True,
        text=True,
    )
    inside, cpu, memory = map(float, done.stdout.split())
    size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    return {
        "wall_s": time.perf_counter() - begun,
        "build_s": inside,
        "cpu_s": cpu,
        "memory_gb": memory,
        "site_mb": size / 1e6,
    }


def time_page(
    page_file: Path, repeats: int, pick: Callable[[list[float]], float] = min
) -> dict[str, float]:
    """Open the page from disk; return milliseconds to first paint, to the table, per action.

    The least of all openings: what the page costs, whatever else the machine does.
    """
    from playwright.sync_api import sync_playwright

    path = shutil.which("chromium") or shutil.which("chromium-browser")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--disable-gpu"]
        )
        found: dict[str, list[float]] = {}
        for _ in range(repeats):
            page = browser.new_page(viewport={"width": 1440, "height": 900})
            page.goto(page_file.as_uri())
            page.wait_for_selector("html[data-ready='table']")
            found.setdefault("table_ready_ms", []).append(page.evaluate("performance.now()"))
            page.wait_for_timeout(300)
            spent = _main_thread(page)
            paint = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
            found.setdefault("first_paint_ms", []).append(page.evaluate(paint))
            for name, action in ACTIONS.items():
                before = spent()
                found.setdefault(f"{name}_ms", []).append(page.evaluate(TIMED % action))
                found.setdefault(f"{name}_cpu_ms", []).append(1000 * (spent() - before))
                page.evaluate(TIMED % RESET)
            page.close()
        browser.close()
    return {name: pick(values) for name, values in found.items()}


def _main_thread(page: Any) -> Callable[[], float]:
    """Return a clock of the main thread, in s: what an action costs on a busy machine."""
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})

    def spent() -> float:
        metrics = session.send("Performance.getMetrics")["metrics"]
        return float(next(each["value"] for each in metrics if each["name"] == "TaskDuration"))

    return spent


# From the event to the frame after next, which shows what followed from it.
TIMED = """async () => {
  const frame = () => new Promise(requestAnimationFrame);
  await frame();
  const begun = performance.now();
  %s
  const handled = performance.now();
  await frame();
  return Math.max(handled - begun, performance.now() - begun);
}"""
_SET = (
    "const f = document.getElementById('filters').elements.namedItem('{name}');"
    "f.value = '{value}'; f.dispatchEvent(new Event('input', {{bubbles: true}}));"
)
_TICK = (
    "const f = document.querySelector('{which}');"
    "f.checked = !f.checked; f.dispatchEvent(new Event('input', {{bubbles: true}}));"
)
_HEADING = "document.querySelectorAll('#board thead th')[{at}].querySelector('button').click()"
RESET = "document.querySelector('button[type=reset]').click()"
#: Each on the whole board, which is shown again after it.
ACTIONS = {
    "sort by the mean": _HEADING.format(at=3),
    "sort by a dataset": _HEADING.format(at=30),
    "technology": _SET.format(name="technology", value="Visium"),
    "organism": _SET.format(name="organism", value="human"),
    "tissue": _SET.format(name="tissue", value="breast"),
    "no GPU": _SET.format(name="budget", value="cpu"),
    "no GPU, ten minutes": _SET.format(name="budget", value="quick"),
    "search": _SET.format(name="q", value="method01"),
    "completer": _SET.format(name="completer", value="completer2"),
    "tier": _SET.format(name="tier", value="A"),
    "metric": _SET.format(name="metric", value="pcc-gene"),
    "one dataset less": _TICK.format(which="#datasets input[value=dataset05]"),
    "one column less": _TICK.format(which="#columns input:checked"),
}


def by_turns(root: Path, place: Path, before: Path) -> Iterator[tuple[str, dict[str, float]]]:
    """Build with an index by this checkout and an earlier one; yield the figures of each build.

    Raises
    ------
    SystemExit
        If their tables differ.
    """
    outs = {"now": place / "now", "before": place / "before"}
    for turn in (1, 2, 3):
        for which, checkout in (("before", before), ("now", HERE)):
            yield f"{which}, turn {turn}", time_build(root, outs[which], checkout)
    for table in ("leaderboard.csv", "leaderboard.json", "leaderboard.md"):
        if not filecmp.cmp(outs["now"] / table, outs["before"] / table, shallow=False):
            raise SystemExit(f"{table} differs.")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=5, help="openings of the page")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--before", type=Path, help="a checkout of an earlier commit")
    arguments = parser.parse_args()
    figures: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_store(root / "runs", arguments.runs)
        figures[f"{arguments.runs} runs"] = time_build(root / "runs", root / "site")
        shutil.rmtree(root / "runs")
        everything = PREDICTORS * DATASETS * COMPLETERS
        write_store(root / "all", everything)
        figures[f"{everything} runs"] = time_build(root / "all", root / "full")
        if arguments.before:
            figures |= by_turns(root / "all", root, arguments.before.resolve())
        figures["page of 200 x 40 x 5"] = time_page(root / "full" / "index.html", arguments.repeats)
    for name, values in figures.items():
        print(name, {key: round(value, 2) for key, value in values.items()})
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
