"""Views as products: what is cut for whom, under which keys, and what is told where none can be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from spared_bench.api import execute, make_bench, select
from spared_bench.bench import Bench
from spared_bench.data.views import View
from spared_bench.errors import PluginError, UsageError
from spared_bench.keys.hashing import digest
from spared_bench.models.encoders import ColorEncoder
from spared_bench.processing import cutting
from spared_bench.store.maintenance import unneeded
from spared_bench.trials import products
from spared_bench.trials.completed import make_completed
from spared_bench.trials.products import cut_all_patches, prepare
from spared_bench.trials.runner import run_trial
from tests.conftest import TOY_PLUGIN, TOY_PROTOCOL

pytestmark = pytest.mark.usefixtures("prepared_alone")

PLUGIN = Path(__file__).parents[1] / "view_plugin.py"
REGION = View(scale=3, size=16)


def bench_on(workspace, protocol=TOY_PROTOCOL, **options):
    return make_bench(
        str(protocol),
        workspace=workspace,
        plugin_files=[TOY_PLUGIN, PLUGIN],
        device="cpu",
        **options,
    )


@pytest.fixture
def bench(workspace):
    products._last_read.clear()
    return bench_on(workspace)


def job_of(bench, predictor, dataset="toy"):
    (cell,) = select(bench, [dataset], ["none"], [predictor]).cells
    return cell.finals[-1]


def run(bench, predictor, dataset="toy"):
    job = job_of(bench, predictor, dataset)
    make_completed(bench, dataset, "none")
    return run_trial(bench, job)


def cut_views(bench):
    return bench.workspace.store.keys("views")


def test_methods_that_ask_for_equal_views_share_one_entry(bench):
    assert run(bench, "sees-region").ok
    (key,) = cut_views(bench)
    made = bench.workspace.store.folder("views", key).stat().st_mtime_ns
    assert run(bench, "sees-same").ok
    assert cut_views(bench) == [key]
    assert bench.workspace.store.folder("views", key).stat().st_mtime_ns == made
    assert key == digest(bench.view_inputs("toy", REGION))


def test_a_method_sees_all_that_it_declares(bench):
    result = run(bench, "sees-all")
    assert result.ok, result.traceback
    assert len(cut_views(bench)) == 4
    assert result.facts["field_of_view_um"] == 300.0  # a spot is 100 µm wide
    assert run(bench, "sees-region").facts["field_of_view_um"] == 300.0
    assert "field_of_view_um" not in run(bench, "toy-ridge").facts


def test_views_are_memory_mapped_and_those_of_the_spots_that_are_asked_for(bench):
    prepared = prepare(bench, "toy").seen_by("predictor", "sees-all", {})
    val, test = prepared.slides("val"), prepared.slides("test").without_expression()
    for slides in (val, test, test.subset(np.array([5, 0, 5]))):
        region = slides.view("region")
        np.testing.assert_array_equal(region[2], region[:][2:3])
        at = [list(prepared.adata.obs_names).index(name) for name in slides.adata.obs_names]
        everything = prepared.slides("train").views["region"].find()
        np.testing.assert_array_equal(region[:], everything.patches[everything.spots[at]])
        assert isinstance(everything.patches._arrays[0], np.memmap)
        features = slides.features(ColorEncoder(), view="region")
        np.testing.assert_array_equal(features, ColorEncoder().encode(region))
        tiles = slides.features(ColorEncoder(), view="tiles")
        expected = ColorEncoder().encode(slides.tiles("tiles").flat).reshape(tiles.shape)
        np.testing.assert_array_equal(tiles, expected)
        windows = slides.windows("context")
        context = slides.features(ColorEncoder(), view="context")
        np.testing.assert_array_equal(context, ColorEncoder().encode(windows.patches))
        assert set(windows.slide_ids) == set(slides.slide_ids)
        np.testing.assert_array_equal(windows.slide_ids[windows.of_spot], slides.slide_ids)
        assert (np.abs(windows.centres[windows.of_spot] - slides.coordinates) <= 24).all()
        target = slides.features(ColorEncoder())
        np.testing.assert_array_equal(target, ColorEncoder().encode(slides.view("target")))


def test_a_view_moves_the_keys_of_the_methods_that_declare_it_and_no_others(workspace, monkeypatch):
    names = ["sees-region", "sees-same", "toy-ridge", "toy-mean"]

    bench = bench_on(workspace)

    def keys():
        fresh = Bench(bench.settings, bench.registry)
        return {name: job_of(fresh, name).key for name in names}

    before = keys()
    factory = bench.registry.get("predictor", "sees-same").load()
    monkeypatch.setattr(factory, "views", {"around": View(scale=4, size=16)})
    after = keys()
    assert {name for name in names if before[name] != after[name]} == {"sees-same"}
    wider = bench_on(workspace, parameters={"sees-region": {"wide": 4.0}})
    inputs = wider.trial_inputs("toy", "none", "sees-region", {"wide": 4.0}, 0)
    assert inputs["views"] == {"region": digest(wider.view_inputs("toy", View(scale=4, size=16)))}


def test_a_view_that_is_the_protocols_patch_is_that_entry(bench):
    view = View(scale=1, size=8)
    assert bench.view_inputs("toy", view) == bench.patches_inputs("toy")
    assert bench.view_kind(view) == "patches"


def test_a_plan_cuts_patches_and_views_in_one_pass_over_each_image(workspace, monkeypatch):
    passes = []
    whole = cutting.cut_windows
    monkeypatch.setattr(
        "spared_bench.processing.views.cut_windows",
        lambda image, wanted: passes.append(len(wanted)) or whole(image, wanted),
    )
    bench = bench_on(workspace)
    plan = select(bench, ["toy"], ["none"], ["sees-all", "sees-region", "sees-same", "toy-ridge"])
    bench.workspace.store.remove("patches", digest(bench.patches_inputs("toy")))
    report = execute(plan, executor="inline", track=False, figures=False)
    assert [result.status for result in report.results] == ["ok"] * 4
    assert passes == [4, 4, 4]  # patches, target, region and context of three slides; no tiles
    assert all(plan.is_made(plan.prepare_job("toy")) for _ in plan.cells)


def test_what_is_missing_later_is_cut_before_the_trials(workspace):
    first = bench_on(workspace)
    assert run(first, "toy-mean").ok
    plan = select(first, ["toy"], ["none"], ["toy-mean", "sees-region"])
    seeing = next(cell.finals[0] for cell in plan.cells if cell.predictor == "sees-region")
    needs = {job.kind: job for job in plan.needs(seeing)}
    assert not plan.is_made(needs["prepare"])
    cut_all_patches(first, "toy", [View(**each) for each in needs["prepare"].views])
    assert plan.is_made(needs["prepare"])
    assert plan.needs(next(c.finals[0] for c in plan.cells if c.predictor == "toy-mean")) == [
        plan.complete_job("toy", "none")
    ]


def test_what_a_strangers_process_cuts_is_for_nobody_else(bench):
    prepare(bench, "toy")
    guest = Bench(bench.settings, bench.registry, ("someone",))
    products._last_read.clear()
    prepare(guest, "toy").seen_by("predictor", "sees-region", {})
    assert not bench.has_view("toy", REGION)
    assert len(cut_views(bench)) == 1
    prepare(bench, "toy").seen_by("predictor", "sees-region", {})
    assert len(cut_views(bench)) == 2
    again = Bench(bench.settings, bench.registry, ("another",))
    prepare(again, "toy").seen_by("predictor", "sees-region", {})  # ours is there, and is read
    assert len(cut_views(bench)) == 2


def test_slides_with_views_lead_to_no_table_of_the_dataset(bench):
    blind = prepare(bench, "toy").seen_by("predictor", "sees-all", {}).slides("test")
    blind = blind.without_expression()
    for view in blind.views.values():
        behind = [cell.cell_contents for cell in view.find.__wrapped__.__closure__]
        assert not [each for each in behind if hasattr(each, "layers") or hasattr(each, "adata")]


def test_a_completer_sees_what_it_declares(bench):
    entry = make_completed(bench, "toy", "looks")
    assert np.isfinite(np.load(entry.folder / "completed.npy")[:49]).all()
    assert digest(bench.view_inputs("toy", REGION)) in str(entry.inputs)


def test_an_undeclared_view_and_one_of_another_kind_are_told(bench):
    slides = prepare(bench, "toy").seen_by("predictor", "sees-all", {}).slides("val")
    with pytest.raises(PluginError, match=r"No view is named 'wide' here. Declared: target, re"):
        slides.view("wide")
    with pytest.raises(PluginError, match=r"'tiles' is 3 x 3 tiles .* Ask for `slides.tiles"):
        slides.view("tiles")
    with pytest.raises(PluginError, match=r"'region' is 3 spot diameters, which `slides.windows"):
        slides.windows("region")
    plain = prepare(bench, "toy").slides("val")
    np.testing.assert_array_equal(plain.view("target")[:], plain.patches[:])


def test_views_that_a_method_declares_once_it_is_made_are_refused(bench):
    result = run(bench, "sees-late")
    assert result.status == "error"
    assert "Predictor 'sees-late' declares views only once it is made (region)" in result.message


@pytest.mark.parametrize(
    ("predictor", "dataset", "told"),
    [
        ("sees-far", "toy", "a window of 5000 px is 5,000 px wide, and the image is 160 x 160 px"),
        ("sees-micro", "toy-no-scale", "a window of 100 µm is asked for"),
    ],
)
def test_a_view_that_cannot_be_cut_names_method_view_and_slide(bench, predictor, dataset, told):
    result = run(bench, predictor, dataset)  # nothing is known before the images were read
    assert result.status == "error"
    named = f"ViewError: Predictor {predictor!r}, view 'region', dataset {dataset!r}, slide 'one': "
    assert (named[11:] + told) in result.message
    cut_all_patches(bench, dataset)
    bench.workspace.store.remove("patches", digest(bench.patches_inputs(dataset)))
    cut_all_patches(bench, dataset)
    with pytest.raises(UsageError, match=f"Predictor {predictor!r}, view 'region'"):
        select(bench, [dataset], ["none"], [predictor])


def test_a_view_that_cannot_be_cut_stops_no_other_method(workspace):
    bench = bench_on(workspace)
    bench.workspace.store.remove("patches", digest(bench.patches_inputs("toy")))
    plan = select(bench, ["toy"], ["none"], ["sees-far", "sees-region", "toy-mean"])
    report = execute(plan, executor="inline", track=False, figures=False)
    status = {result.predictor: result.status for result in report.results}
    assert status == {"sees-far": "error", "sees-region": "ok", "toy-mean": "ok"}


ODD = """
from spared_bench import CompleterSpec, PredictorSpec, View, hookimpl


