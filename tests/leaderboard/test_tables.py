"""The tables say what the board says, whatever strangers call their methods."""

from __future__ import annotations

import csv
import io
import json
import math

import pytest

from spared_bench.leaderboard import terminal_table as table_of
from spared_bench.leaderboard.tables import as_markdown
from spared_bench.leaderboard.text import count, duration, fixed, score, visible
from tests.board_samples import (
    as_csv,
    as_json,
    board_rows,
    build,
    demo_trials,
    failed,
    known,
    trial,
)

COMMAND = "spared-bench leaderboard build"


def terminal_table(trials):
    return table_of(trials, known(trials))


def test_the_first_line_of_the_markdown_names_the_command_that_wrote_it():
    text = as_markdown(board_rows(demo_trials()), COMMAND)

    assert text.splitlines()[0] == f"[//]: # (Written by: {COMMAND})"


def test_every_line_of_a_markdown_table_has_the_same_number_of_cells():
    text = as_markdown(board_rows([*demo_trials(), trial("a|b\n| c |")]), COMMAND)

    tables = [line.replace("\\|", "") for line in text.splitlines() if line.startswith("|")]
    measured = [line.count("|") for line in tables if "reason" not in line]
    assert len(set(measured[:10])) == 1
    assert "a\\|b \\| c \\|" in text


def test_csv_holds_every_digit_of_every_score():
    trials = [trial(mse=0.1 + 0.2, pcc=1 / 3), trial("stnet", mse=0.7, pcc=math.nan)]

    rows = {
        row["predictor"]: row for row in csv.DictReader(io.StringIO(as_csv(board_rows(trials))))
    }

    assert float(rows["ridge"]["mse"]) == 0.1 + 0.2
    assert float(rows["ridge"]["pcc_gene"]) == 1 / 3
    assert rows["stnet"]["pcc_gene"] == ""
    assert rows["stnet"]["rank"] == "2"


def test_csv_runs_no_formula_in_a_spreadsheet():
    text = as_csv(board_rows([trial('=HYPERLINK("http://x")', mse=1.0, pcc=-0.5)]))

    (row,) = csv.DictReader(io.StringIO(text))
    assert row["predictor"].startswith("'=")
    assert float(row["pcc_gene"]) == -0.5  # a number stays a number


def test_json_is_strict_and_holds_every_digit():
    text = as_json(board_rows([trial(mse=0.1 + 0.2, pcc=math.nan)]), COMMAND)

    values = json.loads(text, parse_constant=pytest.fail)
    scores = values["protocols"][0]["rows"][0]["datasets"]["breast"]
    assert scores["mse"] == 0.1 + 0.2
    assert scores["pcc_gene"] is None
    assert values["written_by"] == COMMAND


def test_the_terminal_table_is_compact_and_says_what_is_missing():
    trials = [
        *(trial("ridge", dataset=name, mse=1.0, pcc=0.25) for name in ("a", "b")),
        trial("stnet", dataset="a", mse=2.0, pcc=0.125),
        failed(predictor="stnet", dataset="b"),
    ]

    names, rows = terminal_table(trials)

    assert names == [
        *("Rank", "Predictor", "Completer", "Norm. MSE", "PCC-Gene"),
        *("a: PCC-Gene", "b: PCC-Gene"),
    ]
    assert rows == [
        ["1", "ridge", "none", "1.000", "0.250", "0.250", "0.250"],
        ["–", "stnet", "none", "2.000 (1/2)", "0.125 (1/2)", "0.125", "–"],
    ]


def test_a_terminal_table_of_several_protocols_names_them():
    names, rows = terminal_table([trial(), trial(protocol="spared@1")])

    assert names[-1] == "Protocol"
    assert [row[-1] for row in rows] == ["demo@1", "spared@1"]


def test_nothing_invisible_is_left_in_a_name():
    hostile = "a\u202eb\x1b[31mc\nd\u2066\x00e\ud800"

    assert visible(hostile) == "a�b�[31mc d��e�"
    assert visible("x" * 10_000) == "x" * 79 + "…"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (score(math.nan), "–"),
        (score(0.12345), "0.123"),
        (score(-0.002), "-0.002"),
        (score(0.00012), "0.00012"),
        (score(123456.0), "123,456"),
        (fixed(0.00017), "0.000"),
        (fixed(-0.00017), "0.000"),
        (fixed(-0.0123), "-0.012"),
        (fixed(math.nan), "–"),
        (count(None), "–"),
        (count(0), "0"),
        (count(999), "999"),
        (count(999_499), "999 k"),
        (count(999_999), "1 M"),
        (count(10**12), "1000 G"),
        (count(7_045_000), "7.04 M"),
        (duration(math.nan), "–"),
        (duration(0.001), "< 0.01 s"),
        (duration(0.5), "0.50 s"),
        (duration(75), "1 min 15 s"),
        (duration(3_599.7), "1 h 00 min"),
    ],
)
def test_numbers_read_well(text, expected):
    assert text == expected


def test_a_command_cannot_leave_the_comment_that_names_it():
    text = as_markdown(board_rows(demo_trials()), "run --plugin a)b\n# c \\")
    first, second = text.splitlines()[:2]
    assert first.startswith("[//]: # (Written by: run --plugin a]b")
    assert first.count(")") == 1 and first.endswith(")") and "\\" not in first
    assert second == ""


def test_a_terminal_names_the_tier_and_markdown_says_in_words_what_it_is():
    trials = [trial(dataset="breast", facts={"shared_donors": ["donor 1"], "tier": "B"})]

    names, _ = terminal_table(trials)

    assert "breast (tier B): PCC-Gene" in names
    assert "breast (donors in train and test): PCC-Gene" in as_markdown(board_rows(trials), COMMAND)


def test_half_a_letter_in_a_name_or_in_what_a_trial_says_ends_no_build(tmp_path):
    odd = trial("a\ud800b", facts={"weights": "\udc00é"}, parameters={"x": "\ud800"})
    build([odd, trial("ridge")], tmp_path, COMMAND, "store")
    table = (tmp_path / "leaderboard.csv").read_text(encoding="utf-8")
    assert {row["predictor"]: row["weights"] for row in csv.DictReader(io.StringIO(table))} == {
        "a?b": "?é",
        "ridge": "",
    }
