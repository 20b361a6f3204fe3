"""The kit finds what is wrong with plugins that misbehave, and its report says so."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.spatial.distance import pdist
from typer.testing import CliRunner

from spared_bench import View
from spared_bench.cli import app
from spared_bench.errors import PluginError, UnknownNameError, UsageError
from spared_bench.models.encoders import ColorEncoder
from spared_bench.registry import discover
from spared_bench.testing import (
    completer_checks,
    outcomes,
    predictor_checks,
    tiny_slides,
    with_noise,
    with_views,
)
from spared_bench.testing.conformance import all_named, examine, named
from spared_bench.testing.ties import untied, with_twins
from spared_bench.testing.views import picture_of

MISBEHAVING = """
import json
import pickle
from dataclasses import dataclass

import numpy as np

from spared_bench import CompleterSpec, DatasetSpec, PredictorSpec, SlideInfo, hookimpl
from spared_bench.interfaces import Prediction


@dataclass
class Good:
    def fit(self, train, val, context):
        self.mean_ = train.target.mean(axis=0)

    def predict(self, slides):
        return np.tile(self.mean_, (len(slides), 1))

    def save(self, folder):
        (folder / "mean.json").write_text(json.dumps(self.mean_.tolist()))

    def load(self, folder):
        self.mean_ = np.float32(json.loads((folder / "mean.json").read_text()))


class Narrow(Good):
    def predict(self, slides):
        return super().predict(slides)[:, 1:]


class Undefined(Good):
    def predict(self, slides):
        return super().predict(slides) / np.zeros(1)


class Backwards(Good):
    def predict(self, slides):
        return super().predict(slides)[:, ::-1]


class Unseeded(Good):
    def fit(self, train, val, context):
        super().fit(train, val, context)
        self.mean_ = self.mean_ + np.random.default_rng().normal(size=self.mean_.shape)


class Restless(Good):
    calls = 0

    def predict(self, slides):
        self.calls += 1
        return super().predict(slides) + self.calls


class Peeking(Good):
    def predict(self, slides):
        seen = "target" in slides.adata.layers
        return super().predict(slides) + (slides.target if seen else 0)


class Positional(Good):
    def predict(self, slides):
        return super().predict(slides) + np.arange(len(slides))[:, None]


class Batched(Good):
    def predict(self, slides, batch_size=16):
        return super().predict(slides) + batch_size


class Neighbour(Good):
    def predict(self, slides):
        # The brightness of one neighbour, the first of those that are equally far.
        places, patches = slides.coordinates, slides.patches[:]
        far = np.linalg.norm(places[:, None] - places, axis=2)
        near = np.argsort(far, axis=1, kind="stable")[:, 1]
        return super().predict(slides) + patches[near].mean(axis=(1, 2, 3))[:, None]


class Ranked(Good):
    def predict(self, slides, batch_size=40):
        ranks = []
        for start in range(0, len(slides), batch_size):
            bright = slides.patches[start : start + batch_size].mean(axis=(1, 2, 3))
            # Of two that are equally bright, the second gets another value than the first.
            twin = np.array([np.sum(bright[:i] == bright[i]) for i in range(len(bright))])
            ranks.append(bright + 9 * twin)
        return super().predict(slides) + np.concatenate(ranks)[:, None]


class Crowd(Good):
    def predict(self, slides):
        return super().predict(slides) / (len(slides) > 1)


class Pickled(Good):
    def save(self, folder):
        (folder / "mean.pkl").write_bytes(pickle.dumps(self.mean_))


class Objects(Good):
    def save(self, folder):
        np.savez(folder / "mean.npz", mean=np.array([self.mean_, None], dtype=object))


class Forgetful(Good):
    def load(self, folder):
        self.mean_ = np.zeros(6, np.float32)


class Other(Good):
    name = "another"


class Short(Good):
    def fit(self, train):
        pass


class Half:
    def fit(self, train, val, context):
        pass


class Raising(Good):
    def predict(self, slides):
        raise KeyError("layer")


