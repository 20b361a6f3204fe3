"""What the tests of the page in a browser share: made-up maps, and when a view is there."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from PIL import Image

from spared_bench.leaderboard.packing import FINE, extremes, packed

#: Spots of slide s1 and s2, in full-resolution pixels.
PLACES = {"x": [100, 200, 300], "y": [100, 200, 100]}
MEASURED = np.array([[0.0, 1.0], [2.0, 0.5], [1.0, 2.0]])  # of genes B and C
PREDICTED = np.array([[0.5, 1.0], [1.0, 1.0], [1.0, 1.5]])
#: One spot of gene B is not measured.
SEEN = np.array([[True, True], [True, True], [False, True]])


def ready(page: Any, view: str = "") -> None:
    """Wait for a view; by a selector, since the policy of the page forbids evaluation."""
    page.wait_for_selector(f"html[data-ready='{view}']" if view else "html[data-ready]")


def painted(page: Any) -> None:
    """Wait until what was asked for is on the screen: two frames."""
    page.evaluate(
        "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
    )


def eventually(page: Any, holds: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait until something of a page holds, for as long as a busy machine may take."""
    for _ in range(round(seconds / 0.05)):
        if holds():
            return
        page.wait_for_timeout(50)
    assert holds()


def red_tissue() -> dict[str, Any]:
    """A picture of tissue that is red on its left half and white on its right one."""
    pixels = np.full((100, 200, 3), 255, dtype=np.uint8)
    pixels[:, :100] = (220, 0, 0)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "WEBP", lossless=True)
    text = base64.b64encode(file.getvalue()).decode()
    return {"left": 0, "top": 50, "width": 400, "height": 200, "webp": text}


def drawn_maps(rows: Any, metrics: Any, variance: bool = False) -> Iterator[tuple[str, Any]]:
    """Maps of ridge on breast: two genes on two slides of three spots, one of them unmeasured."""
    row = next(name for name, mine in rows.items() if mine[0].predictor == "ridge")
    about = {"spots": 3, "of": 3, "diameter": 60.0, "um_per_px": 0.5, "genes_per_file": 1}
    slides = [{**about, "name": "s1", "picture": "tissue-1"}, {**about, "name": "s2"}]
    yield (
        "truth",
        {
            **{"split": "test", "levels": FINE, "n_genes": 2, "columns": [0, 1]},
            **{"symbols": ["B", "C"], "ids": ["E2", "E3"], "slides": slides},
        },
    )
    yield "tissue-1", red_tissue()
    every = np.ones_like(SEEN)
    layers = {"truth": (MEASURED, SEEN), "map-ridge": (PREDICTED, every)}
    if variance:
        layers["map-ridge-v"] = (PREDICTED / 10, every)
    for slide in range(2):
        yield f"truth-s{slide}", PLACES
        for name, (values, seen) in layers.items():
            low, high = extremes(values, seen)
            for gene in range(2):
                one = slice(gene, gene + 1)
                part = packed(values[:, one], seen[:, one], low[one], high[one], FINE)
                yield f"{name}-s{slide}-g{gene}", part
    scores = {"pcc-gene": [0.9, 0.4]}
    yield "map-ridge", {"seed": 0, "scores": scores, "variance": variance}
    yield (
        "genes-0",
        {"metric": "pcc-gene", "symbols": ["B", "C"], "rows": [[row, scores["pcc-gene"]]]},
    )
    kept = {"read": 4, "kept": 3, "split": "test", "um_per_px": 0.5}
    prepared = {"genes": 2, "missing": 0.25, "slides": {"s1": kept}, "by_gene": "genes-0"}
    yield "prepared", {"breast": prepared}
    yield "maps", {row: {"breast": ["truth", "map-ridge"]}}
