"""``--isolate strict``: a stranger's method finds neither truth nor store nor raw data to read."""

from __future__ import annotations

import importlib
import os
import socket
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
from typer.testing import CliRunner

from spared_bench import sandbox
from spared_bench.apart import DiedError, FailedError, do_apart
from spared_bench.api import execute, make_bench, select
from spared_bench.bench import Limits
from spared_bench.cli import app
from spared_bench.errors import UsageError
from spared_bench.executors.dask_cluster import DaskExecutor, do_on_worker
from spared_bench.trials.guests import shut_in
from tests.conftest import TOY_PLUGIN, TOY_PROTOCOL

THIEF = Path(__file__).parents[1] / "thief_plugin.py"
STRICT = Limits(isolate=True, strict=True)
QUIET = {"track": False, "figures": False, "breaker": 0}
needs_landlock = pytest.mark.skipif(
    bool(sandbox.why_unavailable()), reason=sandbox.why_unavailable()
)


def make(workspace, *files, strict):
    return make_bench(
        str(TOY_PROTOCOL),
        workspace=workspace,
        plugin_files=[TOY_PLUGIN, *files],
        device="cpu",
        strict=strict,
    )


def run(workspace, predictors, completer, strict):
    plan = select(make(workspace, THIEF, strict=strict), ["toy"], [completer], predictors)
    report = execute(plan, workers=1, limits=STRICT if strict else Limits(), **QUIET)
    return {result.predictor: result for result in report.results}


@pytest.fixture
def prey(workspace, monkeypatch):
    """A workspace with a finished run, and what of it nobody else's method may read."""
    plan = select(make(workspace, strict=False), ["toy"], ["none"], ["gene-mean"])
    execute(plan, executor="inline", **QUIET)
    kinds = ("prepared", "trials", "scores")
    files = [path for kind in kinds for path in (workspace / "store" / kind).rglob("*.*")]
    files += list((workspace / "data").rglob("*.*"))
    files = [str(path) for path in files if path.is_file()]
    assert any("dataset.h5ad" in name for name in files)
    assert any(str(workspace / "data") in name for name in files)
    folders = [str(workspace / "store" / kind) for kind in kinds] + [str(workspace / "data")]
    monkeypatch.setenv("THIEF_FILES", os.pathsep.join(files))
    monkeypatch.setenv("THIEF_FOLDERS", os.pathsep.join(folders))
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("THIEF_PORT", str(server.getsockname()[1]))
        yield workspace


@needs_landlock
def test_a_strangers_method_can_read_nothing_and_scores_what_it_scores_without(prey, monkeypatch):
    open_ = run(prey, ["thief"], "none", strict=False)["thief"]
    told = {name: points[0][1] for name, points in open_.curves.items()}
    assert (
        min(told[f"{when}: {how}"] for when in ("import", "predict") for how in ("listed", "read"))
        > 0
    )
    assert told["predict: network"] == 1

    for path in (prey / "store" / "trials").rglob("manifest.json"):
        path.unlink()
    found = run(prey, ["thief", "heir", "gene-mean", "dies"], "none", strict=True)
    for name in ("thief", "heir"):
        assert found[name].ok, found[name].message
        told = {key: points[0][1] for key, points in found[name].curves.items()}
        assert any(told) and set(told.values()) == {0.0}, told
    assert found["thief"].key == open_.key
    assert found["thief"].scores == open_.scores
    assert found["gene-mean"].ok
    assert found["dies"].status == "killed"
    assert "SIGKILL" in found["dies"].message
    saved = list((prey / "store" / "trials").rglob(f"{open_.key}/model/mean.txt"))
    assert len(saved) == 1
    assert not list((prey / "store" / "tmp").glob("strict-*"))


@needs_landlock
def test_in_slots_of_a_dask_cluster_it_is_shut_in_alike(prey):
    plan = select(make(prey, THIEF, strict=True), ["toy"], ["none"], ["thief", "dies", "gene-mean"])
    report = execute(plan, executor="dask", workers=2, limits=STRICT, **QUIET)
    found = {result.predictor: result for result in report.results}
    told = {name: points[0][1] for name, points in found["thief"].curves.items()}
    assert {"import: read", "predict: read", "predict: listed"} <= set(told)
    assert set(told.values()) == {0.0}, told
    assert found["thief"].environment["isolation"] == "strict"
    assert (found["dies"].status, found["gene-mean"].status) == ("killed", "ok")


