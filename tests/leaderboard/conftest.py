"""A site in a browser, for the tests of the page."""

from __future__ import annotations

import pytest

from tests.leaderboard.browsing import ready


@pytest.fixture
def open_site(browser):
    """Open an address of a site; the test fails if the console reports anything."""
    pages, complaints = [], []

    def open_(folder, where: str = "", **options):
        page = browser.new_page(**options)
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto((folder / "index.html").as_uri() + where)
        ready(page)
        pages.append(page)
        return page

    yield open_
    for page in pages:
        page.close()
    # What the tests themselves do when they look at the colours of a canvas.
    assert [each for each in complaints if "willReadFrequently" not in each] == []
