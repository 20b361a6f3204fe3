"""The page of a dataset, and what changed: pictures, numbers, checks, and hostile names in them."""

from __future__ import annotations

from functools import partial

import pytest

from tests.board_samples import build, trial
from tests.leaderboard.browsing import drawn_maps, ready, red_tissue
from tests.leaderboard.reading import row_of

HOSTILE = "<img src=x onerror=alert(1)>"
FACTS = {
    "breast": {
        **{"organism": "human", "tissue": "breast", "technology": "Visium", "licence": "CC-BY-4.0"},
        "slides": [
            {"slide_id": "s1", "patient_id": "d1"},
            {"slide_id": HOSTILE, "patient_id": HOSTILE},
            {"slide_id": "s3", "patient_id": "d3"},
        ],
        "split": {"train": ("s1", HOSTILE), "test": ("s3",)},
        "links": ["https://example.org/data", "javascript:alert(1)"],
    }
}


def slides(name):
    """Pictures of two slides of three, one of which fails a check."""
    if name == "breast":
        frame = {"left": 0, "top": 0, "width": 9, "height": 9, "spot_px": 110, "n_spots": 7}
        yield (
            "slides-1",
            {
                "pictures": {"s1": red_tissue()["webp"], HOSTILE: red_tissue()["webp"]},
                "facts": {"s1": {**frame, "um_per_px": 0.5}},
                "checks": {
                    "s1": [
                        {"test": "place", "passed": True, "message": ""},
                        {"test": "scale", "passed": None, "message": ""},
                    ],
                    HOSTILE: [{"test": HOSTILE, "passed": False, "message": "Turned."}],
                },
            },
        )


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dataset")
    extras = {"datasets": FACTS, "maps": partial(drawn_maps), "slides": slides}
    build([trial("ridge"), trial("b", mse=2)], folder, "c", "store", extras)
    build([trial("ridge", mse=0.5), trial(HOSTILE, mse=2)], folder, "c", "store", extras)
    return folder


def test_slides_stand_in_their_part_of_the_split_with_their_spots(open_site, site):
    page = open_site(site, "#dataset/breast")
    ready(page, "dataset")

    train = page.locator("#view div", has=page.get_by_role("heading", name="To learn from"))
    assert "(2 slides, 2 donors)" in train.last.inner_text()
    picture = page.get_by_role("img", name="Slide s1 with its spots")
    assert picture.evaluate("node => node.decode().then(() => node.naturalWidth)") == 200
    assert page.get_by_role("heading", name="To be scored on").count() == 0  # s3 has no picture


def test_the_numbers_of_the_first_table_of_the_paper_are_there(open_site, site):
    page = open_site(site, "#dataset/breast")
    ready(page, "dataset")
    cards = [text.split("\n") for text in page.locator(".numbers li").all_inner_texts()]

    assert {what: value for value, what in cards} == {
        **{"Slides": "3", "Donors": "3", "Spots kept": "3", "Genes": "2"},
        **{"Not measured": "25.0 %", "Train / val / test slides": "2 / 0 / 1"},
    }
    page.get_by_role("link", name="https://example.org/data").wait_for()
    page.locator("code", has_text="spared-bench data show breast").wait_for()


def test_quality_control_is_told_of_each_slide(open_site, site):
    page = open_site(site, "#dataset/breast")
    ready(page, "dataset")
    rows = page.get_by_role("table", name="Slides, divided by donor").locator("tbody tr")
    told = {
        row.locator("th").inner_text(): row.locator("td").last.inner_text() for row in rows.all()
    }

    assert told == {"s1": "1 test passed", HOSTILE: f"fails {HOSTILE}", "s3": "–"}
    assert rows.first.locator("td").nth(4).inner_text() == "55"  # 110 px of half a micrometre
    rows.nth(1).locator(".flag").hover()
    assert page.get_by_role("tooltip").inner_text() == f"{HOSTILE}: Turned."


def test_what_changed_is_told_and_nothing_of_it_is_read_as_html(open_site, site):
    page = open_site(site, "#about")
    ready(page, "about")
    changes = page.get_by_role("table", name="Changes")

    assert f"New: {HOSTILE} · none · reproduced." in changes.inner_text()
    assert page.locator("#changes img").count() == 0
    row = row_of(site, "ridge")["id"]
    mine = open_site(site, f"#method/{row}")
    ready(mine, "method")
    history = mine.get_by_role("table", name="Changes of this row from build to build")
    assert "mean mse 1.000 → 0.500" in history.inner_text()


def test_genes_by_methods_are_drawn_of_the_dataset_that_is_chosen(open_site, site):
    page = open_site(site, "#figures")
    ready(page, "figures")
    card = page.locator(".plot", has_text="Genes of")
    card.get_by_text("PCC-Gene of 2 genes (left: best predicted by all) by 1 row").wait_for()

    assert card.locator(".heatmaplayer image").count() == 1


@pytest.mark.parametrize(
    ("donors", "split", "told", "group"),
    [
        (("", "", ""), "test", "Slides; not of all is it said whose they are", "(2 slides)"),
        (("d", "e", "d"), "val", "Slides; some donors are learnt from and scored on",
         "(2 slides, 2 donors)"),
    ],
)  # fmt: skip
def test_no_more_is_told_of_donors_than_is_known(open_site, tmp_path, donors, split, told, group):
    names = ("s1", HOSTILE, "s3")
    about = [{"slide_id": s, "patient_id": d} for s, d in zip(names, donors, strict=True)]
    divided = {"train": names[:2], split: names[2:]}
    facts = {"breast": {**FACTS["breast"], "slides": about, "split": divided}}
    made = trial(facts={"evaluation_split": split}, scores={split: {"mse": 1.0}})
    build([made], tmp_path, "c", "store", {"datasets": facts, "slides": slides})
    page = open_site(tmp_path, "#dataset/breast")
    ready(page, "dataset")

    page.get_by_role("table", name=told).wait_for()
    assert group in page.locator("h4").first.inner_text()
