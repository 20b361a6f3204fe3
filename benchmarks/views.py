"""Time three views of a large image against one: the image is to be decoded once.

    python benchmarks/views.py [--side 20000] [--spots 5000] [--images FOLDER]

A made-up image is written as JPEG and as tiled TIFF, or taken from the folder where an earlier run
left it. Spots are 300 px wide, 55 µm. Each way in a process of its own:

- one: the patch of each spot, 224 px;
- three: with it the region of 4.6 spot diameters around each spot, 224 px, and a grid of windows of
  512 µm, 512 px;
- apart: the same three, one after the other.

Prints seconds of the clock and of the processor, the ratio to one view, and the peak of memory.
"""

from __future__ import annotations

import argparse
import gc
import json
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from patches import DIAMETER_PX, PATCH_PX, make_image, peak_gb, spots

from spared_bench.memory import keep_freed_memory

FILES = {"JPEG": "image.jpg", "tiled TIFF (JPEG)": "jpeg.tif"}
_REPEATS = 3


def cut(path: Path, centres: np.ndarray, folder: Path, which: tuple[str, ...]) -> None:
    """Cut these views in one pass."""
    from anndata import AnnData

    from spared_bench.data.views import View
    from spared_bench.processing.views import cut_slide
    from spared_bench.protocol import PatchCutting

    slide = AnnData(np.ones((len(centres), 1), dtype=np.float32))
    slide.obsm["spatial"] = centres
    slide.uns["slide"] = {
        "image_path": str(path),
        "image_scale": 1.0,
        "spot_diameter_px": float(DIAMETER_PX),
        "um_per_px": 55 / DIAMETER_PX,
    }
    known = {"region": View(scale=4.6), "context": View(um=512, size=512, grid=True)}
    views = [(known[name], folder / f"{name}.npy") for name in which if name in known]
    patches = folder / "patches.npy" if "target" in which else None
    cut_slide(slide, PatchCutting(size=PATCH_PX), patches=patches, views=views)


def one(path: Path, centres: np.ndarray, folder: Path) -> None:
    """Cut the patches."""
    cut(path, centres, folder, ("target",))


def three(path: Path, centres: np.ndarray, folder: Path) -> None:
    """Cut the patches, the regions and the grid."""
    cut(path, centres, folder, ("target", "region", "context"))


def apart(path: Path, centres: np.ndarray, folder: Path) -> None:
    """Cut the same, each with a pass of its own."""
    for name in ("target", "region", "context"):
        cut(path, centres, folder, (name,))


def measured(way: Callable[..., None], path: Path, side: int, count: int, out: Path) -> dict:
    """Run one way in a process of its own: seconds of the clock and of the processor, and GB."""
    report = out / "report.json"
    child = multiprocessing.get_context("spawn").Process(
        target=_measure, args=(way, path, side, count, out, report)
    )
    child.start()
    child.join()
    if child.exitcode:
        raise SystemExit(f"{way.__name__} failed on {path}")
    return json.loads(report.read_text())


def _measure(
    way: Callable[..., None], path: Path, side: int, count: int, out: Path, report: Path
) -> None:
    keep_freed_memory()  # as the jobs of a run do
    way(path, spots(side, 2), out)  # imports and compilation are not counted
    gc.freeze()  # as a job's process does with what it has imported
    started, busy = time.perf_counter(), time.process_time()
    way(path, spots(side, count), out)
    found = {
        "seconds": time.perf_counter() - started,
        "busy": time.process_time() - busy,
        "gb": peak_gb(),
    }
    report.write_text(json.dumps(found))


def compare(folder: Path, side: int, count: int, repeats: int) -> None:
    """Measure every way on every file, the best of several times, and print a line for each."""
    print(f"{'file':<20}{'views':<8}{'seconds':>9}{'of CPU':>9}{'ratio':>8}{'of CPU':>8}{'GB':>7}")
    for kind, name in FILES.items():
        first: dict[str, float] = {}
        for way in (one, three, apart):
            with tempfile.TemporaryDirectory(dir=folder) as out:
                runs = [
                    measured(way, folder / name, side, count, Path(out)) for _ in range(repeats)
                ]
            found = {key: min(run[key] for run in runs) for key in runs[0]}
            first = first or found
            print(
                f"{kind:<20}{way.__name__:<8}{found['seconds']:>9.1f}{found['busy']:>9.1f}"
                f"{found['seconds'] / first['seconds']:>8.2f}{found['busy'] / first['busy']:>8.2f}"
                f"{found['gb']:>7.2f}",
                flush=True,
            )


def main() -> None:
    """Make the images that are not there, and compare."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--side", type=int, default=20_000, help="of the image, in pixels")
    parser.add_argument("--spots", type=int, default=5_000)
    parser.add_argument("--repeats", type=int, default=_REPEATS, help="the best of so many counts")
    parser.add_argument("--images", type=Path, help="a folder to keep the images in")
    choices = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = choices.images or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for name in FILES.values():
            if not (folder / name).is_file():
                make_image(folder / name, choices.side)
        print(
            f"{choices.spots:,} spots on {choices.side:,} x {choices.side:,} px,"
            f" {len(os.sched_getaffinity(0))} cores"
        )
        compare(folder, choices.side, choices.spots, choices.repeats)


if __name__ == "__main__":
    main()