def test_where_a_kernel_leaves_tcp_open_a_strict_run_goes_to_no_dask_scheduler(bench, monkeypatch):
    for version, ways in ((2, 2), (4, 1), (6, 0)):
        monkeypatch.setattr(sandbox, "_version", lambda version=version: (version, 0))
        assert len(sandbox.left_open()) == ways
    DaskExecutor.check(STRICT, "")

    monkeypatch.setattr(sandbox, "_version", lambda: (3, 0))
    DaskExecutor.check(Limits(), "")
    DaskExecutor.check(STRICT, "tcp://head:8786")  # whose workers say it themselves
    settings = replace(bench.settings, limits=STRICT).as_dict()
    with pytest.raises(UsageError, match=r"this kernel leaves TCP open .* `--executor local`"):
        DaskExecutor.check(STRICT, "")
    with pytest.raises(UsageError, match="this kernel leaves TCP open"):
        do_on_worker(settings, {}, "run", "name")


@needs_landlock
def test_a_strangers_completer_is_shut_in_too(prey):
    assert run(prey, ["gene-mean"], "zero-fill", strict=True)["gene-mean"].ok


@needs_landlock
def test_modules_beside_a_plugin_file_can_be_read_and_strange_views_stop_no_other(
    workspace, tmp_path
):
    spec = "PredictorSpec('{}', '{}')"
    plugin = "from spared_bench import PredictorSpec, hookimpl\n\n@hookimpl\n"
    plugin += "def spared_bench_predictors():\n    return ["
    plugin += spec.format("shelved", "shelf.inner:Model") + ", "
    plugin += spec.format("astray", "astray_model:Model") + "]\n"
    model = (
        "class Model:\n    def fit(self, train, val, context): self.mean_ = train.target.mean(0)\n"
    )
    model += "    def predict(self, slides): return self.mean_ + 0 * slides.coordinates[:, :1]\n"
    (tmp_path / "shelf").mkdir()
    (tmp_path / "shelf" / "__init__.py").touch()
    (tmp_path / "shelf" / "inner.py").write_text(model)
    odd = "from spared_bench import View\n" + model + "    views = {'../x': View(scale=2)}\n"
    (tmp_path / "astray_model.py").write_text(odd)
    (tmp_path / "beside_plugin.py").write_text(plugin)

    bench = make(workspace, tmp_path / "beside_plugin.py", strict=True)

    with pytest.raises(UsageError, match=r"Predictor 'astray': a view is named '../x'"):
        select(bench, ["toy"], ["none"], ["astray"])
    plan = select(bench, ["toy"], ["none"], ["shelved"])
    (result,) = execute(plan, workers=1, limits=STRICT, **QUIET).results
    assert result.ok, result.message


@needs_landlock
@needs_landlock
@pytest.mark.parametrize("linked", [False, True])
def test_a_workspace_in_memory_that_all_processes_share_is_refused(tmp_path, linked):
    with tempfile.TemporaryDirectory(dir="/dev/shm") as shared:
        place = Path(shared, "w")
        if linked:
            (tmp_path / "w" / "data").mkdir(parents=True)
            (tmp_path / "w" / "data" / "slides").symlink_to(shared)
            place = tmp_path / "w"
        with pytest.raises(UsageError, match="cannot shut a method off from /dev/shm/"):
            make(place, THIEF, strict=True)


def test_code_that_is_given_the_truth_may_not_bring_a_method_along(workspace):
    plan = select(make(workspace, strict=True), ["toy"], ["none"], ["toy-mean"])
    with pytest.raises(UsageError, match=r"predictor toy-mean from the truth, which dataset toy"):
        execute(plan, limits=STRICT, **QUIET)


@needs_landlock
def test_a_plan_whose_code_was_imported_is_no_strict_one(workspace, monkeypatch):
    for name in ("THIEF_FILES", "THIEF_FOLDERS"):
        monkeypatch.setenv(name, "/nowhere")
    monkeypatch.setenv("THIEF_PORT", "1")
    plan = select(make(workspace, THIEF, strict=False), ["toy"], ["none"], ["thief"])
    with pytest.raises(UsageError, match="imported in this process already"):
        execute(plan, limits=STRICT, **QUIET)


