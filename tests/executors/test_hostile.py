"""A stranger's plugin beside our own methods: what they score is what they score without it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from spared_bench.api import execute, make_bench, select
from spared_bench.results import without_times
from spared_bench.store.entries import Store
from spared_bench.trials.cells import finished_cells
from tests.executors.conftest import planted
from tests.processes import alive

HOSTILE = Path(__file__).parents[1] / "hostile_plugin.py"
ATTACKS = ("settles", "poisons", "reaches", "replaces", "limits", "retypes", "threads", "returns")
ATTACKS += ("stays", "pretends")
OURS = ("gene-mean", "linear-probe")
METRIC = """
import os
import sys
import numpy as np
from spared_bench import MetricSpec, hookimpl

def spoil(truth, prediction, mask):
    for array in (truth, prediction, mask):
        array.flags.writeable = True
        array[:] = 0
        array.shape = (-1,)
    np.mean = np.corrcoef = lambda *_, **__: 0.0
    return np.array([1.0])

@hookimpl
def spared_bench_metrics():
    return [
        MetricSpec("bad-metric", f"{__name__}:spoil", per="entry", label="Bad"),
        MetricSpec("raises", f"{__name__}:raises", per="entry"),
        MetricSpec("dies", f"{__name__}:dies", per="gene"),
        MetricSpec("short", f"{__name__}:short", per="gene"),
    ]

def raises(truth, prediction, mask):
    raise ValueError("not today")

def dies(truth, prediction, mask):
    os.kill(os.getpid(), 9)

def short(truth, prediction, mask):
    return np.ones(1)
"""
ATTACKS_WHEN_IMPORTED = (
    METRIC
    + """
if "pytest" not in sys.modules:  # in whose process plugins are listed
    import spared_bench.metrics.scoring
    import spared_bench.metrics.summary
    import spared_bench.trials.scores
    spared_bench.metrics.scoring.by_slide = lambda *_, **__: {"P4": 0.0}
    spared_bench.trials.scores._joined = lambda *_, **__: None
    np.mean = np.corrcoef = lambda *_, **__: 0.0
"""
)


SPOILS_WHAT_ALL_SHARE = """
import sys
import numpy as np
from spared_bench import PredictorSpec, hookimpl

if "pytest" not in sys.modules:
    from spared_bench.processing import pipeline
    from spared_bench.trials import views

    cut, prepare = views._cut, pipeline.prepare

    def blackened(bench, raw, folders):
        cut(bench, raw, folders)
        for folder in folders.values():
            for path in folder.glob("*.npy"):
                np.save(path, np.zeros_like(np.load(path)))

    def levelled(*arguments):
        adata = prepare(*arguments)
        adata.layers["target"][:] = 0
        return adata

    views._cut, pipeline.prepare = blackened, levelled

class Spoiler:
    def fit(self, train, val, context):
        self.mean_ = train.target.mean(axis=0)
        self.light_ = train.patches[:].mean()

    def predict(self, slides):
        assert self.light_ > 0
        return np.tile(self.mean_, (len(slides), 1))

@hookimpl
def spared_bench_predictors():
    return [PredictorSpec("spoiler", f"{__name__}:Spoiler")]
