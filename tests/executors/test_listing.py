"""A run imports no code of others in its own process, and knows of it all that it needs."""

from __future__ import annotations

import csv
import os
import re
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from spared_bench.api import execute, make_bench, select
from spared_bench.api.benches import failing_plugins_of
from spared_bench.bench import Bench
from spared_bench.errors import PluginError, UsageError
from spared_bench.executors.listing import listed_apart
from spared_bench.planning.selection import make_plan
from spared_bench.planning.views import declared_views
from spared_bench.registry import discover
from tests.executors.conftest import planted

HEAD = "from spared_bench import PredictorSpec, ProtocolSpec, View, hookimpl\n"
MODEL = """
class Model:
    def fit(self, train, val, context):
        self.mean_ = train.target.mean(0)

    def predict(self, slides):
        return self.mean_ + 0 * slides.coordinates[:, :1]

@hookimpl
def spared_bench_predictors():
    return [PredictorSpec("stranger", f"{__name__}:Model")]
"""
ATTACK = """
import os
import numpy as np
from pathlib import Path

with Path(os.environ["STRANGER_SIGN"]).open("a") as file:
    file.write(f"{os.getpid()}\\n")

import spared_bench.leaderboard.means
import spared_bench.leaderboard.rows
import spared_bench.metrics.summary
import spared_bench.planning.plan
import spared_bench.tracking.run_record
for module in (spared_bench.leaderboard.means, spared_bench.leaderboard.rows,
               spared_bench.metrics.summary, spared_bench.tracking.run_record):
    for name in dir(module):
        if callable(getattr(module, name)) and not isinstance(getattr(module, name), type):
            setattr(module, name, lambda *_, **__: 0.0)
np.mean = np.nanmean = np.median = lambda *_, **__: 0.0
"""


def write(path: Path, *parts: str) -> Path:
    path.write_text(HEAD + "".join(parts))
    return path


