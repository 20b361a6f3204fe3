"""A stranger's completer in the benchmark: it moves its own scores, and nobody else's."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from spared_bench.api import make_bench
from spared_bench.cli import app
from spared_bench.completion import asking
from spared_bench.completion.benchmark import Task, conditions, measure
from spared_bench.completion.figures import draw_map
from spared_bench.fresh import do_fresh
from tests.conftest import TOY_PLUGIN, TOY_PROTOCOL

WANTED = conditions(["fraction"], [0.3, 0.6])
OURS = ["gene-mean", "median"]
STRANGERS = """
import gc
import json
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
import numpy as np
from spared_bench import CompleterSpec, hookimpl

SIGN = Path(os.environ["STRANGER_SIGN"])
with SIGN.open("a") as file:
    file.write(json.dumps({"imported in": os.getpid()}) + "\\n")

class Fives:
    n_parameters = np.int64(5)

    def fit(self, train, val, context):
        self.fitted_ = True

    def complete(self, slides):
        return np.where(slides.mask, slides.target, np.float32(5))

class Looks(Fives):
    def complete(self, slides):
        tables = [each for each in gc.get_objects() if type(each).__name__ == "AnnData"]
        known = [
            int(np.asarray(table.layers["mask"])[(table.obs["split"] == "test").to_numpy()].sum())
            for table in tables
            if "mask" in table.layers and "split" in table.obs
        ]
        with SIGN.open("a") as file:
            file.write(json.dumps({"known": max(known), "given": int(slides.mask.sum())}) + "\\n")
        return super().complete(slides)

class Replaces(Fives):
    def fit(self, train, val, context):
        import spared_bench.completion.asking as asking
        import spared_bench.completion.benchmark as benchmark
        import spared_bench.completion.scoring as scoring

        benchmark.score_hidden = lambda *_: {"mse": 0.0, "pcc": 1.0, "n_hidden": 0, "slides": {}}
        scoring.mse = lambda *_: 0.0
        np.load = np.where = lambda *_, **__: 0

class Raises(Fives):
    def fit(self, train, val, context):
        raise ValueError("not today")

class Exits(Fives):
    def complete(self, slides):
        sys.exit(0)

class Dies(Fives):
    def complete(self, slides):
        os.kill(os.getpid(), 9)

class Hangs(Fives):
    def complete(self, slides):
        time.sleep(3600)

class Forges(Fives):
    def complete(self, slides):
        save = np.save

        def forge(path, values):
            save(path, np.zeros((10_000, 1_000)))

        np.save = forge
        return super().complete(slides)

class Pipes(Fives):
    def complete(self, slides):
        save = np.save
        pipe = lambda path, values: os.mkfifo(path) if "hidden" in str(path) else save(path, values)
        np.save = pipe
        return super().complete(slides)

class Alters(Fives):
    def complete(self, slides):
        save = np.save
        np.save = lambda path, values: save(path, values + 1)
        return super().complete(slides)

@dataclass
class Kept:
    weights: str = ""

    def fit(self, train, val, context):
        self.value_ = 5.0 if not self.weights else float(Path(self.weights).read_text())

    def complete(self, slides):
        return np.where(slides.mask, slides.target, np.float32(self.value_))

    def save(self, folder):
        (folder / "value").write_text(str(self.value_))

    def load(self, folder):
        self.value_ = float((folder / "value").read_text())

NAMES = ("Kept", "Fives", "Looks", "Replaces", "Raises", "Exits", "Dies", "Forges", "Pipes")
NAMES += ("Alters", "Hangs")

@hookimpl
def spared_bench_completers():
    return [CompleterSpec(name.lower(), f"{__name__}:{name}") for name in NAMES]
