"""How large a page of the whole of SpaRED is, and how long a map takes to open from disk.

    python benchmarks/page_maps.py [--methods 13] [--json FILE]

Makes up prepared datasets of the sizes of the 26 (spots of the slides that are scored, 128 genes)
and predictions of random numbers, which nothing can compress; pictures of the largest size that is
allowed; and a site of them. Opens maps in headless Chromium, each in a fresh page, from the click
to the frame that shows it.
"""

from __future__ import annotations

import argparse
import base64
import json
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from spared_bench.leaderboard import Extras, Known, build
from spared_bench.leaderboard.maps import Drawn, Map, draw
from spared_bench.leaderboard.site_data import plain
from spared_bench.registry import discover
from spared_bench.results import TrialResult
from spared_bench.specs import DatasetSpec, MetricSpec

GENES = 128
TISSUE_BYTES, OVERVIEW_BYTES = 96_000, 24_000
RNG = np.random.default_rng(5)


def datasets() -> list[DatasetSpec]:
    """Return the 26 datasets of SpaRED."""
    registry = discover([])
    protocol = next(e for e in registry.all("protocol") if e.spec.name == "spared")
    import yaml

    names = yaml.safe_load(protocol.load()())["datasets"]
    specs = {entry.spec.name: entry.spec for entry in registry.all("dataset")}
    return [specs[name] for name in names]


