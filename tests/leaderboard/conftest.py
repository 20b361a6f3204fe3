"""A browser for the tests of the page."""

from __future__ import annotations

import shutil

import pytest

from tests.leaderboard.browsing import ready

ARGUMENTS = [
    *("--no-sandbox", "--disable-gpu", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--no-first-run"),
]


@pytest.fixture(scope="module")
def browser():
    sync_api = pytest.importorskip(
        "playwright.sync_api",
        reason="playwright is not installed: the page was not tried in a browser",
    )
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        pytest.skip("no chromium is installed: the page was not tried in a browser")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        browser.close()


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
