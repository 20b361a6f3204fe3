from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from contextlib import redirect_stderr
from dataclasses import dataclass
from importlib.resources import files
from io import StringIO

import pytest
import typer
from typer.testing import CliRunner

from spared_bench.cli import app
from spared_bench.cli.common import fail, own_command
from spared_bench.errors import PluginError, SparedBenchError
from spared_bench.protocol import read_protocol
from tests.conftest import TOY_PLUGIN, TOY_PROTOCOL
from tests.leaderboard.reading import data_of
from tests.made_slides import space_ranger


@dataclass
class Done:
    """How a command ended, and what it told."""

    returncode: int
    stdout: str
    stderr: str


def spared_bench(*arguments, **environment):
    """Run a command in this process, which has imported already what one of its own waits for."""
    done = CliRunner().invoke(app, [str(each) for each in arguments], env=environment)
    if isinstance(done.exception, SparedBenchError):  # as ``main`` ends
        with redirect_stderr(StringIO()) as told:
            status = fail(done.exception)
        return Done(status, done.stdout, done.stderr + told.getvalue())
    if not isinstance(done.exception, SystemExit | None):
        raise done.exception
    return Done(done.exit_code, done.stdout, done.stderr)


def process(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "spared_bench", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run"], "Nothing is selected. `spared-bench run --all --suite demo`"),
        (["run", "-p", "linear-prob"], "No predictor is named 'linear-prob'. Did you mean"),
        (["run", "-d", "her2st-demo"], "No dataset is named 'her2st-demo'. Did you mean"),
        (["run", "-c", "meidan"], "No completer is named 'meidan'. Did you mean 'median'?"),
        (["run", "--all", "--suite", "demmo"], "No protocol is named 'demmo'. Did you mean 'demo'"),
        (["run", "--all", "--executor", "lokal"], "No executor is named 'lokal'"),
        (["run", "--all", "--set", "lr=3"], "must read predictor.parameter=value"),
        (["run", "--all", "--set", "shuffelnet.lr=3"], "No predictor is named 'shuffelnet'"),
        (
            ["run", "-d", "planted", "-p", "linear-probe", "--set", "linear-probe.alfa=1"],
            "--set: predictor 'linear-probe' has no parameter 'alfa'. Did you mean 'alpha'?",
        ),
        (
            ["run", "-d", "planted", "-p", "linear-probe", "--set", "linear-probe.alpha=[1"],
            "--set 'linear-probe.alpha=[1' is not valid YAML",
        ),
        (
            ["run", "-d", "planted", "-p", "shufflenet", "--set", "shufflenet.augment=[blurr]"],
            "predictor 'shufflenet': No augmentation is named 'blurr'. Did you mean 'blur'?",
        ),
        (
            ["complete", "planted", "-c", "median", "--set", "median.hops=1"],
            "--set: completer 'median' has no parameter 'hops'. Did you mean 'n_hops'?",
        ),
        (
            ["complete", "planted", "-c", "median", "-c", "spackle", "--set", "spackle.width=a"],
            "--set: parameter 'width' of completer 'spackle' is 'a', of type str; expected int.",
        ),
        (["complete", "planted", "-c", "median", "--device", "cuda:99"], "PyTorch finds"),
        (["run", "--datset", "x"], "No such option: --datset"),
        (["rum"], "No such command 'rum'. Did you mean 'run'"),
        (["list", "predictor_s"], "No kind is named 'predictor_s'"),
        (["info", "shufflnet"], "No plugin is named 'shufflnet'. Did you mean 'shufflenet'?"),
        (["plugins", "why", "x"], "No plugin is named 'x'"),
        (["encoders", "check", "uni-2h"], "No encoder is named 'uni-2h'. Did you mean 'uni2-h'?"),
        (["encoders", "check", "color", "--device", "banana"], "There is no device 'banana'"),
        (["encoders", "check", "color", "--device", "cuda:99"], "PyTorch finds"),
        (["data", "show", "her2st_demo", "--slide", "C9"], "has no slide 'C9'"),
        (["leaderboard", "build", "--from", "memory"], "--from must be 'mlflow' or 'store'"),
        (
            ["leaderboard", "build", "--leaderboards", "nowhere"],
            "--leaderboards must name a folder",
        ),
        (["status", "--why", "abc"], "No trial of this workspace has a key that begins with 'abc'"),
    ],
)
def test_a_mistake_ends_with_a_message_status_2_and_no_traceback(tmp_path, arguments, message):
    done = spared_bench(*arguments, SPARED_BENCH_WORKSPACE=str(tmp_path / "w"))
    assert done.returncode == 2, done.stderr
    assert message in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_a_mistake_ends_the_process_in_the_same_way(tmp_path):
    for arguments, message in [
        (["run", "-p", "linear-prob"], "UnknownNameError: No predictor is named 'linear-prob'."),
        (["run", "--epochs", "3"], "No such option: --epochs"),
        (["submit", "check", "x" * 300], "No file can have so long a name: xxx"),
        (["run", "--dry-run", "-d", "planted", "-w", "x" * 300], "Name a shorter path."),
        (["data", "add", "/x" * 2500], "No file can have so long a name: /x/x"),
    ]:
        done = process(*arguments, SPARED_BENCH_WORKSPACE=str(tmp_path / "w"))
        assert done.returncode == 2, done.stderr
        assert message in done.stderr
        assert "Traceback" not in done.stderr
        assert done.stdout == ""


