"""The page in headless Chromium: sorting, filtering, the URL, downloads, and a clean console."""

from __future__ import annotations

import csv
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from spared_bench.leaderboard import build
from tests.board_samples import demo_trials, trial

sync_api = pytest.importorskip(
    "playwright.sync_api", reason="playwright is not installed: the page was not tried in a browser"
)
ARGUMENTS = [
    *("--no-sandbox", "--disable-gpu", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--no-first-run"),
]


@pytest.fixture(scope="module")
def browser():
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        pytest.skip("no chromium is installed: the page was not tried in a browser")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def address(tmp_path_factory) -> str:
    other = [replace(each, protocol="spared@1") for each in (trial("egn"), trial("sepal", mse=2))]
    slide = [trial("histogene", dataset=d, mse=3, facts={"scope": "slide"}) for d in ("breast",)]
    trials = [*demo_trials(), *slide, *other]
    folder = tmp_path_factory.mktemp("board")
    return build(trials, folder, "spared-bench leaderboard build", "store").as_uri()


@pytest.fixture
def page(browser, address):
    """An open page; the test fails if the console reports anything or anything is fetched."""
    page = browser.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    fetched: list[str] = []
    page.on("request", lambda request: fetched.append(request.url))
    page.goto(address)
    yield page
    page.close()
    assert complaints == []
    assert {url.partition("#")[0] for url in fetched if not url.startswith("blob:")} == {address}


def shown(page, column: int) -> list[str]:
    """Return the texts of a column in the rows that can be seen."""
    script = """column => [...document.querySelectorAll('.part:not([hidden]) > .scroll tbody tr')]
        .filter(row => row.offsetParent)
        .map(row => row.children[column].querySelector('.v, bdi').textContent)"""
    return page.evaluate(script, column)


def header(page, key: str):
    return page.locator(f".part:not([hidden]) th[data-key={key}]")


def numbers(texts: list[str]) -> list[float]:
    return [float(text) for text in texts if text != "–"]


def test_a_click_sorts_by_a_column_and_another_click_turns_it_round(page):
    header(page, "pcc0").locator("button").click()
    first = shown(page, 6)
    assert header(page, "pcc0").get_attribute("aria-sort") == "descending"
    header(page, "pcc0").locator("button").click()
    second = shown(page, 6)

    assert header(page, "pcc0").get_attribute("aria-sort") == "ascending"
    assert numbers(first) == sorted(numbers(first), reverse=True)
    assert numbers(second) == sorted(numbers(second))
    assert first[-2:] == second[-2:] == ["–", "–"]  # undefined is last both ways
    assert page.locator("[aria-sort=ascending], [aria-sort=descending]").count() == 1


def test_a_header_can_be_reached_and_pressed_on_the_keyboard(page):
    header(page, "predictor").locator("button").focus()
    page.keyboard.press("Enter")

    names = shown(page, 0)
    assert names == sorted(names)
    assert names[0] == "bleep"


def test_text_completer_scope_and_controls_filter_rows_together(page):
    assert len(shown(page, 0)) == 11
    page.get_by_label("Search").fill("NET none")
    assert shown(page, 0) == ["shufflenet", "stnet"]
    page.get_by_label("Search").fill("")
    page.get_by_label("Completer").select_option("median")
    assert set(shown(page, 2)) == {"median"}
    page.get_by_label("Controls").uncheck()
    assert "gene-mean" not in shown(page, 0)
    assert page.get_by_role("status").first.text_content() == "4 of 11 shown."
    page.get_by_label("Completer").select_option("")
    page.get_by_label("Scope").select_option("slide")
    assert shown(page, 0) == ["histogene"]
    page.get_by_label("Search").fill("nothing is called this")
    assert page.get_by_text("No row matches these filters.").first.is_visible()
    page.get_by_role("button", name="Reset").click()
    page.wait_for_function("location.hash === ''")
    assert len(shown(page, 0)) == 11


def test_the_state_comes_back_from_the_url(page, browser):
    page.get_by_label("Search").fill("net")
    page.get_by_label("Controls").uncheck()
    header(page, "time").locator("button").click()

    again = browser.new_page()
    again.goto(page.url)

    assert again.get_by_label("Search").input_value() == "net"
    assert not again.get_by_label("Controls").is_checked()
    assert header(again, "time").get_attribute("aria-sort") == "ascending"
    assert shown(again, 0) == shown(page, 0)
    again.close()


def test_a_url_that_makes_no_sense_shows_everything(page, address):
    page.goto(address + "#sort=nothing.sideways&completer=%3Cscript%3E&protocol=none&q=%FF")
    page.get_by_label("Search").fill("")

    assert len(shown(page, 0)) == 11


def test_another_protocol_has_its_own_table(page):
    page.locator("select[name=protocol]").select_option("spared@1")

    assert shown(page, 0) == ["egn", "sepal"]
    assert "protocol=spared%401" in page.url
    assert page.get_by_label("Completer").is_hidden()  # there is nothing to choose


def test_the_csv_is_downloaded_without_a_network(page, tmp_path):
    with page.expect_download() as download:
        page.get_by_role("button", name="CSV").click()
    download.value.save_as(tmp_path / "board.csv")

    rows = list(csv.DictReader((tmp_path / "board.csv").open(encoding="utf-8")))
    assert {row["protocol"] for row in rows} == {"demo@1", "spared@1"}


@pytest.mark.parametrize("width", [360, 1440])
def test_only_the_table_scrolls_sideways(page, width):
    page.set_viewport_size({"width": width, "height": 800})

    assert page.evaluate("document.documentElement.scrollWidth") == width
    name = page.locator("tbody th.name").first
    before = name.bounding_box()["x"]
    page.evaluate("document.querySelector('.scroll').scrollLeft = 200")
    assert name.bounding_box()["x"] == pytest.approx(before, abs=2)  # the first column stays


def test_a_hostile_name_runs_nothing(browser, tmp_path):
    names = ["<img src=x onerror=alert(1)>", "</script><script>alert(1)</script>"]
    path: Path = build([trial(n, n) for n in names], tmp_path, "c", "store")
    page = browser.new_page()
    alerts: list[str] = []
    page.on("dialog", lambda dialog: (alerts.append(dialog.message), dialog.dismiss()))
    page.goto(path.as_uri())

    assert set(shown(page, 0)) == set(names)
    assert alerts == []
    page.close()
