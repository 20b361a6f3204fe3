"""Time the cutting of patches from a large image, beside the decoding that no way can save.

    python benchmarks/patches.py [--side 20000] [--spots 5000] [--images FOLDER]

A made-up image is written as JPEG and as tiled TIFF (compressed as JPEG and by deflate), or taken
from the folder where an earlier run left it. Then, each in a process of its own:

- decoding: libvips decodes the image once and takes its mean;
- ours: ``cut_patches``;
- one by one: what ``cut_patches`` was before, a loop over spots in their order on one core;
- tiffslide, openslide: the same loop over their regions, where they are installed.

The patches of the first two loops must be equal, byte by byte. Memory is the largest resident part
of each process, everything that is loaded included.
"""

from __future__ import annotations

import argparse
import importlib
import json
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

PATCH_PX, DIAMETER_PX = 224, 300
FILES = {"JPEG": "image.jpg", "TIFF, JPEG": "jpeg.tif", "TIFF, deflate": "deflate.tif"}


def make_image(path: Path, side: int) -> None:
    """Write a large made-up image in pieces: coloured noise, smooth over some pixels."""
    import pyvips

    pyvips.cache_set_max_mem(50_000_000)
    bands = [
        pyvips.Image.perlin(side, side, cell_size=64, seed=seed).linear(80, 150).cast("uchar")
        for seed in range(3)
    ]
    image = bands[0].bandjoin(bands[1:]).copy(interpretation="srgb")
    if path.suffix == ".jpg":
        image.jpegsave(str(path), Q=85)
    else:
        image.tiffsave(
            str(path), tile=True, tile_width=256, tile_height=256, compression=path.stem, Q=85
        )


def spots(side: int, count: int) -> np.ndarray:
    """Return the centres of spots, in no order, (n_spots, 2)."""
    return np.random.default_rng(0).uniform(0, side, (count, 2))


def decode(path: Path, centres: np.ndarray, out: Path) -> None:
    """Decode the image once, from top to bottom."""
    import pyvips

    pyvips.cache_set_max(0)  # it would remember the mean
    pyvips.Image.new_from_file(str(path), access="sequential").avg()


def ours(path: Path, centres: np.ndarray, out: Path) -> None:
    """Cut as the package does."""
    from anndata import AnnData

    from spared_bench.processing.patches import cut_patches
    from spared_bench.protocol import PatchCutting

    slide = AnnData(np.ones((len(centres), 1), dtype=np.float32))
    slide.obsm["spatial"] = centres
    slide.uns["slide"] = {
        "image_path": str(path),
        "image_scale": 1.0,
        "spot_diameter_px": float(DIAMETER_PX),
        "um_per_px": 0.25,
    }
    cut_patches(slide, PatchCutting(size=PATCH_PX), out)


def corners_of(centres: np.ndarray) -> np.ndarray:
    """Return the upper left corner of each window, (n_spots, 2)."""
    return np.floor(centres - DIAMETER_PX / 2 + 0.5).astype(int)


def shrunk(window: Any) -> np.ndarray:
    """Resize one window by Pillow."""
    from PIL import Image

    picture = window if isinstance(window, Image.Image) else Image.fromarray(window)
    return np.asarray(picture.resize((PATCH_PX, PATCH_PX), Image.Resampling.BILINEAR))


def mirrored(start: int, length: int) -> np.ndarray:
    """Return the pixels on show in a window that starts there, mirrored at both ends."""
    places = np.arange(start, start + DIAMETER_PX) % (2 * length)
    return np.minimum(places, 2 * length - 1 - places)


def one_by_one(path: Path, centres: np.ndarray, out: Path) -> None:
    """Cut spot by spot from regions of libvips, each window copied by fancy indices."""
    import pyvips

    image = pyvips.Image.new_from_file(str(path), access="random", fail_on="error")
    region = pyvips.Region.new(image)
    with out.open("wb") as file:
        shape = (len(centres), PATCH_PX, PATCH_PX, 3)
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        for left, top in corners_of(centres):
            columns, rows = mirrored(left, image.width), mirrored(top, image.height)
            width, height = int(np.ptp(columns)) + 1, int(np.ptp(rows)) + 1
            raw = region.fetch(int(columns.min()), int(rows.min()), width, height)
            window = np.frombuffer(raw, dtype=np.uint8).reshape(height, width, 3)
            window = window[np.ix_(rows - rows.min(), columns - columns.min())]
            file.write(shrunk(window).data)


