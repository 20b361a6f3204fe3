"""Maps in the browser: tissue, linked pictures, genes by search, and all of it in the address."""

from __future__ import annotations

from functools import partial

import pytest

from tests.board_samples import build, trial
from tests.leaderboard.browsing import (
    MEASURED,
    PREDICTED,
    drawn_maps,
    eventually,
    painted,
    ready,
)
from tests.leaderboard.reading import row_of


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("maps")
    maps = partial(drawn_maps, variance=True)
    build([trial("ridge"), trial("b", mse=2)], folder, "c", "store", {"maps": maps})
    return folder


@pytest.fixture
def open_map(open_site, site):
    row = row_of(site, "ridge")["id"]

    def open_(query: str = "", **options):
        page = open_site(site, f"#map/{row}/breast{query}", **options)
        ready(page, "map")
        painted(page)
        return page

    return open_


COLOUR = """([label, x, y]) => {
    const canvas = [...document.querySelectorAll('canvas')]
        .find(each => each.getAttribute('aria-label').startsWith(label));
    const at = (v, size) => Math.min(size - 1, Math.floor(v * size));
    const image = canvas.getContext('2d');
    return [...image.getImageData(at(x, canvas.width), at(y, canvas.height), 1, 1).data];
}"""


def colour(page, label: str, x: float, y: float) -> list[int]:
    """Return the colour at a place of a picture, in shares of its sides."""
    return page.evaluate(COLOUR, [label, x, y])


def is_red(found: list[int]) -> bool:
    return found[0] > 180 and found[1] < 80 and found[2] < 80


def is_white(found: list[int]) -> bool:
    return found[:3] == [255, 255, 255]


def is_covered(found: list[int]) -> bool:
    return not is_red(found)


def shows(page, label: str, x: float, y: float, wanted) -> None:
    """Wait until a picture has a colour at a place: it is painted with the next frame."""
    eventually(page, lambda: wanted(colour(page, label, x, y)))


def test_the_tissue_lies_below_the_spots_where_it_belongs(open_map):
    page = open_map()

    page.get_by_role("img", name="Tissue of s1").wait_for()
    shows(page, "Tissue", 0.25, 0.5, is_red)
    shows(page, "Tissue", 0.75, 0.5, is_white)
    # A spot of 60 px at (100, 100), in a picture from (0, 50) to (400, 250): a quarter in, a
    # quarter down; beyond its radius the tissue is seen.
    shows(page, "Predicted B", 0.25, 0.25, is_covered)
    shows(page, "Predicted B", 0.25 + 0.9 * 30 / 400, 0.25, is_covered)
    shows(page, "Predicted B", 0.25 + 1.15 * 30 / 400, 0.25, is_red)


def test_opacity_is_a_slider_and_stands_in_the_address(open_map):
    page = open_map("?opacity=0")
    shows(page, "Predicted B", 0.25, 0.25, is_red)
    slider = page.get_by_label("Opacity of the spots")
    assert slider.input_value() == "0"
    slider.fill("100")
    shows(page, "Predicted B", 0.25, 0.25, is_covered)
    eventually(page, lambda: "opacity=100" in page.url)


def test_pictures_move_together_and_the_address_brings_the_place_back(open_map):
    page = open_map()
    page.get_by_role("button", name="Zoom in").click()
    page.get_by_role("img", name="Measured B").focus()
    page.keyboard.press("ArrowLeft")
    eventually(page, lambda: "zoom=1.50" in page.url and "x=200.0" not in page.url)
    # 1.5 times as large, and a fifteenth of its width to the left: the edge of the red half, at
    # 200 px, lies at 0.6 of every picture.
    for name in ("Tissue", "Measured B", "Predicted B", "Predicted variance"):
        shows(page, name, 0.58, 0.5, is_red)
        shows(page, name, 0.62, 0.5, is_white)
    again = open_map("?" + page.url.split("?")[1])
    for name in ("Tissue", "Measured B", "Predicted B", "Predicted variance"):
        shows(again, name, 0.58, 0.5, is_red)
        shows(again, name, 0.62, 0.5, is_white)
    again.get_by_role("button", name="Whole slide").click()
    eventually(again, lambda: "zoom" not in again.url)