"""


def run(root, predictors, plugin_files=(), metrics="mse, pcc-gene", completers=("none",)):
    """Return what became of each predictor on a dataset of our own, worked off by one worker."""
    protocol = str(planted(root, f"metrics: [{metrics}]\n"))
    bench = make_bench(
        protocol, workspace=root / "workspace", plugin_files=plugin_files, device="cpu"
    )
    plan = select(bench, ["planted"], list(completers), predictors)
    report = execute(plan, workers=1, track=False, figures=False, breaker=0)
    return {result.predictor: result for result in report.results}


def told(result):
    """Return what is stored of a result, but for when and in which attempt it was made."""
    return without_times(result)


@pytest.fixture(scope="module")
def alone(tmp_path_factory, prepared_planted):
    """Our methods' results where no stranger's plugin is."""
    root = tmp_path_factory.mktemp("alone")
    prepared_planted(root / "workspace")
    return run(root, OURS)


@pytest.fixture
def scored(tmp_path, prepared_planted):
    """A folder whose workspace needs no preparing: metrics are asked for later."""
    prepared_planted(tmp_path / "scored" / "workspace")
    return tmp_path / "scored"


def test_our_methods_score_what_they_score_without_a_plugin_that_attacks_them(
    alone, tmp_path, monkeypatch
):
    sign = tmp_path / "stayed"
    monkeypatch.setenv("HOSTILE_SIGN", str(sign))
    bad = [f"bad-{attack}" for attack in ATTACKS]
    found = run(tmp_path / "beside", [*bad, *OURS], [HOSTILE])

    for name in OURS:
        assert alone[name].ok
        assert alone[name].scores["test"]["mse"] > 0
        assert told(found[name]) == told(alone[name])
    checkpoints = tmp_path / "beside" / "workspace" / "training"
    assert checkpoints.stat().st_mode & 0o700 == 0o700
    # Who does nothing to its own prediction has the plain mean's scores, whatever else it did.
    plain = ("poisons", "reaches", "stays")
    assert {found[f"bad-{each}"].status for each in plain} == {"ok"}
    assert len({found[f"bad-{each}"].scores["test"]["mse"] for each in plain}) == 1
    assert found["bad-pretends"].status == "killed"
    stayed = [int(line) for line in sign.read_text().split()]
    assert stayed
    assert not any(map(alive, stayed))
    # No measured entry of a test slide was in the process that predicts, nor a way to one.
    seen = {name: points[0][1] for name, points in found["bad-reaches"].curves.items()}
    assert seen == {"known": 0.0, "behind": 0.0, "framed": 0.0}


@pytest.mark.parametrize("lost", ["no patches yet", "a damaged dataset"])
def test_nothing_that_others_share_is_made_where_a_strangers_code_is_imported(
    alone, scored, tmp_path, lost
):
    plugin = tmp_path / "spoils.py"
    plugin.write_text(SPOILS_WHAT_ALL_SHARE)
    store = scored / "workspace" / "store"
    if lost == "no patches yet":
        shutil.rmtree(store / "patches")
    if lost == "a damaged dataset":
        (prepared,) = (store / "prepared").rglob("dataset.h5ad")
        prepared.write_bytes(prepared.read_bytes()[:-1])
    found = run(scored, ["spoiler", *OURS], [plugin])
    assert found["spoiler"].ok, found["spoiler"].message
    for name in OURS:
        assert told(found[name]) == told(alone[name])
    mean = found["gene-mean"].scores["test"]["mse"]
    assert found["spoiler"].scores["test"]["mse"] == pytest.approx(mean)


HONEST = """
import json
import numpy as np
from spared_bench import CompleterSpec, PredictorSpec, Stage, hookimpl

class Fives:
    def fit(self, train, val, context):
        pass

    def complete(self, slides):
        return np.where(slides.mask, slides.target, np.float32(5))

class First:
    def fit(self, train, val, context):
        self.mean_ = train.target.mean(axis=0)

    def predict(self, slides):
        return np.tile(self.mean_, (len(slides), 1))

    def save(self, folder):
        (folder / "mean.json").write_text(json.dumps(self.mean_.tolist()))

    def load(self, folder):
        self.mean_ = np.array(json.loads((folder / "mean.json").read_text()), np.float32)

class Second:
    def fit(self, train, val, context):
        self.first_ = context.stages["first"]

    def predict(self, slides):
        return self.first_.predict(slides)

@hookimpl
def spared_bench_completers():
    return [CompleterSpec("fives", f"{__name__}:Fives")]

@hookimpl
def spared_bench_predictors():
    stages = {"first": Stage("honest-first")}
    return [
        PredictorSpec("honest-first", f"{__name__}:First"),
        PredictorSpec("honest-second", f"{__name__}:Second", stages=stages),
    ]
"""
SPOILS_WHAT_IT_BUILDS_ON = """
import sys
import numpy as np
from spared_bench import PredictorSpec, Stage, hookimpl

if "pytest" not in sys.modules:
    import spared_bench.contracts
    from spared_bench.trials import completed, stages

    completed.completion_of = lambda method, slides, name: np.full(slides.target.shape, 9)
    stages.save_apart = lambda network, folder: (
        folder.mkdir(), (folder / "mean.json").write_text(str([9.0] * len(network.mean_)))
    )

class Third:
    def fit(self, train, val, context):
        self.first_ = context.stages["first"]

    def predict(self, slides):
        return self.first_.predict(slides)

@hookimpl
def spared_bench_predictors():
    stages = {"first": Stage("honest-first")}
    return [PredictorSpec("third", f"{__name__}:Third", stages=stages)]
