from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from importlib.metadata import EntryPoint
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from spared_bench.errors import AmbiguousNameError, PluginError, UnknownNameError, UsageError
from spared_bench.guard import guarded
from spared_bench.metrics.scoring import score
from spared_bench.registry import discover, notify
from spared_bench.results import TrialResult
from spared_bench.specs.plain import spec_as_json, spec_of
from tests import made_slides

GOOD = """
from spared_bench import PredictorSpec, hookimpl

@hookimpl
def spared_bench_predictors():
    return [PredictorSpec("{name}", "{module}:Model", summary="made up")]
"""

BROKEN = {
    "raises_at_import": ("raise RuntimeError('no licence')", "RuntimeError: no licence"),
    "calls_exit": ("import sys; sys.exit(3)", "calls sys.exit(3)"),
    "misspells_hook": (
        GOOD.replace("spared_bench_predictors", "spared_bench_predictor"),
        "Did you mean 'spared_bench_predictors'?",
    ),
    "forgets_decorator": (GOOD.replace("@hookimpl\n", ""), "lacks the decorator"),
    "has_no_hook": ("x = 1", "no function carries @spared_bench.hookimpl"),
    "wants_arguments": (
        GOOD.replace("spared_bench_predictors()", "spared_bench_predictors(config)"),
        "wrong signature",
    ),
    "returns_a_dict": (
        GOOD.split("    return", maxsplit=1)[0] + "    return {'name': 'x'}",
        "must return a list of PredictorSpec, found dict",
    ),
    "forgets_return": (
        GOOD.replace("    return ", "    "),
        "spared_bench_predictors returned nothing. It must return a list of PredictorSpec: is its"
        " `return` missing?",
    ),
    "returns_another_kind": (
        GOOD.replace("PredictorSpec", "CompleterSpec"),
        "must return PredictorSpec objects, found CompleterSpec",
    ),
    "names_badly": (GOOD.replace("{name}", "No Spaces!"), "the name must be 1-64 characters"),
    "wants_another_api": ("requires_api = 99\n" + GOOD, "asks for plugin API 99"),
    "raises_in_hook": (
        GOOD.split("    return", maxsplit=1)[0] + "    raise KeyError('gone')",
        "KeyError: 'gone'",
    ),
    "registers_twice": (
        GOOD.split("    return", maxsplit=1)[0]
        + "    return [PredictorSpec('a', 'a:b'), PredictorSpec('a', 'a:b')]",
        "it registers predictor 'a' more than once",
    ),
}


ODD_SPECS = {
    "extras='numpy'": "extras must be a tuple",
    "summary=None": "summary must be a text, found NoneType",
    "scope='everywhere'": "scope 'everywhere' is none of patch, neighbourhood, slide",
    "search={'lr': 0.1}": "search must map each parameter to a tuple of finite numbers",
    "search={'lr': ()}": "search must map each parameter to a tuple of finite numbers",
    "search={'lr': (float('nan'),)}": "search must map each parameter to a tuple of finite numbers",
    "search=[0.1]": "search must map each parameter to a tuple of finite numbers",
    "stages={'first': 'sound'}": "stages must map names to Stage objects",
}