def test_a_gene_is_found_by_symbol_or_id_and_an_unknown_one_is_explained(open_map):
    page = open_map()
    box = page.get_by_label("Find a gene, of 2")
    box.fill("e3")
    box.press("Enter")
    page.get_by_role("heading", name="C on slide s1").wait_for()
    assert "gene=C" in page.url
    box = page.get_by_label("Find a gene, of 2")
    box.fill("NOPE")
    box.press("Enter")
    page.get_by_text("NOPE is not among the 2 genes that demo@1 chose on breast").wait_for()
    assert "gene=NOPE" in page.url
    # What was typed stays where it was typed, marked as wrong, and the reason lies below it.
    assert (box.input_value(), box.get_attribute("aria-invalid")) == ("NOPE", "true")
    assert page.locator(f"#{box.get_attribute('aria-describedby')}").inner_text().startswith("NOPE")
    under = page.locator("#absent").bounding_box()["y"] - box.bounding_box()["y"]
    assert 0 < under < 100
    page.get_by_role("heading", name="C on slide s1").wait_for()  # the gene that was shown stays
    page.get_by_role("button", name="predicts next better").click()
    page.get_by_role("heading", name="B on slide s1").wait_for()
    assert page.get_by_text("is not among").count() == 0


def test_the_genes_that_begin_like_what_was_typed_are_offered(open_map):
    page = open_map("?gene=c")
    page.get_by_role("heading", name="C on slide s1").wait_for()  # in either case

    tried = page.evaluate("spared.values.get('p0/truth').symbols = ['BRCA1', 'BRCA2']")
    assert tried == ["BRCA1", "BRCA2"]
    box = page.get_by_label("Find a gene, of 2")
    box.fill("brc")
    box.press("Enter")
    page.locator("#absent", has_text="Beginning like it: BRCA1, BRCA2.").wait_for()
    page.get_by_role("button", name="BRCA2").click()
    page.get_by_role("heading", name="BRCA2 on slide s1").wait_for()


def test_better_and_worse_go_by_the_scores_of_the_method_itself_and_end(open_map):
    def steps(page) -> tuple[bool, bool]:
        names = ("predicts next better", "predicts next worse")
        return tuple(page.get_by_role("button", name=each).is_enabled() for each in names)

    page = open_map("?gene=B")
    assert steps(page) == (False, True)  # B has 0.9, C 0.4
    # As where the genes stand in the order of other methods, and this one is better on C.
    page.evaluate("spared.values.get('p0/map-ridge').scores['pcc-gene'] = [0.4, 0.9]")
    page.get_by_label("Find a gene, of 2").fill("C")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="C on slide s1").wait_for()
    assert steps(page) == (False, True)
    page.get_by_role("button", name="predicts next worse").click()
    page.get_by_role("heading", name="B on slide s1").wait_for()
    assert steps(page) == (True, False)
    focused = page.get_by_role("button", name="predicts next better")
    eventually(page, lambda: focused.evaluate("each => each === document.activeElement"))
    page.evaluate("spared.values.get('p0/map-ridge').scores['pcc-gene'] = [0.4, null]")
    page.get_by_role("combobox", name="Slide").select_option("s2")
    page.get_by_role("heading", name="B on slide s2").wait_for()
    assert steps(page) == (False, False)  # of C nothing is known


def test_on_a_phone_pictures_and_their_scales_are_on_the_first_screen(open_map):
    page = open_map(viewport={"width": 390, "height": 844})
    for name in ("Measured B", "Predicted B", "Tissue of s1"):
        box = page.get_by_role("img", name=name, exact=True).bounding_box()
        assert box["y"] + box["height"] < 844, name
    scale = page.locator("figure", has_text="Measured B").locator(".scale").bounding_box()
    assert scale["y"] < 844
    assert not page.get_by_label("Opacity of the spots").is_visible()
    page.get_by_text("Method, opacity, zoom").click()
    page.get_by_role("button", name="predicts next worse").click()
    page.get_by_role("heading", name="C on slide s1").wait_for()
    page.get_by_label("Opacity of the spots").wait_for()  # as the reader left it
    assert page.evaluate("document.documentElement.scrollWidth") == 390


def test_five_pictures_stand_in_one_line_on_a_screen(open_map):
    page = open_map(viewport={"width": 1440, "height": 900})
    canvases = page.locator(".pictures canvas").all()
    assert len(canvases) == 5
    assert len({round(each.bounding_box()["y"]) for each in canvases}) == 1


def test_a_click_into_the_gene_shows_all_of_them_and_leaving_it_empty_changes_nothing(open_map):
    page = open_map("?gene=C")
    box = page.get_by_label("Find a gene, of 2")
    box.click()
    assert (box.input_value(), box.get_attribute("placeholder")) == ("", "C")
    box.press("Enter")
    page.get_by_role("heading", name="C on slide s1").click()
    assert box.input_value() == "C"
    page.get_by_role("heading", name="C on slide s1").wait_for()