class Uncertain(Good):
    def fit(self, train, val, context):
        self.variance_ = train.target.var(axis=0) + 1e-6
        super().fit(train, val, context)

    def predict(self, slides):
        variance = np.tile(self.variance_, (len(slides), 1))
        return Prediction(super().predict(slides), variance=variance)

    def save(self, folder):
        super().save(folder)
        (folder / "variance.json").write_text(json.dumps(self.variance_.tolist()))

    def load(self, folder):
        super().load(folder)
        self.variance_ = np.float32(json.loads((folder / "variance.json").read_text()))


class Unsure(Uncertain):
    def predict(self, slides):
        found = super().predict(slides)
        return Prediction(found.mean, variance=found.variance[:, ::-1])


class Fill:
    def fit(self, train, val, context):
        self.rng_ = np.random.default_rng(context.seed)

    def complete(self, slides):
        return np.where(slides.mask, slides.target, 1).astype(np.float32)


class Changing(Fill):
    def complete(self, slides):
        return slides.target + 1


class InPlace(Fill):
    def complete(self, slides):
        slides.adata.layers["target"][0, 0] += 1
        return np.where(slides.mask, slides.target, 1).astype(np.float32)


class Dealing(Fill):
    def complete(self, slides):
        noise = self.rng_.normal(size=slides.mask.shape)
        return np.where(slides.mask, slides.target, noise).astype(np.float32)


class Mean(Fill):
    def fit(self, train, val, context):
        self.mean_ = np.nanmean(np.where(train.mask, train.target, np.nan), axis=0)

    def complete(self, slides):
        return np.where(slides.mask, slides.target, self.mean_).astype(np.float32)


class Permuted(Mean):
    def complete(self, slides):
        found = np.roll(self.mean_, 1)
        return np.where(slides.mask, slides.target, found).astype(np.float32)


PREDICTORS = [Uncertain, Unsure, Good, Narrow, Undefined, Backwards, Unseeded, Restless, Peeking,
              Positional, Batched, Neighbour, Ranked, Crowd, Pickled, Objects, Forgetful, Other,
              Half, Short, Raising]
COMPLETERS = [Mean, Permuted, Fill, Changing, InPlace, Dealing]


@hookimpl
def spared_bench_predictors():
    return [PredictorSpec(f"x-{c.__name__.lower()}", f"{__name__}:{c.__name__}", summary="x")
            for c in PREDICTORS] + [
                PredictorSpec("x-silent", f"{__name__}:Good"),
                PredictorSpec("x-searching", f"{__name__}:Good", "x", search={"alpha": (1, 2)})]


@hookimpl
def spared_bench_completers():
    return [CompleterSpec(f"x-{c.__name__.lower()}", f"{__name__}:{c.__name__}", summary="x")
            for c in COMPLETERS]


@hookimpl
def spared_bench_datasets():
    slides = (SlideInfo("a"), SlideInfo("b"))
    split = {"train": ("a",), "test": ("b",)}
    return [DatasetSpec("x-data", f"{__name__}:read", slides=slides, split=split, synthetic=True)]


def read(folder, slide_id):
    import anndata as ad

    return ad.AnnData(np.random.default_rng().random((4, 3)))