class Installed:
    """Makes importable modules and the entry points that name them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.points: list[EntryPoint] = []

    def add(self, module: str, text: str, distribution: str = "stranger", name: str = "") -> None:
        text = text.replace("{name}", name or module).replace("{module}", module)
        (self.folder / f"{module}.py").write_text(text)
        point = EntryPoint(module, module, "spared_bench")
        dist = SimpleNamespace(name=distribution, version="1.0")
        object.__setattr__(point, "dist", dist)
        self.points.append(point)


@pytest.fixture
def installed(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)
    yield Installed(tmp_path)
    for module in set(sys.modules) - before:
        if str(getattr(sys.modules[module], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[module]


@pytest.mark.parametrize("module", sorted(BROKEN))
def test_a_broken_plugin_is_quarantined_and_the_others_work(installed, module):
    text, reason = BROKEN[module]
    installed.add(module, text)
    installed.add("sound", GOOD)

    registry = discover(points=installed.points)

    (broken,) = registry.quarantined
    assert broken.name == module
    assert reason in broken.reason
    assert "\n" not in broken.reason
    assert registry.names("predictor") == ["sound"]


@pytest.mark.parametrize("field", ODD_SPECS)
def test_a_predictor_whose_spec_says_the_impossible_is_quarantined(installed, field):
    installed.add("odd", GOOD.replace('summary="made up"', field))
    (plugin,) = discover(points=installed.points).quarantined
    assert plugin.reason.startswith(f"PredictorSpec(name='odd'): {ODD_SPECS[field]}")


LOUD = """
import os, signal
print("said at import")
os.chdir("/")
signal.signal(signal.SIGTERM, signal.SIG_IGN)
"""


def test_a_plugin_that_prints_and_changes_the_process_disturbs_no_output(installed, capsys):
    here, handler = Path.cwd(), signal.getsignal(signal.SIGTERM)
    loud = GOOD.replace("    return", "    print('said by the hook')\n    return")
    installed.add("loud", LOUD + loud)
    registry = discover(points=installed.points)
    assert registry.names("predictor") == ["loud"]
    assert (Path.cwd(), signal.getsignal(signal.SIGTERM)) == (here, handler)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "said at import\nsaid by the hook\n" in printed.err


def test_an_observer_that_prints_or_exits_changes_nothing(installed, capsys):
    hook = "def spared_bench_run_started(plan):\n    print('seen')\n    raise SystemExit(1)\n"
    installed.add("watcher", GOOD + "@hookimpl\n" + hook)
    said = []
    notify(discover(points=installed.points), "spared_bench_run_started", said.append, plan=None)
    assert said == ["Observer watcher.spared_bench_run_started failed: SystemExit: 1"]
    assert capsys.readouterr().out == ""


ODD_OBSERVER = """
class Odd(BaseException):
    def __str__(self):
        raise SystemExit(3)

@hookimpl
def spared_bench_run_started(plan):
    raise Odd
"""
SPOILS = """
@hookimpl
def spared_bench_run_finished(plan, results):
    plan.cells.clear()
    object.__setattr__(results[0], "validation_mse", 0.0)
    results[0].parameters["lr"] = 7
    results.clear()
"""


def test_an_observer_that_raises_what_is_no_exception_is_told_and_changes_nothing(installed):
    installed.add("odd", GOOD + ODD_OBSERVER)
    said = []
    notify(discover(points=installed.points), "spared_bench_run_started", said.append, plan=None)
    assert said == [
        "Observer odd.spared_bench_run_started failed: Odd: (its message cannot be had: SystemExit)"
    ]


def test_what_an_observer_changes_of_plan_and_results_nobody_else_sees(installed):
    installed.add("spoils", GOOD + SPOILS)
    installed.add("again", GOOD + SPOILS)  # who is told next is told the same
    result = TrialResult("k", "ok", "p@1", "d", "c", "m", {"lr": 1}, 0, validation_mse=0.5)
    results, said, bench = [result], [], threading.Lock()  # which cannot be copied
    plan = SimpleNamespace(bench=bench, cells=["a cell"])
    notify(
        discover(points=installed.points),
        "spared_bench_run_finished",
        said.append,
        plan=plan,
        results=results,
    )
    assert said == []
    assert (plan.bench, plan.cells) == (bench, ["a cell"])
    assert len(results) == 1
    assert (result.parameters, result.validation_mse) == ({"lr": 1}, 0.5)


def test_two_files_of_one_name_are_not_taken_for_each_other(tmp_path):
    files = [tmp_path / "one" / "my-plugin.py", tmp_path / "two" / "my-plugin.py"]
    for number, file in enumerate(files):
        file.parent.mkdir()
        text = GOOD.replace("{name}", f"number-{number}").replace('"{module}:', 'f"{__name__}:')
        file.write_text(text + "\nclass Model: ...\n")
    registry = discover([files[0], files[0], files[1]], points=[])
    assert registry.names("predictor") == ["number-0"]
    assert registry.get("predictor", "number-0").load().__name__ == "Model"
    (refused,) = registry.quarantined
    assert "would be one module" in refused.reason


def test_the_whole_traceback_of_a_broken_plugin_is_kept(installed):
    installed.add("deep", "def f():\n    raise ValueError('below')\nf()")
    (plugin,) = discover(points=installed.points).quarantined
    assert "in f" in plugin.traceback and "ValueError: below" in plugin.traceback


def test_an_interrupt_while_a_plugin_is_imported_is_not_swallowed(installed):
    installed.add("slow", "raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        discover(points=installed.points)


ALIASED = """
from spared_bench import DatasetSpec, SlideInfo, hookimpl

