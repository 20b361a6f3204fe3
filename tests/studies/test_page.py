"""The report: nothing is loaded, everything is escaped, and boxes are where numpy puts them."""

from __future__ import annotations

import re

import numpy as np
import pytest

from spared_bench.studies.blocks import (
    Picture,
    Pictures,
    Section,
    Sentences,
    Spread,
    Table,
    Values,
    boxes,
    spreads,
)
from spared_bench.studies.page import write_page
from tests.accessibility import faults

EVIL = "<script>alert('x')</script>"


def page(tmp_path, *parts) -> str:
    path = write_page(
        tmp_path,
        title=EVIL,
        summary=EVIL,
        question=EVIL,
        facts={EVIL: EVIL},
        sections=[Section(EVIL, parts, EVIL)],
        files=[],
        command=EVIL,
    )
    return path.read_text()


def test_what_comes_from_others_is_escaped_everywhere(tmp_path):
    html = page(
        tmp_path,
        Table(EVIL, (EVIL,), ((EVIL,),), EVIL),
        Sentences(EVIL, (EVIL,), notice=True),
        boxes(EVIL, EVIL, [Values(EVIL, [0.1, 0.2], [0.15], True, EVIL)]),
    )
    assert "<script" not in html
    assert html.count("&lt;script&gt;") > 10


def test_a_page_loads_nothing_from_anywhere(tmp_path):
    html = page(tmp_path, Table("t", ("a",), (("1",),)))

    assert "default-src 'none'" in html
    assert not re.search(r"""(src|href)=["'](?!data:)""", html)
    assert "url(" not in html


def test_the_maps_of_a_gene_begin_a_row_even_where_two_make_no_whole_one(tmp_path):
    shown = [("one, measured", True), ("one, predicted", False), ("other, measured", True)]
    pictures = tuple(Picture("data:,", text, begins_row=first) for text, first in shown)
    html = page(tmp_path, Pictures("Maps", pictures, columns=3))

    first = re.findall(r'<figure class="first">.*?<figcaption>(.*?)</figcaption>', html)
    assert first == ["one, measured", "other, measured"]
    assert ".first { grid-column-start: 1; }" in html


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_on_a_phone(browser, tmp_path, scheme):
    wide = Table("A table", tuple("abcdefgh"), (tuple("x" * 30 for _ in range(8)),), "Caption")
    page(
        tmp_path,
        wide,
        Table("", ("no title",), (("1",),)),
        boxes("Boxes", "caption", [Values("x", [0.1, 0.2], [0.15], True, "tail")]),
        Pictures("Maps", (Picture("data:image/gif;base64,R0lGODlhAQABAAAAACw=", "a map"),)),
        Sentences("", ("a sentence",), notice=True),
    )
    context = browser.new_context(
        bypass_csp=True, color_scheme=scheme, viewport={"width": 390, "height": 900}
    )
    opened = context.new_page()
    opened.goto((tmp_path / "index.html").as_uri())
    found = faults(opened, ("moderate", "serious", "critical"))
    context.close()
    assert found == []


def test_a_box_is_where_numpy_puts_its_quartiles(rng):
    values = np.concatenate([rng.normal(0.3, 0.1, 200), [-3.0, 4.0]])
    plot = boxes("", "", [Values("x", values), Values("y", [0.0, 1.0])])
    (box, other), ticks = plot.rows, dict(plot.ticks)

    # The second row tells the scale: its ends are 0 and 1.
    at = {value: place for place, value in ticks.items()}
    width = at["1.0"] - at["0.0"]
    quartiles = np.percentile(values, [25, 50, 75])
    assert [box.first, box.middle, box.third] == pytest.approx(
        at["0.0"] + width * quartiles, abs=0.02
    )
    reach = 1.5 * (quartiles[2] - quartiles[0])
    inside = values[(values >= quartiles[0] - reach) & (values <= quartiles[2] + reach)]
    assert box.low == pytest.approx(at["0.0"] + width * inside.min(), abs=0.02)
    assert (other.low, other.high) == pytest.approx((at["0.0"], at["1.0"]), abs=0.02)
    assert plot.zero == pytest.approx(at["0.0"])