@pytest.mark.parametrize("words", [["--isolate", "strict"], ["--isolate=strict"]])
def test_where_the_system_offers_nothing_of_the_kind_nothing_is_run(tmp_path, monkeypatch, words):
    monkeypatch.setattr(sandbox, "why_unavailable", lambda: "no Landlock here")
    arguments = ["run", "-d", "planted", "-p", "gene-mean", "-w", str(tmp_path / "w"), *words]
    done = CliRunner().invoke(app, arguments)
    assert isinstance(done.exception, UsageError)
    assert "`--isolate strict` is not available here: no Landlock here" in str(done.exception)
    assert not (tmp_path / "w").exists()


def test_another_word_after_isolate_is_refused(workspace):
    done = CliRunner().invoke(app, ["run", "-p", "gene-mean", "--isolate=strikt"])
    assert "--isolate 'strikt'" in str(done.exception)


@needs_landlock
def test_what_is_hidden_in_a_readable_folder_stays_hidden_and_only_named_folders_are_written(
    tmp_path,
):
    for name in ("open/a.txt", "open/hidden/b.txt", "open/hidden/shown/c.txt", "out/d.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")

    def work():
        sandbox.enter(
            [*sandbox.places_of_python(), tmp_path / "open"],
            [tmp_path / "out"],
            hidden=[tmp_path / "open" / "hidden"],
            shown=[tmp_path / "open" / "hidden" / "shown"],
        )
        found = {}
        for name in ("open/a.txt", "open/hidden/b.txt", "open/hidden/shown/c.txt", "out/d.txt"):
            for mode in ("r", "a"):
                try:
                    (tmp_path / name).open(mode).close()
                    found[f"{name} {mode}"] = True
                except PermissionError:
                    found[f"{name} {mode}"] = False
        return found

    found = do_apart(work)
    assert {name for name, able in found.items() if able} == {
        "open/a.txt r", "open/hidden/shown/c.txt r", "out/d.txt r", "out/d.txt a",
    }  # fmt: skip
    (tmp_path / "open/hidden/b.txt").read_text()  # this process is as free as before


@needs_landlock
def test_modules_installed_to_be_edited_are_read_and_the_folder_that_it_began_in_is_not(
    bench, tmp_path, monkeypatch
):
    own = ("own.py", "package/__init__.py", "package/values.txt", "name_space/part/__init__.py")
    data = ("answers.txt", "runs/store/prepared/dataset.h5ad", "runs.py.d/answers.txt")
    names = ["lone.py", "several/__init__.py", "mine/answers.txt", "target/a-1.dist-info/METADATA"]
    names += ["target/a.libs/a.txt", *(f"project/{name}" for name in (*own, *data))]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_text("x = 1\n")
    # What `pip install -e` leaves: a finder, whose module maps names to places without a suffix.
    module = ModuleType("__editable___lone_finder")
    module.MAPPING = {name: str(tmp_path / name) for name in ("lone", "several")}
    finder = type("Finder", (), {"__module__": module.__name__, "find_spec": lambda *_: None})
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, finder])
    monkeypatch.chdir(tmp_path / "mine")  # as `python -m spared_bench` finds it on its path
    # Folders of PYTHONPATH, or of a `.pth` file: of one's own work, and of installed packages.
    monkeypatch.setattr(
        sys, "path", [*sys.path, *(str(tmp_path / x) for x in ("project", "target"))]
    )
    monkeypatch.syspath_prepend(str(tmp_path / "mine"))
    (tmp_path / "spare").mkdir()

    def work():
        shut_in(tmp_path / "spare", [], bench.registry, bench.workspace, [])
        assert importlib.import_module("own").x == importlib.import_module("package").x == 1
        return [name for name in names if not _opens(tmp_path / name)]

    shut = ["mine/answers.txt", *(f"project/{name}" for name in data)]
    assert do_apart(work) == shut


def test_what_is_done_apart_answers_raises_or_dies():
    assert do_apart(lambda: {"a": [1.5, None]}) == {"a": [1.5, None]}
    with pytest.raises(FailedError, match="ZeroDivisionError"):
        do_apart(lambda: 1 / 0)
    with pytest.raises(DiedError, match="was killed by SIGKILL") as died:
        do_apart(lambda: os.kill(os.getpid(), 9))
    assert died.value.code == -9
    with pytest.raises(DiedError, match="ended with status 0"):
        do_apart(lambda: os._exit(0))
    with pytest.raises(DiedError, match=r"was ended as it held more than 0\.5 GiB, before it had"):
        do_apart(lambda: [bytearray(b"x") * (8 << 20) for _ in range(1_000)], most_bytes=1 << 29)
    with pytest.raises(DiedError, match=r"was ended after 0\.2 s"):
        do_apart(lambda: __import__("time").sleep(60), 0.2)
    with pytest.raises(FailedError, match="not JSON serializable"):
        do_apart(object)