@hookimpl
def spared_bench_datasets():
    return [DatasetSpec("{name}", "{module}:read", slides=(SlideInfo("a"),),
                        split={{"train": ("a",)}}, aliases=("{name}".upper(), "doe_mouse_brain"))]
""".replace("{{", "{").replace("}}", "}")


@pytest.mark.parametrize("name", ["dmb", "DMB", "Dmb", "doe_mouse_brain", "Doe_Mouse_Brain"])
def test_a_dataset_answers_to_its_other_names_in_any_case(installed, name):
    installed.add("one", ALIASED, name="dmb")
    registry = discover(points=installed.points)
    assert registry.get("dataset", name).spec.name == "dmb"
    assert registry.canonical("dataset", name) == "dmb"
    assert registry.canonical("dataset", f"stranger:{name}") == "stranger:dmb"
    assert registry.names("dataset") == ["dmb"]


def test_a_name_goes_before_another_plugin_s_alias_and_shared_aliases_are_refused(installed):
    installed.add("one", ALIASED, name="dmb")
    installed.add("two", ALIASED, name="doe_mouse_brain", distribution="other")
    installed.add("three", ALIASED, name="third", distribution="last")
    registry = discover(points=installed.points)
    assert registry.get("dataset", "doe_mouse_brain").plugin.distribution == "other"
    with pytest.raises(AmbiguousNameError, match="stranger:dmb, other:doe_mouse_brain, last:third"):
        registry.get("dataset", "DOE_MOUSE_BRAIN")


def test_two_plugins_of_one_name_are_both_refused_by_it(installed):
    installed.add("ours", GOOD, "package-a", name="same")
    installed.add("theirs", GOOD, "package-b", name="same")
    registry = discover(points=installed.points)

    with pytest.raises(AmbiguousNameError) as refused:
        registry.get("predictor", "same")

    assert "package-a:same, package-b:same" in str(refused.value)
    assert registry.get("predictor", "package-b:same").plugin.name == "theirs"
    assert registry.names("predictor") == ["package-a:same", "package-b:same"]


def test_an_unknown_name_comes_with_the_nearest_one_and_the_plugins_that_failed(installed):
    installed.add("stnet", GOOD)
    installed.add("ruined", "raise OSError('disk')")
    with pytest.raises(UnknownNameError) as unknown:
        discover(points=installed.points).get("predictor", "st-net")
    message = str(unknown.value)
    assert "No predictor is named 'st-net'. Did you mean 'stnet'?" in message
    assert "could not be loaded: ruined" in message
    assert unknown.value.exit_code == 2


def test_plugins_come_in_the_order_of_their_names_and_not_of_their_installation(installed):
    for module, distribution in (("b", "z"), ("a", "z"), ("c", "a")):
        installed.add(f"plugin_{module}", GOOD, distribution)
    order = [plugin.name for plugin in discover(points=installed.points).plugins]
    assert order == ["plugin_c", "plugin_a", "plugin_b"]


def test_a_single_file_is_a_plugin_under_the_same_rules(tmp_path):
    good, bad = tmp_path / "mine.py", tmp_path / "bad.py"
    good.write_text(GOOD.replace("{name}", "mine").replace("{module}", "x"))
    bad.write_text("1 / 0")
    registry = discover([good, bad], points=[])
    assert registry.names("predictor") == ["mine"]
    assert [plugin.name for plugin in registry.quarantined] == ["bad"]


def test_a_plugin_file_may_name_a_module_beside_it_and_gets_no_other_of_that_name(tmp_path):
    text = GOOD.replace("{module}", "beside_model")
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}.py").write_text(text.replace("{name}", name))
        (tmp_path / name / "beside_model.py").write_text(f"class Model: whose = {name!r}")
        (tmp_path / name / "unnamed.py").touch()
    registry = discover([tmp_path / "first/first.py", tmp_path / "second/second.py"], points=[])

    assert registry.get("predictor", "second").load().whose == "second"
    with pytest.raises(PluginError, match=r"'first' of first.py names the module 'beside_model'"):
        registry.get("predictor", "first").load()
    assert find_spec("unnamed") is None  # nothing else of the folder is there for others

    del sys.modules["beside_model"]


@pytest.mark.parametrize(
    ("name", "told"),
    [("absent.py", r"no plugin file .* has no 'absent.py'"), (".", "is a folder, and `--plug")],
)
def test_a_plugin_file_that_is_not_there_ends_the_command(tmp_path, name, told):
    with pytest.raises(UsageError, match=told):
        discover([tmp_path / name], points=[])


@pytest.mark.parametrize(
    ("kind", "name", "told"),
    [
        ("predictor", "mine/own.py", "Name the file with `--plugin mine/own.py`, and what is in"),
        ("dataset", "mine.yaml", "`spared-bench data add mine.yaml` makes a dataset of a descr"),
    ],
)
def test_a_file_in_the_place_of_a_name_is_told_where_it_belongs(kind, name, told):
    with pytest.raises(UnknownNameError, match=told) as caught:
        discover(points=[]).get(kind, name)
    assert told in caught.value.short


def test_a_factory_that_cannot_be_imported_says_which(installed):
    installed.add("vague", GOOD.replace(":Model", ":Missing"))
    entry = discover(points=installed.points).get("predictor", "vague")
    with pytest.raises(PluginError, match="'vague' of stranger cannot be imported from 'vague:Mis"):
        entry.load()


METRIC_THAT_LABELS = """
import numpy as np
import pandas as pd
from spared_bench import MetricSpec, hookimpl