def test_a_spot_is_read_in_all_pictures_at_once(open_map):
    page = open_map()
    canvas = page.get_by_role("img", name="Predicted B", exact=True)
    box = canvas.bounding_box()
    canvas.hover(position={"x": 0.25 * box["width"], "y": 0.25 * box["height"]})
    wanted = f"measured {MEASURED[0, 0]:.3f}, predicted {PREDICTED[0, 0]:.3f}, variance 0.050"
    eventually(page, lambda: page.locator("#pointed").inner_text() == wanted)
    captions = page.locator("figcaption").all_inner_texts()
    assert captions[:3] == [
        "Tissue of s1",
        f"Measured B: {MEASURED[0, 0]:.3f}",
        f"Predicted B: {PREDICTED[0, 0]:.3f}",
    ]
    page.get_by_role("heading", name="B on slide s1").hover()
    eventually(page, lambda: page.locator("figcaption").all_inner_texts()[1] == "Measured B")


def test_a_finger_reads_a_spot_by_a_tap_and_lets_go_of_it_beside_the_spots(open_map):
    page = open_map(has_touch=True, is_mobile=True, viewport={"width": 390, "height": 844})
    canvas = page.get_by_role("img", name="Measured B", exact=True)
    canvas.scroll_into_view_if_needed()
    box, caption = canvas.bounding_box(), page.locator("figcaption", has_text="Measured B")

    def tap(x, y):
        page.touchscreen.tap(box["x"] + x * box["width"], box["y"] + y * box["height"])

    tap(0.25, 0.25)
    eventually(page, lambda: caption.inner_text() == f"Measured B: {MEASURED[0, 0]:.3f}")
    tap(0.9, 0.9)
    eventually(page, lambda: caption.inner_text() == "Measured B")
    assert page.locator("#pointed").inner_text().startswith("Tap a spot to read it.")


def test_difference_and_variance_have_their_own_pictures_and_scales(open_map):
    page = open_map()

    for name in ("Predicted less measured", "Predicted variance"):
        page.get_by_role("img", name=name).wait_for()
    scales = page.locator("figure", has_text="less measured").locator(".scale").inner_text()
    assert scales.split() == ["-1.000", "1.000"]  # B: 1 where 2 was measured
    one, other = (
        page.locator("figure", has_text=f"{what} B") for what in ("Measured", "Predicted")
    )
    assert one.locator(".scale").inner_text().split(maxsplit=2) == [
        *("0.000", "2.000", "· ○ not measured: 1 of 3 spots")
    ]
    assert other.locator(".scale").inner_text().split() == ["0.000", "2.000"]  # the same scale
    # Not measured, so without a difference: hollow, and the white tissue is seen inside.
    shows(page, "Predicted less measured", 0.75, 0.25, is_white)


def test_a_slide_without_a_picture_shows_spots_only(open_map):
    page = open_map("?slide=s2")

    assert page.get_by_role("img", name="Tissue").count() == 0
    page.get_by_text("There is no picture of the tissue.").wait_for()
    page.get_by_role("img", name="Predicted B", exact=True).wait_for()


def test_where_somebody_looked_does_not_follow_to_other_views(open_map):
    page = open_map("?gene=C&zoom=2.00&x=100&y=100&metric=mse")
    for link in page.get_by_role("navigation").get_by_role("link").all():
        assert "zoom" not in link.get_attribute("href")
        assert "metric=mse" in link.get_attribute("href")


def test_values_that_make_no_sense_show_the_whole_slide(open_map):
    page = open_map("?gene=NOPE&slide=zz&zoom=NaN&x=1e99&y=-&opacity=x")

    page.get_by_text("NOPE is not among the 2 genes").wait_for()
    page.get_by_role("heading", name="B on slide s1").wait_for()
    shows(page, "Tissue", 0.25, 0.5, is_red)


@pytest.mark.parametrize("diameter", [1.0, 0.0])
def test_a_slide_of_many_spots_without_a_picture_is_drawn(open_map, diameter):
    sizes = open_map().evaluate(
        """diameter => {
            const x = Array.from({ length: 400000 }, (_, i) => 2 * (i % 800));
            const y = x.map((_, i) => 2 * Math.floor(i / 800)), places = { x, y, diameter };
            const viewer = spared.viewer.create({ ...places, picture: null }, () => {}, () => {});
            const canvas = viewer.panel("Many", null).querySelector("canvas");
            return [viewer.size, canvas.height / canvas.width];
        }""",
        diameter,
    )
    assert sizes == [diameter or pytest.approx(1.6), pytest.approx(998 / 1598, abs=0.01)]
