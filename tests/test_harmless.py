"""No table that is written runs what a stranger has written, in a table program or a terminal."""

from __future__ import annotations

import csv

import pytest

from spared_bench.completion.tables import _write_csv
from spared_bench.harmless import table_cell
from spared_bench.studies.tables import write_table

TEXTS = {
    "=HYPERLINK(1)": "'=HYPERLINK(1)",
    "+two": "'+two",
    "@three": "'@three",
    "\r=1": "' =1",
    "\n=1": "'\n=1",
    "\uff1d1+1": "'\uff1d1+1",
    "st\x1b[31m-net": "st\ufffd[31m-net",
    "\u202egnp": "\ufffdgnp",
    "\ud800": "?",
    "st\u200d-net": "st\ufffd-net",
    "plain, 大小": "plain, 大小",
    "می\u200cخواهم, क्\u200dष": "می\u200cخواهم, क्\u200dष",
    "\u2764\ufe0f\u200d\U0001f525": "\u2764\ufe0f\u200d\U0001f525",
}


@pytest.mark.parametrize("write", [_write_csv, write_table])
def test_tables_hold_no_formula_and_no_escape(tmp_path, write):
    path = tmp_path / "table.csv"
    write(path, [{"slide": text, "mse": -0.5, "sd": float("nan")} for text in TEXTS])
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["slide"] for row in rows] == list(TEXTS.values())
    assert {(row["mse"], row["sd"]) for row in rows} == {("-0.5", "")}


def test_what_is_no_text_stays():
    assert [table_cell(each) for each in (3, -0.5, None, True)] == [3, -0.5, None, True]