def error(truth, prediction, mask):
    return np.where(mask, (truth - prediction) ** 2, 0).sum(axis=0) / mask.sum(axis=0)

def ranked(*arrays):
    return pd.Series(error(*arrays)).sort_values(ascending=False)

def named(*arrays):
    return pd.Series(error(*arrays), index=["c", "b", "a"])

def written(*arrays):
    return np.array(["1_5", "2", "3"])

def mixed(*arrays):
    return ["1_5", 2.0, 3.0]

def whole(*arrays):
    return pd.Series([error(*arrays).mean()], index=["all"])

@hookimpl
def spared_bench_metrics():
    names = ("ranked", "named", "written", "mixed")
    each = [MetricSpec(name, __name__ + ":" + name, better="lower") for name in names]
    return [*each, MetricSpec("whole", __name__ + ":whole", per="entry", better="lower")]
"""


def scored_by_labels(installed, name):
    """Return the value of each gene, or the mean, by a stranger's metric; errors are 1, 9, 4."""
    installed.add("labels_its_answers", METRIC_THAT_LABELS)
    entry = discover(points=installed.points).get("metric", name)
    truth = np.zeros((5, 3))
    prediction = np.tile([1.0, 3.0, 2.0], (5, 1))
    scoring = score(
        {name: (entry.spec, entry.load())},
        truth,
        prediction,
        np.ones_like(truth, dtype=bool),
        np.array(["one"] * 5),
    )
    return scoring.by_gene.get(name, scoring.means[name])


def test_a_series_that_a_strangers_metric_returns_is_taken_by_its_numbers(installed):
    assert scored_by_labels(installed, "ranked") == [1.0, 9.0, 4.0]


