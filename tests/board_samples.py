"""Made-up trials for the tests of tracking and of the leaderboard."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from spared_bench import leaderboard
from spared_bench.leaderboard.model import Board
from spared_bench.leaderboard.rows import Known
from spared_bench.leaderboard.tables import FileTables
from spared_bench.protocol import Ranking
from spared_bench.results import TrialResult
from spared_bench_plugins.metrics import spared_bench_metrics

METRICS = {spec.name: spec for spec in spared_bench_metrics()}
MEASURED = ("breast", "olfactory_bulb")
GENERATED = "planted"


@dataclass(frozen=True)
class SampleCell:
    """What tracking takes."""

    final: TrialResult
    folder: Path
    search: tuple[tuple[TrialResult, Path], ...] = ()
    scores: Path | None = None
    figures: Path | None = None
    made_of: Mapping[str, str] = field(default_factory=dict)
    written: int = 0


def trial(
    predictor: str = "ridge",
    completer: str = "none",
    dataset: str = "breast",
    seed: int = 0,
    mse: float = 1.0,
    pcc: float = 0.5,
    **changes: Any,
) -> TrialResult:
    """A successful trial whose scores on the test split are given."""
    facts = {
        "evaluation_split": "test",
        "tier": "A",
        "synthetic": dataset == GENERATED,
        "comparable": True,
        "control": False,
        "scope": "patch",
    }
    facts |= changes.pop("facts", {})
    result = TrialResult(
        key="-".join(["demo", dataset, completer, predictor, str(seed)]),
        status="ok",
        protocol="demo@1",
        dataset=dataset,
        completer=completer,
        predictor=predictor,
        parameters={"lr": 1e-3, "backbone": "resnet18", "layers": [64, 32]},
        seed=seed,
        scores={"val": {"mse": 1.1 * mse, "pcc-gene": pcc}, "test": {"mse": mse, "pcc-gene": pcc}},
        slide_scores={"test": {"A1": {"mse": mse, "pcc-gene": pcc}}},
        n_parameters=1_000,
        seconds={"fit": 2.5, "predict": 0.25, "total": 3.0},
        curves={"val_mse": [(0, 2.0), (10, 1.5)]},
        facts=facts,
        environment={"python": "3.11", "device": "cpu"},
    )
    return replace(result, **changes)


def failed(message: str = "No weights.", **changes: Any) -> TrialResult:
    """A trial without scores."""
    result = trial(**changes)
    return replace(
        result, status="error", message=message, scores={}, slide_scores={}, curves={}, seconds={}
    )


def demo_trials() -> list[TrialResult]:
    """Three datasets, four predictors and a control, two completers, two seeds, one failure."""
    rng = np.random.default_rng(7)
    methods = {
        "ridge": 0.30,
        "shufflenet": 0.34,
        "stnet": 0.26,
        "bleep": 0.2,
        "gene-mean": math.nan,
    }
    trials = []
    for dataset in (*MEASURED, GENERATED):
        for completer in ("none", "median"):
            for predictor, pcc in methods.items():
                for seed in (0, 1):
                    noise = float(rng.normal(0, 0.01))
                    made = trial(
                        predictor,
                        completer,
                        dataset,
                        seed,
                        mse=1.2 - (0 if math.isnan(pcc) else pcc) + noise,
                        pcc=pcc + noise,
                        facts={"control": predictor == "gene-mean"},
                    )
                    trials.append(made)
    out = trials.index(next(t for t in trials if t.predictor == "bleep" and t.dataset == "breast"))
    trials[out] = failed(
        "Pretrained weights cannot be fetched.",
        predictor="bleep",
        completer=trials[out].completer,
        dataset="breast",
        seed=trials[out].seed,
    )
    return trials


def known(trials: Iterable[TrialResult], **changes: Any) -> Known:
    """What is known where the metrics and the trials' protocols are registered."""
    rankings = {each.protocol: Ranking() for each in trials}
    return Known(**{"metrics": METRICS, "rankings": rankings, **changes})


def board_rows(
    results: Iterable[TrialResult], datasets: Any = None, protocols: Iterable[str] = ()
) -> Board:
    """The board of made-up trials."""
    trials = list(results)
    return leaderboard.board_rows(trials, known(trials, datasets=datasets or {}), protocols)


def build(
    trials: list[TrialResult], out: Path, command: str, source: str, extras: Any = None
) -> Path:
    """The site of made-up trials; ``datasets`` among the extras is what is known of them."""
    extras = dict(extras or {})
    mine = known(trials, datasets=extras.pop("datasets", {}))
    made = leaderboard.Extras(known=mine, **extras)
    return leaderboard.build(trials, out, command=command, source=source, extras=made)


def as_csv(board, command=""):
    """Return the CSV of a board, which names no command."""
    return FileTables(board).as_csv()


def as_json(board, command):
    """Return the JSON of a board."""
    return FileTables(board).as_json(command)
