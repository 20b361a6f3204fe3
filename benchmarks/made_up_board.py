"""A store of made-up results for the page: many methods, datasets, completers; their plugin."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from spared_bench.hookspecs import hookimpl
from spared_bench.keys.hashing import digest
from spared_bench.registry import Registry, discover
from spared_bench.results import TrialResult, TrialScores
from spared_bench.specs import DatasetSpec, PredictorSpec, SlideInfo
from spared_bench.store.entries import MANIFEST, Store
from spared_bench.store.trials import RESULT, SCORE_RECORD, SCORES, TRIALS

PREDICTORS, DATASETS, COMPLETERS = 200, 40, 5
SLIDES = 4
GENES = 32
ORGANISMS = ("human", "mouse")
TISSUES = ("breast cancer", "brain", "colon", "kidney", "heart")
TECHNOLOGIES = ("Visium", "Visium HD (8 um)", "Spatial Transcriptomics", "Xenium")


@hookimpl
def spared_bench_datasets() -> list[DatasetSpec]:
    """Return what is known of the datasets: what they are of, slides and split."""
    names = [f"slide{i}" for i in range(SLIDES)]
    return [
        DatasetSpec(
            f"dataset{i:02}",
            "made_up:read",
            organism=ORGANISMS[i % 2],
            tissue=TISSUES[i // 2 % 5],
            technology=TECHNOLOGIES[i % 4],
            slides=tuple(SlideInfo(name, f"donor-{name}") for name in names),
            split={"train": tuple(names[:2]), "val": (names[2],), "test": (names[3],)},
        )
        for i in range(DATASETS)
    ]


@hookimpl
def spared_bench_predictors() -> list[PredictorSpec]:
    """Return what is known of the methods: every second needs a GPU."""
    return [
        PredictorSpec(f"method{i:03}", "made_up:Method", summary="Made up", gpu=i % 2 == 1)
        for i in range(PREDICTORS)
    ]


def registry() -> Registry:
    """Return our own plugins, and this file as one."""
    return discover([Path(__file__)])


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
    names = {
        "dataset": f"dataset{dataset:02}",
        "completer": "none" if completer == 0 else f"completer{completer}",
        "predictor": f"method{predictor:03}",
    }
    return TrialResult(
        key=digest(names),
        status="ok",
        protocol="made-up@1",
        **names,
        parameters={"lr": 1e-3, "backbone": "resnet18", "width": 128},
        scores={"val": scores, "test": scores},
        slide_scores={"test": {f"slide{i}": scores for i in range(SLIDES)}},
        gene_scores={"pcc-gene": rng.normal(pcc, 0.1, GENES).round(4).tolist()},
        genes=[f"ENSG{i:011}" for i in range(GENES)],
        gene_symbols=[f"G{i}" for i in range(GENES)],
        curves={"val_mse": [(i, 1.0) for i in range(0, 1000, 10)]},
        n_parameters=1000 * (predictor + 1),
        seconds={"fit": 10.0 + 5 * predictor, "total": 12.0 + 5 * predictor},
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
    store = Store(root / "store")
    cells = store.root / "cells"
    cells.mkdir(parents=True)
    for result in made_up_results(n):
        scores = TrialScores("ok", result.scores, result.slide_scores, result.gene_scores)
        bare = replace(result, scores={}, slide_scores={}, gene_scores={})
        names = {name: getattr(result, name) for name in ("dataset", "completer", "predictor")}
        _entry(store, TRIALS, names, RESULT, bare.as_dict())
        _entry(store, SCORES, names, SCORE_RECORD, scores.as_dict())
        cell = [result.protocol, result.dataset, result.completer, result.predictor, result.seed]
        record = {"cell": cell, "final": result.key, "search": []}
        record |= {"scores": result.key, "figures": ""}
        (cells / f"{digest(cell)}.json").write_text(json.dumps(record))


def _entry(
    store: Store, kind: str, inputs: dict[str, str], name: str, values: dict[str, Any]
) -> None:
    folder = store.folder(kind, digest(inputs))
    folder.mkdir(parents=True)
    text = json.dumps(values, indent=1)
    (folder / name).write_text(text)
    files = {name: {"bytes": len(text), "sha256": ""}}
    manifest = {"kind": kind, "inputs": inputs, "files": files}
    (folder / MANIFEST).write_text(json.dumps(manifest))
