"""Means, ranks and intervals that the page makes under its filters, against all of it by hand."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.stats import ttest_1samp

from tests.board_samples import build, failed, trial
from tests.leaderboard.browsing import ready

N = 14
GENERATED = 13  # which counts in no mean
CONTROL, PARTIAL, FAILING = "m0", "m5", "m6"
TISSUES = ("breast cancer", "brain", "breast")
TECHNOLOGIES = {
    "Visium": "Visium",
    "Visium HD": "Visium HD (8 um)",
    "ST": "Spatial Transcriptomics",
}
SELECTED = """
(queries) => {
  const board = [...spared.values.values()].find((value) => value.rows && value.datasets);
  return queries.map((query) => {
    const chosen = spared.choice.select(board, new URLSearchParams(query));
    const rows = board.rows.map((row) => {
      const { overall, rank } = chosen.of(row);
      const interval = chosen.interval(row), name = [row.predictor, row.completer];
      return [...name, overall, rank ?? null, interval, chosen.tied(row)];
    });
    return { datasets: chosen.counted.map((i) => board.datasets[i].name), rows };
  });
}
"""


def about(i):
    """What dataset number i is of."""
    technology = list(TECHNOLOGIES.values())[i // 2 % 3]
    return {
        "organism": ("human", "mouse")[i % 2],
        "tissue": TISSUES[i % 3],
        "technology": technology,
    }


def made(rng):
    """Trials of two seeds with gaps and failures, and their errors by metric and row."""
    trials, errors = [], {}
    for method, completer in itertools.product(map("m{}".format, range(7)), ("none", "median")):
        mse = rng.lognormal(0, 0.3, (N, 2))
        pcc = rng.uniform(-0.2, 0.9, (N, 2))
        gaps = rng.random((N, 2)) < 0.15 * (method in (PARTIAL, FAILING))
        for i, seed in np.ndindex(N, 2):
            at = {"predictor": method, "completer": completer, "dataset": f"d{i:02}", "seed": seed}
            facts = {"control": method == CONTROL, "synthetic": i == GENERATED}
            if gaps[i, seed] and method == FAILING:
                trials.append(failed("It diverged.", **at))
            elif not gaps[i].any() or method == FAILING:
                trials.append(trial(**at, mse=mse[i, seed], pcc=pcc[i, seed], facts=facts))
        for metric, values in (("mse", mse), ("pcc-gene", 1 - pcc)):
            errors[metric, method, completer] = np.where(gaps.any(1), np.nan, values.mean(1))
    return trials, errors


def query(*values):
    names = ("metric", "organism", "tissue", "technology", "completer")
    return "&".join(f"{name}={value}" for name, value in zip(names, values, strict=True) if value)


def fits(dataset, organism, tissue, technology):
    """Whether a dataset is of these; a breast cancer is of the breast, too."""
    return (
        organism in ("", dataset["organism"])
        and (not tissue or tissue in dataset["tissue"].split())
        and technology in ("", *(k for k, v in TECHNOLOGIES.items() if v == dataset["technology"]))
    )


def by_hand(errors, metric, columns, completer):
    """Normalised errors and ranks of the rows, over some columns."""
    rows = {key[1:]: values for key, values in errors.items() if key[0] == metric}
    counting = np.arange(N) != GENERATED
    whole = [
        v
        for (method, _), v in rows.items()
        if method != CONTROL and not np.isnan(v[counting]).any()
    ]
    relative = {key: (v / np.min(whole, axis=0))[columns] for key, v in rows.items()}
    means = {
        (method, filled): values.mean()
        for (method, filled), values in relative.items()
        if columns
        and method != CONTROL
        and completer in ("", filled)
        and not np.isnan(values).any()
    }
    ranks = {
        key: 1 + sum(other < mean - 1e-9 for other in means.values()) for key, mean in means.items()
    }
    return relative, ranks


def test_every_filter_gives_what_it_gives_by_hand(open_site, tmp_path, rng):
    trials, errors = made(rng)
    build(trials, tmp_path, "c", "store", {"datasets": {f"d{i:02}": about(i) for i in range(N)}})
    page = open_site(tmp_path, "#table")
    ready(page, "table")
    axes = (
        ("mse", "pcc-gene"),
        ("", "mouse"),
        ("", "breast", "brain"),
        ("", *TECHNOLOGIES),
        ("", "none"),
    )
    asked = list(itertools.product(*axes))
    found = page.evaluate(SELECTED, [query(*each) for each in asked])
    for (metric, organism, tissue, technology, completer), shown in zip(asked, found, strict=True):
        columns = [i for i in range(GENERATED) if fits(about(i), organism, tissue, technology)]
        assert shown["datasets"] == [f"d{i:02}" for i in columns]
        relative, ranks = by_hand(errors, metric, columns, completer)
        first = min(ranks, key=ranks.get, default=None)
        for method, filled, mean, rank, interval, tied in shown["rows"]:
            values = relative[method, filled]
            if method != FAILING:  # whose mean is of the seeds that did not fail
                there = values[~np.isnan(values)]
                assert mean == pytest.approx(there.mean(), abs=1e-4) if len(there) else mean is None
                expected = (
                    ttest_1samp(there, 0).confidence_interval() if len(there) > 4 else (None, None)
                )
                assert interval == pytest.approx(list(expected), abs=1e-3)
            assert rank == ranks.get((method, filled))
            if rank and len(columns) > 4 and (method, filled) != first:
                low, high = ttest_1samp(values - relative[first], 0).confidence_interval()
                assert tied == (low <= 0 <= high) or min(abs(low), abs(high)) < 1e-3
