"""The report: nothing is loaded, everything is escaped, and boxes are where numpy puts them."""

from __future__ import annotations

import re

import numpy as np
import pytest

from spared_bench.studies.blocks import Section, Sentences, Table, Values, boxes
from spared_bench.studies.page import write_page

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
