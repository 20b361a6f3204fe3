"""How long the leaderboard takes: 10,000 runs to the finished site, and the site in a browser.

    python benchmarks/leaderboard.py [--runs 10000] [--json FILE]

Makes a store of made-up results (200 predictors x 40 datasets x 5 completers, of which a run keeps
the first 10,000 where asked for fewer), builds the site from it in a process of its own, whose time
and largest memory are measured, and opens it in headless Chromium. The full table, which the page
has to show, is built from 200 x 40 x 5 results.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from spared_bench.keys.hashing import digest
from spared_bench.results import TrialResult

PREDICTORS, DATASETS, COMPLETERS = 200, 40, 5
SLIDES = 4
GENES = 32
BUILD = """
import resource, sys, time
from pathlib import Path
from spared_bench.leaderboard.publish import build_leaderboard
from spared_bench.workspace import Workspace
begun = time.perf_counter()
build_leaderboard(Workspace.at(Path(sys.argv[1])), source="store", out=Path(sys.argv[2]))
used = resource.getrusage(resource.RUSAGE_SELF)
print(time.perf_counter() - begun, used.ru_utime + used.ru_stime, used.ru_maxrss / 1e6)
"""


def made_up_results(n: int) -> Iterator[TrialResult]:
    """Yield results with the fields and sizes of real ones, 128 genes aside."""
    rng = np.random.default_rng(7)
    made = 0
    for predictor in range(PREDICTORS):
        for completer in range(COMPLETERS):
            for dataset in range(DATASETS):
                if made == n:
                    return
                made += 1
                yield _result(rng, predictor, completer, dataset)


def _result(rng: np.random.Generator, predictor: int, completer: int, dataset: int) -> TrialResult:
    pcc = float(np.clip(rng.normal(0.3, 0.15), -0.9, 0.9))
    scores = {"mse": 1.2 - 0.5 * pcc + 0.02 * dataset, "mae": 0.8, "pcc-gene": pcc, "r2-gene": 0.1}
    return TrialResult(
        key=digest([predictor, completer, dataset]),
        status="ok",
        protocol="made-up@1",
        dataset=f"dataset{dataset:02}",
        completer="none" if completer == 0 else f"completer{completer}",
        predictor=f"method{predictor:03}",
        parameters={"lr": 1e-3, "backbone": "resnet18", "width": 128},
        scores={"val": scores, "test": scores},
        slide_scores={"test": {f"slide{i}": scores for i in range(SLIDES)}},
        gene_scores={"pcc-gene": rng.normal(pcc, 0.1, GENES).round(4).tolist()},
        genes=[f"ENSG{i:011}" for i in range(GENES)],
        gene_symbols=[f"G{i}" for i in range(GENES)],
        curves={"val_mse": [(i, 1.0) for i in range(0, 1000, 10)]},
        n_parameters=1000 * (predictor + 1),
        seconds={"fit": 10.0 + predictor, "total": 12.0 + predictor},
        facts={
            "evaluation_split": "test",
            "tier": "ABC"[dataset % 3],
            "comparable": True,
            "control": False,
            "scope": "patch",
            "weights": "pretrained",
        },
        environment={"python": "3.11", "packages": {f"package{i}": "1.0" for i in range(10)}},
    )


def write_store(root: Path, n: int) -> None:
    """Write the store as the runner would, without its syncing of every file."""
    cells = root / "store" / "cells"
    cells.mkdir(parents=True)
    for result in made_up_results(n):
        folder = root / "store" / "trials" / result.key[:2] / result.key
        folder.mkdir(parents=True)
        text = json.dumps(result.as_dict(), indent=1)
        (folder / "result.json").write_text(text)
        files = {"result.json": {"bytes": len(text), "sha256": ""}}
        manifest = {"kind": "trials", "inputs": {}, "files": files}
        (folder / "manifest.json").write_text(json.dumps(manifest))
        cell = [result.protocol, result.dataset, result.completer, result.predictor, result.seed]
        record = {"cell": cell, "final": result.key, "search": []}
        (cells / f"{digest(cell)}.json").write_text(json.dumps(record))


def time_build(root: Path, out: Path) -> dict[str, float]:
    """Build in a process of its own; return seconds (start of Python included) and gigabytes."""
    begun = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", BUILD, str(root), str(out)],
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


def time_page(page_file: Path, repeats: int) -> dict[str, float]:
    """Open the page from disk; return milliseconds to first paint, to the table, per action."""
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
                found.setdefault(name, []).append(page.evaluate(TIMED % action))
                cpu = name.replace("_ms", "_cpu_ms")
                found.setdefault(cpu, []).append(1000 * (spent() - before))
            page.close()
        browser.close()
    return {name: statistics.median(values) for name, values in found.items()}


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
ACTIONS = {
    "sort_ms": "document.querySelectorAll('#board thead th')[4].click()",
    "sort_again_ms": "document.querySelectorAll('#board thead th')[4].click()",
    "search_ms": _SET.format(name="q", value="method01"),
    "filter_completer_ms": _SET.format(name="completer", value="completer2"),
    "clear_ms": _SET.format(name="completer", value=""),
    "filter_tier_ms": _SET.format(name="tier", value="A"),
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=5, help="openings of the page")
    parser.add_argument("--json", type=Path)
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
        figures["page of 200 x 40 x 5"] = time_page(root / "full" / "index.html", arguments.repeats)
    for name, values in figures.items():
        print(name, {key: round(value, 2) for key, value in values.items()})
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
