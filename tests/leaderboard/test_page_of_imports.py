"""What came from another store bears a mark wherever the page shows it."""

from __future__ import annotations

import json
import re

import pytest

from spared_bench.results import IMPORTED
from tests.board_samples import build, trial
from tests.leaderboard.browsing import drawn_maps, ready, red_tissue
from tests.leaderboard.reading import data_of, row_of

SLIDES = [{"slide_id": f"section {i} of the imported archive", "patient_id": "d"} for i in range(9)]
NAMES = [each["slide_id"] for each in SLIDES]
MADE = {"python": "3.11.7", "machine": "x86-64 avx2", "device": "cpu", "host": "theirs"}


def maps(rows, metrics):
    for name, values in drawn_maps(rows, metrics):
        marked = {"breast": {**values["breast"], "imported": True}} if name == "prepared" else {}
        yield name, marked or values


def slides(name):
    if name == "breast":
        picture = red_tissue()["webp"]
        pictures = dict.fromkeys(NAMES, picture)
        yield "slides-1", {"pictures": pictures, "facts": {}, "checks": {}, "imported": NAMES[1:]}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("imports")
    facts = {IMPORTED: True, "target": "log1p_tpm", "distribution": "theirs 1"}
    here = {"slides": SLIDES, "split": {"train": NAMES[:5], "test": NAMES[5:]}}
    extras = {"datasets": {"breast": here}, "maps": maps, "slides": slides}
    trials = [trial("ridge", facts=facts, environment=MADE), trial("own", mse=2, environment=MADE)]
    build(trials, folder, "c", "store", extras)
    return folder


@pytest.mark.parametrize("width", [1440, 390])
def test_a_dataset_says_what_of_it_was_imported(open_site, site, width):
    page = open_site(site, "#dataset/breast", viewport={"width": width, "height": 900})
    ready(page, "dataset")
    told = page.locator("dt", has_text="Imported").locator("xpath=following-sibling::dd[1]")

    assert told.locator("div").all_inner_texts() == [
        "The prepared data came from another store: what was measured, the genes, and the spots"
        " kept.",
        f"Pictures or checks of 8 slides came from another store: {', '.join(NAMES[1:])}.",
    ]
    box, wide = told.bounding_box(), page.evaluate("document.documentElement.scrollWidth")
    assert wide <= width
    assert 0 <= box["x"] < box["x"] + box["width"] <= width


def test_a_map_says_that_its_truth_was_imported(open_site, site):
    row = row_of(site, "ridge")["id"]
    page = open_site(site, f"#map/{row}/breast")
    ready(page, "map")
    page.get_by_text("What was measured came from another store (imported)").wait_for()


@pytest.mark.parametrize(("predictor", "marked"), [("ridge", True), ("own", False)])
def test_a_method_says_that_its_record_is_claimed(open_site, site, predictor, marked):
    page = open_site(site, f"#method/{row_of(site, predictor)['id']}")
    ready(page, "method")
    text = page.locator("#view").inner_text()

    assert "x86-64 avx2" in text
    for said in (
        "nobody saw these trainings here",
        "As the record says that came with it",
        "log1p_tpm (claimed)",
        "theirs 1 (claimed)",
    ):
        assert (said in text) == marked, said


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """Every row twice: made here, and imported."""
    folder = tmp_path_factory.mktemp("both")
    trials = [
        trial(
            name, completer, dataset, mse=mse * (1 + k), facts={**said, "control": name == "zero"}
        )
        for name, mse in (("ridge", 1.0), ("zero", 3.0))
        for completer in ("none", "median")
        for k, said in enumerate(({}, {IMPORTED: [{"archive": "a.tar"}]}))
        for dataset in ("d0", "d1")
    ]
    build(trials, folder, "c", "store", {})
    return folder


def test_the_statistics_tell_rows_made_here_and_imported_ones_apart(open_site, both):
    page = open_site(both, "#statistics")
    ready(page, "statistics")
    names = [f"ridge{said} · {c}" for said in ("", " (imported)") for c in ("none", "median")]
    ranks, matrix, effects = (
        page.locator(which).first.locator("tbody tr > :first-child").all_text_contents()
        for which in ("#view table", "table.matrix", "table:has(th:text('Median change'))")
    )
    assert sorted(ranks) == sorted(matrix) == sorted(names)
    assert effects == ["ridge", "ridge (imported)"]


def test_figures_draw_rows_made_here_and_imported_ones_on_lines_of_their_own(open_site, both):
    page = open_site(both, "#figures")
    ready(page, "figures")
    for name in ("ridge · none", "ridge (imported) · none"):
        page.locator(".ytick text", has_text=re.compile(f"^{re.escape(name)}$")).first.wait_for()


@pytest.mark.parametrize("predictor", ["ridge", "zero"])
def test_an_imported_row_bears_its_badge_also_where_it_is_a_control(open_site, both, predictor):
    page = open_site(both)
    found = page.locator("bdi", has_text=predictor).locator("xpath=..")
    marked = found.filter(has=page.locator(".badge", has_text="imported"))
    marked.first.wait_for()
    assert (marked.count(), found.count()) == (2, 4)


def test_the_history_of_an_imported_row_is_its_own(open_site, both):
    row = next(
        each
        for each in data_of(both, "p0/board")["rows"]
        if (each["predictor"], each["completer"], each["trust"]) == ("ridge", "none", "imported")
    )
    index = next(both.glob("data-*/index.js"))
    change = {"protocol": "demo@1", "row": "ridge · none · imported", "text": "It changed."}
    item = {"date_published": "2026-01-01T00:00:00+00:00", "_changes": [change]}
    text = index.read_text(encoding="utf-8").replace(
        '"changes":[', f'"changes":[{json.dumps(item)},', 1
    )
    index.write_text(text, encoding="utf-8")
    page = open_site(both, f"#method/{row['id']}")
    ready(page, "method")
    assert page.locator("h2 bdi").inner_text() == "ridge (imported)"
    page.locator("#view td", has_text="It changed.").wait_for()
