"""On a phone and in the dark nothing that counts is out of sight."""

from __future__ import annotations

import pytest

from tests.board_samples import build, trial
from tests.leaderboard.browsing import drawn_maps, eventually, ready
from tests.leaderboard.reading import row_of

PHONE = {"viewport": {"width": 390, "height": 844}}
ENCODER = {"name": "uni", "seen": "unknown"}
TOLD = {"trust": "reported", "version": "1", "source": "", "withdrawn": None, "flags": []}
INK = "rgb(228, 231, 234)"  # of texts in the dark
GENES = 40


def many_genes(rows, metrics):
    for name, values in drawn_maps(rows, metrics):
        if name == "genes-0":
            (row, _), *_ = values["rows"]
            symbols = [f"G{i}" for i in range(GENES)]
            yield name, {**values, "symbols": symbols, "rows": [[row, [0.5] * GENES]]}
        else:
            yield name, values


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Published rows on six datasets, whose names are long, and one that was made here."""
    folder = tmp_path_factory.mktemp("phone")
    names = ["breast", *(f"a_dataset_of_a_long_name_{i}" for i in range(5))]
    made = [
        trial(
            "probe", dataset=d, mse=1 + k / 10 + k * i, n_parameters=None,
            facts={"encoder": ENCODER, "origin": {**TOLD, "method": f"m{k}"}},
        )
        for k in range(2) for i, d in enumerate(names)
    ]  # fmt: skip
    made += [trial("ridge", dataset=d, mse=2 + i, n_parameters=None) for i, d in enumerate(names)]
    facts = {"breast": {"tissue": "breast", "slides": [{"slide_id": "s1", "patient_id": "p"}]}}
    build(made, folder, "c", "store", {"maps": many_genes, "datasets": facts})
    return folder


def test_what_has_no_column_on_a_phone_stands_below_the_method(open_site, site):
    page = open_site(site, **PHONE)
    told = page.locator("#board td.name", has_text="m0 1").locator("small.phone")
    assert told.inner_text().startswith(
        "1 · none · reported · may have seen test slides · 95 %: 0."
    )
    ours = page.locator("#board td.name", has_text="ridge").locator("small.phone").inner_text()
    assert "reported" not in ours and "seen" not in ours
    assert page.evaluate("document.documentElement.scrollWidth") == 390


def test_a_table_that_is_wider_than_the_screen_has_a_shadow_at_its_edge(open_site, site):
    page = open_site(site, **PHONE)
    box = page.locator("#view-table .scroll")
    assert box.evaluate("each => each.scrollWidth > each.clientWidth")
    style = box.evaluate("each => getComputedStyle(each).backgroundAttachment")
    # Two that lie still, and two that cover them and are scrolled away.
    assert style.split(", ") == ["local", "local", "scroll", "scroll", "scroll"]


def test_the_caption_of_a_wide_table_is_read_without_scrolling(open_site, site):
    page = open_site(site, f"#method/{row_of(site, 'ridge')['id']}", **PHONE)
    ready(page, "method")
    wide = page.locator(".scroll", has=page.locator("table.plain")).first
    wide.evaluate(
        "each => { each.querySelector('caption span').textContent = 'word '.repeat(40); }"
    )
    assert wide.evaluate("each => each.scrollWidth > each.clientWidth")
    for left in (0, 60):
        wide.evaluate("(each, left) => { each.scrollLeft = left; }", left)
        box = wide.locator("caption span").bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= 390


def test_a_column_without_any_value_is_left_out_until_it_is_asked_for(open_site, site):
    page = open_site(site)
    assert "Parameters" not in page.locator("#board thead").inner_text()
    asked = open_site(site, "#table?columns=%2Bn_parameters")
    assert "Parameters" in asked.locator("#board thead").inner_text()


def test_genes_of_the_heat_map_are_wide_enough_to_be_seen_on_a_phone(open_site, site):
    page = open_site(site, "#figures", **PHONE)
    ready(page, "figures")
    drawn = page.locator(".heatmaplayer image")
    drawn.wait_for(state="attached")
    assert drawn.bounding_box()["width"] / GENES > 6
    assert page.evaluate("document.documentElement.scrollWidth") == 390


def test_lines_of_charts_are_seen_in_the_dark(open_site, site):
    row = row_of(site, "ridge")["id"]
    page = open_site(site, f"#map/{row}/breast?gene=B", color_scheme="dark")
    line = page.locator(".shapelayer path").first
    line.wait_for(state="attached")
    assert line.evaluate("each => getComputedStyle(each).stroke") == INK

    figures = open_site(site, "#figures", color_scheme="dark")
    ready(figures, "figures")
    bars = figures.locator(".plot", has_text="Share of the 6 datasets").locator(".errorbar path")
    eventually(figures, lambda: bars.count() > 0)
    assert bars.first.evaluate("each => getComputedStyle(each).stroke") == INK


def test_a_line_of_a_command_breaks_between_words_alone(open_site, tmp_path):
    name = "a-method-of-a-rather-long-name"
    build([trial(name), trial("b", mse=2)], tmp_path, "c", "store", {"predictors": {name: {}}})
    page = open_site(tmp_path, **PHONE)
    words = page.locator("#answer .command .unbroken")
    assert words.count() > 4
    assert "\n" in page.locator("#answer .own code").inner_text()
    lines = words.evaluate_all("all => all.map((each) => each.getClientRects().length)")
    assert lines == [1] * words.count()
    height = words.first.bounding_box()["height"]
    assert all(each.bounding_box()["height"] == height for each in words.all())
    looks = "each => getComputedStyle(each).color + getComputedStyle(each).textDecorationLine"
    code = page.locator("#answer .command code").first
    assert words.first.evaluate(looks) == code.evaluate(looks)  # as no link does
