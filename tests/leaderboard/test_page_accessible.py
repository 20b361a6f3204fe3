"""Accessibility: axe finds nothing serious, in any view, on a screen and on a phone."""

from __future__ import annotations

import pytest

from tests.accessibility import faults
from tests.board_samples import build, demo_trials
from tests.leaderboard.browsing import drawn_maps, ready
from tests.leaderboard.reading import row_of

FACTS = {
    "breast": {
        **{"organism": "human", "tissue": "breast", "technology": "Visium"},
        "slides": [{"slide_id": "s1", "patient_id": "p1"}],
        "split": {"test": ("s1",)},
    }
}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("axe")
    settings = {"demo@1": {"summary": "Small.", "settings": [["Seeds", "2"]]}}
    extras = {
        "datasets": FACTS,
        "maps": drawn_maps,
        "settings": settings,
        "predictors": {"ridge": {}},
    }
    build(demo_trials(), folder, "c", "store", extras)
    return folder


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_axe_finds_nothing_serious(browser, site, scheme, width):
    row = row_of(site, "ridge")["id"]
    views = ["table", "figures", "compare", "statistics", "completion", "about"]
    views += [f"method/{row}", "dataset/breast", f"map/{row}/breast"]
    # The policy of the page would keep the script of the test out.
    context = browser.new_context(
        bypass_csp=True, color_scheme=scheme, viewport={"width": width, "height": 900}
    )
    page = context.new_page()
    found = []
    for view in views:
        page.goto("about:blank")
        page.goto(f"{(site / 'index.html').as_uri()}#{view}")
        ready(page, view.partition("/")[0])
        found += [f"{view}: {fault}" for fault in faults(page)]
    context.close()
    assert found == []