def test_letters_that_a_terminal_lacks_end_no_command(tmp_path):
    plugin = tmp_path / "dashes.py"
    plugin.write_text(
        "from spared_bench import PredictorSpec, hookimpl\n"
        "@hookimpl\n"
        "def spared_bench_predictors():\n"
        "    return [PredictorSpec('dashed', 'dashes:D', summary='\\u2013 \\udcff')]\n"
    )
    arguments = ("list", "predictors", "--plugin", str(plugin))
    done = process(*arguments, PYTHONIOENCODING="latin-1")
    assert done.returncode == 0, done.stderr
    assert r"\u2013 \udcff" in done.stdout


OWN = """
name: mine
organism: human
format: space_ranger
slides: {a: {path: a, patient: one}}
split: {train: [a], val: [], test: []}
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows limits no file")
def test_a_file_that_cannot_be_written_to_its_end_is_a_message(tmp_path):
    """As on a full disk, which the same call meets."""
    import resource

    space_ranger(tmp_path / "a")
    (tmp_path / "own.yaml").write_text(OWN)
    arguments = ["data", "add", str(tmp_path / "own.yaml"), "-w", str(tmp_path / "w")]
    # Without -B, Python itself would keep code cut off at that size, for every later process.
    command = [sys.executable, "-B", "-m", "spared_bench", *arguments]

    def limited():
        resource.setrlimit(resource.RLIMIT_FSIZE, (32, resource.RLIM_INFINITY))

    done = subprocess.run(command, capture_output=True, text=True, check=False, preexec_fn=limited)
    assert done.returncode == 1, done.stderr
    assert done.stderr.startswith("WorkspaceError: ")
    assert "cannot be written: File too large. Free some space" in done.stderr
    assert "Traceback" not in done.stderr
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0


def test_a_leaderboard_without_runs_says_how_to_make_some(tmp_path):
    where = ("-w", tmp_path, "--leaderboards", tmp_path)
    done = spared_bench("leaderboard", "build", "--from", "store", *where)
    assert done.returncode == 2
    assert f"no finished runs to show in {tmp_path}. `spared-bench run --all" in done.stderr


def test_a_leaderboard_of_runs_that_were_not_tracked_says_how_to_show_them(workspace, tmp_path):
    words = toy_words(workspace, "-p", "toy-mean", "--no-track", "--no-figures")
    assert spared_bench(*words).returncode == 0
    where = ("-w", workspace, "--leaderboards", tmp_path)
    done = spared_bench("leaderboard", "build", *where)
    assert done.returncode == 2
    assert "MLflow has no finished runs to show, and the store has some" in done.stderr
    assert spared_bench("leaderboard", "build", "--from", "store", *where).returncode == 0


def test_what_of_a_workspace_is_not_shown_is_told(workspace, tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    for method, more in (("gene-mean", ()), ("toy-mean", ("--no-track",))):
        words = toy_words(workspace, "-p", method, "--no-figures", *more)
        assert spared_bench(*words).returncode == 0
    build = ("leaderboard", "build", "-w", workspace, "--leaderboards", tmp_path)
    done = spared_bench(*build)
    assert done.returncode == 0
    (told,) = data_of(workspace / "leaderboard", "index")["left_out"]
    assert told in done.stderr
    assert "1 finished cell of the store is not in MLflow as the store has it" in told
    assert "toy@1 · toy · none · toy-mean · 0" in told
    assert "gene-mean" not in told
    assert spared_bench("track", "sync", "-w", workspace).returncode == 0
    assert spared_bench(*build).returncode == 0
    assert data_of(workspace / "leaderboard", "index")["left_out"] == []

    done = spared_bench(*build, "--protocol", "tyo@1")
    assert done.returncode == 2
    assert "no finished runs of protocol 'tyo@1'" in done.stderr
    assert "Did you mean 'toy@1'? It has runs of toy@1." in done.stderr


def demo_text():
    protocols = files("spared_bench_plugins.protocols")
    return (protocols / "demo.yaml").read_text(encoding="utf-8")


def test_the_board_and_tracking_take_a_protocol_by_name_id_or_file(workspace, tmp_path):
    """As every other command does; `track sync --protocol demo` said that it had logged nothing."""
    command = ("run", "--suite", "demo", "-d", "planted", "-c", "none", "-p", "gene-mean")
    more = ("-w", workspace, "--no-track", "--no-figures", "--executor", "inline")
    assert spared_bench(*command, *more).returncode == 0
    server = ("--uri", f"sqlite:///{tmp_path}/other.db")
    file = tmp_path / "mine.yaml"
    file.write_text(demo_text())
    for number, named in enumerate(("demo", "demo@1", file)):
        build = ("leaderboard", "build", "--from", "store", "--protocol", named, "-w", workspace)
        done = spared_bench(*build, "--leaderboards", tmp_path, "--out", tmp_path / str(number))
        assert done.returncode == 0, done.stderr
        synced = spared_bench("track", "sync", "--suite", named, "-w", workspace, *server)
        assert synced.stdout == ("1 run logged.\n" if number == 0 else "0 runs logged.\n")
    shown = ("leaderboard", "build", "--from", "store", "--leaderboards", tmp_path)
    for words in (("track", "sync", *server), shown):
        done = spared_bench(*words, "--protocol", "spared", "-w", workspace)
        assert done.returncode == 2
        assert "no finished runs of protocol 'spared@1'" in done.stderr
        assert "It has runs of demo@1." in done.stderr


def test_a_link_that_leads_to_itself_is_said_to_be_that(tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    for words in (("status", "-w"), ("list", "predictors", "--plugin")):
        command = [sys.executable, "-m", "spared_bench", *words, str(tmp_path / "loop")]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 2, done.stderr
        assert "Traceback" not in done.stderr
        assert str(tmp_path / "loop") in done.stderr


def test_reading_a_workspace_that_is_not_there_makes_none(tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    missing = tmp_path / "missing"
    done = spared_bench("leaderboard", "build", "-w", missing, "--leaderboards", tmp_path)
    assert done.returncode == 2
    assert f"no finished runs to show in {missing}" in done.stderr
    assert not missing.exists()


def test_the_state_of_a_workspace_that_is_not_there_is_said_to_be_that(tmp_path):
    done = spared_bench("status", "-w", tmp_path / "misspelt", "--json")
    assert f"There is no workspace {tmp_path / 'misspelt'} yet" in done.stderr
    assert json.loads(done.stdout) == []
    assert not (tmp_path / "misspelt").exists()


#: What each command needs beside a plugin file, before it looks at one.
WITH_PLUGIN = {
    "complete": ["planted"], "align": ["planted"], "list": ["predictors"], "info": ["median"],
    "predict": ["abc", "--image", "absent.png", "--um-per-px", "1", "--grid-um", "100"],
    "run": ["-p", "gene-mean", "--dry-run"], "data show": ["planted"],
    "score": ["absent.csv", "-d", "planted", "--method", "x"],
    "data add": ["absent.yaml"], "data fetch": ["planted"],
    "data verify": ["planted"], "data prepare": ["planted"], "data align": ["planted"],
    "encoders check": ["color"], "export split": ["-d", "planted"], "leaderboard build": [],
    "plugins why": ["median"], "plugins check": ["median"], "plugins": [],
    "study plan": ["sepal-ablation"], "study run": ["sepal-ablation"],
    "study report": ["sepal-ablation"], "submit build": ["gene-mean"],
    "submit check": ["absent.zip"], "submit add": ["absent.zip"],
    "submit review": ["main", "HEAD"],
}  # fmt: skip


def commands_with(option, command, path=()):
    """Yield the words of every command that has an option."""
    for name, each in getattr(command, "commands", {}).items():
        yield from commands_with(option, each, (*path, name))
    if option in {each.name for each in command.params}:
        yield " ".join(path)


def test_every_command_that_takes_a_plugin_is_in_the_table():
    assert set(commands_with("plugin", typer.main.get_command(app))) == set(WITH_PLUGIN)


@pytest.mark.parametrize("command", sorted(set(WITH_PLUGIN) - {"plugins", "plugins why"}))
def test_a_plugin_file_that_cannot_be_used_ends_the_command(command, tmp_path, monkeypatch):
    broken = tmp_path / "broken.py"
    broken.write_text("import no_such_package\n")
    monkeypatch.chdir(tmp_path)
    words = [*command.split(), *WITH_PLUGIN[command], "--plugin", str(broken)]
    done = CliRunner().invoke(app, words)
    assert isinstance(done.exception, PluginError), (done.output, done.exception)
    assert "No module named 'no_such_package'. Mend it" in str(done.exception)
    assert bool(done.stdout) == (command in ("list", "info"))  # these show first what there is


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("def :", "SyntaxError"),
        ("import sys\nsys.exit(0)", "it calls sys.exit(0)"),
        ("import os\nos._exit(0)", "it calls os._exit(0)"),
        ("x = 1", "it has no hook"),
    ],
)
def test_plugins_are_listed_with_the_one_that_cannot_be_used(code, reason, tmp_path):
    broken = tmp_path / "broken.py"
    broken.write_text(code)
    done = spared_bench("plugins", "--json", "--plugin", broken)
    assert done.returncode == 1
    (told,) = [each for each in json.loads(done.stdout) if each["quarantined"]]
    assert reason in told["reason"]
    assert f"The plugin file {broken} cannot be used: {told['reason']}" in done.stderr

    done = spared_bench("info", "broken-model", "--plugin", broken)
    assert done.returncode == 1
    assert f"PluginError: The plugin file {broken} cannot be used: " in done.stderr


def test_why_shows_the_traceback_of_a_broken_plugin(tmp_path):
    broken = tmp_path / "broken.py"
    broken.write_text("def deep():\n    return 1 / 0\ndeep()\n")
    done = spared_bench("plugins", "why", "broken", "--plugin", broken)
    assert done.returncode == 0
    assert "ZeroDivisionError" in done.stdout and "in deep" in done.stdout


@pytest.mark.parametrize("kind", ["datasets", "completers", "predictors", "metrics", "protocols"])
def test_everything_that_is_listed_can_be_described(kind):
    listed = json.loads(spared_bench("list", kind, "--json").stdout)
    assert listed
    described = json.loads(spared_bench("info", listed[0]["name"], "--json").stdout)
    assert any(listed[0].items() <= each.items() for each in described)


@pytest.mark.parametrize("asked", [("list", "metrics"), ("info", "pcc-gene"), ("info", "mse")])
def test_what_programs_read_holds_no_number_that_json_lacks(asked):
    def refuse(name):
        raise AssertionError(f"{name} is no JSON")

    told = json.loads(spared_bench(*asked, "--json").stdout, parse_constant=refuse)
    bounds = {each["name"]: each["bounds"] for each in told}
    assert bounds.get("mse", [0.0, None]) == [0.0, None]
    assert bounds.get("pcc-gene", [-1.0, 1.0]) == [-1.0, 1.0]


def test_info_of_a_method_shows_its_parameters_and_configurations(tmp_path):
    told = spared_bench("info", "hist2st").stdout
    assert "    lr: float = 1e-05\n" in told
    assert "  configuration small: image_size=28, depth=2, heads=1, n_views=1\n" in told

    for encoder, told in (("uni2-h", "unknown"), ("phikon", "declared: TCGA")):
        assert f"  may have seen         {told}\n" in spared_bench("info", encoder).stdout

    plugin = tmp_path / "lacking.py"
    plugin.write_text(
        "from spared_bench import PredictorSpec, hookimpl\n\n\n@hookimpl\n"
        "def spared_bench_predictors():\n"
        "    return [PredictorSpec('lacking', 'no_such_module:Model')]\n"
    )
    told = spared_bench("info", "lacking", "--plugin", plugin)
    assert told.returncode == 0
    assert "parameters cannot be shown: predictor 'lacking'" in told.stdout


def test_checks_of_encoders_are_json_and_tell_how_a_gated_one_is_had(tmp_path):
    done = spared_bench(
        "encoders", "check", "color", "uni2-h", "--json", HF_HUB_OFFLINE="1", HF_HOME=str(tmp_path),
        SPARED_BENCH_WEIGHTS=str(tmp_path), HF_TOKEN="",
    )  # fmt: skip
    found = json.loads(done.stdout)
    assert done.returncode == 1
    assert {each["state"] for each in found["color"]} == {"passed", "skipped"}
    assert "no weights" in found["color"][0]["told"]
    (only,) = found["uni2-h"]
    for told in ("huggingface.co/MahmoodLab/UNI2-h", "hf auth login", "uni2-h.safetensors"):
        assert told in only["told"]


def test_what_info_prints_of_a_protocol_is_a_file_that_can_be_run_with(tmp_path):
    """The docs say ``spared-bench info own > mine.yaml``; sepal is a predictor as well."""
    for name in ("own", "sepal"):
        path = tmp_path / f"{name}.yaml"
        path.write_text(spared_bench("info", name).stdout)
        assert read_protocol(path).name == name


def test_several_plugins_are_checked_at_once_and_each_once(tmp_path):
    done = spared_bench(
        "plugins", "check", "toy-mean", "none", "toy-mean", "--json", "--plugin", TOY_PLUGIN,
        "-w", tmp_path,
    )  # fmt: skip
    checks = json.loads(done.stdout)["checks"]
    assert {each["plugin"] for each in checks} == {"predictor toy-mean", "completer none"}
    assert len({(each["plugin"], each["check"]) for each in checks}) == len(checks)


def test_a_plugin_file_that_is_not_there_ends_the_command(tmp_path):
    for command in (["list", "predictors"], ["run", "-p", "gene-mean"], ["info", "median"]):
        done = spared_bench(*command, "--plugin", tmp_path / "absent.py")
        assert (done.returncode, done.stdout) == (2, "")
        assert "UsageError: There is no plugin file" in done.stderr


def toy_words(workspace, *arguments):
    return [
        "run", "--suite", TOY_PROTOCOL, "--plugin", TOY_PLUGIN, "-w", workspace,
        "-d", "toy", "-c", "none", "--device", "cpu", "--workers", 1, *arguments,
    ]  # fmt: skip


def toy_run(workspace, *arguments, **environment):
    return spared_bench(*toy_words(workspace, *arguments), **environment)


def test_a_run_from_plan_to_leaderboard(workspace):
    planned = toy_run(workspace, "-p", "toy-ridge", "-p", "toy-raises", "--dry-run", "--json")
    states = {row["predictor"]: row["state"] for row in json.loads(planned.stdout)["cells"]}
    assert states == {"toy-ridge": "after a search of 2", "toy-raises": "to run"}

    ran = toy_run(workspace, "-p", "toy-ridge", "-p", "toy-raises", "--json")
    report = json.loads(ran.stdout)
    assert ran.returncode == 1  # something selected failed
    assert (report["new_trials"], len(report["failed"])) == (3, 1)
    assert report["failed"][0]["message"] == "ValueError: the fit went wrong"

    again = toy_run(workspace, "-p", "toy-ridge", "-p", "toy-raises", "--dry-run", "--json")
    states = {row["predictor"]: row["state"] for row in json.loads(again.stdout)["cells"]}
    assert states == {"toy-ridge": "done", "toy-raises": "failed (error)"}

    pages = {}
    for source in ("mlflow", "store"):
        out = workspace / source
        built = spared_bench(
            "leaderboard", "build", "--from", source, "-w", workspace, "--out", out
        )
        assert built.returncode == 0, built.stderr
        pages[source] = {path.name: path.read_text() for path in out.glob("leaderboard.*")}
    assert pages["mlflow"] == pages["store"]
    assert "toy-ridge" in pages["store"]["leaderboard.csv"]

    why = spared_bench("status", "--suite", "toy", "--json", "-w", workspace)
    key = next(r["key"] for r in json.loads(why.stdout) if r["predictor"] == "toy-raises")
    shown = spared_bench("status", "--suite", "toy", "--why", key[:8], "-w", workspace)
    assert 'raise ValueError("the fit went wrong")' in shown.stdout


def test_a_run_of_which_all_is_in_the_store_imports_nothing_that_takes_long(workspace):
    words = toy_words(workspace, "-p", "toy-mean", "--no-track", "--no-figures")
    assert spared_bench(*words).returncode == 0
    code = """