def test_a_series_of_one_value_is_taken_whatever_its_label(installed):
    assert scored_by_labels(installed, "whole") == pytest.approx(14 / 3)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("named", "labelled 'c' and so on"),
        ("written", "found the text '1_5'"),
        ("mixed", "found the text '1_5'"),
    ],
)
def test_what_a_strangers_metric_returns_in_an_unknown_order_or_as_text_is_refused(
    installed, name, reason
):
    with pytest.raises(PluginError, match=reason):
        scored_by_labels(installed, name)


def test_a_missing_extra_is_named_before_anything_is_imported(installed):
    text = GOOD.replace('summary="made up"', 'extras=("no_such_package",)')
    installed.add("needy", text)
    entry = discover(points=installed.points).get("predictor", "needy")
    with pytest.raises(PluginError, match="not installed: no_such_package"):
        entry.load()


def test_a_missing_extra_inside_a_missing_package_is_named_too(installed):
    installed.add("needy", GOOD.replace('summary="made up"', 'extras=("no_such.part",)'))
    entry = discover(points=installed.points).get("predictor", "needy")
    with pytest.raises(PluginError, match=r"not installed: no_such\.part"):
        entry.load()


def test_the_built_in_plugins_are_in_order_and_come_through_entry_points():
    registry = discover()
    ours = [plugin for plugin in registry.plugins if plugin.distribution == "spared-bench"]
    assert [plugin.name for plugin in ours if plugin.quarantined] == []
    assert {"gene-mean", "linear-probe", "shufflenet", "shuffled"} <= set(
        registry.names("predictor")
    )
    assert {"median", "none"} <= set(registry.names("completer"))


def imported_by(script, modules):
    """Run Python code in a fresh process; return those of the modules that it imported."""
    tell = f"import sys; print([n for n in {modules!r} if n in sys.modules], file=sys.stderr)"
    told = f"{script}\n{tell}"
    done = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stderr.strip().splitlines()[-1]


@pytest.mark.parametrize(
    "arguments", [["--help"], ["list", "predictors"], ["list", "datasets"], ["plugins"]]
)
def test_describing_commands_import_nothing_heavy(arguments):
    script = (
        "import sys\n"
        "from spared_bench.cli import main\n"
        f"sys.argv = ['spared-bench', *{arguments!r}]\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
    )
    heavy = ["torch", "scanpy", "squidpy", "mlflow", "anndata", "pandas", "matplotlib"]
    assert imported_by(script, heavy) == "[]"


def test_planning_with_every_method_imports_torch_alone_of_what_methods_are_made_of(tmp_path):
    script = (
        "from spared_bench.api import make_bench, select\n"
        f"plan = select(make_bench('demo', workspace={str(tmp_path)!r}))\n"
        "assert len(plan.cells) > 100\n"
    )
    heavy = ["torch", "torch_geometric", "timm", "torchvision", "sklearn", "scanpy", "matplotlib"]
    assert imported_by(script, heavy) == "['torch']"


WRITER = """
import atexit, ctypes, os, subprocess, sys
{before}
os.write(1, b"by os.write\\n")
print("by print")
subprocess.run(["echo", "by a child"])
ctypes.CDLL(None).puts(b"by C")
atexit.register(lambda: os.write(1, b"at exit\\n"))
atexit.register(print, "printed at exit")
"""
ENDINGS = {
    "leaves": ("os._exit(3)", "it calls os._exit(3) when it is imported"),
    "leaves_by_name": ("from os import _exit; _exit(0)", "it calls os._exit(0)"),
    "exits": ("sys.exit()", "it calls sys.exit() when it is imported"),
    "recurses": ("def f(): f()\nf()", "RecursionError"),
    "alarms": ("import signal; signal.alarm(1); raise OSError('no')", "OSError: no"),
    "hangs": ("import time; time.sleep(600)", "its import takes longer than 1 s"),
    "swallows": (
        "import time\nfor i in range(3):\n  try: time.sleep(600)\n  except BaseException: pass\n"
        "time.sleep(600)",
        "its import takes longer than 1 s",
    ),
}


LIST = ("list", "predictors")