def prepare(spec: DatasetSpec, folder: Path) -> None:
    """Write a prepared dataset with the spots of the slides that are scored, and no others."""
    slides = spec.split[spec.evaluation_split]
    per_slide = max(50, spec.n_spots // max(1, len(spec.slides)))
    n = per_slide * len(slides)
    adata = AnnData(np.zeros((n, GENES), dtype=np.float32))
    adata.obs = pd.DataFrame(
        {"slide_id": np.repeat(slides, per_slide), "split": spec.evaluation_split},
        index=[str(i) for i in range(n)],
    )
    adata.var = pd.DataFrame(
        {"gene_name": [f"GENE{i}" for i in range(GENES)]},
        index=[f"ENSG{i:011}" for i in range(GENES)],
    )
    side = int(np.ceil(np.sqrt(per_slide)))
    grid = np.array([(i % side, i // side) for i in range(per_slide)]) * 120.0
    adata.obsm["spatial"] = np.tile(grid, (len(slides), 1))
    adata.layers["target"] = RNG.normal(size=(n, GENES)).astype(np.float32)
    adata.layers["mask"] = RNG.random((n, GENES)) > 0.3
    facts = {"spot_diameter_px": 65.0, "um_per_px": 0.8, "image_scale": 1.0}
    adata.uns["spared_bench"] = {
        "slides": list(slides),
        "spots_read": [per_slide] * len(slides),
        "slide_facts": {key: [value] * len(slides) for key, value in facts.items()},
    }
    folder.mkdir(parents=True)
    adata.write_h5ad(folder / "dataset.h5ad")


def trial_of(spec: DatasetSpec, method: int) -> TrialResult:
    """Return a result with scores of random size."""
    scores = {"mse": float(RNG.uniform(0.5, 1.5)), "pcc-gene": float(RNG.uniform(0, 0.6))}
    return TrialResult(
        key=f"{method:04}{spec.name}".ljust(64, "0"),
        status="ok",
        protocol="spared@1",
        dataset=spec.name,
        completer="median",
        predictor=f"method{method}",
        scores={spec.evaluation_split: scores},
        gene_scores={"pcc-gene": RNG.uniform(-0.1, 0.7, GENES).round(4).tolist()},
        seconds={"fit": 10.0 * (method + 1)},
        n_parameters=1_000 * (method + 1),
        facts={"evaluation_split": spec.evaluation_split, "tier": spec.tier, "scope": "patch"},
    )


def make_site(root: Path, out: Path, methods: int) -> Path:
    """Build the site; return its page."""
    specs = datasets()
    trials, folders = [], {}
    for spec in specs:
        prepared = root / f"{spec.name}-prepared".ljust(40, "0")
        prepare(spec, prepared)
        n = _spots(spec)
        for method in range(methods):
            trial = trial_of(spec, method)
            folder = root / "trials" / trial.key
            folder.mkdir(parents=True)
            predicted = RNG.normal(size=(n, GENES)).astype(np.float32)
            np.savez(
                folder / "predictions.npz", **{f"{spec.evaluation_split}_prediction": predicted}
            )
            trials.append(trial)
            folders[trial.key] = folder, prepared

    def maps(rows: Any, metrics: Sequence[MetricSpec]) -> Iterator[tuple[str, Any]]:
        found = [
            Map(row, trial, *folders[trial.key]) for row, mine in rows.items() for trial in mine
        ]
        for drawn in draw(found, metrics, pictures=pictures):
            yield drawn.name, drawn.values

    def slides(name: str) -> Iterator[tuple[str, Any]]:
        spec = next(each for each in specs if each.name == name)
        shown = {each.slide_id: _noise(OVERVIEW_BYTES) for each in spec.slides}
        yield f"slides-{name}", {"pictures": shown, "facts": {}, "checks": {}}

    entries = discover([]).all("metric")
    metrics = {
        entry.spec.name: entry.spec for entry in entries if isinstance(entry.spec, MetricSpec)
    }
    facts = {spec.name: plain({"organism": spec.organism, "tissue": spec.tissue}) for spec in specs}
    extras = Extras(known=Known(facts, metrics), maps=maps, slides=slides)
    return build(trials, out, "benchmark", "store", extras)


def _spots(spec: DatasetSpec) -> int:
    slides = spec.split[spec.evaluation_split]
    return max(50, spec.n_spots // max(1, len(spec.slides))) * len(slides)


def _noise(n: int) -> str:
    return base64.b64encode(RNG.bytes(n)).decode()


def pictures(dataset: str, slides: Sequence[str]) -> tuple[dict[str, str], list[Drawn]]:
    """Return pictures of the largest size: one colour, with bytes behind that nothing reads."""
    import io

    from PIL import Image

    file = io.BytesIO()
    Image.new("RGB", (1_000, 1_000), (210, 160, 200)).save(file, "WEBP")
    image = file.getvalue()
    names = {slide: f"tissue-{dataset}-{i}" for i, slide in enumerate(slides)}
    place = {"left": -60, "top": -60, "width": 9_000, "height": 9_000}
    padded = base64.b64encode(image + RNG.bytes(TISSUE_BYTES - len(image))).decode()
    return names, [Drawn(name, {**place, "webp": padded}) for name in names.values()]


OPEN = """async (address) => {
  const begun = performance.now();
  document.documentElement.dataset.ready = "";
  location.hash = address;
  while (document.documentElement.dataset.ready !== "map") await new Promise(requestAnimationFrame);
  await new Promise(requestAnimationFrame);
  return performance.now() - begun;
}"""


def time_maps(page_file: Path, openings: int) -> dict[str, float]:
    """Return milliseconds from a click to the frame with the map, median and largest."""
    from playwright.sync_api import sync_playwright

    (index,) = page_file.parent.glob("data-*/p0/maps.js")
    text = index.read_text(encoding="utf-8")
    maps = json.loads(text[text.index(",") + 1 : -3])
    every = [f"#map/{row}/{name}" for row, mine in maps.items() for name in mine]
    chosen = [every[i] for i in RNG.permutation(len(every))[:openings]]
    spent = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        for address in chosen:
            page = browser.new_page(viewport={"width": 1440, "height": 900})
            page.goto(page_file.as_uri())
            page.wait_for_selector("html[data-ready='table']")
            page.wait_for_timeout(300)
            spent.append(page.evaluate(OPEN, address))
            page.close()
        browser.close()
    return {"map_ms": statistics.median(spent), "map_ms_most": max(spent)}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--methods", type=int, default=13)
    parser.add_argument("--openings", type=int, default=12)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        begun = time.perf_counter()
        page = make_site(Path(folder) / "made", Path(folder) / "site", arguments.methods)
        files = [path for path in page.parent.rglob("*") if path.is_file()]
        figures = {
            "made_and_built_s": time.perf_counter() - begun,
            "site_mb": sum(path.stat().st_size for path in files) / 1e6,
            "files": len(files),
            **time_maps(page, arguments.openings),
        }
    print({key: round(value, 1) for key, value in figures.items()})
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
