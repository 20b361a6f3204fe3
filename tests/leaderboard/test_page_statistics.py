"""The matrices of pairs: what rows, columns, cells and shades mean, and that they are so."""

from __future__ import annotations

import pytest

from tests.board_samples import build, trial
from tests.leaderboard.browsing import ready

#: Errors on seven datasets: each is better than the next on all of them.
FACTORS = {"good": 1.0, "middling": 1.2, "poor": 1.5}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pairs")
    made = [
        trial(name, dataset=f"d{i}", mse=factor * (1 + i / 10) + i**2 / 1000)
        for name, factor in FACTORS.items()
        for i in range(7)
    ]
    build(made, folder, "c", "store", {})
    return folder


def test_a_matrix_says_how_it_is_read_and_is_as_it_says(open_site, site):
    page = open_site(site, "#statistics?test=effect")
    ready(page, "statistics")
    matrix = page.locator("table.matrix").first
    said = page.locator("#view .note", has_text="How to read it").first.inner_text()
    columns = matrix.locator("thead th").all_inner_texts()
    better = (
        matrix.locator("tbody tr", has_text="good")
        .locator("td")
        .nth(next(i for i, name in enumerate(columns) if "poor" in name))
    )

    assert "1, the method of the row is better on all datasets" in said
    assert better.inner_text() == "1.00"
    assert better.get_attribute("class") == "strong"
    assert better.get_attribute("title") == "good against poor"
    assert matrix.locator("td.same").count() == len(FACTORS)

    page.locator("#choose-test").select_option("wilcoxon")
    page.get_by_text("It is a p value: small where").wait_for()
    for cell in page.locator("table.matrix").first.locator("tbody td:not(.same)").all():
        shaded = "strong" in (cell.get_attribute("class") or "")
        assert shaded == (float(cell.inner_text()) < 0.05)


def test_a_row_that_is_left_out_is_not_said_to_have_less_than_it_has(open_site, tmp_path):
    origin = {"trust": "re-scored", "method": "theirs", "version": "1", "source": ""}
    origin |= {"withdrawn": None, "flags": [], "several": False}
    mine = [trial(name, dataset=f"d{i}", mse=1.0 + i) for name in FACTORS for i in range(7)]
    theirs = [trial("x", dataset=f"d{i}", mse=2.0, facts={"origin": origin}) for i in range(6)]
    build([*mine, *theirs], tmp_path, "c", "store", {})
    page = open_site(tmp_path, "#statistics")
    ready(page, "statistics")
    said = page.locator("#view p", has_text="Left out").first.inner_text()

    assert said.startswith("Left out, lacking datasets: theirs 1 (6 of 7).")
