"""Files that a method reads: beside its code, and named by its parameters."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import pytest

from tests.executors.test_ported import EVERY, run

MODEL = '''
import json
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent


@dataclass
class Adds:
    """Adds what its settings say to the training mean."""

    config: str = ""

    def fit(self, train, val, context):
        path = Path(self.config) if self.config else HERE / "sets" / "adds.json"
        self.value_ = train.target.mean(axis=0) + json.loads(path.read_text())

    def predict(self, slides):
        return np.tile(self.value_, (len(slides), 1))


@dataclass
class Writes(Adds):
    """Keeps a file beside its code, which is another one after every trial."""

    lr: float = 1.0

    def fit(self, train, val, context):
        super().fit(train, val, context)
        (HERE / "written.json").write_text(str(time.time_ns()))
'''

PLUGIN = """
from spared_bench import PredictorSpec, hookimpl

MODEL = "{model}"

@hookimpl
def spared_bench_predictors():
    return [
        PredictorSpec("brought-adds", f"{MODEL}:Adds"),
        PredictorSpec("brought-writes", f"{MODEL}:Writes", search={"lr": (1.0, 2.0, 3.0)}),
    ]
"""


@pytest.fixture
def plugin(tmp_path) -> Path:
    """A plugin whose method adds 0."""
    model = f"brought_{uuid4().hex}"  # one of another test was imported in this process
    (tmp_path / model / "sets").mkdir(parents=True)
    (tmp_path / model / "sets" / "adds.json").write_text("0")
    (tmp_path / model / "__init__.py").write_text(MODEL)
    (tmp_path / "brought_plugin.py").write_text(PLUGIN.replace("{model}", model))
    return tmp_path / "brought_plugin.py"


def added(workspace, plugin, way, **parameters):
    """Return what a run's method added to the mean, by its error, and the key of its trial."""
    (result,) = run(workspace, plugin, "brought-adds", way, **parameters).results
    assert result.ok, result.message
    return result.scores["test"]["mse"], result.key


@pytest.mark.parametrize("way", EVERY)
def test_another_file_beside_a_methods_code_is_another_trial(workspace, plugin, way):
    (settings,) = plugin.parent.glob("*/sets/adds.json")
    error, key = added(workspace, plugin, way)
    assert added(workspace, plugin, way) == (error, key)
    settings.write_text("100")
    far, other = added(workspace, plugin, way)
    assert other != key
    assert far > 9_000 > error  # it read the file as it is now
    settings.write_text("0")
    assert added(workspace, plugin, way) == (error, key)


@pytest.mark.parametrize("way", ["inline", "shared"])
def test_another_content_of_a_file_that_a_parameter_names_is_another_trial(
    workspace, plugin, way, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.json").write_text("0")
    error, key = added(workspace, plugin, way, config="mine.json")
    (tmp_path / "mine.json").write_text("100")
    far, other = added(workspace, plugin, way, config="mine.json")
    assert other != key
    assert far > 9_000 > error


def test_a_method_that_writes_beside_its_code_is_run_all_the_same(workspace, plugin):
    for _ in range(2):
        (result,) = run(workspace, plugin, "brought-writes", "shared").results
        assert result.ok, result.message


REPOSITORY = """
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "named_repository"))


class Shifts:
    def fit(self, train, val, context):
        import named_net

        self.value_ = train.target.mean(axis=0) + named_net.SHIFT

    def predict(self, slides):
        import numpy as np

        return np.tile(self.value_, (len(slides), 1))
"""


@pytest.mark.parametrize("way", EVERY)
def test_a_repository_beside_a_plugin_file_ends_no_run_where_it_is_hidden(workspace, plugin, way):
    (model,) = (path.parent for path in plugin.parent.glob("*/__init__.py"))
    shifts = model.with_name(f"{model.name}_shifts.py")
    shifts.write_text(REPOSITORY)
    spec = f'PredictorSpec("named-shifts", "{shifts.stem}:Shifts"),'
    plugin.write_text(plugin.read_text().replace("    return [", f"    return [{spec}"))
    (plugin.parent / "named_repository").mkdir()
    (plugin.parent / "named_repository" / "named_net.py").write_text("SHIFT = 100.0")

    (result,) = run(workspace, plugin, "named-shifts", way).results
    if way == "strict":  # which shows modules and packages beside the file, and no other folder
        assert result.status == "error"
        assert "named_net" in result.message
    else:
        assert result.scores["test"]["mse"] > 9_000, result.message