STAGED = """
from dataclasses import dataclass
import numpy as np
from spared_bench import PredictorSpec, Stage, View, hookimpl
from spared_bench.interfaces import Prediction

@dataclass
class Ground:
    shift: float = 0.0

    def fit(self, train, val, context):
        self.mean_ = train.target.mean(axis=0) + self.shift

    def predict(self, slides):
        return np.tile(self.mean_, (len(slides), 1))

    def save(self, folder):
        np.save(folder / "mean.npy", self.mean_)

    def load(self, folder):
        self.mean_ = np.load(folder / "mean.npy")

@dataclass
class Upper:
    shift: float = 0.0
    scale: float = 2.0

    @property
    def views(self):
        return {"around": View(size=8, scale=self.scale)}

    def fit(self, train, val, context):
        self.first_ = context.stages["first"]
        self.seen_ = float(train.view("around")[:4].mean())

    def predict(self, slides):
        mean = self.first_.predict(slides)
        light = float(slides.view("around")[:4].mean()) / max(self.seen_, 1e-9)
        return Prediction(mean * min(max(light, 0.9), 1.1), np.full_like(mean, 0.5))

@hookimpl
def spared_bench_predictors():
    stages = {"first": Stage("ground", {}, taken={"shift": "shift"})}
    return [
        PredictorSpec("ground", f"{__name__}:Ground"),
        PredictorSpec(
            "upper", f"{__name__}:Upper", stages=stages, search={"scale": (2.0, 3.0)}
        ),
    ]
"""


@needs_landlock
def test_stages_views_by_a_property_and_variances_are_as_they_are_without(
    prepared_planted, tmp_path
):
    prepared_planted(tmp_path / "strict-False")
    plugin = tmp_path / "staged.py"
    plugin.write_text(STAGED)
    found = {}
    for strict in (False, True):
        bench = make(tmp_path / f"strict-{strict}", plugin, strict=strict)
        plan = select(bench, ["planted"], ["none"], ["upper"])
        limits = Limits(timeout=300.0, isolate=True, strict=True) if strict else Limits()
        (found[strict],) = execute(plan, workers=1, limits=limits, **QUIET).results
    assert found[True].ok, found[True].message
    assert found[True].key == found[False].key
    assert found[True].scores == found[False].scores
    assert "nll" in found[True].scores["test"]
    isolation = {strict: result.environment["isolation"] for strict, result in found.items()}
    assert isolation == {False: "process", True: "strict"}


@needs_landlock
def test_a_method_that_takes_too_long_is_ended_where_it_is_shut_in(prepared_planted, tmp_path):
    prepared_planted(tmp_path / "w")
    plugin = tmp_path / "slow.py"
    text = STAGED.replace("self.mean_ = train", "import time; time.sleep(60); self.mean_ = train")
    plugin.write_text(text)
    bench = make(tmp_path / "w", plugin, strict=True)
    plan = select(bench, ["planted"], ["none"], ["ground"])
    limits = Limits(timeout=3.0, isolate=True, strict=True)
    (result,) = execute(plan, workers=1, limits=limits, **QUIET).results
    assert result.status == "timeout"


BURGLAR = """
import os
import shutil
import sys
from pathlib import Path
import numpy as np
from spared_bench import PredictorSpec, hookimpl
from spared_bench import apart

VICTIM = Path(os.environ["VICTIM"])

class Burglar:
    def fit(self, train, val, context):
        self.mean_ = train.target.mean(axis=0)

    def predict(self, slides):
        return np.tile(self.mean_, (len(slides), 1))

    def save(self, folder):
        out = Path.cwd().parent / "out"
        (folder / "mean.txt").write_text("1")

        def dumps(value):  # of the answer, when all is written
            way = os.environ["WAY"]
            if way == "folder":
                shutil.rmtree(out)
                out.symlink_to(VICTIM)
            elif way == "within":
                (out / "model" / "more").symlink_to(VICTIM)
            elif way == "record":
                (out / "result.json").symlink_to(VICTIM / "result.json")
            elif way == "manifest":
                (out / "manifest.json").write_text("{}")
            return Real.dumps(value)

        Real, apart.json = apart.json, sys.modules[__name__]
        globals()["dumps"] = dumps

@hookimpl
def spared_bench_predictors():
    return [PredictorSpec("burglar", f"{__name__}:Burglar")]
"""


