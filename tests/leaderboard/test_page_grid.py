"""The ranking's rows, their order and their pages, and the chart of many rows: a board of 330."""

from __future__ import annotations

import itertools
import json
import re

import numpy as np
import pytest

from tests.board_samples import build, failed, trial
from tests.leaderboard.browsing import eventually

N = 330
COMPLETERS = ("none", "median", "spackle")


def made_up():
    """Rows with ties, without scores, with every completer, and one that is far off."""
    rng = np.random.default_rng(11)
    errors = rng.uniform(0.5, 1.5, N).round(2)
    errors[7] = 40.0
    made = []
    for i, mse in enumerate(errors):
        name, completer = f"{'Mm'[i % 2]}ethod{i:03}", COMPLETERS[i % 3]
        made.append(
            trial(
                name,
                completer,
                mse=float(mse),
                pcc=float(rng.uniform(-0.2, 0.6)) if i % 11 else float("nan"),
                seconds={"fit": float(10 ** rng.uniform(-1, 4))},
            )
        )
    return [*made, failed("No weights.", predictor="broken")]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("many")
    build(made_up(), folder, "c", "store", {})
    return folder


def exported(page) -> list[dict]:
    """Return what is shown, in its order, with all digits."""
    return json.loads(page.evaluate("spared.exports.json()"))["rows"]


def shown(page) -> list[str]:
    return page.locator("#board tbody td.name a").all_inner_texts()


def plainly(rows: list[dict], key: str, descending: bool) -> list[dict]:
    """Sort as a reader would: absent values last, equal ones as they stood."""
    known = [row for row in rows if row[key] is not None]
    value = {id(row): row[key].lower() if isinstance(row[key], str) else row[key] for row in known}
    known = sorted(known, key=lambda row: value[id(row)], reverse=descending)
    return [*known, *(row for row in rows if row[key] is None)]


@pytest.mark.parametrize("direction", ["asc", "desc"])
@pytest.mark.parametrize(
    "key", ["rank", "name", "completer", "mean_normalised_score", "fit_seconds",
            "mean_score:pcc-gene", "d:breast"],
)  # fmt: skip
def test_rows_stand_in_the_order_of_a_column(open_site, site, key, direction):
    page = open_site(site, "#table?columns=%2Brank")
    rows = exported(page)

    page.evaluate("where => { location.hash = where; }", f"#table?sort={key}.{direction}")
    eventually(page, lambda: page.locator(f'th[data-key="{key}"][aria-sort]').count() == 1)

    wanted = [row["name"] for row in plainly(rows, key, direction == "desc")]
    assert [row["name"] for row in exported(page)] == wanted
    assert shown(page) == wanted[:25]


def test_pages_hold_every_row_once_and_the_keyboard_stays_on_them(open_site, site):
    page = open_site(site)
    every = [row["name"] for row in exported(page)]
    found = shown(page)
    following = page.get_by_role("button", name="Next page")

    while following.is_enabled():
        following.focus()
        page.keyboard.press("Enter")
        found += shown(page)
        assert page.evaluate("document.activeElement.closest('.pages') !== null")

    assert found == every
    last = -(-len(every) // 25)
    assert page.get_by_role("button", name=f"Page {last}", exact=True).get_attribute(
        "aria-current"
    ) == ("page")
    assert page.locator("#paging [role=status]").inner_text().endswith(f"of {len(every)}")

    page.get_by_label("Rows a page").select_option("All")
    assert shown(page) == every
    assert page.locator("#paging nav button").count() == 0


@pytest.mark.parametrize(
    ("query", "fits"),
    [
        ("completer=median", lambda row: row["completer"] == "median"),
        ("q=method1+SPACKLE", lambda row: "method1" in row["name"].lower()
         and row["completer"] == "spackle"),
        ("q=no-such-method", lambda row: False),
    ],
)  # fmt: skip
def test_a_filter_leaves_what_fits_and_nothing_else(open_site, site, query, fits):
    everything = exported(open_site(site))
    page = open_site(site, f"#table?{query}")

    left = exported(page)

    assert sorted(row["name"] for row in left) == sorted(
        row["name"] for row in everything if fits(row)
    )
    assert shown(page) == [row["name"] for row in left][:25]
    if not left:
        assert "No row matches" in page.locator("#board tbody").inner_text()


def test_another_filter_begins_at_the_first_page_and_a_way_back_does_not(open_site, site):
    page = open_site(site)
    page.get_by_role("button", name="Page 2", exact=True).click()
    second = shown(page)

    page.evaluate("spared.render()")
    assert shown(page) == second

    page.get_by_label("Search").fill("method")
    eventually(page, lambda: shown(page) != second)
    assert shown(page) == [row["name"] for row in exported(page)][:25]


def test_the_numbers_of_pages_skip_only_where_a_gap_is_marked(open_site, site):
    page = open_site(site)
    for pages in (1, 2, 3, 7, 40):
        for at in range(pages):
            found = page.evaluate("([p, n]) => spared.grid.numbers(p, n)", [at, pages])
            numbers = [each for each in found if each is not None]
            near = {0, at - 1, at, at + 1, pages - 1}
            assert numbers == sorted(near & set(range(pages)))
            gaps = sum(b > a + 1 for a, b in itertools.pairwise(numbers))
            assert found.count(None) == gaps
            assert all(
                found[k + 1] > found[k - 1] + 1 for k, each in enumerate(found) if each is None
            )


def test_of_many_rows_each_has_its_point_in_the_chart_where_time_and_error_put_it(open_site, site):
    page = open_site(site)
    rows = [row for row in exported(page) if row["mean_normalised_score"] is not None]
    svg = page.locator("#answer svg.cost")
    page.get_by_text("triangles lie beyond the axis").wait_for()

    def drawn(attribute: str, selector: str) -> str:
        nodes = svg.locator(selector)
        return " ".join(nodes.nth(i).get_attribute(attribute) for i in range(nodes.count()))

    pair = r"M(-?[\d.]+),(-?[\d.]+)"
    inside = [(float(x), float(y)) for x, y in re.findall(pair, drawn("d", "path.crowd"))]
    clipped = [(float(x), float(y)) for x, y in re.findall(pair, drawn("d", "path.clipped"))]
    across, down = (drawn(name, "circle.best").split() for name in ("cx", "cy"))
    inside += [(float(x), float(y)) for x, y in zip(across, down, strict=True)]
    assert len(inside) + len(clipped) == len(rows) == N
    assert len(across) >= 2
    assert len(clipped) >= 1  # the one whose error is forty times that of others

    # Both axes are straight: the logarithm of the time, and the error. What is clipped keeps its
    # time.
    times = np.log10([row["fit_seconds"] for row in rows])
    errors = np.array([row["mean_normalised_score"] for row in rows])
    drawn_x = np.sort([x for x, _ in (*inside, *clipped)])
    drawn_y = np.sort([-y for _, y in inside])
    to_x = np.polyfit(np.sort(times), drawn_x, 1)
    to_y = np.polyfit(np.sort(errors)[: len(inside)], drawn_y, 1)
    for time, error in zip(times, errors, strict=True):
        x, y = np.polyval(to_x, time), -np.polyval(to_y, error)
        some = inside if error < np.sort(errors)[len(inside)] else clipped
        assert any(abs(x - px) < 0.2 and (some is clipped or abs(y - py) < 0.2) for px, py in some)