"""


@pytest.mark.parametrize("lost", ["completed", "networks", "both"])
def test_what_a_stranger_makes_is_not_made_anew_where_another_strangers_code_is_imported(
    scored, tmp_path, lost
):
    # Two files of one name are one module to a process, as every module is.
    honest, spoils = tmp_path / "honest.py", tmp_path / "spoils_needs.py"
    honest.write_text(HONEST)
    spoils.write_text(SPOILS_WHAT_IT_BUILDS_ON)
    store, made = scored / "workspace" / "store", {}
    before = set(store.rglob("*"))
    first = run(scored, ["honest-second"], [honest], completers=["fives"])["honest-second"]
    assert first.ok, first.message
    for kind, name in (("completed", "completed.npy"), ("networks", "model/mean.json")):
        found = set((store / kind).rglob(name)) - before
        made |= {path: path.read_bytes() for path in found}
        if lost in (kind, "both"):
            assert found
            for path in found:
                path.write_bytes(made[path][:-1])
    third = run(scored, ["third"], [honest, spoils], completers=["fives"])["third"]
    assert third.ok, third.message
    assert {path: path.read_bytes() for path in made} == made
    assert third.scores["test"]["mse"] == first.scores["test"]["mse"]


def test_a_strangers_metric_does_not_change_what_ours_score(alone, scored, tmp_path):
    path = tmp_path / "bad_metric.py"
    path.write_text(METRIC)
    found = run(scored, OURS, [path], "bad-metric, mse, pcc-gene")
    for name in OURS:
        scores = found[name].scores["test"]
        assert scores["bad-metric"] == 1.0
        assert {each: scores[each] for each in ("mse", "pcc-gene")} == alone[name].scores["test"]


def test_a_metric_that_attacks_when_it_is_imported_hurts_its_own_column(alone, scored, tmp_path):
    path = tmp_path / "bad_import.py"
    path.write_text(ATTACKS_WHEN_IMPORTED)
    found = run(scored, OURS, [path], "mse, bad-metric, pcc-gene")
    for name in OURS:
        assert found[name].scores == alone[name].scores
        assert found[name].gene_scores == alone[name].gene_scores


def test_a_strangers_metric_that_fails_leaves_its_own_column_empty_and_no_other(
    alone, scored, tmp_path
):
    path = tmp_path / "bad_metric.py"
    path.write_text(METRIC)
    found = run(scored, OURS, [path], "raises, mse, dies, pcc-gene, short")
    for name in OURS:
        assert found[name].ok
        assert found[name].scores == alone[name].scores
        assert found[name].gene_scores == alone[name].gene_scores
        told = found[name].facts["unscored"]
        assert "Metric 'raises' gave nothing: ValueError: not today" in told
        assert "Metric 'dies' gave nothing: Its process was killed by SIGKILL" in told
        assert "Metric 'short' gave nothing: " in told


IMPOSTOR = """
from dataclasses import replace
import os
import numpy as np
from spared_bench import PredictorSpec, hookimpl

CHANGES = {
    "honest": {},
    "name": {"predictor": "gene-mean"},
    "dataset": {"dataset": "mob_demo"},
    "split": {"facts": {"evaluation_split": "val"}},
    "left-out": {"facts": {"synthetic": True, "control": True}},
    "shut-in": {"environment": {"isolation": "strict"}},
    "ours": {"environment": {"plugins": {"predictor": "spared-bench 0.1.0 code 0"}}},
    "set-apart": {"facts": {"comparable": True}},
    "doubts": {"facts": {"slide_checks": {"tested": 1, "failed": {"one": ["It is blurred."]}}}},
    "shapeless": {"facts": {"slide_checks": [1]}},
    "made-anyhow": {"environment": {"packages": [1]}},
}

def changed(result, **values):
    merged = {
        name: getattr(result, name) | value if isinstance(value, dict) else value
        for name, value in values.items()
    }
    return replace(result, **merged)

class Impostor:
    def __init__(self, way):
        self.way = way

    def fit(self, train, val, context):
        self.mean_ = train.target.mean(axis=0)

    def predict(self, slides):
        from spared_bench.trials import runner
        write = runner._write
        values = CHANGES[self.way]
        runner._write = lambda folder, result: write(folder, changed(result, **values))
        return np.tile(self.mean_, (len(slides), 1)) + 1.0

for way in CHANGES:
    kind = type(way, (Impostor,), {"__init__": lambda self, way=way: Impostor.__init__(self, way)})
    globals()["Way_" + way.replace("-", "_")] = kind

@hookimpl
def spared_bench_predictors():
    return [
        PredictorSpec(f"as-{way}", f"{__name__}:Way_" + way.replace("-", "_")) for way in CHANGES
    ]
"""


def test_a_method_cannot_write_its_record_in_anothers_name_or_choose_how_it_counts(
    alone, scored, tmp_path
):
    path = tmp_path / "impostor.py"
    path.write_text(IMPOSTOR)
    ways = ("name", "dataset", "split", "left-out", "shut-in", "ours", "set-apart", "doubts")
    unreadable = [f"as-{way}" for way in ("shapeless", "made-anyhow")]
    bad = [f"as-{way}" for way in ways]
    found = run(scored, ["as-honest", *bad, *unreadable, "gene-mean"], [path])

    assert found["as-honest"].ok
    assert told(found["gene-mean"]) == told(alone["gene-mean"])
    assert {name for name in bad if found[name].status != "error"} == set()
    assert all("says otherwise than was planned" in found[name].message for name in bad)
    cells = list(finished_cells(Store(scored / "workspace" / "store")))
    counting = sorted(cell.final.predictor for cell in cells if cell.final.ok)
    assert counting == ["as-honest", "gene-mean"]


def test_a_cell_has_its_own_names_whatever_the_record_of_its_trial_says(scored, tmp_path):
    run(scored, OURS)
    store = Store(scored / "workspace" / "store")
    (key,) = [c.final.key for c in finished_cells(store) if c.final.predictor == "linear-probe"]
    path = store.folder("trials", key) / "result.json"
    path.write_text(path.read_text().replace('"linear-probe"', '"xxxxxx-probe"'))
    assert sorted(c.final.predictor for c in finished_cells(store)) == sorted(OURS)