def region_loop(opened: Any, centres: np.ndarray) -> None:
    """Cut spot by spot as with OpenSlide; nothing is kept."""
    for left, top in corners_of(centres).tolist():
        shrunk(opened.read_region((left, top), 0, (DIAMETER_PX, DIAMETER_PX)).convert("RGB"))


def tiffslide(path: Path, centres: np.ndarray, out: Path) -> None:
    """Loop over the regions of tiffslide."""
    region_loop(importlib.import_module("tiffslide").TiffSlide(path), centres)


def openslide(path: Path, centres: np.ndarray, out: Path) -> None:
    """Loop over the regions of OpenSlide."""
    region_loop(importlib.import_module("openslide").OpenSlide(str(path)), centres)


def measured(way: Callable[..., None], path: Path, side: int, count: int, out: Path) -> dict:
    """Run one way in a process of its own: seconds of the clock and of the processor, and GB."""
    report = out.with_suffix(".json")
    child = multiprocessing.get_context("spawn").Process(
        target=_measure, args=(way, path, side, count, out, report)
    )
    child.start()
    child.join()
    return json.loads(report.read_text()) if child.exitcode == 0 else {}


def _measure(
    way: Callable[..., None], path: Path, side: int, count: int, out: Path, report: Path
) -> None:
    way(path, spots(side, 1), out)  # imports are not counted
    started, busy = time.perf_counter(), time.process_time()
    way(path, spots(side, count), out)
    found = {
        "seconds": time.perf_counter() - started,
        "busy": time.process_time() - busy,
        "gb": peak_gb(),
    }
    report.write_text(json.dumps(found))


def peak_gb() -> float:
    """Return the largest resident memory of this process; rusage would count its parent's."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmHWM"))) / 1e6


def installed(name: str) -> bool:
    """Return whether a package can be imported."""
    try:
        importlib.import_module(name)
    except (ImportError, OSError):
        return False
    return True


def compare(folder: Path, side: int, count: int) -> None:
    """Measure every way on every file and print a line for each."""
    ways: dict[str, Callable[..., None]] = {"decoding": decode, "ours": ours}
    ways["one by one"] = one_by_one
    for way in (tiffslide, openslide):
        if installed(way.__name__):
            ways[way.__name__] = way
        else:
            print(f"{way.__name__} is not installed")
    heads = f"{'seconds':>9}{'of CPU':>9}{'x decoding':>12}{'of CPU':>9}{'peak GB':>9}"
    print(f"{'file':<16}{'way':<12}{heads}")
    for kind, name in FILES.items():
        path = folder / name
        once: dict[str, float] = {}
        for label, way in ways.items():
            if label in ("tiffslide", "openslide") and path.suffix == ".jpg":
                continue
            found = measured(way, path, side, count, folder / f"{label.replace(' ', '_')}.npy")
            if not found:
                print(f"{kind:<16}{label:<12}  cannot read it")
                continue
            once = once or found
            print(
                f"{kind:<16}{label:<12}{found['seconds']:>9.1f}{found['busy']:>9.1f}"
                f"{found['seconds'] / once['seconds']:>12.1f}{found['busy'] / once['busy']:>9.1f}"
                f"{found['gb']:>9.2f}",
                flush=True,
            )
        mine, theirs = (np.load(folder / f"{n}.npy", mmap_mode="r") for n in ("ours", "one_by_one"))
        assert all(map(np.array_equal, mine, theirs)), f"{kind}: patches differ"


def main() -> None:
    """Make the images that are not there, and compare."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--side", type=int, default=20_000, help="of the image, in pixels")
    parser.add_argument("--spots", type=int, default=5_000)
    parser.add_argument("--images", type=Path, help="a folder to keep the images in")
    choices = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = choices.images or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for name in FILES.values():
            if not (folder / name).is_file():
                make_image(folder / name, choices.side)
        print(
            f"{choices.spots:,} patches of {PATCH_PX} px, windows of {DIAMETER_PX} px, from"
            f" {choices.side:,} x {choices.side:,} px, {len(os.sched_getaffinity(0))} cores"
        )
        compare(folder, choices.side, choices.spots)


if __name__ == "__main__":
    main()