"""


@pytest.fixture(scope="module")
def plugin(tmp_path_factory):
    path = tmp_path_factory.mktemp("plugin") / "misbehaving.py"
    path.write_text(MISBEHAVING)
    return path


@pytest.fixture(scope="module")
def registry(plugin):
    return discover([plugin])


def failed(registry, kind, name):
    return {
        outcome.name: outcome.message
        for outcome in examine(registry, [(kind, name)])
        if outcome.status == "failed"
    }


def test_of_several_wrong_names_all_are_told_and_what_is_known_once(registry, tmp_path):
    broken = tmp_path / "broken.py"
    broken.write_text("import no_such_module")
    known = discover([broken])
    with pytest.raises(UsageError) as raised:
        all_named(known, ["mediam", "median", "nope", "broken", "mediam"])
    first, *lines = str(raised.value).splitlines()
    assert first == "3 names cannot be checked, so none was."
    assert lines[0] == "No plugin is named 'mediam'. Did you mean 'median'?"
    assert lines[1].startswith("No plugin is named 'nope'.") and "Known plugins: " in lines[1]
    assert lines[2].startswith("Plugin 'broken' could not be loaded: ModuleNotFoundError")
    with pytest.raises(UnknownNameError, match=r"No plugin is named 'nope'\..*Known plugins: "):
        all_named(known, ["median", "nope"])
    with pytest.raises(PluginError, match=r"^2 names.*\nPlugin 'broken'.*\nPlugin 'torn'"):
        torn = tmp_path / "torn.py"
        torn.write_text("import no_such_module")
        all_named(discover([broken, torn]), ["broken", "torn"])
    assert all_named(registry, ["x-good", "x-fill", "x-good"]) == [
        ("predictor", "x-good"),
        ("completer", "x-fill"),
    ]


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        *(("predictor", "x-good"), ("predictor", "x-uncertain")),
        *(("completer", "x-fill"), ("completer", "x-mean")),
    ],
)
def test_a_plugin_that_behaves_passes(kind, name, registry):
    found = failed(registry, kind, name)
    # This file registers misbehaving ones too, and is quick to import.
    assert found == {}


@pytest.mark.parametrize(
    ("name", "check", "message"),
    [
        ("x-narrow", "a prediction has a finite value for every spot and gene", "shape (40, 5)"),
        ("x-undefined", "a prediction has a finite value for every spot and gene", "nan or inf"),
        ("x-backwards", "genes keep their order", "columns are not in the order of the genes"),
        ("x-unsure", "variances keep the order of the genes", "not in the order of the genes"),
        ("x-unseeded", "the same seed gives the same prediction", "must come from context.seed"),
        ("x-restless", "predicting twice gives the same", "The largest difference is 1."),
        ("x-peeking", "a prediction does not depend on the measured expression", "changes with"),
        ("x-positional", "the order of the spots is that of the predictions", "in another order"),
        ("x-batched", "the batch size does not matter", "depends on the batch size"),
        ("x-crowd", "a slide of one spot survives", "for one spot it returns nan or infinite"),
        ("x-restless", "other slides leave the method as it is", "predicting one slide changes"),
        ("x-pickled", "saved and loaded it predicts the same and no file is a pickle", "mean.pkl"),
        ("x-objects", "saved and loaded it predicts the same and no file is a pickle", "objects"),
        ("x-forgetful", "saved and loaded it predicts the same and no file is a pickle", "differ"),
        (
            "x-other",
            "it has the methods of a predictor and the name of its spec",
            "its `name` is 'another'",
        ),
        ("x-half", "it has the methods of a predictor and the name of its spec", "lacks predict;"),
        (
            "x-short",
            "it has the methods of a predictor and the name of its spec",
            "has a `fit` that cannot be called as fit(train, val, context): too many positional",
        ),
        ("x-searching", "its spec describes it", "searches 'alpha', which is no parameter there"),
        ("x-raising", "a slide of one spot survives", "KeyError: 'layer'"),
        ("x-silent", "its spec describes it", "the spec says nothing in summary"),
    ],
)
def test_the_kit_finds_what_a_predictor_does_wrong(name, check, message, registry):
    assert message in failed(registry, "predictor", name)[check]


ORDER, BATCH = "the order of the spots is that of the predictions", "the batch size does not matter"


@pytest.mark.parametrize(
    ("name", "check", "hint"),
    [
        ("x-neighbour", ORDER, "Ties explain it: where no two spots are equally far from a third"),
        ("x-ranked", ORDER, "Ties explain it: it happens where two patches are the same"),
        ("x-ranked", BATCH, "Ties explain it: it happens where two patches are the same"),
        ("x-positional", ORDER, ""),
        ("x-batched", BATCH, ""),
    ],
)
def test_the_kit_says_where_ties_explain_a_difference_and_only_there(name, check, hint, registry):
    message = failed(registry, "predictor", name)[check]
    assert "The largest difference is" in message
    assert hint in message if hint else "Ties" not in message


def test_without_ties_no_two_spots_are_equally_far_and_twins_come_in_pairs():
    slides = tiny_slides()
    for part in untied(slides):
        for places, unit in ((part.coordinates, 100), (part.array_coordinates, 1)):
            here = places[part.slide_ids == part.slide_ids[0]]
            far = np.sort(pdist(here))
            assert np.diff(far).min() > 0
            assert abs(far[0] - unit) < 0.1 * unit
    patches = with_twins(slides.test).patches[:]
    np.testing.assert_array_equal(patches[::2], slides.test.patches[:][::2])
    np.testing.assert_array_equal(patches[1::2], patches[::2])


@pytest.mark.parametrize(
    ("name", "check", "message"),
    [
        (
            "x-changing",
            "every measured value is left as it is, and the others are finite",
            "changed measured entries",
        ),
        (
            "x-inplace",
            "every measured value is left as it is, and the others are finite",
            "complete changed the slides that it was given",
        ),
        ("x-dealing", "the same seed gives the same completion", "must come from context.seed"),
        (
            "x-permuted",
            "what is filled in is of the gene whose column it stands in",
            "columns are not in the order of the genes",
        ),
    ],
)
def test_the_kit_finds_what_a_completer_does_wrong(name, check, message, registry):
    assert message in failed(registry, "completer", name)[check]


def test_the_kit_finds_what_a_dataset_lacks(registry):
    found = failed(registry, "dataset", "x-data")
    assert "says nothing in summary, organism" in found["its spec describes it"]
    assert "slides a, b name no donor" in found["every slide names its donor"]
    assert "fractions" in found["every slide is a raw slide"]


def test_a_heavy_import_is_found(tmp_path):
    (tmp_path / "heavy.py").write_text(
        "import anndata\n" + MISBEHAVING.replace("x-", "heavy-").lstrip()
    )
    found = failed(discover([tmp_path / "heavy.py"]), "predictor", "heavy-good")
    assert "the module of the hooks imports anndata" in found["its module imports nothing heavy"]


def test_under_pytest_a_failed_check_raises_its_message_and_one_that_does_not_apply_skips(registry):
    by_name = {check.name: check for check in predictor_checks("x-narrow", registry)}
    with pytest.raises(PluginError, match="predict returned shape"):
        by_name["a prediction has a finite value for every spot and gene"]()
    with pytest.raises(pytest.skip.Exception, match="takes no batch_size"):
        by_name["the batch size does not matter"]()


@pytest.mark.parametrize("name", ["none", "median", "gene-mean", "knn-spatial"])
def test_completers_of_ours_pass(name):
    for check in completer_checks(name):
        try:
            check()
        except pytest.skip.Exception:
            continue


def test_the_slides_of_the_kit_are_the_same_every_time_and_noise_changes_expression_alone():
    first, second = tiny_slides(), tiny_slides()
    np.testing.assert_array_equal(first.train.target, second.train.target)
    np.testing.assert_array_equal(first.test.patches[:], second.test.patches[:])
    noisy = with_noise(first.test)
    assert (noisy.target != first.test.target).any()
    np.testing.assert_array_equal(noisy.patches[:], first.test.patches[:])


def test_a_name_stands_for_a_plugin_or_for_all_that_a_package_registers(registry):
    assert named(registry, "x-good") == [("predictor", "x-good")]
    assert named(registry, "gene-mean") == [("predictor", "gene-mean"), ("completer", "gene-mean")]
    assert len(named(registry, "misbehaving")) == 30
    with pytest.raises(UnknownNameError, match="Did you mean 'x-good'"):
        named(registry, "x-gooood")


def test_a_plugin_that_cannot_be_loaded_is_told_with_the_reason(tmp_path):
    (tmp_path / "broken.py").write_text("import nothing_of_this_name\n")
    with pytest.raises(PluginError, match=r"could not be loaded: .*nothing_of_this_name"):
        named(discover([tmp_path / "broken.py"]), "broken")


@pytest.mark.parametrize(("name", "status"), [("x-good", 0), ("x-narrow", 1)])
def test_the_command_prints_a_report_and_ends_with_its_verdict(name, status, plugin, tmp_path):
    arguments = ["plugins", "check", name, "--plugin", str(plugin), "-w", str(tmp_path)]
    shown = CliRunner().invoke(app, arguments)
    assert shown.exit_code == status
    assert f"predictor {name}\n" in shown.output
    assert ("  failed  " in shown.output) == bool(status)
    report = json.loads(CliRunner().invoke(app, [*arguments, "--json"]).stdout)
    assert bool(report["failed"]) == bool(status)
    assert {check["plugin"] for check in report["checks"]} == {f"predictor {name}"}


VIEWS = {
    "target": View(size=16),
    "region": View(scale=4.6, size=20),
    "huge": View(um=5000, size=20, grid=True),
    "context": View(um=500, size=30, grid=True),
    "tiles": View(size=10, tiles=3),
}


def test_the_small_slides_serve_every_view():
    plain, slides = tiny_slides(), with_views(tiny_slides(), VIEWS)
    for part, bare in zip(slides, plain, strict=True):
        for (_, slide), (_, alone) in zip(part.each(), bare.each(), strict=True):
            around = np.pad(picture_of(alone), ((99, 99), (99, 99), (0, 0)), mode="symmetric")
            assert slide.patches.shape == (len(slide), 16, 16, 3)
            regions, tiles = slide.view("region")[:], slide.tiles("tiles")[:]
            for spot in (0, 7, 17, 39):
                x, y = slide.coordinates[spot].astype(int) + 99
                for side, size, shift, found in [
                    (110, 20, 0, regions[spot]),
                    (24, 10, 0, tiles[spot, 4]),
                    (24, 10, -24, tiles[spot, 0]),
                ]:
                    left, top = x + shift - side // 2, y + shift - side // 2
                    square = Image.fromarray(around[top : top + side, left : left + side])
                    expected = square.resize((size, size), Image.Resampling.BILINEAR)
                    assert np.abs(np.asarray(expected).astype(int) - found).max() <= 1
            windows = slide.windows("context")
            side = round(500 * 24 / 55)
            cells = slide.coordinates // side
            np.testing.assert_array_equal(windows.columns[windows.of_spot], cells[:, 0])
            np.testing.assert_array_equal(windows.rows[windows.of_spot], cells[:, 1])
            assert slide.tiles_inside("tiles")[:, 4].all()
            assert len(slide.windows("huge")) == 2  # 800 px wide, in windows of 500
        features = part.features(ColorEncoder(), view="tiles")
        assert features.shape == (len(part), 9, 24)


def test_a_method_of_four_views_keeps_its_promises():
    plugin = Path(__file__).parents[1] / "view_plugin.py"
    checks = predictor_checks("sees-all", discover([plugin]))
    failed = [
        check.name for check in outcomes("predictor sees-all", checks) if check.status == "failed"
    ]
    assert failed == ["its spec describes it"]  # of a test it says nothing


def test_an_error_that_many_checks_meet_is_told_once(plugin, tmp_path):
    arguments = ["plugins", "check", "x-short", "--plugin", str(plugin), "-w", str(tmp_path)]
    shown = CliRunner().invoke(app, arguments).output
    assert shown.count("Traceback") == 1
    told = "the same error as in 'a prediction has a finite value for every spot and gene'"
    assert shown.count(told) > 5
    report = json.loads(CliRunner().invoke(app, [*arguments, "--json"]).stdout)
    assert sum("positional" in check["message"] for check in report["checks"]) > 5


def test_what_the_kit_does_not_check_is_not_called_unknown():
    registry = discover(points=None, only=())
    for name, told in {
        "pcc-gene": "'pcc-gene' is there as metric, and the kit checks predictors, completers and",
        "color": "'color' is there as encoder, .*; `spared-bench encoders check color` does",
        "metrics": "'metrics' is there as plugin",
    }.items():
        with pytest.raises(UsageError, match=told) as found:
            named(registry, name)
        assert not isinstance(found.value, UnknownNameError)
    with pytest.raises(UnknownNameError, match="No plugin is named 'pcc-gane'"):
        named(registry, "pcc-gane")
