"""The board by any metric: a stranger's, of either direction, with bounds and without."""

from __future__ import annotations

import csv
import json
import math

import pytest
from typer.testing import CliRunner

from spared_bench.cli import app
from spared_bench.leaderboard.comparisons import comparisons, completion_effects
from spared_bench.leaderboard.measures import best, error, normalised
from spared_bench.leaderboard.rows import Known, board_rows
from spared_bench.leaderboard.tables import as_markdown
from spared_bench.protocol import Ranking
from spared_bench.specs import MetricSpec
from tests.board_samples import METRICS, trial
from tests.conftest import TOY_PLUGIN, TOY_PROTOCOL
from tests.leaderboard.reading import data_of

PLUGIN = '''
import math
import numpy as np
from spared_bench import MetricSpec, hookimpl

def closeness(truth, prediction, mask):
    """1 for a perfect prediction, towards 0 the further it is off."""
    return np.array([1 / (1 + np.abs(truth - prediction)[seen].mean())
                     for truth, prediction, seen in zip(truth.T, prediction.T, mask.T)])

@hookimpl
def spared_bench_metrics():
    return [MetricSpec("closeness", f"{__name__}:closeness", summary="How near it is", per="gene",
                       better="higher", label="Closeness", bounds=(0.0, 1.0))]
'''


@pytest.fixture(scope="module")
def site(prepared_workspace, tmp_path_factory):
    """A run of the toy protocol, ranked by a stranger's metric, and its board built again."""
    folder = tmp_path_factory.mktemp("closeness")
    (folder / "closeness.py").write_text(PLUGIN)
    text = TOY_PROTOCOL.read_text().replace("name: toy", "name: near")
    text += "metrics: [mse, closeness]\nranking: {metric: closeness}\n"
    (folder / "near.yaml").write_text(text)
    plugins = ["--plugin", str(TOY_PLUGIN), "--plugin", str(folder / "closeness.py")]
    where = ["--workspace", str(folder / "workspace")]
    protocol = ["--protocol", str(folder / "near.yaml")]
    run = [
        "run",
        "--dataset",
        "toy",
        "--predictor",
        "toy-ridge",
        "--predictor",
        "toy-mean",
        *protocol,
    ]
    ran = CliRunner().invoke(app, [*run, *plugins, *where, "--no-track", "--executor", "inline"])
    assert ran.exit_code == 0, ran.output
    build = ["leaderboard", "build", "--from", "store", *protocol, *plugins, *where]
    built = CliRunner().invoke(app, [*build, "--out", str(folder / "site")])
    assert built.exit_code == 0, built.output
    return folder / "site", ran.output


def test_a_strangers_metric_ranks_the_board_and_is_in_every_table(site):
    folder, printed = site
    lines = list(csv.DictReader((folder / "leaderboard.csv").open()))
    values = {line["predictor"]: float(line["closeness"]) for line in lines}

    assert "Norm. error by Closeness" in printed
    assert 0 < values["toy-mean"] < values["toy-ridge"] < 1
    (part,) = json.loads((folder / "leaderboard.json").read_text())["protocols"]
    assert part["ranking"] == {
        **{"metric": "closeness", "completer": "all"},
        "folds": "apart",
    }
    assert part["metrics"][0]["label"] == "Closeness"
    assert {row["predictor"]: row["closeness"] for row in _scores(part)} == values
    assert "| Norm. error by Closeness |" in (folder / "leaderboard.md").read_text()
    board = data_of(folder, "p0/board")
    assert [metric["title"] for metric in board["metrics"]] == ["Closeness", "MSE"]
    row = next(row for row in board["rows"] if row["predictor"] == "toy-ridge")
    assert row["scores"][0]["mean"] == [pytest.approx(values["toy-ridge"], rel=1e-5)]
    assert data_of(folder, "p0/statistics-0")["comparisons"] is not None


def _scores(part):
    return [{**row, **row["datasets"]["toy"]} for row in part["rows"]]


def scored(name, values, metric="theirs", completer="none", **changes):
    """One trial per dataset, with a value of one metric beside MSE and PCC."""
    return [
        trial(name, completer, f"d{d}",
              scores={"test": {"mse": 1.0, "pcc-gene": 0.5, metric: value}}, **changes)
        for d, value in enumerate(values)
    ]  # fmt: skip


def board_by(spec, *trials, ranking=None):
    every = [each for some in trials for each in some]
    ranking = ranking or Ranking(metric=spec.name)
    known = Known(metrics={**METRICS, spec.name: spec}, rankings={"demo@1": ranking})
    (part,) = board_rows(every, known).protocols
    return part


