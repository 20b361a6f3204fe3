"""What the page shows of encoders, and of predictions that were made elsewhere."""

from __future__ import annotations

import subprocess
import sys

import pytest

from spared_bench.leaderboard.plugin_facts import runnable
from spared_bench.registry import discover
from tests.board_samples import build, trial
from tests.leaderboard.browsing import ready
from tests.leaderboard.reading import data_of

PRETRAINING = "300 thousand slides of one hospital, in four stains and at three magnifications"
ENCODER = {"name": "uni", "licence": "NC", "pretraining": PRETRAINING, "seen": "unknown"}
ON_UNI = "linear-probe+uni"


def test_a_method_on_another_encoder_can_be_run_and_a_made_up_one_cannot():
    names = [ON_UNI, "linear-probe", "no-such+uni", "gene-mean+uni", "linear-probe+nothing"]
    found = runnable(discover([]), [trial(name) for name in names])
    assert found[ON_UNI]["encoder"] == "encoder"
    assert found[ON_UNI]["licence"] == found["linear-probe"]["licence"] == "MIT"
    assert not set(names[2:]) & set(found)


def test_a_network_that_was_used_here_can_be_run_and_one_that_others_name_is_not_looked_up():
    here, theirs = (
        trial("linear-probe+resnet18", facts={"encoder": {"name": "resnet18"}, **facts})
        for facts in ({}, {"imported": True})
    )
    assert runnable(discover([]), [here])["linear-probe+resnet18"]["encoder"] == "encoder"
    assert "linear-probe+resnet18" not in runnable(discover([]), [theirs])
    code = """
import sys
from spared_bench.leaderboard.plugin_facts import runnable
from spared_bench.registry import discover
from tests.board_samples import trial
runnable(discover([]), [trial("linear-probe+" + name) for name in ("nothing", "uni", "resnet18")])
assert not {"torch", "timm", "torchvision"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("encoders")
    brought = {"brought": {"missing": {"spots": 0, "genes": 0}}}
    trials = [
        trial("elsewhere", mse=0.5, facts=brought),
        trial(ON_UNI, mse=1.0, parameters={"encoder": "uni"}, facts={"encoder": ENCODER}),
        trial(
            "linear-probe", mse=1.5, facts={"encoder": {"name": "color", "seen": "declared: none"}}
        ),
        trial("gene-mean", mse=2.0, facts={"control": True}),
    ]
    build(trials, folder, "c", "store", {"predictors": runnable(discover([]), trials)})
    return folder


def test_the_ranking_names_the_encoder_and_whether_it_may_have_seen_the_test_slides(
    open_site, site
):
    page = open_site(site)
    told = page.locator("#board td.name", has_text=ON_UNI)
    assert "encoder uni · may have seen test slides" in told.inner_text()
    declared = page.locator("#board td.name", has_text="linear-probe").last
    assert "encoder color" in declared.inner_text()
    assert "seen" not in declared.inner_text()
    other = page.locator("#board td.name", has_text="gene-mean")
    assert "encoder" not in other.inner_text()


def test_sentences_are_broken_into_lines_and_what_an_encoder_has_seen_stands_beside(
    open_site, site
):
    page = open_site(site, "#ranking?columns=%2Bencoder%20%2Bpretraining%20%2Bmay_have_seen")
    cell = page.get_by_role("cell", name=PRETRAINING)
    one = page.get_by_role("cell", name="may have seen test slides: its makers do not say")
    assert cell.bounding_box()["width"] <= 340
    lines = cell.evaluate(
        "(cell) => cell.scrollHeight / parseFloat(getComputedStyle(cell).lineHeight)"
    )
    assert lines > 3
    assert one.bounding_box()["y"] == cell.bounding_box()["y"]


def test_a_brought_row_says_that_there_is_nothing_to_run_and_a_variant_how_it_is_run(
    open_site, site
):
    page = open_site(site)
    told = page.locator("#answer .answer").inner_text()
    assert "Predictions that were made elsewhere and scored here." in told
    assert "how to run it" not in told
    page.get_by_role("link", name="What is known of it").click()
    ready(page, "method")
    text = page.locator("main").inner_text()
    assert "made elsewhere, and scored here by spared-bench score" in text
    assert "Field of view" not in text

    rows = {row["predictor"]: row["id"] for row in data_of(site, "p0/board")["rows"]}
    page = open_site(site, f"#method/{rows[ON_UNI]}")
    assert f"-p {ON_UNI}" in page.locator("main code").first.inner_text()
    assert page.locator("main dt:visible").all_inner_texts().count("Encoder") == 1
    facts = page.locator("main").inner_text()
    for told in ("uni", PRETRAINING, "May have seen", "may have seen test slides: its makers"):
        assert told in facts


def test_the_card_says_whose_encoder_it_is_and_whether_it_may_have_seen_test_slides(
    open_site, tmp_path
):
    overlap = {"name": "gpfm", "seen": "overlap: TENX95", "licence": "<b> NC"}
    made = [trial(ON_UNI, facts={"encoder": ENCODER}), trial("b", mse=2)]
    build(made, tmp_path / "unknown", "c", "store", {})
    build([trial(ON_UNI, facts={"encoder": overlap})], tmp_path / "known", "c", "store", {})

    told = open_site(tmp_path / "unknown").locator("#answer .answer").inner_text()
    seen = "it may have seen test slides: its makers do not say."
    assert f"It sees patches through the encoder uni (licence NC); {seen}" in told
    known = open_site(tmp_path / "known").locator("#answer .answer").inner_text()
    assert "gpfm (licence <b> NC); it has seen test slides: TENX95." in known


def test_a_published_score_is_said_to_stand_on_no_slides_that_nobody_here_saw(open_site, tmp_path):
    told = {"source": "", "withdrawn": None, "flags": []}
    origin = {"trust": "reported", "method": "Theirs", "version": "1", **told}
    slides = [{"slide_id": "t1", "patient_id": "p"}]
    about = {"breast": {"slides": slides, "split": {"test": ("t1",)}}}
    build([trial("p", facts={"origin": origin})], tmp_path, "c", "store", {"datasets": about})
    told = open_site(tmp_path).locator("#answer .answer").inner_text()
    assert "(published without an interval)" in told
    assert "Supported by 1 dataset (breast), as published." in told
    assert "single slide" not in told and "1 seed" not in told
