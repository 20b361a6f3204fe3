"""Protocols that normalise stains: what methods see, which keys move, and what is refused."""

from __future__ import annotations

from importlib.resources import files

import numpy as np
import pytest

from spared_bench import api
from spared_bench.api import make_bench
from spared_bench.bench import Bench
from spared_bench.data.views import View
from spared_bench.errors import ProtocolError
from spared_bench.inference.shifted import predict_shifted
from spared_bench.keys.hashing import digest
from spared_bench.processing.stains import mean_look, measure, recolouring
from spared_bench.protocol import Protocol
from spared_bench.store.trials import PREDICTIONS, TRIALS
from spared_bench.trials.products import prepare
from spared_bench.trials.raw_slides import read_raw_slides
from spared_bench.trials.stains import STAINS
from spared_bench.trials.views import make_cut, make_view

pytestmark = pytest.mark.usefixtures("prepared_alone")


@pytest.fixture(scope="module")
def demo(tmp_path_factory) -> Bench:
    root = tmp_path_factory.mktemp("stains") / "workspace"
    return make_bench("demo", workspace=root, device="cpu")


def stained(bench: Bench, **patches) -> Bench:
    from dataclasses import replace

    protocol = bench.protocol.model_dump(mode="json")
    protocol["patches"] |= patches
    Protocol.model_validate(protocol)
    return Bench(replace(bench.settings, protocol=protocol), bench.registry)


DATA = "her2st_demo"


def raw_of(bench):
    slides = read_raw_slides(bench, DATA)
    return lambda: slides


def test_patches_are_those_that_were_cut_in_the_colours_of_the_training_mean(demo):
    bench = stained(demo, stain="macenko")
    raw = raw_of(bench)
    cut = make_cut(bench, DATA, bench.patch_view, raw)
    made = make_view(bench, DATA, bench.patch_view, raw)

    train = bench.dataset(DATA).split["train"]
    before = {slide: np.load(cut.folder / f"{slide}.npy") for slide in raw()}
    looks = {slide: measure("macenko", each.reshape(-1, 3)) for slide, each in before.items()}
    target = mean_look("macenko", [looks[slide] for slide in train])
    for slide, patches in before.items():
        change = recolouring("macenko", looks[slide], target)
        found = np.load(made.folder / f"{slide}.npy")
        expected = change(patches.reshape(-1, 3)).reshape(patches.shape)
        # A look is measured on a sample of pixels: a percentile moves a little.
        assert np.abs(found.astype(int) - expected).mean() < 1.5
    assert (made.folder / STAINS).is_file()


def test_they_are_made_where_nobody_can_change_the_rights_of_files(demo, monkeypatch):
    def refuse(path, *arguments, **options):
        raise PermissionError(1, "Operation not permitted", str(path))

    monkeypatch.setattr("os.chmod", refuse)
    bench = stained(demo, stain="reinhard", stain_to="C4")
    made = make_view(bench, DATA, bench.patch_view, raw_of(bench))
    assert (made.folder / STAINS).is_file()


def test_what_methods_see_is_the_normalised_product(demo):
    bench = stained(demo, stain="reinhard", stain_to="C3")
    seen = prepare(bench, DATA).slides("train").patches[:3]
    plain = prepare(demo, DATA).slides("train").patches[:3]

    assert seen.shape == plain.shape
    assert not np.array_equal(seen, plain)


def test_tiles_are_given_the_colours_when_they_are_cut(demo):
    bench = stained(demo, stain="reinhard")
    view = View(size=16, scale=1.0, tiles=3)
    raw = raw_of(bench)
    from spared_bench.trials.views import spot_view

    names = [f"{slide}_{spot}" for slide, each in raw().items() for spot in each.obs_names]
    plain = spot_view(demo, DATA, names, view, raw).tiles[np.arange(2)]
    seen = spot_view(bench, DATA, names, view, raw).tiles[np.arange(2)]

    assert seen.shape == plain.shape
    assert not np.array_equal(seen, plain)


def test_a_protocol_that_normalises_moves_the_keys_of_patches_and_of_what_follows(demo):
    def keys(bench):
        return {
            "patches": digest(bench.patches_inputs(DATA)),
            "view": digest(bench.view_inputs(DATA, View(size=16, scale=2.0))),
            "completed": bench.completed_key(DATA, "none"),
            "prepared": digest(bench.prepared_inputs(DATA)),
            "cut": digest(bench.cut_inputs(DATA, bench.patch_view)),
        }

    plain = keys(demo)
    versions = [
        keys(stained(demo, stain="macenko")),
        keys(stained(demo, stain="reinhard")),
        keys(stained(demo, stain="macenko", stain_to="C2")),
        keys(stained(demo, stain="macenko", stain_to="C3")),
    ]
    for name in ("patches", "view", "completed"):
        assert len({plain[name], *(each[name] for each in versions)}) == 5
    for name in ("prepared", "cut"):  # counts and what is cut stay as they are
        assert {plain[name], *(each[name] for each in versions)} == {plain[name]}


def test_without_normalisation_a_template_means_nothing(demo):
    named = stained(demo, stain_to="C2")

    assert named.patches_inputs(DATA) == demo.patches_inputs(DATA)
    assert named.protocol.hash == demo.protocol.hash


def test_a_template_that_is_no_slide_is_refused_with_the_nearest(demo):
    with pytest.raises(ProtocolError, match=r"has no slide 'C9'.*It has: C2, C3, C4"):
        stained(demo, stain="macenko", stain_to="C9").patches_inputs(DATA)


def test_a_template_may_be_of_another_dataset(demo):
    bench = stained(demo, stain="reinhard", stain_to="mob_demo/MOB1")
    names = [slide.slide_id for slide in bench.dataset("mob_demo").slides]
    assert bench.stain_template(DATA) == ("mob_demo", names[0]) or "MOB1" in names


def test_a_trial_that_filters_spots_is_tried_on_images_in_the_colours_of_its_run(tmp_path):
    folder = tmp_path / "filtered.yaml"
    text = (files("spared_bench_plugins.protocols") / "demo.yaml").read_text(encoding="utf-8")
    text = text.replace("spot_min_counts: 100", "spot_min_counts: 3000")
    folder.write_text(text.replace("  size: 48", "  size: 16\n  stain: macenko"), encoding="utf-8")
    report = api.run(
        protocol=str(folder),
        datasets=[DATA],
        completers=["none"],
        predictors=["linear-probe"],
        workspace=tmp_path / "workspace",
        executor="inline",
        track=False,
        figures=False,
        board=False,
        device="cpu",
    )
    bench, (result,) = report.plan.bench, report.results
    entry = bench.workspace.store.open(TRIALS, result.key)
    with np.load(entry.folder / PREDICTIONS) as arrays:
        run = arrays["test_prediction"]

    assert 0 < len(run) < read_raw_slides(bench, DATA, ["C4"])["C4"].n_obs
    found = predict_shifted(bench, result, lambda slide: None)
    np.testing.assert_allclose(found, run, rtol=1e-5, atol=1e-5)