@needs_landlock
@pytest.mark.parametrize("way", ["folder", "within", "record", "manifest"])
def test_no_link_leads_who_takes_files_over_to_what_is_not_the_methods(
    workspace, tmp_path, monkeypatch, way
):
    plan = select(make(workspace, strict=False), ["toy"], ["none"], ["gene-mean"])
    (ours,) = execute(plan, executor="inline", **QUIET).results
    (victim,) = (workspace / "store" / "trials").glob(f"*/{ours.key}")
    before = {path.name: path.read_bytes() for path in victim.rglob("*") if path.is_file()}
    monkeypatch.setenv("VICTIM", str(victim))
    monkeypatch.setenv("WAY", way)
    plugin = tmp_path / "burglar.py"
    plugin.write_text(BURGLAR)

    plan = select(make(workspace, plugin, strict=True), ["toy"], ["none"], ["burglar"])
    report = execute(plan, workers=1, limits=STRICT, **QUIET)

    after = {path.name: path.read_bytes() for path in victim.rglob("*") if path.is_file()}
    assert after == before
    (result,) = report.results
    assert result.status == "error"
    told = "manifest.json, which is not its own" if way == "manifest" else "Only plain files and"
    assert told in result.message


@needs_landlock
def test_data_are_shut_wherever_links_lead_among_them_and_the_hubs_data_sets_are(
    workspace, tmp_path, monkeypatch
):
    """Files of the hub are links to its `blobs`, beside which weights lie, which can be read."""
    hub = tmp_path / "hf" / "hub"
    places = {
        "weights": hub / "models--a--net" / "blobs" / "w",
        "data": hub / "datasets--a--slides" / "blobs" / "s",
        "arrow": tmp_path / "hf" / "datasets" / "a.arrow",
        "linked": tmp_path / "torch" / "linked.h5ad",
        "described": tmp_path / "torch" / "blobs" / "b",
        "beside": tmp_path / "torch" / "beside.pt",
    }
    for file in places.values():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("x")
    outs = tmp_path / "torch" / "snapshots" / "1" / "outs"
    outs.mkdir(parents=True)
    (outs / "counts.h5").symlink_to(places["described"])
    deep = workspace / "data" / "toy" / "below" / "it"
    deep.mkdir(parents=True)
    (deep / "linked.h5ad").symlink_to(places["linked"])
    folder = workspace / "data" / "mine"
    folder.mkdir()
    (folder / "dataset.yaml").write_text(
        "name: mine\nformat: space_ranger\ntechnology: visium\norganism: human\nslides:\n"
        f"  S1: {{path: {outs}, patient: p1}}\n  S2: {{path: {outs.parent}, patient: p2}}\n"
        "split: {train: [S1], val: [S2]}\n"
    )
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    (tmp_path / "spare").mkdir()
    bench = make(workspace, strict=False)
    assert bench.registry.get("dataset", "mine")

    def work():
        shut_in(tmp_path / "spare", [], bench.registry, bench.workspace, [])
        found = {}
        for name, file in places.items():
            try:
                found[name] = file.read_text()
            except PermissionError:
                found[name] = "shut"
        return found

    found = do_apart(work)
    assert {name for name, told in found.items() if told == "x"} == {"weights", "beside"}


@needs_landlock
def test_weights_are_read_in_the_cache_that_a_user_has_set(bench, tmp_path, monkeypatch):
    hub = "huggingface/hub"
    names = ("torch/w", f"{hub}/models--a--net/w", f"{hub}/datasets--a/s", "other/w",
             "huggingface/token", "huggingface/xet/server/chunk-cache/c")  # fmt: skip
    files = [tmp_path / "cache" / name for name in names]
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("x")
    for name in ("HF_HOME", "HF_HUB_CACHE", "TORCH_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "spare").mkdir()

    def work():
        shut_in(tmp_path / "spare", [], bench.registry, bench.workspace, [])
        return [_opens(file) for file in files]

    assert do_apart(work) == [True, True, False, False, False, False]


def _opens(file):
    try:
        return bool(file.read_text())
    except PermissionError:
        return False