import sys
from spared_bench.cli import main
try:
    main()
finally:
    print({"anndata", "pandas", "torch", "mlflow"} & set(sys.modules), file=sys.stderr)
"""
    command = [sys.executable, "-c", code, *map(str, words)]
    again = subprocess.run(command, capture_output=True, text=True, check=True)
    assert again.stderr.splitlines()[-1] == "set()"


def test_mlflow_is_rebuilt_from_the_store(workspace):
    assert toy_run(workspace, "-p", "toy-mean").returncode == 0
    (workspace / "mlflow.db").unlink()
    # By processes of their own: this one may still have the database open that is gone.
    synced = process("track", "sync", "-w", workspace, "--json")
    assert json.loads(synced.stdout) == {"logged": 1}
    again = process("track", "sync", "-w", workspace, "--json")
    assert json.loads(again.stdout) == {"logged": 0}


def test_a_tracking_server_that_is_away_costs_a_line_and_no_result(workspace):
    done = toy_run(workspace, "-p", "toy-mean", "--json", MLFLOW_TRACKING_URI="http://127.0.0.1:9")
    assert done.returncode == 0, done.stderr
    assert "The results are in the store; `spared-bench track sync` logs them later." in done.stderr
    assert json.loads(done.stdout)["leaderboard"].endswith("index.html")


def test_what_a_plugin_prints_is_no_part_of_a_json_report(tmp_path):
    plugin = tmp_path / "loud.py"
    plugin.write_text(
        "from spared_bench import DatasetSpec, SlideInfo, hookimpl\n"
        "def read(folder, slide_id):\n"
        "    print('reading')\n"
        "@hookimpl\n"
        "def spared_bench_datasets():\n"
        "    told = {'slides': (SlideInfo('a'),), 'split': {'train': ('a',)}, 'synthetic': True}\n"
        "    return [DatasetSpec('loud', 'loud:read', **told)]\n"
    )

    done = process(
        *("plugins", "check", "loud", "--json", "--plugin", plugin, "-w", tmp_path / "w"),
        PYTHONPATH=str(tmp_path),
    )

    assert json.loads(done.stdout)["failed"] > 0
    assert "reading" in done.stderr


def test_a_command_is_told_without_the_form_of_its_output(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/bin/spared-bench", "run", "-d", "my slides", "--json"])
    assert own_command() == "spared-bench run -d 'my slides'"


@pytest.mark.parametrize("words", [["status"], ["complete", "her2st_demo", "-c", "median"]])
def test_an_interrupt_that_no_command_catches_is_told(words, tmp_path):
    code = """
