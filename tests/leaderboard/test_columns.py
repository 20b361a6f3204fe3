"""A column is one line: what is added to the list is in every table, download and page."""

from __future__ import annotations

import csv
import io
import json
import shutil

import pytest

from spared_bench.leaderboard import columns, terminal_table
from spared_bench.leaderboard.columns import Column, fields
from spared_bench.leaderboard.rows import Known, board_rows
from spared_bench.leaderboard.site_data import board_data
from spared_bench.leaderboard.tables import as_markdown
from spared_bench.protocol import Ranking
from spared_bench.specs import MetricSpec
from tests.board_samples import METRICS, as_csv, as_json, build, known, trial
from tests.board_samples import board_rows as sample_board
from tests.leaderboard.reading import data_of

SPEED = Column(
    "speed",
    "Speed",
    "Trainings per hour.",
    lambda at: 3600 / at.row.fit_seconds,
    lambda at: f"{3600 / at.row.fit_seconds:.0f} an hour",
)
LETTERS = Column("letters", "Letters", "Of the dataset's name.", lambda at: len(at.about.name),
                 per=("dataset",))  # fmt: skip


@pytest.fixture
def added(monkeypatch):
    monkeypatch.setattr(columns, "COLUMNS", [*columns.COLUMNS, SPEED, LETTERS])
    return [trial(), trial("stnet", mse=2.0, seconds={"fit": 10.0})]


def test_an_added_column_is_in_every_table(added):
    board = sample_board(added)

    names, rows = terminal_table(added, known(added))
    assert [row[names.index("Speed")] for row in rows] == ["1440 an hour", "360 an hour"]
    assert [row[names.index("breast: Letters")] for row in rows] == ["6", "6"]
    header = next(line for line in as_markdown(board, "c").splitlines() if "| Rank" in line)
    assert {"Speed", "breast: Letters"} <= {cell.strip() for cell in header.split("|")}
    assert "| 1440 an hour |" in as_markdown(board, "c")
    lines = list(csv.DictReader(io.StringIO(as_csv(board))))
    assert [(line["speed"], line["letters"]) for line in lines] == [("1440.0", "6"), ("360.0", "6")]
    part = json.loads(as_json(board, "c"))["protocols"][0]
    assert [row["speed"] for row in part["rows"]] == [1440, 360]
    assert part["rows"][0]["datasets"]["breast"]["letters"] == 6
    assert part["columns"]["speed"] == {"title": "Speed", "explanation": "Trainings per hour."}


def test_a_board_is_looked_through_once_for_values_of_a_column_that_may_have_none(monkeypatch):
    looked = []
    never = Column("never", "Never", "Of nobody.", lambda at: looked.append(at.row.predictor),
                   per=("dataset",), if_any=True)  # fmt: skip
    monkeypatch.setattr(columns, "COLUMNS", [*columns.COLUMNS, never])
    names = [f"method{number}" for number in range(6)]
    sets = ["breast", "brain", "colon"]
    board = sample_board([trial(name, dataset=dataset) for name in names for dataset in sets])
    (part,) = board.protocols

    for write in (lambda: board_data(part), lambda: as_markdown(board, "the command")):
        looked.clear()
        write()
        assert len(looked) == len(names) * len(sets)


def test_an_added_column_is_in_the_pages_data(added, tmp_path):
    build(added, tmp_path, "c", "store")

    board = data_of(tmp_path, "p0/board")
    told = next(column for column in board["columns"] if column["key"] == "speed")
    assert (told["title"], told["explanation"]) == ("Speed", "Trainings per hour.")
    assert [row["cells"]["speed"] for row in board["rows"]] == [
        [1440, "1440 an hour"],
        [360, "360 an hour"],
    ]
    assert board["rows"][0]["cells"]["letters"] == [[6, "6"]]


