"""Partially measured samples from raw slides to the board: what is given, and what is not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.special import log_softmax

import spared_bench
from spared_bench.api import make_bench
from spared_bench.errors import ContractError, UsageError
from spared_bench.trials.known import with_known
from spared_bench.trials.products import prepare
from tests.conftest import TOY_PROTOCOL

PLUGIN = Path(__file__).parents[1] / "sections_plugin.py"
KNOWN = "known: {sections: first, register: none}\n"
METHODS = [
    "known-nearest",
    "known-propagation",
    "known-similar-20",
    "known-ridge-and-nearest-8",
    "linear-probe",
]


@pytest.fixture
def protocol(tmp_path):
    def write(known=KNOWN, target="log1p_cp10k"):
        path = tmp_path / "partial.yaml"
        text = TOY_PROTOCOL.read_text().replace("datasets: [toy]", "datasets: [stack]")
        text = text.replace("target: log1p_cp10k", f"target: {target}")
        path.write_text(text + known + "metrics: [pcc-gene, mse]\nranking: {metric: pcc-gene}\n")
        return str(path)

    return write


@pytest.fixture
def run(workspace, protocol):
    def run(predictors, where=workspace, known=KNOWN, datasets=("stack",), shown=False):
        return spared_bench.run(
            list(datasets),
            ["none"],
            list(predictors),
            protocol(known),
            workspace=where,
            plugin_files=[PLUGIN],
            device="cpu",
            executor="inline",
            track=shown,
            figures=shown,
        )

    return run


def prepared_of(workspace, protocol, known=KNOWN):
    bench = make_bench(protocol(known), workspace=workspace, plugin_files=[PLUGIN], device="cpu")
    return prepare(bench, "stack")


def predictions(workspace, key):
    (path,) = workspace.glob(f"store/trials/*/{key}/predictions.npz")
    with np.load(path) as file:
        return dict(file)


def test_noise_in_place_of_the_unknown_truth_changes_no_prediction_by_a_bit(
    run, workspace, tmp_path, monkeypatch
):
    seen = run(METHODS)
    monkeypatch.setenv("SECTIONS_NOISE", "1")
    other = tmp_path / "other"
    blind = run(METHODS, where=other)

    assert len(seen.results) == len(METHODS)
    for one, two in zip(seen.results, blind.results, strict=True):
        assert (one.ok, two.ok) == (True, True), (one.message, two.message)
        assert one.predictor == two.predictor
        a, b = predictions(workspace, one.key), predictions(other, two.key)
        np.testing.assert_array_equal(a["test_prediction"], b["test_prediction"])
    differ = [
        one.scores["test"]["mse"] != two.scores["test"]["mse"]
        for one, two in zip(seen.results, blind.results, strict=True)
    ]
    assert all(differ)  # the truth was another one


def test_known_spots_are_learnt_from_and_never_scored(workspace, protocol):
    adata = prepared_of(workspace, protocol).adata
    obs = adata.obs

    assert set(obs["slide_id"][obs["known"]]) == {"one"}
    assert set(obs["split"][obs["known"]]) == {"train", "val"}
    assert set(obs["split"][~obs["known"]]) == {"test"}
    assert set(obs["slide_id"][obs["split"] == "test"]) == {"two", "three"}
    assert adata.obsm["spatial_3d"].shape == (adata.n_obs, 3)


@pytest.mark.parametrize("share", [0.1, 0.3])
def test_a_share_of_the_spots_of_every_section_is_known(workspace, protocol, share):
    known = f"known: {{share: {share}, register: none}}\n"
    obs = prepared_of(workspace, protocol, known).adata.obs

    for _, spots in obs.groupby("slide_id"):
        assert spots["known"].sum() == round(share * len(spots))
    assert set(obs["split"][obs["known"]]) == {"train", "val"}
    assert set(obs["split"][~obs["known"]]) == {"test"}


def test_the_frame_of_sections_that_are_not_registered_is_their_slide_in_micrometres(
    workspace, protocol
):
    adata = prepared_of(workspace, protocol).adata

    frame = adata.obsm["spatial_3d"]
    np.testing.assert_allclose(frame[:, :2], adata.obsm["spatial"] * 6.25)
    depth = {slide: set(frame[adata.obs["slide_id"] == slide, 2]) for slide in ("one", "two")}
    assert depth == {"one": {0.0}, "two": {10.0}}


def test_what_is_known_to_a_prediction_is_of_its_sample_and_none_of_its_own_spots(
    workspace, protocol
):
    prepared = prepared_of(workspace, protocol)
    offset = np.zeros(prepared.adata.n_vars, np.float32)
    names = {}
    for split in ("val", "test"):
        slides = prepared.slides(split).without_expression()
        given = with_known(prepared, slides, "none", split, offset)
        names[split] = set(given.known.adata.obs_names)
        assert not names[split] & set(slides.adata.obs_names)
        assert set(given.known.slide_ids) == {"one"}
        joined, known = given.with_known()
        np.testing.assert_array_equal(joined.target[known], given.known.target)
        assert not joined.target[~known].any()
        assert not joined.mask[~known].any()
        np.testing.assert_array_equal(joined.patches[:][~known], given.patches[:])
    assert names["val"] < names["test"]  # what is chosen on is known to the test
    train = prepared.slides("train")
    assert with_known(prepared, train, "none", "train", offset).known is None


def test_shares_among_the_chosen_genes_are_a_target(workspace, protocol):
    path = protocol(target="log_share\n  ranking: mean\n  zeros: measured")
    bench = make_bench(path, workspace=workspace, plugin_files=[PLUGIN], device="cpu")
    prepared = prepare(bench, "stack")
    train = prepared.slides("train")

    expected = log_softmax(np.log(train.counts.astype(float) + 1), axis=1)
    np.testing.assert_allclose(train.target, expected, rtol=1e-6)
    assert train.mask.all()
    with pytest.raises(ContractError, match="share among the chosen genes"):
        prepared.transform(np.zeros(train.n_genes)).to_counts(train.target)


def test_a_method_of_known_spots_is_refused_by_other_protocols(run):
    with pytest.raises(UsageError, match=r"has no `known`\. Run it"):
        run(["known-nearest"], known="")


@pytest.mark.parametrize(
    ("dataset", "known", "message"),
    [
        ("unordered", KNOWN, "are in no order"),
        ("stack", "known: {sections: [four], register: none}\n", "none of which is a section"),
        ("stack", "known: {sections: [one, two, three]}\n", "nothing is left to predict"),
    ],
)
def test_what_cannot_be_partially_known_is_said_before_anything_runs(run, dataset, known, message):
    report = run(["known-nearest"], known=known, datasets=[dataset])

    (reason,) = report.plan.unavailable.values()
    assert message in reason


def test_a_run_without_what_gains_are_measured_against_says_so(run):
    alone, both = (
        run(names).plan.warnings for names in (["known-nearest"], ["known-nearest", "linear-probe"])
    )
    assert [each for each in alone if "measured against 'linear-probe'" in each]
    assert not [each for each in both if "measured against" in each]


def test_rows_from_images_alone_stand_apart_and_gains_are_measured_against_them(run):
    report = run(["known-nearest", "linear-probe", "gene-mean"], shown=True)

    folder = report.page.parent
    import json

    (part,) = json.loads((folder / "leaderboard.json").read_text())["protocols"]
    assert [row["predictor"] for row in part["rows"]] == ["known-nearest"]
    assert {row["predictor"] for row in part["image_only"]} == {"linear-probe", "gene-mean"}
    (row,) = part["rows"]
    (other,) = [each for each in part["image_only"] if each["predictor"] == "linear-probe"]
    here, there = (each["datasets"]["stack"] for each in (row, other))
    assert here["gain_pcc_gene"] == pytest.approx(here["pcc_gene"] - there["pcc_gene"])
    assert here["gain_mse"] == pytest.approx(there["mse"] - here["mse"])
    markdown = (folder / "leaderboard.md").read_text()
    first, second = markdown.split("### From images alone, on the same spots")
    assert "known-nearest" in first
    assert "linear-probe" not in first.split("| Rank")[1]
    assert "known-nearest" not in second
