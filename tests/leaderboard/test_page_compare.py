"""Two rows side by side on the page: differences, wins and interval, and what each costs."""

from __future__ import annotations

import re

import numpy as np
import pytest
from scipy.stats import ttest_1samp

from tests.board_samples import build, failed, trial
from tests.leaderboard.browsing import eventually, ready
from tests.leaderboard.reading import row_of

N = 8


def errors() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(2)
    base = rng.uniform(0.5, 1.5, N)
    return {
        "one": base,
        "two": base * rng.uniform(0.8, 1.25, N),
        "far": base * 2,
        "half": base * 1.1,
    }


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("compare")
    made = [
        trial(name, dataset=f"d{i}", mse=float(mse), seconds={"fit": 5.0 if name == "one" else 60})
        for name, values in errors().items()
        for i, mse in enumerate(values)
        if name != "half" or i < 3
    ]
    made += [failed("No.", predictor="half", dataset=f"d{i}") for i in range(3, N)]
    build(made, folder, "c", "store", {})
    return folder


def compared(open_site, site, *names: str):
    ids = [row_of(site, name)["id"] for name in names]
    page = open_site(site, f"#compare/{'/'.join(ids)}")
    ready(page, "compare")
    return page


def test_wins_difference_and_interval_are_those_of_the_datasets(open_site, site):
    page = compared(open_site, site, "one", "two")
    said = page.locator("#verdict").inner_text()

    one, two = errors()["one"], errors()["two"]
    best = np.min(list(errors().values())[:3], axis=0)
    difference = (one - two) / np.minimum(best, np.r_[errors()["half"][:3], best[3:]])
    low, high = ttest_1samp(difference, 0).confidence_interval(0.95)
    assert f"Of the {N} datasets that both have" in said
    assert f"is better by MSE on {(one < two).sum()}," in said
    assert f"two on {(one > two).sum()}" in said.replace(" with completer none", "")
    found = float(re.search(r"is ([\d.]+) (higher|lower)", said)[1])
    assert found == pytest.approx(abs(difference.mean()), abs=6e-4)
    assert (
        ("lower" in said) == (difference.mean() < 0) == ("better. " in said or "better (" in said)
    )
    shown = [float(each) for each in re.search(r"interval (\S+) to (\S+?)[,)]", said).groups()]
    assert shown == pytest.approx([low, high], abs=6e-4)
    assert ("may be none" in said) == (shown[0] <= 0 <= shown[1])


def test_each_dataset_has_both_values_and_their_difference(open_site, site):
    page = compared(open_site, site, "far", "half")

    rows = page.get_by_role("table", name="Dataset by dataset").locator("tbody tr")
    lines = [row.split("\t") for row in rows.all_inner_texts()]
    bold = [row.locator("strong").all_inner_texts() for row in rows.all()]
    assert len(lines) == N
    for i, (name, one, two, difference) in enumerate(lines):
        assert (name, float(one)) == (f"d{i}", pytest.approx(errors()["far"][i], abs=6e-4))
        if i < 3:
            wanted = errors()["far"][i] - errors()["half"][i]
            assert float(difference) == pytest.approx(wanted, abs=6e-4)
            assert bold[i] == [two]
        else:
            assert (two, difference, bold[i]) == ("–", "–", [])
    assert "too few datasets for an interval" in page.locator("#verdict").inner_text()


def test_on_a_phone_all_of_it_stands_beside_each_other(open_site, site):
    page = compared(open_site, site, "far", "half")
    page.set_viewport_size({"width": 390, "height": 844})
    region = page.get_by_role("region", name="Dataset by dataset")
    assert region.evaluate("box => box.scrollWidth <= box.clientWidth")


def test_another_row_is_chosen_and_swapped_and_stands_in_the_address(open_site, site):
    page = compared(open_site, site, "one", "two")
    one, two, far = (row_of(site, name)["id"] for name in ("one", "two", "far"))

    page.get_by_label("Second").select_option(far)
    page.get_by_role("heading", name="one against far").wait_for()
    assert f"#compare/{one}/{far}" in page.url
    page.get_by_role("button", name="Swap").click()
    page.get_by_role("heading", name="far against one").wait_for()
    assert f"#compare/{far}/{one}" in page.url
    page.get_by_label("Second").select_option(far)
    page.get_by_text("These are the same row").wait_for()
    assert two


@pytest.mark.parametrize("where", ["#compare", "#compare/nobody/%00", "#compare/toString"])
def test_without_rows_in_the_address_the_first_two_are_compared(open_site, site, where):
    page = open_site(site, where)
    ready(page, "compare")

    heading = page.locator("#view h2").inner_text()
    ranked = sorted(("one", "two"), key=lambda name: row_of(site, name)["rank"])
    assert heading == f"{ranked[0]} against {ranked[1]}"
    assert page.get_by_role("table", name="What each takes").count() == 1


def test_the_chart_explains_no_mark_that_it_does_not_have(open_site, site):
    page = open_site(site)
    assert page.locator("#answer svg.cost .clipped").count() == 0
    assert page.locator("#answer .chart .note").inner_text() == (
        "Line: Pareto front; bars: 95 % intervals; normalised: an error over the record on"
        " its dataset."
    )


def test_the_first_screen_and_the_page_of_a_method_lead_to_it(open_site, site):
    page = open_site(site)
    page.get_by_role("link", name="Compare it with the next").click()
    ready(page, "compare")
    page = open_site(site, f"#method/{row_of(site, 'far')['id']}")
    page.get_by_role("link", name="Compare with another").click()
    ready(page, "compare")
    assert page.locator("#view h2").inner_text().startswith("far against ")


def test_the_glossary_opens_where_it_was_asked_for_and_else_at_its_beginning(open_site, site):
    page = open_site(site)
    page.get_by_role("link", name="all of them").click()
    ready(page, "about")
    heading = page.get_by_role("heading", name="Columns")
    eventually(page, lambda: -1 < heading.bounding_box()["y"] < 200)
    page.evaluate("location.hash = '#table'")
    ready(page, "table")
    page.evaluate("window.scrollTo(0, 600)")
    page.get_by_role("navigation").get_by_role("link", name="Glossary").click()
    ready(page, "about")
    eventually(page, lambda: page.evaluate("scrollY") == 0)


def test_a_point_of_the_chart_says_whose_it_is(open_site, site):
    page = open_site(site)
    page.locator("#answer svg.cost circle.best").last.hover()
    eventually(page, lambda: page.locator("#tip").is_visible())
    told = page.locator("#tip").inner_text()
    assert " · none: normalised MSE " in told
    assert "training time" in told


def test_what_the_only_protocol_does_is_told_by_one_click(open_site, tmp_path):
    settings = {"demo@1": {"summary": "Small.", "settings": [["Target", "log(1 + x)"]]}}
    build([trial("one"), trial("two", mse=2)], tmp_path, "c", "store", {"settings": settings})
    page = open_site(tmp_path)
    page.get_by_text("What demo@1 does").click()
    page.get_by_role("table", name="Settings of demo@1").wait_for()