def test_an_added_column_is_drawn_explained_and_downloaded_by_the_page(added, tmp_path):
    sync_api = pytest.importorskip("playwright.sync_api")
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        pytest.skip("no chromium is installed: the page was not tried in a browser")
    page_file = build(added, tmp_path, "c", "store").as_uri()
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        page = browser.new_page()
        page.goto(f"{page_file}#table")
        page.wait_for_selector("html[data-ready='table']")
        heading = page.locator("#board thead th").filter(has_text="Speed")
        assert heading.get_attribute("data-tip") == "Trainings per hour."
        assert page.locator("#board tbody").get_by_text("1440 an hour").count() == 1
        row = next(csv.DictReader(io.StringIO(page.evaluate("spared.exports.csv()"))))
        assert row["Speed"] == "1440"
        assert json.loads(page.evaluate("spared.exports.json()"))["rows"][0]["speed"] == 1440
        assert "& Speed &" in page.evaluate("spared.exports.latex()")
        assert page.locator("#glossary dd").filter(has_text="Trainings per hour.").count() == 1
        page.goto(f"{page_file}#dataset/breast")
        page.wait_for_selector("html[data-ready='dataset']")
        assert page.get_by_role("columnheader", name="Letters").count() == 1
        browser.close()


@pytest.mark.parametrize("name", ["rank", "seeds", "dataset", "pcc_gene", "mse_sd", "datasets"])
def test_a_metric_that_is_called_like_another_column_has_keys_of_its_own(name):
    theirs = MetricSpec(name, "a:b")
    both = [METRICS["mse"], METRICS["pcc-gene"], theirs]

    keys = [field.key for field in fields(both)]

    assert len(set(keys)) == len(keys)
    assert {field.key for field in fields(both[:2])} <= set(keys)
    scores = {"test": {"mse": 1.0, "pcc-gene": 0.5, name: 7.0}}
    specs = {**METRICS, name: theirs}
    board = board_rows([trial(scores=scores)], Known(metrics=specs, rankings={"demo@1": Ranking()}))
    (line,) = csv.DictReader(io.StringIO(as_csv(board)))
    assert (line["mse"], line["pcc_gene"], line["rank"], line["seeds"]) == ("1.0", "0.5", "1", "1")
    assert "7.0" in line.values()


def test_every_column_explains_itself_and_has_a_value_on_a_board_without_scores():
    assert all(column.title and column.explanation.endswith(".") for column in columns.COLUMNS)

    board = board_rows([trial()])  # no metric is known

    (line,) = csv.DictReader(io.StringIO(as_csv(board)))
    assert (line["predictor"], line["rank"]) == ("ridge", "")
    told = as_markdown(board, "c").replace("\\", "")
    assert "Scores by mse, pcc-gene are not shown: no plugin" in told


def test_the_field_of_view_is_shown_of_methods_that_look_at_other_windows(tmp_path):
    facts = {"field_of_view_um": 512.0}
    seeing = [trial(), trial("wide", mse=2.0, facts=facts)]
    board = sample_board(seeing)
    assert [row.field_of_view_um for row in board.protocols[0].rows] == [None, 512.0]
    header, *rows = (
        [cell.strip() for cell in line.split("|")]
        for line in as_markdown(board, "c").splitlines()
        if line.startswith("|") and "---" not in line
    )
    assert [row[header.index("Field of view")] for row in rows] == ["–", "512 µm"]
    lines = list(csv.DictReader(io.StringIO(as_csv(board))))
    assert [line["field_of_view_um"] for line in lines] == ["", "512.0"]
    assert "Field of view" not in as_markdown(sample_board([trial()]), "c")
    build(seeing, tmp_path, "c", "store")
    shown = [row["cells"]["field_of_view_um"] for row in data_of(tmp_path, "p0/board")["rows"]]
    assert [text for _, text in shown] == ["–", "512 µm"]


@pytest.mark.parametrize("told", ["wide", True, None, float("nan"), [512]])
def test_a_field_of_view_that_is_no_number_is_not_shown(told):
    board = sample_board([trial(facts={"field_of_view_um": told})])
    assert board.protocols[0].rows[0].field_of_view_um is None


@pytest.mark.parametrize(
    ("seen", "told"),
    [
        ("unknown", "may have seen test slides: its makers do not say"),
        ("overlap: TENX95", "has seen test slides: TENX95"),
        ("declared: TCGA", "other slides, say its makers: TCGA"),
        ("declared: none", "no slides"),
        ("declared: TCGA, unknown", "may have seen test slides: declared: TCGA, unknown"),
    ],
)
def test_whether_an_encoder_may_have_seen_test_slides_is_said_in_words(seen, told):
    made = [trial("probe", facts={"encoder": {"name": "uni", "seen": seen}})]
    (part,) = board_rows(made, Known()).protocols
    (column,) = (each for each in columns.COLUMNS if each.key == "may_have_seen")
    assert column.read(columns.Place(part, part.rows[0])) == told
