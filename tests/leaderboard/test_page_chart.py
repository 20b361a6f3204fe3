"""The chart of error against cost: names lie on no other name and on no point, at any width."""

from __future__ import annotations

import itertools

import pytest

from tests.board_samples import build, trial

#: Cost and error of rows on the front: three close together, two apart, names of any length.
FRONT = {
    "a-method-of-a-long-name": (1.0, 2.0),
    "WWWWWWWWWW": (1.05, 1.98),
    "c": (1.1, 1.97),
    "another-long-name-of-a-method": (50.0, 1.2),
    "last-and-best": (400.0, 1.0),
}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("chart")
    made = [trial(name, mse=mse, seconds={"fit": fit}) for name, (fit, mse) in FRONT.items()]
    made += [trial(f"behind{i}", mse=2.0 + i / 20, seconds={"fit": 2.0 + i}) for i in range(8)]
    build(made, folder, "c", "store", {})
    return folder


BOXES = """selector => [...document.querySelectorAll(`#answer svg.cost ${selector}`)].map(each => {
    const box = each.getBBox();
    return [box.x, box.y, box.x + box.width, box.y + box.height];
})"""


def overlap(one, two, slack: float = 1.0) -> bool:
    return (
        one[0] < two[2] - slack
        and two[0] < one[2] - slack
        and one[1] < two[3] - slack
        and two[1] < one[3] - slack
    )


@pytest.mark.parametrize("width", [390, 768, 1440])
def test_no_name_lies_on_another_or_on_a_point_of_the_front(open_site, site, width):
    page = open_site(site, viewport={"width": width, "height": 900})
    names, points = page.evaluate(BOXES, ".name"), page.evaluate(BOXES, "circle.best")
    shown = page.locator("#answer svg.cost .name").all_text_contents()
    wide, tall = page.locator("#answer svg.cost").get_attribute("viewBox").split()[2:]

    assert len(points) == len(FRONT)
    assert len(names) >= 3 and "last-and-best" in " ".join(shown)
    assert not [pair for pair in itertools.combinations(names, 2) if overlap(*pair)]
    # Boxes of text have the height of a line, beyond what is drawn of the letters.
    assert not [(n, p) for n in names for p in points if overlap(n, p, 3.0)]
    assert all(n[0] >= 0 and n[2] <= float(wide) and n[3] <= float(tall) for n in names)


def test_on_a_phone_the_words_of_the_chart_are_as_large_as_elsewhere(open_site, site):
    page = open_site(site, viewport={"width": 390, "height": 844})
    scale = page.evaluate("document.querySelector('#answer svg.cost').getScreenCTM().a")

    assert 0.9 < scale < 1.3
