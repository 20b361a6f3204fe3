"""Time graphs and exemplars of large datasets, and the memory of methods that see whole slides.

    python benchmarks/graphs.py [--spots 40000] [--slide 5000] [--skip-memory]

Graphs: SEPAL's neighbourhoods (3 hops, every spot's graph built once), EGGN's slides with their
exemplars, and the search for exemplars among the training spots of other slides (512 features).
Memory: one training step and one prediction of HisToGene and Hist2ST, as published, on one slide
that they see in windows; each in a process of its own, whose peak is printed.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pandas as pd
import torch
from anndata import AnnData

from spared_bench.data import COUNTS, MASK, TARGET, Patches, Slides
from spared_bench.interfaces import Budget, Context
from spared_bench.models.exemplars import Bank, find_exemplars
from spared_bench.models.local_graphs import LocalGraphUnits
from spared_bench_plugins.predictors.eggn import GraphUnits
from spared_bench_plugins.predictors.hist2st import Hist2ST
from spared_bench_plugins.predictors.histogene import HisToGene

N_GENES, WIDTH, N_EXEMPLARS = 128, 512, 9


def made_up_slides(n_slides: int, per_slide: int, patch: int) -> Slides:
    """Return hexagonal slides of random expression; ``patch`` is the side of a patch in pixels."""
    rng = np.random.default_rng(0)
    row, place = np.divmod(np.arange(per_slide), 64)  # as wide as a Visium array
    array = np.tile(np.column_stack([row, 2 * place + row % 2]), (n_slides, 1))
    n = len(array)
    slide_ids = np.repeat([f"slide{i}" for i in range(n_slides)], per_slide)
    names = [f"spot{i}" for i in range(n)]
    adata = AnnData(
        obs=pd.DataFrame(
            {"slide_id": slide_ids, "array_row": array[:, 0], "array_col": array[:, 1]},
            index=names,
        ),
        var=pd.DataFrame(index=[f"gene{i}" for i in range(N_GENES)]),
    )
    adata.obsm["spatial"] = array[:, ::-1] * [50.0, 50 * 3**0.5]
    adata.layers[TARGET] = rng.normal(size=(n, N_GENES)).astype(np.float32)
    adata.layers[MASK] = np.ones((n, N_GENES), dtype=bool)
    adata.layers[COUNTS] = rng.poisson(3, size=(n, N_GENES)).astype(np.float32)
    images = np.broadcast_to(
        rng.integers(0, 256, (1, patch, patch, 3), dtype=np.uint8), (n, patch, patch, 3)
    )
    return Slides(adata, Patches([images]))


@contextmanager
def timed(what: str) -> Iterator[None]:
    """Print what took how long."""
    started = time.perf_counter()
    yield
    print(f"{what:<58}{time.perf_counter() - started:8.1f} s", flush=True)


def time_graphs(n_spots: int) -> None:
    """Time what is built once per training."""
    slides = made_up_slides(10, n_spots // 10, 1)
    rng = np.random.default_rng(1)
    features = rng.normal(size=(len(slides), WIDTH)).astype(np.float32)
    print(f"{len(slides):,} spots on 10 slides, {WIDTH} features")
    with timed("SEPAL: the lattice, and the graph of every spot once"):
        units = LocalGraphUnits(slides, torch.from_numpy(features), torch.zeros(1), 3)
        units._first = torch.zeros(len(slides), 1)
        for rows in torch.arange(len(units)).split(256):
            units.batch(rows)
    bank = Bank(features, slides.target, slides.slide_ids, np.array(slides.adata.obs_names))
    for norm, name in (
        (2.0, "EGN: exemplars by Euclidean distance"),
        (1.0, "EGGN: exemplars by absolute differences"),
    ):
        with timed(name):
            exemplars = find_exemplars(features, slides, bank, N_EXEMPLARS, norm)
    with timed("EGGN: slides with their neighbours and exemplars"):
        GraphUnits(slides, features, bank, exemplars, "cpu")


def one_step(method: type, n_spots: int, done: Callable[[str], None]) -> None:
    """Take one training step and predict a slide; tell the peak of this process."""
    slides = made_up_slides(1, n_spots, 224)
    predictor = method()
    started = time.perf_counter()
    predictor.fit(slides, slides, Context(budget=Budget(1, 1, 1)))
    step = time.perf_counter() - started
    started = time.perf_counter()
    predictor.predict(slides.without_expression())
    predicted = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    windows = len(predictor.units(slides, "cpu", False))
    done(
        f"{method.__name__}: {n_spots:,} spots in {windows} windows, a step with validation"
        f" {step:.0f} s, prediction {predicted:.0f} s, at most {peak:.1f} GiB"
    )


def main() -> None:
    """Print times, then memory."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--spots", type=int, default=40_000)
    parser.add_argument("--slide", type=int, default=5_000)
    parser.add_argument("--skip-memory", action="store_true")
    wanted = parser.parse_args()
    print(f"{torch.get_num_threads()} threads, torch {torch.__version__}")
    time_graphs(wanted.spots)
    if wanted.skip_memory:
        return
    for method in (HisToGene, Hist2ST):
        context = multiprocessing.get_context("spawn")
        process = context.Process(target=one_step, args=(method, wanted.slide, print))
        process.start()
        process.join()


if __name__ == "__main__":
    main()