def run(root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "spared_bench", "run", "--suite", str(planted(root))]
    command += ["-d", "planted", "-c", "none", "-w", str(root / "w"), "--workers", "1", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def board(root: Path) -> list[dict[str, str]]:
    """Return what the page's table says of our own method, but for times."""
    with (root / "w" / "leaderboard" / "leaderboard.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["predictor"] == "gene-mean"]
    return [{name: value for name, value in row.items() if "second" not in name} for row in rows]


def test_code_that_attacks_when_it_is_imported_touches_neither_store_nor_record_nor_board(
    prepared_planted, tmp_path, monkeypatch
):
    sign = tmp_path / "sign"
    monkeypatch.setenv("STRANGER_SIGN", str(sign))
    plugin = write(tmp_path / "attacks.py", ATTACK, MODEL)
    quiet = ["-p", "gene-mean", "--no-figures"]
    prepared_planted(tmp_path / "alone" / "w")
    alone = run(tmp_path / "alone", *quiet)
    assert alone.returncode == 0, alone.stderr
    beside = run(tmp_path / "beside", *quiet, "-p", "stranger", "--plugin", str(plugin))

    assert sign.read_text().split(), "the plugin was never imported"
    assert "stranger" in beside.stdout + beside.stderr
    expected = board(tmp_path / "alone")
    assert float(expected[0]["mse"]) > 0
    assert board(tmp_path / "beside") == expected


def test_the_process_that_plans_imports_nothing_of_others(prepared_planted, tmp_path, monkeypatch):
    prepared_planted(tmp_path / "w")
    sign = tmp_path / "sign"
    monkeypatch.setenv("STRANGER_SIGN", str(sign))
    plugin = write(tmp_path / "attacks.py", ATTACK, MODEL)
    bench = make_bench(
        str(planted(tmp_path)), workspace=tmp_path / "w", plugin_files=[plugin], apart=True
    )
    plan = select(bench, ["planted"], ["none"], ["stranger"])
    assert str(os.getpid()) not in sign.read_text().split()
    (result,) = execute(plan, workers=1, track=False, figures=False).results
    assert str(os.getpid()) not in sign.read_text().split()
    # What a mean of training predicts is known without a mean: its error is that of ours.
    ours = select(bench, ["planted"], ["none"], ["gene-mean"])
    (mean,) = execute(ours, workers=1, track=False, figures=False).results
    assert mean.ok
    assert result.status in ("ok", "error")


BROUGHT = """
from spared_bench import DatasetSpec, MetricSpec, SlideInfo

@hookimpl
def spared_bench_predictors():
    return [PredictorSpec("broken", "broken_model:Model")]

@hookimpl
def spared_bench_datasets():
    return [DatasetSpec("torn", "broken_reader:read_slide", organism="human", tissue="skin",
                        technology="Visium", slides=tuple(map(SlideInfo, "abc")),
                        split={"train": ("a",), "val": ("b",), "test": ("c",)})]

@hookimpl
def spared_bench_metrics():
    return [MetricSpec("frayed", "broken_metric:frayed", better="higher")]
"""


def test_a_module_that_is_no_python_stops_its_own_method_alone_before_anything_is_run(
    prepared_planted, tmp_path
):
    prepared_planted(tmp_path / "w")
    plugin = write(tmp_path / "brings.py", BROUGHT)
    for name in ("model", "reader", "metric"):
        (tmp_path / f"broken_{name}.py").write_text("def (\n")
    bench = make_bench(
        str(planted(tmp_path)), workspace=tmp_path / "w", plugin_files=[plugin], apart=True
    )
    assert {"broken", "torn"} <= {
        *bench.registry.names("predictor"),
        *bench.registry.names("dataset"),
    }
    (result,) = execute(
        select(bench, ["planted"], ["none"], ["gene-mean"]), executor="inline", track=False
    ).results
    assert result.ok

    with pytest.raises(UsageError, match=r"'broken' of brings\.py cannot be imported.*SyntaxError"):
        select(bench, ["planted"], ["none"], ["gene-mean", "broken"])
    left = make_plan(bench, ["planted"], ["none"], ["gene-mean", "broken"])
    assert [cell.predictor for cell in left.cells] == ["gene-mean"]
    assert "cannot be imported" in left.left_out[0]
    (tmp_path / "w" / "data" / "torn").mkdir(parents=True)
    (tmp_path / "w" / "data" / "torn" / "a.txt").write_text("counts")
    torn = make_plan(bench, ["torn"], ["none"], ["gene-mean"])
    assert "broken_reader.py is no Python, line 1" in torn.unavailable["torn"]
    assert torn.unfit == ["torn"]
    with pytest.raises(PluginError, match=r"metric 'frayed': .*broken_metric\.py is no Python"):
        bench.registry.get("metric", "frayed").code  # noqa: B018


#: What a class does when it is asked, and how the plugin that has it is left out.
ASKED = {
    "    def check_parameters(self): os._exit(3)": "asks its classes ended with status 3",
    "    @property\n    def views(self): os.kill(os.getpid(), 9)": "classes was killed by SIGKILL",
    "    configurations = type('T', (), {'__get__': lambda *_: 1 / 0})()": "ZeroDivisionError",
}


@pytest.mark.parametrize("text", ASKED)
def test_a_class_that_fails_when_it_is_asked_stops_its_own_plugin_alone(bench, tmp_path, text):
    odd = write(tmp_path / "odd.py", "import os\n", MODEL.replace("@hook", f"{text}\n\n@hook"))
    sound = write(tmp_path / "sound.py", MODEL.replace('"stranger"', '"sound"'))
    files, space = [odd, sound], bench.workspace
    told = listed_apart(discover(files, only=()), files, space, partial(Bench, bench.settings))
    assert "sound" in told.names("predictor")
    assert "stranger" not in told.names("predictor")
    for left_out in (told.quarantined, failing_plugins_of(files, space)):
        (plugin,) = left_out
        assert plugin.name == "odd"
        assert ASKED[text] in plugin.reason


def test_an_augmentation_that_no_key_can_hold_is_told_of_its_method_alone(bench, tmp_path):
    text = "    augment = object()\n    def augmenter(self): return None\n\n@hook"
    odd = write(tmp_path / "odd.py", MODEL.replace("@hook", text))
    make = partial(Bench, bench.settings)
    told = listed_apart(discover([odd], only=()), [odd], bench.workspace, make)
    assert told.quarantined == []
    with pytest.raises(UsageError, match="`augment` holds <object"):
        make_plan(make(told), ["planted"], ["none"], ["stranger"], named=True)


PROPERTY = """
from dataclasses import dataclass

@dataclass
class Wide(Model):
    scale: float = 3.0

    @property
    def views(self):
        {}
        return {{"around": View(size=16, scale=self.scale)}}

@hookimpl
def spared_bench_predictors():
    return [PredictorSpec("wide", f"{{__name__}}:Wide", search={{"scale": (2.0, 5.0)}})]
"""


def test_views_that_follow_from_parameters_are_told_for_all_that_are_tried(tmp_path):
    plugin = write(tmp_path / "wide.py", MODEL, PROPERTY.format(""))
    bench = make_bench(
        str(planted(tmp_path)), workspace=tmp_path / "w", plugin_files=[plugin], apart=True
    )
    tried = bench.candidates("wide")
    seen = {view.scale for view in declared_views(bench, [("predictor", "wide", p) for p in tried])}
    assert seen == {2.0, 5.0}
    with pytest.raises(UsageError, match="declares its views by a property"):
        bench.views_of("predictor", "wide", {"scale": 4.0})


def test_what_is_wrong_with_such_views_is_told_too(tmp_path):
    plugin = write(tmp_path / "wide.py", MODEL, PROPERTY.format("raise KeyError('no')"))
    bench = make_bench(
        str(planted(tmp_path)), workspace=tmp_path / "w", plugin_files=[plugin], apart=True
    )
    with pytest.raises(UsageError, match=r"Predictor 'wide'.*'no'"):
        select(bench, ["planted"], ["none"], ["wide"])


def test_a_protocol_of_others_comes_as_its_settings(tmp_path):
    made = """
def theirs():
    import yaml
    values = yaml.safe_load(open({!r}))
    return yaml.safe_dump(values | {{"name": "theirs", "version": 4}})

@hookimpl
def spared_bench_protocols():
    return [ProtocolSpec("theirs", f"{{__name__}}:theirs")]
"""
    plugin = write(tmp_path / "theirs.py", made.format(str(planted(tmp_path))))
    bench = make_bench("theirs@4", workspace=tmp_path / "w", plugin_files=[plugin], apart=True)
    assert bench.protocol.id == "theirs@4"
    assert bench.registry.get("protocol", "theirs").told is not None
    with pytest.raises(UsageError, match="in version 4, not '5'"):
        make_bench("theirs@5", workspace=tmp_path / "w", plugin_files=[plugin], apart=True)


ENDS = """
import os

def ends():
    {how}

@hookimpl
def spared_bench_protocols():
    return [ProtocolSpec("ends", f"{{__name__}}:ends")]
"""


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ("os._exit(0)", "ended with status 0"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("raise type('Mute', (Exception,), {'__str__': lambda _: 1})", "Mute"),
    ],
)
def test_of_a_protocol_that_ends_its_process_its_own_plugin_is_named(tmp_path, how, why):
    before = write(tmp_path / "a_before.py", MODEL)
    after = write(tmp_path / "ends.py", ENDS.format(how=how))

    with pytest.raises(PluginError) as caught:
        make_bench("ends", workspace=tmp_path / "w", plugin_files=[before, after], apart=True)

    assert "ends.py" in str(caught.value)
    assert "a_before.py" not in str(caught.value)
    assert why in str(caught.value)


def test_observers_are_called_of_a_plugin_that_brings_nothing_else(prepared_planted, tmp_path):
    prepared_planted(tmp_path / "w")
    observer = """
from pathlib import Path

@hookimpl
def spared_bench_run_finished(plan, results):
    Path({!r}).write_text(str(len(results)))
"""
    told, silent = tmp_path / "told", tmp_path / "silent"
    files = [
        write(tmp_path / "watcher.py", observer.format(str(told))),
        write(tmp_path / "both.py", MODEL, observer.format(str(silent))),
    ]
    bench = make_bench(
        str(planted(tmp_path)), workspace=tmp_path / "w", plugin_files=files, apart=True
    )
    plan = select(bench, ["planted"], ["none"], ["gene-mean"])
    execute(plan, workers=1, track=False, figures=False)
    assert told.read_text() == "1"
    assert not silent.exists()


def test_a_wrong_name_is_told_as_without_a_child(tmp_path):
    plugin = write(tmp_path / "fine.py", MODEL)
    with pytest.raises(UsageError, match="gene-mean"):
        make_bench(
            str(planted(tmp_path)),
            workspace=tmp_path / "w",
            plugin_files=[plugin],
            apart=True,
            parameters={"gene-maen": {"a": 1}},
        )


SPEC = """
@hookimpl
def spared_bench_predictors():
    return [PredictorSpec("odd", f"{__name__}:Model", search={SEARCH})]
"""
CLASS = """
from dataclasses import dataclass
from spared_bench.bounds import Positive

@dataclass
class Model:
    width: int = 4
    share: Positive = 0.5
    depth = 2  # without a type, which a dataclass takes for no parameter

    def check_parameters(self):
        if self.width == 3:
            from spared_bench.errors import UsageError
            raise UsageError("three is too odd.")
"""


@pytest.mark.parametrize(
    ("search", "told"),
    [
        ({"widht": (1, 2)}, "searches 'widht', which is no parameter there. Known: width, share"),
        ({"depth": (1, 2)}, "searches 'depth', which is no parameter there"),
        ({"width": (1, 2.5)}, "searches 'width' at 2.5, of type float; expected int"),
        ({"share": (0.5, 0.0)}, "'share' is 0.0; expected more than 0"),
        ({"width": (1, 3)}, "cannot run so: three is too odd"),
    ],
)
def test_what_a_strangers_spec_searches_is_held_to_its_class_before_anything_runs(
    tmp_path, search, told
):
    """Their code is not imported where a run is planned: each of these was a failed trial."""
    plugin = write(tmp_path / "odd.py", CLASS, SPEC.replace("SEARCH", repr(search)[1:-1]))
    bench = make_bench(
        str(planted(tmp_path)), workspace=tmp_path / "w", plugin_files=[plugin], apart=True
    )
    with pytest.raises(UsageError, match=re.escape(told)):
        select(bench, ["planted"], ["none"], ["odd"])


NEEDY = """
class Model:
    def __init__(self, width):
        self.width = width
"""
ODDLY_CONFIGURED = """
class Model:
    configurations = {"small": {"widht": 3}}
"""


@pytest.mark.parametrize(
    ("model", "told"),
    [
        (NEEDY, "needs a value of width: it has no default"),
        (ODDLY_CONFIGURED, "configuration 'small': .*no parameter 'widht'"),
        (CLASS, "searches 'depth', which is no parameter there"),
    ],
)
@pytest.mark.parametrize("apart", [True, False])
def test_a_strangers_method_that_cannot_be_made_takes_no_other_with_it(
    tmp_path, model, told, apart
):
    search = "'depth': (1, 2)" if model is CLASS else ""
    plugin = write(tmp_path / "odd.py", model, SPEC.replace("SEARCH", search))

    def bench(**settings):
        return make_bench(
            str(planted(tmp_path)),
            workspace=tmp_path / "w",
            plugin_files=[plugin],
            apart=apart,
            **settings,
        )

    plan = make_plan(bench(), ["planted"], ["none"], ["gene-mean", "odd"])
    assert plan.predictors == ["gene-mean"]
    assert re.search(told, "\n".join(plan.left_out))
    with pytest.raises(UsageError, match=told):
        select(bench(), ["planted"], ["none"], ["odd"])
    # Whoever has set something of it may have made the mistake, and is told.
    with pytest.raises((UsageError, PluginError), match=told):
        asked = bench(parameters={"odd": {"configuration": "published"}})
        make_plan(asked, ["planted"], ["none"], ["gene-mean", "odd"])