"""
FAIL = {
    "raises": "ValueError: not today (strange_completers.py, line",
    "exits": "SystemExit",
    "dies": "was killed by SIGKILL",
    "forges": "left no completed values that can be read: it is larger",
    "pipes": "left no completed values that can be read: there is no file",
    "alters": "changed measured entries",
}


WORDS = ["--protocol", str(TOY_PROTOCOL), "--plugin", str(TOY_PLUGIN), "--repeats", "1", "--json"]
WORDS += ["--mask-rates", "0.3", "--rule", "fraction"]


@pytest.fixture
def plugin(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("STRANGER_SIGN", str(tmp_path / "sign"))
    path = tmp_path / "strange_completers.py"
    path.write_text(STRANGERS)
    return path


@pytest.fixture
def bench_of(tmp_path):
    def make(name: str, *plugins: Path, apart: bool = True):
        files = [TOY_PLUGIN, *plugins]
        place = tmp_path / name
        return make_bench(
            str(TOY_PROTOCOL), workspace=place, plugin_files=files, device="cpu", apart=apart
        )

    return make


def scores(measured):
    """Return what does not go by the clock."""
    return {
        (each.completer, each.condition): (each.key, each.repeats, each.facts)
        for each in measured.results
    }


def said(tmp_path):
    return [json.loads(line) for line in (tmp_path / "sign").read_text().splitlines()]


def test_ours_score_what_they_score_without_strangers_and_theirs_fail_for_themselves(
    bench_of, plugin, tmp_path
):
    alone = measure(bench_of("alone"), ["toy"], OURS, WANTED, 2)
    bad = ["replaces", *FAIL]
    found = measure(bench_of("beside", plugin), ["toy"], [*bad, "fives", *OURS], WANTED, 2)

    assert scores(found).items() >= scores(alone).items()
    assert {each.completer for each in found.results} == {"fives", *OURS}
    assert set(found.failures) == {f"toy · {name}" for name in bad}
    for name, reason in FAIL.items():
        assert reason in found.failures[f"toy · {name}"]
    assert os.getpid() not in [each.get("imported in") for each in said(tmp_path)]
    assert not list((tmp_path / "beside" / "store" / "tmp").glob("hidden.*"))


def test_it_scores_what_it_scores_where_it_is_imported(bench_of, plugin):
    apart, here = bench_of("apart", plugin), bench_of("here", plugin, apart=False)
    asked = (["toy"], ["fives"], WANTED, 2)
    first, second = measure(apart, *asked), measure(here, *asked)

    assert scores(first) == scores(second)
    assert [each.n_parameters for each in first.results] == [5, 5]
    # Hidden entries are five: the error is known without any code of ours.
    task = Task(here, "toy")
    hidden = task.hidden(WANTED[0], 0)
    expected = np.square(task.slides.target[hidden].astype(float) - 5).mean()
    assert first.results[0].repeats[0]["mse"] == pytest.approx(expected)


def test_of_large_slides_some_masks_are_handed_over_at_once(bench_of, plugin, monkeypatch):
    at_once = measure(bench_of("once", plugin), ["toy"], ["fives"], WANTED, 2)
    slides = Task(bench_of("once", plugin), "toy").slides
    size = 2 * slides.target.nbytes + slides.mask.nbytes
    monkeypatch.setattr(asking, "MOST_BYTES", 3 * size + 1)  # of four masks
    asked = []
    monkeypatch.setattr(
        asking, "do_fresh", lambda *given, **more: (asked.append(1), do_fresh(*given, **more))[1]
    )
    in_parts = measure(bench_of("parts", plugin), ["toy"], ["fives"], WANTED, 2)

    assert not in_parts.failures
    assert scores(in_parts) == scores(at_once)
    assert len(asked) == 2


def test_no_hidden_entry_is_in_the_process_that_completes(bench_of, plugin, tmp_path):
    bench = bench_of("looked", plugin)
    measured = measure(bench, ["toy"], ["looks"], WANTED, 1)

    assert not measured.failures
    looked = [each for each in said(tmp_path) if "known" in each]
    task = Task(bench, "toy")
    left = [int((task.slides.mask & ~task.hidden(each, 0)).sum()) for each in WANTED]
    # Training and validation slides are completed first, and are not test slides.
    assert [each["given"] for each in looked[-2:]] == left
    assert [each["known"] for each in looked[-2:]] == left


def test_what_is_measured_is_not_asked_for_again(bench_of, plugin, tmp_path):
    measure(bench_of("kept", plugin), ["toy"], ["looks"], WANTED[:1], 1)
    before = len([each for each in said(tmp_path) if "known" in each])
    measured = measure(bench_of("kept", plugin), ["toy"], ["looks"], WANTED, 1)

    assert [each.condition for each in measured.results] == WANTED
    # It keeps no fit, so it is fitted anew, and asked about the second condition alone.
    assert len([each for each in said(tmp_path) if "known" in each]) == before + 1


def test_a_damaged_result_is_made_again(bench_of, plugin):
    before = measure(bench_of("damaged", plugin), ["toy"], ["fives"], WANTED, 1)
    store = bench_of("damaged", plugin).workspace.store
    path = store.open("completion", before.results[0].key).folder / "result.json"
    path.write_text(path.read_text()[:-1])
    after = measure(bench_of("damaged", plugin), ["toy"], ["fives"], WANTED, 1)

    assert not after.failures
    assert scores(after) == scores(before)


def test_a_map_shows_what_a_stranger_makes_of_it(bench_of, plugin):
    figure = draw_map(Task(bench_of("drawn", plugin), "toy"), ["gene-mean", "fives"], (0.3,))

    titles = [axes.get_title() for axes in figure.axes]
    assert any(title.startswith("fives: MSE") for title in titles)


def test_the_command_imports_no_code_of_others(tmp_path, plugin):
    place = ["--plugin", str(plugin), "-w", str(tmp_path / "space")]
    names = ["-c", "fives", "-c", "dies", "-c", "median"]
    answer = CliRunner().invoke(app, ["complete", "toy", *WORDS, *place, *names])

    told = json.loads(answer.stdout)
    assert answer.exit_code == 1
    assert {each["completer"] for each in told["results"]} == {"fives", "median"}
    assert list(told["failures"]) == ["toy · dies"]
    assert os.getpid() not in [each.get("imported in") for each in said(tmp_path)]


def test_a_completer_that_does_not_answer_is_ended(tmp_path, plugin):
    place = ["--plugin", str(plugin), "-w", str(tmp_path / "space"), "--timeout", "2"]
    answer = CliRunner().invoke(app, ["complete", "toy", *WORDS, *place, "-c", "hangs"])

    assert answer.exit_code == 1
    assert "was ended after 2 s" in json.loads(answer.stdout)["failures"]["toy · hangs"]


def test_the_command_gives_a_strangers_completer_its_weights(tmp_path, plugin):
    weights = tmp_path / "nine.txt"
    weights.write_text("9")
    place = ["--plugin", str(plugin), "-w", str(tmp_path / "space")]
    words = ["complete", "toy", *WORDS, *place, "-c", "kept"]
    fives, nines = (
        json.loads(CliRunner().invoke(app, [*words, *more]).stdout)["results"][0]["repeats"][0]
        for more in ([], ["--weights", str(weights)])
    )
    # (t - 9)² - (t - 5)² = 56 - 8 t for every hidden entry t, and (t - 5)² is known.
    task = Task(make_bench(str(TOY_PROTOCOL), workspace=tmp_path / "space",
                           plugin_files=[TOY_PLUGIN], device="cpu"), "toy")  # fmt: skip
    truth = task.slides.target[task.hidden(WANTED[0], 0)].astype(float)
    assert nines["mse"] - fives["mse"] == pytest.approx((56 - 8 * truth).mean())