def test_nothing_to_draw_is_a_dash_and_no_crash(tmp_path):
    html = page(tmp_path, boxes("t", "", [Values("x", [float("nan")])]))
    assert "–" in html


def test_a_difference_is_drawn_with_its_intervals_and_0_is_on_the_axis():
    nan = float("nan")
    plot = spreads(
        "",
        "",
        [
            Spread("a", 0.3, (0.2, 0.4), (0.1, 0.5), [0.25, 0.35], 6, "+0.300"),
            Spread("b", 0.3, (0.2, 0.4), (nan, nan), [], 2, "+0.300"),
            Spread("c", nan, (nan, nan), (nan, nan), [], 0, "–"),
        ],
    )
    at = {float(text): place for place, text in plot.ticks}
    width = at[0.5] - at[0.0]

    def place(value):
        return pytest.approx(at[0.0] + width * value / 0.5, abs=0.02)

    whole, bare, nothing = plot.rows
    ends = whole.low, whole.first, whole.middle, whole.third, whole.high
    assert list(ends) == [place(v) for v in (0.1, 0.2, 0.3, 0.4, 0.5)]
    assert list(whole.marks) == [place(0.25), place(0.35)]
    assert (bare.low, bare.high) == (bare.first, bare.third)
    assert not nothing.drawn
    assert plot.zero == at[0.0]


def test_many_slides_get_boxes_of_their_own_and_no_red_lines():
    from spared_bench.studies.comparing import compare
    from spared_bench.studies.factors_report import sections_of
    from spared_bench.studies.results import Collected
    from tests.studies.test_comparing import PCC, STUDY, cell

    cells = [
        cell(level, np.linspace(0, 0.5, 20) + shift)
        for level, shift in (("base", 0.0), ("one", 0.1), ("two", 0.2))
    ]
    collected = Collected(cells)
    plan = type("Plan", (), {"study": STUDY, "groups": []})()
    plots = [
        part
        for section in sections_of(plan, collected, compare(STUDY, collected, PCC), PCC)
        for part in section.parts
        if part.kind == "boxes"
    ]
    assert any(plot.title.endswith("of each slide") for plot in plots)
    assert not any(row.marks for plot in plots for row in plot.rows)


def test_the_page_has_a_dark_side(tmp_path):
    html = page(tmp_path)
    dark = html[html.index("prefers-color-scheme: dark") :]
    light = html[html.index(":root") : html.index("@media (prefers")]
    for name in re.findall(r"--[a-z-]+(?=:)", light):
        assert f"{name}:" in dark[: dark.index("}\n  figure")], name


def test_no_factor_takes_the_column_of_something_else(tmp_path):
    import csv

    from spared_bench.studies.model import parse_study
    from spared_bench.studies.results import Collected, StudyCell
    from spared_bench.studies.tables import write_tables
    from tests.studies.test_comparing import cell

    levels = {"pcc-gene": "own", "method": "first", "gene": "g", "=cmd()": "x"}
    factors = ", ".join(
        f'"{name}": {{setting: patches.s{at}, levels: [{label}, other]}}'
        for at, (name, label) in enumerate(levels.items())
    )
    study = parse_study(f"name: x\nmethods: [m]\nfactors: {{{factors}}}", "x")
    plain = cell("base", [0.25, 0.5], [0.1, 0.2])
    made = StudyCell(levels, "d", "none", "m", 0, plain.result)
    for path in write_tables(tmp_path, study, Collected([made]), [])[:3]:
        (row, *_) = list(csv.DictReader(path.open()))
        assert row["method"] == "m"
        assert row["level of method"] == "first"
        assert row["level of pcc-gene"] == "own"
        assert row["level of gene"] == "g"
        assert row["'=cmd()"] == "x"
        assert float(row["pcc-gene"]) in (0.375, 0.25, 0.1)
