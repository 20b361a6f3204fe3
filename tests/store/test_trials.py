"""Records of trials and of scores are read where they were made, and nowhere else."""

from __future__ import annotations

import json

import pytest

from spared_bench.keys.hashing import digest
from spared_bench.results import TrialResult, TrialScores
from spared_bench.store.entries import Store
from spared_bench.store.trials import (
    RESULT,
    SCORE_RECORD,
    SCORES,
    TRIALS,
    read_scores,
    read_trial,
)
from spared_bench.trials.cells import finished_cells


@pytest.fixture
def store(tmp_path):
    """Three finished cells."""
    store = Store(tmp_path / "store")
    for seed in range(3):
        inputs = {"seed": seed}
        names = ["toy@1", "toy", "none", "mean", seed]
        result = TrialResult(
            key=digest(inputs),
            protocol="toy@1",
            dataset="toy",
            completer="none",
            predictor="mean",
            seed=seed,
            parameters={},
            status="ok",
        )
        scores = TrialScores(status="ok", scores={"test": {"mse": float(seed)}})
        trial = written(store, TRIALS, inputs, RESULT, result)
        scored = written(store, SCORES, {"trial": inputs}, SCORE_RECORD, scores)
        record = {"cell": names, "final": trial, "search": [], "scores": scored, "figures": ""}
        path = store.root / "cells" / f"{digest(names)}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(record))
    return store


def written(store, kind, inputs, name, record):
    text = json.dumps(record.as_dict())
    return store.write(kind, inputs, lambda folder: (folder / name).write_text(text)).key


def exchange(first, second):
    aside = first.with_name("aside")
    first.rename(aside)
    second.rename(first)
    aside.rename(second)


@pytest.mark.parametrize("known", [True, False], ids=["in the index", "never read"])
@pytest.mark.parametrize(("kind", "read"), [(TRIALS, read_trial), (SCORES, read_scores)])
def test_an_entry_in_the_place_of_another_is_damaged(store, kind, read, known):
    """A whole folder, with its own manifest: sizes and hashes of its files are right."""
    cells = sorted(finished_cells(store), key=lambda cell: cell.final.seed)
    assert [cell.final.scores["test"]["mse"] for cell in cells] == [0, 1, 2]
    keys = [cell.record["final" if kind == TRIALS else "scores"] for cell in cells]
    if not known:
        (store.root / "index.sqlite").unlink(missing_ok=True)

    exchange(*(store.folder(kind, key) for key in keys[:2]))

    unread = []
    (left,) = finished_cells(store, unread=unread)
    assert left.final.seed == 2
    assert "was made from other inputs than its key says" in unread[0]
    assert [read(store, key) is None for key in keys] == [True, True, False]


def test_an_entry_whose_inputs_hold_nan_is_damaged(store):
    (key, *_) = store.keys(SCORES)
    path = store.folder(SCORES, key) / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["inputs"]["trial"]["seed"] = float("nan")
    path.write_text(json.dumps(manifest))

    assert read_scores(store, key) is None