class Base:
    def fit(self, train, val, context): ...
    def predict(self, slides): ...
    def complete(self, slides): ...


class Lists(Base):
    views = [View(scale=2)]


class Named(Base):
    views = {"../region": View(scale=2)}


class Raises(Base):
    views = property(lambda self: {"region": View(scale=self.wide)})


class Leaves(Base):
    views = property(lambda self: exit())


class Restless(Base):
    asked = 0

    @property
    def views(self):
        Restless.asked += 1
        return {"region": View(scale=1 + Restless.asked)}


@hookimpl
def spared_bench_predictors():
    names = ["Lists", "Named", "Raises", "Leaves", "Restless"]
    return [PredictorSpec(f"odd-{name.lower()}", f"{__name__}:{name}") for name in names]


@hookimpl
def spared_bench_completers():
    return [CompleterSpec("odd-raising", f"{__name__}:Raises")]
"""
TOLD = {
    "odd-lists": "`views` must map names to `View`",
    "odd-named": "a view is named '../region'",
    "odd-raises": "its `views` cannot be read (AttributeError: 'Raises' object has no attribute",
    "odd-leaves": "its `views` cannot be read (SystemExit",
    "odd-restless": "declares other views each time it is asked (region)",
}


@pytest.fixture
def odd_bench(workspace, tmp_path):
    (tmp_path / "odd_views.py").write_text(ODD)
    plugins = [TOY_PLUGIN, tmp_path / "odd_views.py"]
    return make_bench(str(TOY_PROTOCOL), workspace=workspace, plugin_files=plugins, device="cpu")


@pytest.mark.parametrize("predictor", TOLD)
def test_a_strange_declaration_is_told_when_the_run_is_planned(odd_bench, predictor):
    with pytest.raises(UsageError) as error:
        select(odd_bench, ["toy"], ["none"], [predictor])
    assert str(error.value).startswith(f"Predictor {predictor!r}")
    assert TOLD[predictor] in str(error.value)


def test_a_strange_declaration_stops_no_other_method_where_all_are_run(odd_bench):
    plan = select(odd_bench, ["toy"], ["none", "odd-raising"])
    left = "\n".join(plan.left_out)
    assert all(f"Predictor {name!r}" in left for name in TOLD)
    assert "Completer 'odd-raising': its `views` cannot be read" in left
    cells = {(cell.completer, cell.predictor) for cell in plan.cells}
    assert ("none", "toy-ridge") in cells
    assert not {name for each in cells for name in each} & {*TOLD, "odd-raising"}


def test_gc_keeps_the_views_of_trials_that_count(workspace):
    bench = bench_on(workspace)
    report = execute(
        select(bench, ["toy"], ["none"], ["sees-all"]),
        executor="inline",
        track=False,
        figures=False,
    )
    assert report.results[0].ok
    cut_all_patches(bench, "toy", [View(scale=5, size=16)])
    found = {(kind, key) for kind, key, _ in unneeded(bench.workspace.store, 0)}
    assert {each for each in found if each[0] in ("views", "features")} == {
        ("views", digest(bench.view_inputs("toy", View(scale=5, size=16))))
    }


@pytest.fixture
def strict(tmp_path):
    path = tmp_path / "strict.yaml"
    path.write_text(TOY_PROTOCOL.read_text() + "views: target-only\n")
    return path


def test_a_protocol_may_refuse_other_views_than_its_own(workspace, strict):
    bench = bench_on(workspace, strict)
    with pytest.raises(UsageError) as error:
        select(bench, ["toy"], ["none"], ["sees-region", "toy-mean"])
    assert "Predictor 'sees-region' looks at 3 spot diameters (view 'region', 16 px)" in str(
        error.value
    )
    assert "protocol toy@1 allows its own patches only (`views: target-only`)" in str(error.value)


def test_where_no_predictor_is_named_those_that_are_refused_are_left_out(workspace, strict):
    plan = select(bench_on(workspace, strict), ["toy"], ["none"])
    names = {cell.predictor for cell in plan.cells}
    assert "toy-ridge" in names
    assert not names & {"sees-region", "sees-same", "sees-all", "sees-far"}
    told = [line for line in plan.warnings if line.startswith("Left out: ")]
    assert any("'sees-region'" in line for line in told)


def test_views_move_no_hash_of_a_protocol(workspace, strict):
    assert bench_on(workspace, strict).protocol.hash == bench_on(workspace).protocol.hash


def test_a_suite_whose_data_are_not_there_plans_and_says_both(workspace):
    """Every study of the papers plans on a machine without the data."""
    plan = select(make_bench("spared", workspace=workspace, device="cpu"))
    assert not plan.cells and len(plan.unavailable) == 26
    assert any("'view-attention'" in line for line in plan.left_out)


@pytest.mark.parametrize("name", ["spared", "spared-strict"])
def test_the_published_protocols_refuse_other_views(workspace, name):
    assert make_bench(name, workspace=workspace).protocol.views == "target-only"
    assert make_bench("demo", workspace=workspace).protocol.views == "allowed"