from spared_bench.cli import main
from spared_bench.workspace import Workspace
def interrupted(*_):
    raise KeyboardInterrupt
Workspace.at = interrupted
main()
"""
    command = [sys.executable, "-c", code, *words, "-w", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 130
    assert done.stderr.splitlines()[-1] == "Interrupted. What was finished is kept."


def test_an_interrupt_while_the_command_is_imported_is_told_in_a_line():
    code = """
import os, runpy, signal, sys

class Interrupting:
    @staticmethod
    def find_spec(name, *_):
        if name == "typer":
            os.kill(os.getpid(), signal.SIGINT)

signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever runs the tests may ignore it
sys.meta_path.insert(0, Interrupting)
sys.argv = ["spared-bench", "status"]
runpy.run_module("spared_bench", run_name="__main__")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (130, "Interrupted. Nothing was begun.\n")


def test_the_command_may_be_called_in_a_thread():
    code = """
import sys, threading
from spared_bench.__main__ import main

sys.argv = ["spared-bench", "--version"]
thread = threading.Thread(target=main)
thread.start()
thread.join()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout.split()[0], done.stderr) == ("spared-bench", "")


def test_an_interrupt_while_the_command_ends_is_no_traceback():
    code = """
import os, runpy, signal, sys
import spared_bench.cli

signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever runs the tests may ignore it
spared_bench.cli.end_output = lambda: os.kill(os.getpid(), signal.SIGINT)
sys.argv = ["spared-bench", "--version"]
runpy.run_module("spared_bench", run_name="__main__")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (130, "")


@pytest.mark.parametrize("ends", [True, False])
def test_an_interrupt_after_a_command_is_one_of_what_goes_on(ends):
    """Python that ends is left at once; a notebook that had called the command goes on."""
    code = f"""
import os, signal, sys, threading, time
signal.signal(signal.SIGINT, signal.default_int_handler)
from spared_bench.__main__ import main

sys.argv = ["spared-bench", "--version"]
try:
    main()
except SystemExit:
    pass

def late():
    time.sleep(0.3)
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(30)

threading.Thread(target=late, daemon=not {ends}).start()
try:
    time.sleep(0 if {ends} else 30)
except KeyboardInterrupt:
    print("interrupted", file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == ((130, "") if ends else (0, "interrupted\n"))


@pytest.mark.parametrize(("closed", "status"), [("<&- >&-", 0), ("2>&-", 2), ("</dev/null >&0", 0)])
def test_a_stream_that_cannot_be_written_is_nobody_s_and_its_number_no_file_s(
    closed, status, tmp_path
):
    words = ["status", "-w", str(tmp_path)] if status == 0 else ["no-such-command"]
    script = f'exec "$@" {closed}'
    done = subprocess.run(
        ["bash", "-c", script, "bash", sys.executable, "-m", "spared_bench", *words],
        capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (status, "")
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(not hasattr(signal, "SIGCHLD"), reason="this system tells of no children")
def test_the_ends_of_children_are_told_where_whoever_began_us_ignored_those_of_its_own(tmp_path):
    words = ["list", "datasets", "--plugin", str(TOY_PLUGIN)]  # which a child looks at
    done = subprocess.run(
        [sys.executable, "-m", "spared_bench", *words],
        preexec_fn=lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN),
        capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


def test_a_pipe_that_lets_nobody_wait_gets_all_that_is_written():
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    words = [sys.executable, "-m", "spared_bench", "list", "datasets", "--json"]
    with subprocess.Popen(words, stdout=writing, stderr=subprocess.PIPE) as process:
        os.close(writing)
        assert select.select([reading], [], [], 60)[0]
        time.sleep(0.2)  # until it has met the end of what the pipe can hold
        with os.fdopen(reading, "rb") as pipe:
            text = pipe.read()
        assert (process.wait(60), process.stderr.read()) == (0, b"")
    assert len(text) > 65_536
    assert json.loads(text)


def test_a_file_that_ends_too_early_for_a_library_is_an_error_and_no_silent_end():
    code = """
import pickle
from spared_bench.cli import app, main

@app.command("reads")
def reads():
    pickle.loads(b"")

main()
"""
    done = subprocess.run(
        [sys.executable, "-c", code, "reads"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "EOFError: Ran out of input"
    assert "in reads" in done.stderr


def test_what_takes_a_protocol_takes_it_under_both_names():
    from typer.main import get_command

    from spared_bench.cli import app

    def options(command, path=()):
        for name, each in getattr(command, "commands", {}).items():
            yield from options(each, (*path, name))
        for parameter in command.params:
            if "--protocol" in parameter.opts or "--suite" in parameter.opts:
                yield " ".join(path), set(parameter.opts)

    found = dict(options(get_command(app)))
    assert {"run", "score", "submit build", "leaderboard build", "stability"} <= set(found)
    assert {name: names for name, names in found.items() if len(names) < 2} == {}
