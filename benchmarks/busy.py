"""Time registration and the components of slide checks where other work runs.

    python benchmarks/busy.py [--rounds 3] [--quiet]

As many processes as there are cores do something else meanwhile (none with ``--quiet``). By turns,
as it is and as it was: registration of two painted sections, where the length of a picture was the
product of a large vector with itself, which numpy deals to threads; and the components of the
expression of 5,000 spots, by a singular value decomposition before. Printed are the lowest seconds
of the clock and of the processor; both ways must find the same.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from spared_bench.registration import register, search
from spared_bench.reports import foretelling
from spared_bench.threads import usable_cores
from tests.registration.painted import SIZE, placed, section

_N_COMPONENTS = 6


def by_norm(
    fixed: search.Picture, grey: np.ndarray, tissue: np.ndarray, least: float = 0.0
) -> float:
    """Score a place as before."""
    area, length = max(tissue.sum(), least), max(np.linalg.norm(grey), 0.5)
    dice = 2 * (fixed.tissue * tissue).sum() / (fixed.tissue.sum() + area)
    return float(dice + (fixed.grey * grey).sum() / length)


def by_svd(centred: np.ndarray) -> np.ndarray:
    """Return the components as before."""
    return np.linalg.svd(centred, full_matrices=False)[0][:, :_N_COMPONENTS]


def for_ever() -> None:
    while True:
        sum(range(100_000))


def searches(folder: Path) -> dict[str, Callable[[], np.ndarray]]:
    """Return what finds a section that is turned by 47 degrees, in both ways."""
    slides = {
        name: section(folder / f"{name}.png", placed(degrees))
        for name, degrees in (("first", 0.0), ("second", 47.0))
    }

    def found(likeness: Any) -> np.ndarray:
        search.likeness = likeness
        corners = np.array([[0, 0], [SIZE, 0], [0, SIZE]])
        return register(slides).frame("second", corners)

    ours = search.likeness
    return {"now": lambda: found(ours), "before": lambda: found(by_norm)}


def components() -> dict[str, Callable[[], np.ndarray]]:
    """Return what finds the plane of the components, in both ways."""
    rng = np.random.default_rng(0)
    levels = np.exp(rng.normal(size=(5_000, 8)) @ rng.normal(size=(8, 500)) / 3)
    values = np.log1p(rng.poisson(levels))
    centred = values - values.mean(axis=0)

    def projection(found: np.ndarray) -> np.ndarray:
        basis, _ = np.linalg.qr(found)
        return basis @ (basis.T @ centred[:, :20])

    return {
        "now": lambda: projection(foretelling._components(centred)),
        "before": lambda: projection(by_svd(centred)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quiet", action="store_true", help="let nothing run beside")
    chosen = parser.parse_args()
    folder = tempfile.TemporaryDirectory()
    works = {"a section": searches(Path(folder.name)), "components": components()}
    number = 0 if chosen.quiet else usable_cores()
    others = [multiprocessing.Process(target=for_ever, daemon=True) for _ in range(number)]
    for other in others:
        other.start()
    for work, ways in works.items():
        taken: dict[str, list[tuple[float, float]]] = {}
        found = {}
        for _ in range(chosen.rounds):
            for name, way in ways.items():
                clock, processor = time.perf_counter(), time.process_time()
                found[name] = way()
                taken.setdefault(name, []).append(
                    (time.perf_counter() - clock, time.process_time() - processor)
                )
        assert np.allclose(found["now"], found["before"], atol=1e-6), work
        for name, seconds in taken.items():
            clock, processor = map(min, zip(*seconds, strict=True))
            print(f"{work:<12}{name:<8}{clock:7.2f} s, {processor:7.2f} s of the processor")
    for other in others:
        other.kill()
    folder.cleanup()


if __name__ == "__main__":
    main()
