"""The site in headless Chromium: sorting, filters, drill-down, the address, and a clean console."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace
from math import nan

import pytest

from spared_bench.leaderboard.entries import MethodEntry
from spared_bench.leaderboard.merging import entry_trials
from spared_bench.metrics.uncertainty import LEVELS
from tests.board_samples import build, demo_trials, trial
from tests.leaderboard.browsing import drawn_maps as maps
from tests.leaderboard.browsing import ready
from tests.leaderboard.reading import data_of, row_of

INTERVAL = "mean_normalised_score_interval"
FACTS = {
    "breast": {"organism": "human", "tissue": "breast", "task": "inter_patient"},
    "olfactory_bulb": {"organism": "mouse", "tissue": "brain", "task": "intra_patient"},
}
COMPLETION = [
    {
        **{"dataset": "breast", "completer": name, "split": "test", "rule": "fraction"},
        **{"rate": rate, "masks": 3, "mse": rate, "pcc": 0.5, "mse_sd": 0.01, "pcc_sd": 0.01},
        **{"parameters": None, "seconds": 1.5},
    }
    for name in ("median", "knn")
    for rate in (0.1, 0.3)
]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    other = [replace(each, protocol="spared@1") for each in (trial("egn"), trial("sepal", mse=2))]
    slide = [
        trial(
            "histogene",
            dataset="breast",
            mse=3,
            facts={"scope": "slide", "shared_donors": ["<i>d1"]},
        )
    ]
    result = {
        **{"dataset": "breast", "completer": "none", "predictor": "stnet"},
        "split_scores": {"test": {"mse": 0.5, "pcc-gene": 0.9}},
    }
    entry = MethodEntry.model_validate(
        {
            **{"method": "STNet", "version": "2024", "protocol": "demo@1", "trust": "reported"},
            "flags": [{"kind": "suspect-cell", "reason": "Looks copied.", "dataset": "breast"}],
            "results": [result],
        }
    )
    trials = [*demo_trials(), *slide, *other, *entry_trials([entry])]
    folder = tmp_path_factory.mktemp("board")
    extras = {
        "datasets": FACTS,
        "completion": {"demo@1": COMPLETION, "filled@1": COMPLETION},
        "maps": _maps_of_first,
    }
    build(trials, folder, "spared-bench leaderboard build", "store", extras)
    return folder


def _maps_of_first(rows, metrics):
    """Return maps for the protocol that has ridge, none for the other."""
    if any(mine[0].predictor == "ridge" for mine in rows.values()):
        yield from maps(rows, metrics)
    else:
        yield "maps", {}
        yield "prepared", {}


@pytest.fixture
def open_page(browser, site):
    """Open an address; the test fails if the console reports anything or a stranger is asked."""
    pages, complaints, fetched = [], [], []

    def open_(where: str = "", **options):
        page = browser.new_page(**options)
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: fetched.append(request.url))
        page.goto((site / "index.html").as_uri() + where)
        ready(page)
        pages.append(page)
        return page

    yield open_
    texts = [page.locator("body").inner_text() for page in pages]
    for page in pages:
        page.close()
    assert complaints == []
    assert [text for text in texts if "[object" in text] == []
    allowed = (site.as_uri(), "blob:", "data:")
    assert [url for url in fetched if not url.startswith(allowed)] == []


def shown(page, heading: str) -> list[str]:
    """Return the first text of each cell below a heading."""
    script = """heading => {
        const head = [...document.querySelectorAll('#board thead th')];
        const at = head.findIndex(th => th.textContent.startsWith(heading));
        return [...document.querySelectorAll('#board tbody tr')]
            .filter(tr => tr.children.length > 1)
            .map(tr => (tr.children[at].querySelector('a, .v') || tr.children[at]).textContent);
    }"""
    return page.evaluate(script, heading)


def header(page, heading: str):
    return page.locator("#board thead th:visible").filter(has_text=heading)


def sort(page, heading: str, direction: str) -> None:
    """Click a heading and wait for the order that should follow."""
    header(page, heading).click()
    page.wait_for_selector(f"#board thead th[aria-sort={direction}]")


def numbers(texts: list[str]) -> list[float]:
    return [float(text) for text in texts if text != "–"]


@pytest.mark.parametrize(
    ("metric", "better", "worse"),
    [("mse", "ascending", "descending"), ("pcc-gene", "descending", "ascending")],
)
def test_a_click_sorts_the_best_first_another_turns_it_round_and_undefined_stays_last(
    open_page, metric, better, worse
):
    page = open_page(f"#table?metric={metric}")
    sort(page, "breast", better)
    first = shown(page, "breast")
    sort(page, "breast", worse)
    second = shown(page, "breast")

    assert numbers(first) == sorted(numbers(first), reverse=better == "descending")
    assert numbers(second) == sorted(numbers(second), reverse=worse == "descending")
    undefined = first.count("–")
    assert undefined == {"mse": 0, "pcc-gene": 2}[metric]
    assert "–" not in (*first[: len(first) - undefined], *second[: len(second) - undefined])
    assert f"sort=d%3Abreast.{worse.removesuffix('ending')}" in page.url
    assert header(page, "breast").get_attribute("aria-sort") == worse


def test_a_heading_can_be_reached_and_pressed_on_the_keyboard(open_page):
    page = open_page()
    header(page, "Method").locator("[tabindex='0'], button").first.focus()
    page.keyboard.press("Enter")
    page.wait_for_selector("#board thead th[aria-sort=ascending]")

    names = shown(page, "Method")
    assert names == sorted(names, key=str.lower)


def test_filters_work_together_and_reset_undoes_them(open_page):
    page = open_page()
    everything = len(shown(page, "Method"))
    assert everything == 12
    page.get_by_label("Search").fill("NET none")
    assert set(shown(page, "Method")) == {"shufflenet", "stnet", "STNet 2024"}
    page.locator("select[name=trust]").select_option("reported")
    assert shown(page, "Method") == ["STNet 2024"]
    page.get_by_label("Search").fill("")
    page.locator("select[name=trust]").select_option("")
    page.locator("select[name=completer]").select_option("median")
    page.get_by_label("Controls").uncheck()
    assert set(shown(page, "Completer")) == {"median"}
    assert "gene-mean" not in shown(page, "Method")
    page.get_by_label("Search").fill("nothing is called this")
    page.get_by_text("No row matches these filters.").wait_for()
    page.get_by_role("button", name="Reset").click()
    assert page.url.endswith("#table")
    assert len(shown(page, "Method")) == everything


def test_means_and_ranks_follow_the_datasets_that_the_filters_leave(open_page, site):
    page = open_page("#table?organism=human&trust=reproduced")
    rows = [row_of(site, name) for name in ("ridge", "shufflenet", "stnet")]

    shown_means = dict(zip(shown(page, "Method"), shown(page, "Norm. MSE"), strict=True))
    ranks = [int(text) for text in shown(page, "Rank") if text != "–"]

    assert page.locator("#shown").text_content().endswith("on 1 dataset that counts.")
    assert sorted(ranks) == list(range(1, len(ranks) + 1))
    assert (
        shown_means["histogene"] == f"{row_of(site, 'histogene')['scores'][0]['normalised'][0]:.3f}"
    )
    assert all(row["scores"][0]["normalised"][0] >= 1 for row in rows)
    assert header(page, "olfactory_bulb").count() == 0


def test_ranks_without_filters_are_those_of_the_tables(open_page, site):
    page = open_page()
    text = (site / "leaderboard.csv").read_text(encoding="utf-8")
    ranks = {
        (line["predictor"], line["completer"]): line["rank"]
        for line in csv.DictReader(io.StringIO(text))
        if line["protocol"] == "demo@1" and line["trust"] == "reproduced"
    }

    table = zip(shown(page, "Method"), shown(page, "Completer"), shown(page, "Rank"), strict=True)
    for name, completer, rank in table:
        if name != "STNet 2024":
            assert (ranks[name, completer] or "–") == rank


def test_the_state_comes_back_from_the_address(open_page):
    page = open_page()
    page.get_by_label("Search").fill("net")
    page.get_by_label("Controls").uncheck()
    page.get_by_label("Metric").select_option("pcc-gene")
    page.get_by_label("Per dataset").select_option("normalised")
    page.locator(".menu summary", has_text="Columns").click()
    page.get_by_role("checkbox", name="Parameters").uncheck()
    page.get_by_role("checkbox", name="Weights").check()
    sort(page, "Training", "ascending")

    again = open_page(page.url[page.url.index("#") :])

    assert again.get_by_label("Search").input_value() == "net"
    assert not again.get_by_label("Controls").is_checked()
    assert again.get_by_label("Metric").input_value() == "pcc-gene"
    assert again.get_by_label("Per dataset").input_value() == "normalised"
    assert header(again, "Parameters").count() == 0
    assert header(again, "Weights").count() == 1
    assert header(again, "Training").get_attribute("aria-sort") == "ascending"
    assert shown(again, "breast") == shown(page, "breast")


@pytest.mark.parametrize("word", ["__proto__", "constructor", "toString"])
def test_a_word_of_the_language_is_no_view(open_page, word):
    assert len(shown(open_page(f"#{word}"), "Method")) == 12


def test_a_word_of_the_language_is_no_test(browser, tmp_path):
    trials = [trial(m, dataset=d, mse=k + 1) for k, m in enumerate("abc") for d in ("d", "e")]
    path = build(trials, tmp_path, "c", "store")
    page = browser.new_page()
    page.goto(f"{path.as_uri()}#statistics?test=constructor")
    ready(page, "statistics")

    assert page.locator("#choose-test").input_value() == "wilcoxon"
    page.close()


@pytest.mark.parametrize("names", [("d", "e"), ("planted", "planted")])
def test_methods_without_a_common_dataset_are_listed_without_ranks(browser, tmp_path, names):
    told = {"method": "m", "version": "1", "source": "", "withdrawn": None, "flags": []}
    trials = [trial(m, dataset=d, pcc=nan) for m, d in zip("ab", names, strict=True)]
    trials += [
        trial("c", dataset=names[0], pcc=nan, facts={"origin": {"trust": "reported", **told}})
    ]
    errors: list[str] = []
    page = browser.new_page()
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(f"{build(trials, tmp_path, 'c', 'store').as_uri()}#statistics")
    ready(page, "statistics")
    text = page.locator("#view").inner_text()
    page.close()

    assert "Average ranks and wins" in text
    assert not re.search("NaN|undefined \\(|null", text)
    assert errors == []


def test_an_address_that_makes_no_sense_shows_everything(open_page):
    page = open_page("#no/such?sort=x.sideways&completer=%3Cscript%3E&protocol=none&dataset=%FF")

    assert len(shown(page, "Method")) == 12


def test_a_drill_down_leads_from_the_table_to_a_gene_and_back_by_its_address(open_page):
    page = open_page("#table?q=ridge")
    row = page.locator("#board tbody tr").filter(has_text="none").filter(has_text="ridge")
    row.get_by_role("link", name="ridge").click()
    ready(page, "method")
    page.get_by_role("heading", level=2).filter(has_text="ridge").wait_for()
    page.get_by_role("link", name="Maps of").first.click()
    ready(page, "map")
    page.get_by_role("heading", name="B on slide s1").wait_for()
    page.get_by_role("img", name="Measured B", exact=True).wait_for()
    page.get_by_text("○ not measured: 1 of 3 spots").wait_for()
    page.get_by_role("img", name="Predicted B", exact=True).wait_for()
    page.locator("#slide").select_option("s2")
    page.get_by_role("heading", name="B on slide s2").wait_for()
    page.get_by_label("Gene, of 2").fill("c")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="C on slide s2").wait_for()
    page.get_by_role("img", name="PCC-Gene of each of 2 genes").locator("svg").first.wait_for()

    again = open_page(page.url[page.url.index("#") :])

    again.get_by_role("heading", name="C on slide s2").wait_for()
    again.get_by_role("navigation").get_by_role("link", name="Ranking").click()
    ready(again, "table")
    assert again.get_by_label("Search").input_value() == "ridge"


def test_a_method_has_a_page_with_its_trials_and_where_they_were_run(open_page):
    page = open_page("#table?q=ridge")
    page.locator("#board tbody").get_by_role("link", name="ridge").first.click()

    page.get_by_role("heading", name="Provenance").wait_for()
    page.get_by_text("breast, seed 0: ok").click()
    key = re.compile("demo-breast-(none|median)-ridge-0")
    page.get_by_text(key).first.wait_for()
    page.get_by_role("definition").filter(has_text="3.11").first.wait_for()


def test_a_dataset_has_a_page_with_its_facts_and_its_scores(open_page):
    page = open_page("#dataset/breast")

    page.get_by_text("inter_patient").wait_for()
    page.locator("dd", has_text="<i>d1").wait_for()  # the donor in train and test
    table = page.get_by_role("table", name="Scores on breast")
    assert table.locator("tbody tr").first.locator("th").text_content() == "STNet 2024"


def test_a_protocol_under_which_only_completers_ran_leads_to_their_scores(open_page):
    page = open_page("#table?protocol=filled%401")

    page.get_by_text("No predictor has run under this protocol.").wait_for()
    page.get_by_role("link", name="What the completers scored").click()
    ready(page, "completion")
    assert page.get_by_role("table").first.locator("tbody tr").count() == len(COMPLETION)


@pytest.mark.parametrize(
    ("view", "words"),
    [
        ("figures", "Best MSE by tissue"),
        ("statistics", "Raw against completed"),
        ("completion", "breast (test slides)"),
        ("about", "How each number is computed"),
    ],
)
@pytest.mark.parametrize("width", [360, 1440])
def test_every_view_fits_its_width(open_page, view, words, width):
    page = open_page(f"#{view}", viewport={"width": width, "height": 800})
    ready(page, view)

    page.get_by_text(words).first.wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") == width
    if view == "figures":
        page.locator(".plot svg").nth(6).wait_for(state="attached")


def test_long_names_widen_no_view(browser, tmp_path):
    long = "x" * 80
    facts = {"scope": long, "weights": long}
    path = build([trial(long, long, facts=facts), trial()], tmp_path, "c", "store")
    page = browser.new_page(viewport={"width": 360, "height": 800})
    row = row_of(tmp_path, long, long)
    for view in ("table", "figures", "statistics", f"method/{row['id']}"):
        page.goto(f"{path.as_uri()}#{view}")
        ready(page, view.partition("/")[0])
        assert page.evaluate("document.documentElement.scrollWidth") == 360
    page.close()


def test_only_the_table_scrolls_sideways_and_its_names_stay(open_page):
    page = open_page(viewport={"width": 360, "height": 800})

    assert page.evaluate("document.documentElement.scrollWidth") == 360
    page.evaluate("document.querySelector('#view-table .scroll').scrollLeft = 300")
    name = page.locator("#board tbody td.name").first
    box = page.locator("#view-table .scroll").first.bounding_box()
    assert name.bounding_box()["x"] == pytest.approx(box["x"], abs=2)


def test_what_is_shown_is_downloaded_as_csv_json_and_latex(open_page, tmp_path):
    page = open_page("#table?q=ridge&sort=completer.desc")
    texts = {}
    for kind in ("CSV", "JSON", "LaTeX"):
        with page.expect_download() as download:
            page.get_by_role("button", name=kind).click()
        download.value.save_as(tmp_path / kind)
        texts[kind] = (tmp_path / kind).read_text(encoding="utf-8")

    lines = list(csv.DictReader(io.StringIO(texts["CSV"])))
    assert [(line["Method"], line["Completer"]) for line in lines] == [
        ("ridge", "none"),
        ("ridge", "median"),
    ]
    assert [row["completer"] for row in json.loads(texts["JSON"])["rows"]] == ["none", "median"]
    assert texts["LaTeX"].count(r"\\") == 3
    assert r"olfactory\_bulb mse" in texts["LaTeX"]


def test_a_download_has_both_ends_of_an_interval_and_no_small_error_as_zero(browser, tmp_path):
    trials = [
        trial(m, dataset=f"d{d}", mse=(d + k + 1) / 1e5)
        for m, k in (("a", 0), ("b", 9))
        for d in range(6)
    ]
    page = browser.new_page()
    page.goto(f"{build(trials, tmp_path, 'c', 'store').as_uri()}#table?metric=mse")
    ready(page, "table")
    rows = json.loads(page.evaluate("spared.exports.json()"))["rows"]
    csv_row, *_ = csv.DictReader(io.StringIO(page.evaluate("spared.exports.csv()")))
    latex = page.evaluate("spared.exports.latex()")
    page.close()

    low, high = data_of(tmp_path, "p0/board")["rows"][1]["scores"][0]["interval"]
    assert (rows[1][f"{INTERVAL}_low"], rows[1][f"{INTERVAL}_high"]) == (low, high)
    assert low < rows[1]["mean_normalised_score"] < high
    assert {"95 % interval, low", "95 % interval, high"} <= set(csv_row)
    assert " 0.000010 " in latex


def test_another_protocol_has_its_own_table(open_page):
    page = open_page()
    page.get_by_role("combobox", name="Protocol").select_option("spared@1")
    page.get_by_role("heading", name="Protocol spared@1").wait_for()

    assert shown(page, "Method") == ["egn", "sepal"]
    assert "protocol=spared%401" in page.url


def test_a_suspect_cell_is_flagged_where_it_stands(open_page):
    page = open_page("#table?q=stnet+reported")

    flag = page.locator("#board tbody .flag")
    assert flag.count() == 1
    assert "Looks copied." in flag.get_attribute("title")


def test_dark_and_light_are_the_systems_choice(open_page):
    colour = "getComputedStyle(document.body).backgroundColor"
    light = open_page(color_scheme="light").evaluate(colour)
    dark = open_page(color_scheme="dark").evaluate(colour)

    assert sum(map(int, light[4:-1].split(","))) > 600
    assert sum(map(int, dark[4:-1].split(","))) < 150


def test_a_hostile_name_runs_nothing_in_any_view(browser, tmp_path):
    names = ["<img src=x onerror=alert(1)>", "</script><script>alert(1)</script>", "a'\"><b>"]
    facts = {
        name: {"tissue": name, "task": name, "links": ["javascript:alert(1)"]} for name in names
    }
    trials = [trial(n, n, d, facts={"scope": n}) for n in names for d in names]
    path = build(trials, tmp_path, "c", "store", {"datasets": facts})
    page = browser.new_page()
    alerts: list[str] = []
    errors: list[str] = []
    page.on("dialog", lambda dialog: (alerts.append(dialog.message), dialog.dismiss()))
    page.on("console", lambda message: errors.append(message.text))
    row = row_of(tmp_path, names[0], names[0])
    for view in (
        "table",
        "figures",
        "statistics",
        f"method/{row['id']}",
        "dataset/a'%22%3E%3Cb%3E",
    ):
        page.goto(f"{path.as_uri()}#{view}")
        ready(page, view.partition("/")[0])
        assert page.locator("img, main b").count() == 0
        assert page.locator("a[href^='javascript']").count() == 0
    page.goto(f"{path.as_uri()}#table")
    ready(page, "table")

    assert set(shown(page, "Method")) == set(names)
    assert (alerts, errors) == ([], [])
    page.close()


def test_every_view_follows_the_metric_that_the_reader_chooses(open_page, site):
    page = open_page("#table?trust=reproduced")
    page.get_by_label("Metric").select_option("pcc-gene")
    header(page, "Norm. error by PCC-Gene").wait_for()
    assert "metric=pcc-gene" in page.url

    # Worked out here from the scores alone: distances from 1, over the least of each dataset.
    rows = [r for r in data_of(site, "p0/board")["rows"] if r["trust"] == "reproduced"]
    rows = [r for r in rows if not r["control"]]
    scores = {(r["predictor"], r["completer"]): r["scores"][1]["mean"][:2] for r in rows}
    # The least of the rows that were checked, bear no flag and lack nothing.
    sound = [
        r["scores"][1]["mean"]
        for r in data_of(site, "p0/board")["rows"]
        if r["trust"] != "reported" and not r["flags"] and not r["control"]
        if r["withdrawn"] is None and not any(r["failed"][:2])
    ]
    whole = [each for each in sound if None not in each[:2]]
    lowest = [min(1 - each[i] for each in whole) for i in (0, 1)]
    failed = {(r["predictor"], r["completer"]) for r in rows if any(r["failed"])}
    means = {
        name: sum((1 - v) / low for v, low in zip(values, lowest, strict=True)) / 2
        for name, values in scores.items()
        if None not in values and name not in failed
    }
    order = sorted(means, key=means.get)
    names = list(zip(shown(page, "Method"), shown(page, "Completer"), strict=True))
    ranks = dict(zip(names, shown(page, "Rank"), strict=True))
    found = dict(zip(names, shown(page, "Norm. error by PCC-Gene"), strict=True))
    assert {name: ranks[name] for name in order} == {n: str(i + 1) for i, n in enumerate(order)}
    for name, mean in means.items():
        assert float(found[name]) == pytest.approx(mean, abs=0.0006)
    assert [name for name in names if name in means] == order  # and stand in that order

    figures = open_page("#figures?metric=pcc-gene")
    ready(figures, "figures")
    figures.get_by_text("Best PCC-Gene by tissue").first.wait_for()
    figures.get_by_text("Share of the 2 datasets with the highest PCC-Gene").first.wait_for()
    statistics = open_page("#statistics?metric=pcc-gene")
    ready(statistics, "statistics")
    statistics.get_by_text("Errors are distances of PCC-Gene from 1").wait_for()
    statistics.locator("#choose-metric").select_option("mse")
    statistics.get_by_text("Errors are those of MSE.").wait_for()
    dataset = open_page("#dataset/breast?metric=pcc-gene")
    ready(dataset, "dataset")
    table = dataset.get_by_role("table", name="Scores on breast")
    assert table.locator("tbody tr").first.locator("th").text_content() == "STNet 2024"
    dataset.get_by_text("Best (highest) PCC-Gene").wait_for()


def test_the_page_of_a_method_draws_its_calibration_and_says_which_classes_it_confuses(
    browser, tmp_path
):
    sure = replace(
        trial("sure"),
        calibration={"test": [0.8 * level for level in LEVELS]},
        confusion={"test": [[3, 1], [0, 2]]},
        classes=["<i>fat", "tumour"],
    )
    build([trial("ridge"), sure], tmp_path, "x", "store", {})
    page, complaints = browser.new_page(), []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    start = (tmp_path / "index.html").as_uri()

    page.goto(f"{start}#method/{row_of(tmp_path, 'sure')['id']}")
    page.wait_for_selector(".calibration svg .scatterlayer")
    assert page.locator(".calibration .scatterlayer .point").count() == len(LEVELS)
    table = page.locator("table", has_text="within 50 %").inner_text()
    assert "40.0 %" in table
    assert "72.0 %" in table
    confused = page.locator("table", has_text="as tumour").last.text_content()
    assert "as <i>fat" in confused

    page.goto(f"{start}#method/{row_of(tmp_path, 'ridge')['id']}")
    ready(page)
    page.wait_for_selector("h3:has-text('Trials')")
    assert page.locator(".calibration").count() == 0
    page.close()
    assert complaints == []


@pytest.mark.parametrize(
    "view", ["table", "statistics", "completion", "about", "compare", "method", "dataset/breast"]
)
def test_every_heading_of_every_table_has_its_explanation(open_page, site, view):
    where = f"method/{row_of(site, 'ridge')['id']}" if view == "method" else view
    page = open_page(f"#{where}")
    ready(page, view.partition("/")[0])

    bare = page.eval_on_selector_all(
        ".plain:not(.matrix) thead th",
        """all => all.filter(th => th.textContent && !(th.dataset.tip && th.tabIndex === 0))
                   .map(th => th.textContent)""",
    )

    assert bare == []
    if view != "about":
        assert page.locator(".plain thead th, #board thead th").count() >= 3