def ranks(part):
    return {(row.predictor, row.completer): row.rank for row in part.rows}


CASES = {
    "error with a zero": (MetricSpec("theirs", "a:b", better="lower", bounds=(0, math.inf)), 1),
    "error without": (MetricSpec("theirs", "a:b", better="lower"), 1),
    "agreement with an end": (MetricSpec("theirs", "a:b", bounds=(0, 10)), -1),
    "agreement without": (MetricSpec("theirs", "a:b", bounds=(0, math.inf)), -1),
}


@pytest.mark.parametrize(("spec", "sign"), CASES.values(), ids=CASES)
def test_rows_are_ranked_in_the_metrics_direction(spec, sign):
    values = {"a": [1.0, 2.0], "b": [3.0, 5.0], "c": [2.0, 4.0]}

    part = board_by(spec, *(scored(name, found) for name, found in values.items()))

    order = sorted(values, key=lambda name: sign * sum(values[name]))
    assert ranks(part) == {(name, "none"): order.index(name) + 1 for name in values}
    assert [row.predictor for row in part.rows] == order
    found = {each.name: each.best["theirs"] for each in part.datasets}
    assert found == {"d0": sign * min(sign * v[0] for v in values.values()),
                     "d1": sign * min(sign * v[1] for v in values.values())}  # fmt: skip
    (compared,) = comparisons(part, spec)
    wins = {part.rows[int(place)].predictor: n for place, n in compared["wins"].items()}
    assert wins == {name: 2.0 * (name == order[0]) for name in values}
    assert "theirs" in as_markdown_text(part)


def as_markdown_text(part):
    from spared_bench.leaderboard.model import Board

    return as_markdown(Board((part,)), "c")


def test_errors_of_an_agreement_are_distances_from_what_is_perfect():
    pcc = METRICS["pcc-gene"]

    assert error(pcc, 0.75) == 0.25
    assert best(pcc, [0.5, math.nan, 0.75]) == 0.75
    assert normalised(pcc, 0.5, 0.75) == 2.0
    assert math.isnan(normalised(pcc, 0.5, 1.0))  # the best is perfect: no ratio to it
    assert math.isnan(best(pcc, [math.nan]))
    assert error(MetricSpec("m", "a:b"), 3.0) == -3.0
    assert math.isnan(normalised(MetricSpec("m", "a:b"), 3.0, 2.0))


def test_a_protocol_may_rank_the_best_completer_of_every_method_or_one():
    spec = CASES["error with a zero"][0]
    trials = [
        scored("a", [1.0], completer="none"),
        scored("a", [2.0], completer="median"),
        scored("b", [3.0], completer="none"),
        scored("b", [1.5], completer="median"),
    ]

    def by(completer):
        return ranks(board_by(spec, *trials, ranking=Ranking(metric="theirs", completer=completer)))

    rows = [("a", "none"), ("b", "median"), ("a", "median"), ("b", "none")]
    assert by("all") == dict(zip(rows, (1, 2, 3, 4), strict=True))
    assert by("best") == dict(zip(rows, (1, 2, None, None), strict=True))
    assert by("median") == dict(zip(rows, (None, 1, 2, None), strict=True))


def test_completion_is_compared_in_the_metrics_direction():
    spec, values = CASES["agreement without"][0], range(1, 7)
    raw = scored("a", [float(v) for v in values])
    filled = scored("a", [v + 0.5 for v in values], completer="median")

    (found,) = completion_effects(board_by(spec, raw, filled), spec)

    (method,) = found["methods"]
    assert (method["better"], method["effect"]) == (6, 1.0)
    assert math.isnan(method["median_change"])  # no zero to measure a change from


def test_scores_that_no_plugin_describes_are_named_and_not_shown():
    known = Known(metrics=METRICS)
    (part,) = board_rows(scored("a", [1.0]), known).protocols

    assert [metric.name for metric in part.metrics] == ["mse", "pcc-gene"]
    unknown, ranked = part.notes
    assert unknown.startswith("Scores by theirs are not shown: no plugin")
    assert ranked.startswith("Rows are ranked by mse, for want of better: the rules of demo@1")


def test_a_metric_that_no_trial_has_cannot_rank_and_the_board_says_by_what_it_does():
    known = Known(metrics=METRICS, rankings={"demo@1": Ranking(metric="r2-gene")})

    (part,) = board_rows([trial()], known).protocols

    assert part.ranking.metric == part.metrics[0].name == "mse"
    assert part.notes == (
        "No score here is by r2-gene, by which the protocol ranks; rows are ranked by mse.",
    )