def listed(file, *command):
    code = (
        "import time; from spared_bench import guard, cli;"
        " guard.importing.__wrapped__.__defaults__ = (1.0,); cli.main()"
    )
    return subprocess.run(
        [sys.executable, "-c", code, *(command or LIST), "--json", "--plugin", str(file)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize("name", ENDINGS)
def test_a_plugin_that_ends_or_holds_up_its_import_is_quarantined_and_told(
    name, tmp_path, monkeypatch
):
    code, reason = ENDINGS[name]
    (tmp_path / "bad.py").write_text(WRITER.replace("{before}", "") + code)
    done = listed(tmp_path / "bad.py")
    assert done.returncode == 1
    assert isinstance(json.loads(done.stdout), list)  # and nothing else
    assert reason in done.stderr
    for line in ("by os.write", "by print", "by a child", "by C"):
        assert f"{line}\n" in done.stderr


def test_a_plugins_limit_of_recursion_is_taken_back(tmp_path):
    good = GOOD.replace("{name}", "shallow").replace("{module}", "shallow")
    (tmp_path / "shallow.py").write_text(f"{good}\nimport sys\nsys.setrecursionlimit(150)\n")
    before = sys.getrecursionlimit()
    assert not discover([tmp_path / "shallow.py"], points=[]).quarantined
    assert sys.getrecursionlimit() == before


def test_what_a_plugin_prints_or_leaves_with_when_the_command_ends_changes_nothing(tmp_path):
    good = GOOD.replace("{name}", "late").replace("{module}", "late")
    code = WRITER.replace("{before}", "import atexit; atexit.register(lambda: os._exit(7))")
    (tmp_path / "late.py").write_text(good + code)
    done = listed(tmp_path / "late.py", "info", "late")
    assert done.returncode == 0, done.stderr
    assert isinstance(json.loads(done.stdout), list)
    for line in ("by os.write", "by print", "by a child", "by C", "at exit", "printed at exit"):
        assert f"{line}\n" in done.stderr


def done_with(file, command):
    words = [*command.split(), "--workspace", str(file.parent / "w"), "--plugin", str(file)]
    return subprocess.run(
        [sys.executable, "-m", "spared_bench", *words],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("command", "imports"),
    {
        "list predictors": 1,
        "plugins": 1,
        "plugins why counts": 3,  # its classes are asked, too
        "info median": 1,
        "info counts": 2,
        "data verify mob_demo": 1,
    }.items(),
)
def test_what_only_reads_specs_imports_a_strangers_plugin_in_a_child_alone(
    tmp_path, command, imports
):
    plugin = GOOD.replace("{name}", "counts").replace("{module}:Model", "types:SimpleNamespace")
    (tmp_path / "counts.py").write_text(f"{plugin}\nprint('IMPORTED')\n")
    done = done_with(tmp_path / "counts.py", command)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("IMPORTED") == imports


def test_data_add_imports_a_plugin_file_once_to_know_the_names_that_are_taken(tmp_path):
    made_slides.space_ranger(tmp_path / "slide")
    (tmp_path / "mine.yaml").write_text(
        "{name: mine, format: space_ranger, organism: human, split: {train: [a]},"
        " slides: {a: {path: slide}}}"
    )
    good = GOOD.replace("{name}", "counts").replace("{module}", "counts")
    (tmp_path / "counts.py").write_text(f"{good}\nprint('IMPORTED')\n")
    done = done_with(tmp_path / "counts.py", f"data add {tmp_path / 'mine.yaml'}")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("IMPORTED") == 1


def test_specs_are_the_same_after_they_were_told_to_another_process():
    for plugin in discover().plugins:
        for spec in plugin.specs:
            told = json.loads(json.dumps(spec_as_json(spec)))
            again = spec_of(spec.kind, told)
            assert type(again) is type(spec)
            assert spec_as_json(again) == told


def test_a_plugin_file_whose_values_cannot_be_told_ends_a_run_with_the_reason(tmp_path):
    (tmp_path / "odd.py").write_text(
        "import numpy as np\nfrom spared_bench import DatasetSpec, SlideInfo, hookimpl\n"
        "@hookimpl\ndef spared_bench_datasets():\n"
        "    slides = (SlideInfo('a'), SlideInfo('b'))\n"
        "    return [DatasetSpec('odd', 'odd:read', slides=slides, split={'train': ('a',),"
        " 'test': ('b',)}, parameters={'n_genes': np.int64(5)})]\n"
    )
    done = done_with(tmp_path / "odd.py", "run -d mob_demo -p gene-mean --dry-run")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "DatasetSpec(name='odd') has a value that is not plain" in done.stderr


SILENT_ENDS = {
    "killed": ("os.kill(os.getpid(), 9)", "was killed by SIGKILL"),
    "crashes": ("import ctypes; ctypes.string_at(0)", "was killed by SIGSEGV"),
    "closes": ("os.closerange(0, 64)", "before it had answered"),
    "interrupts": ("raise KeyboardInterrupt", "KeyboardInterrupt"),
    "garbles": ("import json; json.dumps = lambda *a, **k: 'x'", "before it had answered"),
    "stays": (
        "import threading, time; threading.Thread(target=time.sleep, args=(600,)).start()",
        "it leaves the thread",
    ),
    "forks": ("import time\nif not os.fork(): time.sleep(600)", "it leaves process"),
}


@pytest.mark.parametrize("name", SILENT_ENDS)
def test_what_would_end_or_hold_up_the_command_in_silence_is_found_in_a_child(name, tmp_path):
    code, reason = SILENT_ENDS[name]
    good = GOOD.replace("{name}", "bad").replace("{module}", "bad")
    (tmp_path / "bad.py").write_text(f"{good}\nimport os\n{code}\n")
    (tmp_path / "fine.py").write_text(GOOD.replace("{name}", "fine").replace("{module}", "fine"))
    done = subprocess.run(
        [sys.executable, "-m", "spared_bench", "list", "predictors", "--json"]
        + [word for file in ("bad", "fine") for word in ("--plugin", str(tmp_path / f"{file}.py"))],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    names = {each["name"] for each in json.loads(done.stdout)}
    assert "fine" in names
    assert "bad" not in names
    assert "Plugin 'bad' of bad.py was left out: " in done.stderr
    assert reason in done.stderr


def test_a_child_that_a_plugin_forks_may_leave_and_a_kept_exit_works_later(tmp_path):
    plugin = GOOD.replace("{name}", "forks").replace("{module}", "forks") + (
        "\nimport os\nfrom os import _exit as kept\n"
        "if not (child := os.fork()): os._exit(7)\n"
        "code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])\n"
    )
    (tmp_path / "forks.py").write_text(plugin)
    code = (
        "import sys; from pathlib import Path; from spared_bench.registry import discover;"
        f"r = discover([Path({str(tmp_path / 'forks.py')!r})], points=[]);"
        "m = sys.modules['spared_bench_file_forks']; assert not r.quarantined; m.kept(m.code)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 7


def test_the_time_in_a_plugin_counts_to_an_alarm_that_was_set_before():
    before = signal.signal(signal.SIGALRM, lambda *_: None)
    try:
        signal.setitimer(signal.ITIMER_REAL, 60.0)
        with guarded():
            time.sleep(0.2)
            signal.setitimer(signal.ITIMER_REAL, 0)
        assert 0 < signal.getitimer(signal.ITIMER_REAL)[0] <= 59.8
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_the_rights_of_new_files_are_those_of_before_a_plugin():
    before = os.umask(0o027)
    try:
        with guarded():
            os.umask(0o777)
        assert os.umask(0o027) == 0o027
    finally:
        os.umask(before)


def test_threads_that_run_plugins_at_once_give_the_output_back(capfd):
    first, second = guarded(), guarded()
    first.__enter__()
    second.__enter__()
    os.write(1, b"within\n")
    first.__exit__(None, None, None)
    os.write(1, b"within\n")
    second.__exit__(None, None, None)
    os.write(1, b"after\n")
    out, err = capfd.readouterr()
    assert (out, err) == ("after\n", "within\nwithin\n")
