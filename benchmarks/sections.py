"""Time registration, the graph of a sample and label propagation.

    python benchmarks/sections.py [--side 10000] [--spots 5000] [--genes 250] [--only graph]

Six sections of one block are painted, each turned otherwise, written as JPEG of so many pixels and
registered (bound: 90 s on two cores). Six sections of so many spots of Visium, 100 um apart, become
one graph (5 s, 500 MB), over which the labels of the first section's spots are spread until they
do not change (5 s). Each part runs in a process of its own; printed are seconds of the clock and of
the processor, and by how much the peak of memory rose.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

_SECTIONS = 6


def registration(side: int, folder: Path) -> dict[str, Any]:
    """Register six sections of ``side`` pixels; painting them is not timed."""
    from PIL import Image

    from spared_bench.registration import register
    from tests.registration.painted import SIZE, UM_PER_PX, placed, section

    Image.MAX_IMAGE_PIXELS = None
    slides, factor = {}, side / SIZE
    for at in range(_SECTIONS):
        path = folder / f"s{at}.png"
        slide = section(path, placed(65.0 * at, 20 * (at % 3), -10 * at))
        large = Image.open(path).resize((side, side), Image.Resampling.BICUBIC)
        large.save(folder / f"s{at}.jpg", quality=90)
        slide.uns["slide"] |= {
            "image_path": str(folder / f"s{at}.jpg"),
            "um_per_px": UM_PER_PX / factor,
            "spot_diameter_px": slide.uns["slide"]["spot_diameter_px"] * factor,
        }
        slide.obsm["spatial"] = slide.obsm["spatial"] * factor
        slides[f"s{at}"] = slide
    found = {}

    def work() -> None:
        found["registration"] = register(slides)

    return timed(work) | {"in_doubt": sorted(found["registration"].doubtful)}


def sample(n_spots: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return places in um, sections and their order of six sections of a hexagonal array."""
    rng = np.random.default_rng(0)
    across = int(np.ceil(np.sqrt(n_spots)))
    rows, columns = np.divmod(np.arange(n_spots), across)
    grid = np.stack([100.0 * (columns + 0.5 * (rows % 2)), 86.6 * rows], axis=1)
    points = []
    for at in range(_SECTIONS):
        angle = 0.1 * at
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        points.append((grid - grid.mean(axis=0)) @ turn.T + rng.uniform(-50, 50, 2))
    order = np.repeat(np.arange(_SECTIONS), n_spots)
    return np.concatenate(points), np.array([f"s{at}" for at in order]), order


def graph(n_spots: int) -> dict[str, Any]:
    """Build the graph of six sections, 8 edges within and 12 across."""
    from spared_bench.models.section_graphs import section_graph

    points, sections, order = sample(n_spots)
    section_graph(points[:50], sections[:50], order[:50], 55.0)  # imports are not timed
    found = {}

    def work() -> None:
        found["graph"] = section_graph(points, sections, order, 55.0, within=8, across=12)

    return timed(work) | {"edges": found["graph"].edges.shape[1]}


def propagation(n_spots: int, n_genes: int) -> dict[str, Any]:
    """Spread the labels of the first section over all six."""
    from spared_bench.models.propagation import propagate
    from spared_bench.models.section_graphs import section_graph

    points, sections, order = sample(n_spots)
    matrix = section_graph(points, sections, order, 55.0, within=8, across=12).matrix
    labels = np.random.default_rng(1).normal(size=(len(points), n_genes)).astype(np.float32)
    return timed(lambda: propagate(matrix, labels, order == 0))


def timed(work: Callable[[], Any]) -> dict[str, float]:
    """Return what something takes: seconds, of the clock and the processor, and memory in MB."""
    before = resource.getrusage(resource.RUSAGE_SELF)
    started = time.perf_counter()
    work()
    clock, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF)
    return {
        "seconds": round(clock, 2),
        "processor_seconds": round(
            after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 2
        ),
        "memory_mb": round((after.ru_maxrss - before.ru_maxrss) / 1024, 1),
    }


def main() -> None:
    """Time the parts and print a line of JSON for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=10_000, help="pixels of an image's side")
    parser.add_argument("--spots", type=int, default=5_000, help="of a section")
    parser.add_argument("--genes", type=int, default=250)
    parser.add_argument("--only", choices=["registration", "graph", "propagation"])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        parts: dict[str, tuple[Callable[..., dict[str, Any]], tuple[Any, ...]]] = {
            "registration": (registration, (options.side, Path(scratch))),
            "graph": (graph, (options.spots,)),
            "propagation": (propagation, (options.spots, options.genes)),
        }
        context = multiprocessing.get_context("spawn")
        for name, (part, arguments) in parts.items():
            if options.only in (None, name):
                with context.Pool(1) as pool:
                    print(json.dumps({"part": name, **pool.apply(part, arguments)}), flush=True)


if __name__ == "__main__":
    main()
