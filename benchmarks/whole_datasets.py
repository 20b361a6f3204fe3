"""Prepare a made-up dataset of VMB's size, and compare with `spared`.

Called by ``benchmarks/processing.py`` with ``--whole`` and ``--published``.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import os
import resource
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy.sparse import csr_matrix, vstack

from spared_bench.processing import pipeline
from spared_bench.processing.annotation import gene_table
from spared_bench.protocol import Protocol
from spared_bench.specs import DatasetSpec, SlideInfo

SLIDES, SPOTS, GENES, DENSITY = 14, 44_000, 32_000, 0.07
SPOT_BLOCK = 500


def peak_gb() -> float:
    """Return the most memory that this process has had resident, in GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


class Watch:
    """Samples the resident memory of this process while something runs."""

    def __init__(self) -> None:
        self.peak = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def _sample(self) -> None:
        page = os.sysconf("SC_PAGE_SIZE")
        while not self._stop.is_set():
            with Path("/proc/self/statm").open() as file:
                self.peak = max(self.peak, int(file.read().split()[1]) * page / 1e9)
            time.sleep(0.02)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


def genes_of(n_genes: int) -> np.ndarray:
    """Return ids of mouse genes, those that code for proteins first."""
    table = gene_table("mouse")
    order = np.argsort(table["gene_type"].ne("protein_coding"), kind="stable")
    return table.index.to_numpy(dtype=str)[order[:n_genes]]


def made_up_slide(n_spots: int, n_genes: int, seed: int) -> AnnData:
    """Make a slide on a hexagonal lattice whose genes have the given share of counts on average.

    Rates of genes spread over five orders of magnitude, as measured ones do; those that are seen
    most follow waves over the tissue.
    """
    rng = np.random.default_rng(seed)
    side = math.ceil(math.sqrt(n_spots))
    row, column = np.divmod(np.arange(n_spots), side)
    xy = 100.0 * np.column_stack([column + 0.5 * (row % 2), row * 0.866])
    common = np.random.default_rng(0)  # the genes of all slides alike
    log_rate = np.sort(common.normal(-4.65, 2.35, n_genes))[::-1]
    weights = common.normal(0, 0.35, (2, n_genes)) * (log_rate > -2)
    waves = np.sin(xy / 900 + rng.uniform(0, 6, 2))
    depth = rng.lognormal(0, 0.3, (n_spots, 1))
    blocks = []
    for start in range(0, n_spots, SPOT_BLOCK):
        here = slice(start, start + SPOT_BLOCK)
        rate = depth[here] * np.exp(np.minimum(log_rate + waves[here] @ weights, 6))
        blocks.append(csr_matrix(rng.poisson(rate).astype(np.float32)))
    slide = AnnData(
        vstack(blocks, format="csr"),
        obs=pd.DataFrame(
            {"array_row": row, "array_col": 2 * column + row % 2},
            index=[f"spot{i}" for i in range(n_spots)],
        ),
        var=pd.DataFrame(index=genes_of(n_genes)),
        obsm={"spatial": xy},
    )
    slide.uns["slide"] = {
        "image_path": "",
        "image_scale": 1.0,
        "spot_diameter_px": 55.0,
        "um_per_px": 1.0,
    }
    return slide


def made_up_dataset(scale: float = 1.0) -> tuple[dict[str, AnnData], DatasetSpec]:
    """Make slides and spec; ``scale`` shrinks spots and genes alike."""
    names = [f"V{i:02d}" for i in range(SLIDES)]
    n_spots, n_genes = int(scale * SPOTS / SLIDES), int(scale * GENES)
    slides = {name: made_up_slide(n_spots, n_genes, i) for i, name in enumerate(names)}
    spec = DatasetSpec(
        "made_up",
        factory="nothing:nothing",
        organism="mouse",
        slides=tuple(SlideInfo(name) for name in names),
        split={
            "train": tuple(names[:8]),
            "val": tuple(names[8:12]),
            "test": tuple(names[12:]),
        },
    )
    return slides, spec


@contextlib.contextmanager
def timed_stages(names: dict[str, str]) -> Iterator[dict[str, float]]:
    """Time functions of the pipeline while it runs, by the label each has.

    A stage that runs within another one is taken off its time.
    """
    seconds = dict.fromkeys(names.values(), 0.0)
    running: list[list[float]] = []

    def wrap(function: Callable[..., Any], label: str) -> Callable[..., Any]:
        def timed(*args: Any, **kwargs: Any) -> Any:
            running.append([0.0])
            started = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                took = time.perf_counter() - started
                seconds[label] += took - running.pop()[0]
                if running:
                    running[-1][0] += took

        return timed

    before = {name: getattr(pipeline, name) for name in names}
    for name, label in names.items():
        setattr(pipeline, name, wrap(before[name], label))
    try:
        yield seconds
    finally:
        for name, function in before.items():
            setattr(pipeline, name, function)


STAGES = {
    "join_slides": "join slides",
    "keep_spots": "filters",
    "keep_genes": "filters",
    "drop_empty_spots": "filters",
    "require_lengths": "filters",
    "_normalise": "TPM and log",
    "neighbour_graph": "neighbour graphs",
    "_fill": "median filter",
    "mean_morans_i": "Moran's I",
    "combat": "ComBat",
}


def prepare_whole(scale: float) -> None:
    """Prepare the made-up dataset as `spared@1` does and print each stage's share."""
    started = time.perf_counter()
    slides, spec = made_up_dataset(scale)
    nnz = sum(slide.X.nnz for slide in slides.values())
    entries = sum(slide.n_obs * slide.n_vars for slide in slides.values())
    spots = sum(slide.n_obs for slide in slides.values())
    print(
        f"{len(slides)} made-up slides, {spots:,} spots, {slides['V00'].n_vars:,} genes,"
        f" {nnz / entries:.1%} of the entries counted; made in"
        f" {time.perf_counter() - started:.0f} s, {peak_gb():.1f} GB"
    )
    settings = {"fit_on": "all", "n_genes": 128, "batch_correction": "combat_published"}
    protocol = Protocol.model_validate({"name": "made-up", "version": 1, "processing": settings})
    started = time.perf_counter()
    with Watch() as watch, timed_stages(STAGES) as seconds:
        prepared = pipeline.prepare(slides, spec, protocol)
    total = time.perf_counter() - started
    for label, took in [*seconds.items(), ("the rest", total - sum(seconds.values()))]:
        print(f"  {label:<18}{took:>8.1f} s{took / total:>7.0%}")
    left = dict(zip(*prepared.uns["spared_bench"]["genes"].values(), strict=True))
    missing = 1 - float(prepared.layers["mask"].mean())
    print(f"  genes left by each step: {left}; {missing:.0%} of the final entries unmeasured")
    print(
        f"prepared in {total:.0f} s on {len(os.sched_getaffinity(0))} cores; at most"
        f" {watch.peak:.1f} GB resident, the raw slides included"
    )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the choices of this module."""
    parser.add_argument("--whole", action="store_true", help="a made-up dataset of VMB's size")
    parser.add_argument("--published", action="store_true", help="beside the package `spared`")
    parser.add_argument("--scale", type=float, default=1.0, help="of the made-up dataset")


def run(choices: argparse.Namespace) -> bool:
    """Run what was chosen; return whether anything was."""
    if choices.whole:
        prepare_whole(choices.scale)
    if choices.published:
        from published import compare_with_published

        compare_with_published(choices.scale)
    return bool(choices.whole or choices.published)
