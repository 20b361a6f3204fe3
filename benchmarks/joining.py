"""Time joining and filtering of a large dataset beside the way that scipy and AnnData offer.

    python benchmarks/joining.py [--scale 1.0]

Made-up slides (``whole_datasets``) are written once; then, each in a process of its own, the whole
pipeline runs with the joining and the filters as they are, and as they were before: columns picked
and stacked by scipy, sums by products with ones, AnnData's copies of what is kept. Both must
prepare the same, to the bit. Memory is the largest resident part, the raw slides included.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import os
import pickle
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import whole_datasets

from spared_bench.processing import filtering, joining, pipeline, selection
from spared_bench.processing.annotation import is_mitochondrial
from spared_bench.protocol import Protocol

STAGES = ("join_slides", "keep_spots", "keep_genes")


def earlier_stacked(matrices: list[Any], columns: list[np.ndarray]) -> Any:
    """Pick columns of every slide, then stack."""
    from scipy.sparse import vstack

    parts = []
    for matrix, picked in zip(matrices, columns, strict=True):
        part = matrix[:, picked]
        part.eliminate_zeros()
        parts.append(part)
    return vstack(parts, format="csr")


def earlier_keep_spots(adata: Any, bounds: Any, steps: Any) -> Any:
    """Drop spots by a copy of all others."""
    sizes = filtering.totals(adata.X, axis=1)
    keep = filtering.between(sizes, bounds.spot_min_counts, bounds.spot_max_counts)
    steps.add("read", adata.n_obs)
    steps.add("spot counts", keep.sum())
    adata.obs["library_size"] = sizes
    theirs = is_mitochondrial(adata.var["gene_name"])
    adata.obs["mitochondrial_counts"] = filtering.totals(adata.X[:, theirs], axis=1)
    return adata[keep].copy()


def earlier_keep_genes(adata: Any, fit: np.ndarray, settings: Any, steps: Any) -> Any:
    """Count by products with ones, of a matrix of bools for each slide."""
    bounds = settings.filtering
    counts = adata.X if fit.all() else adata.X[fit]
    slide_ids = adata.obs["slide_id"].to_numpy()[fit]
    seen = counts > 0
    rows = [slide_ids == slide for slide in np.unique(slide_ids)]
    per_slide = np.stack([filtering.totals(seen[here], axis=0) / here.sum() for here in rows])
    smallest = per_slide.min(axis=0)
    overall = filtering.totals(seen, axis=0) / counts.shape[0]
    totals = filtering.totals(counts, axis=0)
    enough = np.flatnonzero(
        filtering.between(totals, bounds.gene_min_counts, bounds.gene_max_counts)
    )
    steps.add("read", adata.n_vars)
    steps.add("gene counts", len(enough))
    names = adata.var_names.to_numpy(dtype=str)[enough]
    order = filtering.gene_order(smallest[enough], names, settings.ties)
    prefix = filtering.sparsity_prefix(order, overall[enough], bounds.real_fraction)
    steps.add("real fraction", len(prefix))
    adata.var[selection.EXPRESSED] = overall
    return adata[:, enough[prefix]].copy()


def go_back() -> None:
    """Put the earlier way into the pipeline of this process."""
    vars(joining)["stacked"] = earlier_stacked
    vars(pipeline).update(keep_spots=earlier_keep_spots, keep_genes=earlier_keep_genes)


def hash_of(prepared: Any) -> str:
    """Return a hash of all numbers of a prepared dataset."""
    found = hashlib.sha256()
    for name, layer in sorted(prepared.layers.items()):
        values = layer.toarray() if hasattr(layer, "toarray") else layer
        found.update(f"{name} {values.dtype} {values.shape}".encode())
        found.update(np.ascontiguousarray(values).data)
    found.update(prepared.obs.to_csv().encode() + prepared.var.to_csv().encode())
    return found.hexdigest()


def measure(path: Path, before: bool, report: Path) -> None:
    """Prepare the dataset once, and write what it took."""
    import sklearn.neighbors  # noqa: F401  # its import is not counted

    if before:
        go_back()
    settings = {"fit_on": "all", "n_genes": 128, "batch_correction": "combat_published"}
    protocol = Protocol.model_validate({"name": "made-up", "version": 1, "processing": settings})
    small = whole_datasets.made_up_dataset(0.01)
    pipeline.prepare(*small, protocol)  # compiling is not counted
    slides, spec = pickle.loads(path.read_bytes())  # our own
    seconds = dict.fromkeys((*STAGES, "all"), 0.0)

    def timed(name: str, function: Any) -> Any:
        def call(*args: Any) -> Any:
            begun = time.process_time()
            made = function(*args)
            seconds[name] += time.process_time() - begun
            return made

        return call

    for name in STAGES:
        vars(pipeline)[name] = timed(name, vars(pipeline)[name])
    started = time.perf_counter()
    with whole_datasets.Watch() as watch:
        prepared = timed("all", pipeline.prepare)(slides, spec, protocol)
    found = {"cpu": seconds, "clock": time.perf_counter() - started, "gb": watch.peak}
    report.write_text(json.dumps({**found, "hash": hash_of(prepared)}))


def main() -> None:
    """Make the slides, prepare them both ways, and compare."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--scale", type=float, default=1.0, help="of spots and genes")
    scale = parser.parse_args().scale
    spawn = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "slides.pickle"
        path.write_bytes(pickle.dumps(whole_datasets.made_up_dataset(scale), protocol=5))
        print(
            f"{int(whole_datasets.SPOTS * scale):,} spots, {int(whole_datasets.GENES * scale):,}"
            f" genes, {len(os.sched_getaffinity(0))} cores; seconds of the processor"
        )
        print(f"{'way':<10}" + "".join(f"{name:>13}" for name in (*STAGES, "all", "clock", "GB")))
        found = {}
        for way in ("before", "now"):
            report = Path(folder) / f"{way}.json"
            child = spawn.Process(target=measure, args=(path, way == "before", report))
            child.start()
            child.join()
            found[way] = json.loads(report.read_text())
            numbers = [*found[way]["cpu"].values(), found[way]["clock"], found[way]["gb"]]
            print(f"{way:<10}" + "".join(f"{number:>13.2f}" for number in numbers), flush=True)
    assert found["before"]["hash"] == found["now"]["hash"], "the two ways prepare other numbers"


if __name__ == "__main__":
    main()
