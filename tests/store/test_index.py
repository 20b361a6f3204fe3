"""What the index gives is what the files say, whatever has happened to either."""

from __future__ import annotations

import functools
import json
import math
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace

import psutil
import pytest

from spared_bench.files import write_text
from spared_bench.keys.hashing import digest
from spared_bench.results import TrialResult, TrialScores, record_of
from spared_bench.store import index, onlooker
from spared_bench.store import records as reading
from spared_bench.store.entries import Store
from spared_bench.store.imports import write_mark
from spared_bench.store.index import FINALS, INDEX, forget_index
from spared_bench.store.maintenance import verify
from spared_bench.store.records import Records
from spared_bench.store.trials import RESULT, SCORE_RECORD, SCORES, TRIALS
from spared_bench.trials import cells
from spared_bench.trials.cells import (
    cells_in,
    earlier_cells,
    failures_since,
    finals_in,
    finished_cells,
)


@pytest.fixture(autouse=True)
def old_files(monkeypatch):
    """Take every file as one that has been there for long."""
    monkeypatch.setattr(reading, "_YOUNG", -3600.0)


@pytest.fixture(params=["here", "ahead"])
def looks(request, monkeypatch):
    """Let a child look at the files of cells, as it does of many, or this process."""
    monkeypatch.setattr(onlooker, "usable_cores", lambda: 2)
    monkeypatch.setattr(onlooker, "_WORTH", 1 if request.param == "ahead" else 10**9)


@pytest.fixture
def store(tmp_path):
    """Three finished cells, one of which searched, and a failure that none names."""
    store = Store(tmp_path / "a # place %3F" / "store")
    for seed in range(3):
        candidates = [trial(store, seed, number) for number in range(2 * (seed == 1))]
        final = trial(store, seed)
        scored = scores(store, seed)
        record_cell(store, seed, final.key, [entry.key for entry in candidates], scored.key)
    facts = {"quarantined": True, "tier": "A"}
    trial(store, 9, status="diverged", message="too far\nfrom here", facts=facts)
    return store


def trial(store, seed, candidate=-1, **values):
    inputs = {"seed": seed, "candidate": candidate}
    facts = {"evaluation_split": "test", "shared_donors": ["a"], "imported": "a lie"}
    parameters = {"alpha": 0.1, "layers": [1, 2], "name": "é\u2028"}
    values = {"status": "ok", "message": "", "facts": facts, "parameters": parameters, **values}
    values.setdefault("environment", {"device": "cpu"})
    made = TrialResult(
        key=digest(inputs),
        protocol="toy@1",
        dataset="toy",
        completer="none",
        predictor="mean" if seed < 9 else "lost",
        seed=seed,
        seconds={"total": 1.5},
        genes=["ENSG1", "ENSG2"],
        gene_symbols=["A", "B"],
        curves={"loss": [(0, 1.0), (10, math.nan)]},
        **values,
    )

    def write(folder):
        (folder / RESULT).write_text(json.dumps(made.as_dict()))
        (folder / "predictions.npz").write_bytes(b"predictions")

    return store.write(TRIALS, inputs, write)


def scores(store, seed):
    made = TrialScores(
        status="ok",
        scores={"test": {"pcc_gene": 0.1 * seed, "mse": math.nan}},
        slide_scores={"test": {"s/1": {"mse": 1.0}}},
        gene_scores={"pcc": [0.5, math.nan]},
        confusion={"test": [[1, 2], [3, 4]]},
    )

    def write(folder):
        (folder / SCORE_RECORD).write_text(json.dumps(made.as_dict()))

    return store.write(SCORES, {"scores of": seed}, write)


def record_cell(store, seed, final, search, scored):
    names = ["toy@1", "toy", "none", "mean", seed]
    record = {"cell": names, "final": final, "search": search, "scores": scored, "figures": ""}
    write_text(store.root / "cells" / f"{digest(names)}.json", json.dumps(record))


def read(store):
    """Return all that is read of a store, as text, in which nan equals nan."""
    outcomes, board = read_outcomes(store), read_finals(store)
    unread = []
    found = list(finished_cells(store, unread=unread))
    with Records(store) as records:
        return repr(
            [
                [(vars(cell.final), cell.folder, cell.scores, cell.figures) for cell in found],
                [[(vars(result), folder) for result, folder in cell.search] for cell in found],
                [vars(result) for result in failures_since(records)],
                earlier_cells(records),
                sorted(unread),
                outcomes,
                board,
            ]
        )


def read_finals(store):
    """Return what a board is made of."""
    unread = []
    with Records(store, genes=False) as records:
        return [vars(result) for result in finals_in(records, unread=unread)], sorted(unread)


def read_outcomes(store):
    """Return what a list of trials shows of each."""
    with Records(store, outcomes=True) as records:
        results = [cell.final for cell in cells_in(records)] + list(failures_since(records))
    return [shown(result) for result in results]


def shown(result):
    names = ("key", "protocol", "dataset", "completer", "predictor", "seed", "status", "message")
    return [getattr(result, name) for name in names], result.facts.get("quarantined")


def read_plainly(store):
    forget_index(store)
    return read(store)


@pytest.mark.usefixtures("looks")
@pytest.mark.parametrize(("cells_at_once", "keys_at_once"), [(200, 500), (2, 3), (1, 1)])
@pytest.mark.parametrize("by_folder", [True, False], ids=["by-folder", "by-path"])
def test_a_second_reading_opens_no_entry_and_says_the_same(
    store, monkeypatch, cells_at_once, keys_at_once, by_folder
):
    if not by_folder:  # as on systems that know none
        monkeypatch.setattr(os, "supports_dir_fd", set())
    monkeypatch.setattr(cells, "_AT_ONCE", cells_at_once)
    monkeypatch.setattr(index, "_MOST_KEYS", keys_at_once)
    plainly = read(store)
    assert "pcc_gene" in plainly
    assert "diverged" in plainly
    assert "a lie" not in plainly

    def refused(*_):
        raise AssertionError("an entry was read though nothing had changed")

    for name in ("read_trial", "read_scores", "read_cell"):
        monkeypatch.setattr(reading, name, refused)
    assert read(store) == plainly


@pytest.mark.usefixtures("looks")
def test_of_outcomes_no_more_is_read_than_a_list_shows(store):
    with Records(store) as records:
        finals = [cell.final for cell in cells_in(records)]
        (failure,) = failures_since(records)
    with Records(store, outcomes=True) as records:
        (outcome, *_) = [cell.final for cell in cells_in(records)]
    assert outcome.ok
    assert not (outcome.parameters or outcome.scores or outcome.environment or outcome.facts)
    assert shown(failure)[1] is True
    assert read_outcomes(store) == [shown(result) for result in (*finals, failure)]


@pytest.mark.usefixtures("looks")
def test_a_board_reads_of_a_cell_that_is_kept_neither_trial_nor_scores(store, monkeypatch):
    with Records(store, genes=False) as records:
        expected = [vars(cell.final) for cell in cells_in(records)]
    plainly = read_finals(store)
    assert repr(plainly) == repr((expected, []))
    for name in ("trial", "scores"):
        monkeypatch.setattr(Records, name, None)
    found = read_finals(store)
    assert repr(found) == repr(plainly)
    first, second, third = found[0]
    assert list(first) == list(TrialResult.__dataclass_fields__)
    assert first["facts"] is second["facts"] is third["facts"]  # kept once


@pytest.mark.parametrize("protocol", ["", "toy@1"])
def test_a_board_of_everything_asks_the_index_for_its_rows_once(store, monkeypatch, protocol):
    expected = read_finals(store)
    asked = []

    def asking(index, kind, *which):
        if kind == FINALS:
            asked.append(which)
        return rows_of(index, kind, *which)

    rows_of = index.Index._rows_of
    monkeypatch.setattr(index.Index, "_rows_of", asking)
    monkeypatch.setattr(cells, "_AT_ONCE", 1)
    with Records(store, genes=False) as records:
        found = [vars(result) for result in finals_in(records, protocol)]
    assert repr(found) == repr(expected[0])
    assert len(asked) == (3 if protocol else 1)


@pytest.mark.usefixtures("looks")
def test_a_board_asks_of_other_scores_of_the_same_trial_anew(store):
    (first, *_) = read_finals(store)[0]
    scored = scores(store, 7).key
    record_cell(store, 0, first["key"], [], scored)
    (again, *_) = read_finals(store)[0]
    found = [result["scores"]["test"]["pcc_gene"] for result in (first, again)]
    assert found == pytest.approx([0.0, 0.7])
    record_cell(store, 0, first["key"], [], "")
    assert [result["seed"] for result in read_finals(store)[0]] == [1, 2]


HALF_A_LETTER = "\ud800"
DEEP = functools.reduce(lambda inner, _: [inner], range(300), 1)


@pytest.mark.parametrize("field", ["facts", "parameters", "environment", "message"])
@pytest.mark.parametrize("value", [HALF_A_LETTER, DEEP], ids=["half a letter", "deep"])
def test_what_json_can_say_and_the_reader_of_the_index_not_is_read_of_the_store(
    store, field, value
):
    change = str(value) if field == "message" else {"odd": value}
    odd = trial(store, 7, status="error", **{field: change})
    record_cell(store, 7, odd.key, [], "")
    plainly = repr(read_finals(store))
    assert repr(change) in plainly
    assert repr(read_finals(store)) == plainly


@pytest.mark.usefixtures("looks")
def test_no_predictions_are_looked_for_in_an_entry_that_is_known_to_have_none(store, monkeypatch):
    (first, *_) = read_finals(store)[0]
    text = (store.folder(TRIALS, first["key"]) / RESULT).read_text()
    bare = store.write(TRIALS, {"bare": 1}, lambda folder: (folder / RESULT).write_text(text))
    record_cell(store, 5, bare.key, [], scores(store, 5).key)
    read_finals(store)
    asked = []
    monkeypatch.setattr(Store, "has", lambda _, kind, key, name: asked.append((key, name)) or True)
    with Records(store, genes=False) as records:
        assert len(list(finals_in(records))) == 4
        assert not records.has_predictions(bare.key)
        assert records.has_predictions(first["key"])
    assert asked == [(first["key"], "predictions.npz")]


@pytest.mark.usefixtures("looks")
def test_predictions_that_no_manifest_names_are_found_whatever_the_index_knew(store):
    (first, *_) = read_finals(store)[0]
    folder = store.folder(TRIALS, first["key"])
    manifest = json.loads((folder / "manifest.json").read_text())
    del manifest["files"]["predictions.npz"]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    assert [has_predictions(store, first["key"]) for _ in range(3)] == [True, True, True]
    (folder / "predictions.npz").rename(store.root / "kept")
    assert [has_predictions(store, first["key"]) for _ in range(3)] == [False, False, False]
    (store.root / "kept").rename(folder / "predictions.npz")
    assert [has_predictions(store, first["key"]) for _ in range(3)] == [True, True, True]


def has_predictions(store, key):
    """Return whether a trial has predictions, once all results were read."""
    with Records(store, genes=False) as records:
        assert len(list(finals_in(records))) == 3
        return records.has_predictions(key)


def test_code_that_puts_results_together_otherwise_makes_another_form(monkeypatch):
    form = index._form.__wrapped__
    before = form()
    assert before == form()
    monkeypatch.setattr(index, "file_digest", lambda path: f"other code of {path.name}")
    assert form() != before


def test_values_of_genes_curves_and_tracebacks_are_left_empty_where_they_are_not_wanted(
    store, monkeypatch
):
    with Records(store) as records:
        (whole, *_) = [cell.final for cell in cells_in(records)]
    forget_index(store)
    for _ in range(2):  # from the files, and by the index
        with Records(store, genes=False) as records:
            (found, *_) = [cell.final for cell in cells_in(records)]
        assert (found.gene_scores, found.genes, found.curves, found.traceback) == ({}, [], {}, "")
        names = ("gene_scores", "genes", "gene_symbols", "curves")
        same = {name: getattr(whole, name) for name in names}
        assert repr(vars(replace(found, **same))) == repr(vars(whole))
        monkeypatch.setattr(reading, "read_trial", None)
        monkeypatch.setattr(reading, "read_scores", None)
    with Records(store) as records:
        (again, *_) = [cell.final for cell in cells_in(records)]
    assert repr(vars(again)) == repr(vars(whole))


def test_a_file_that_is_young_is_not_believed_yet(store, monkeypatch):
    monkeypatch.setattr(reading, "_YOUNG", 3600.0)
    read(store)
    assert not (store.root / INDEX).exists()


def same_size(path):
    """Change a file, and set size and time back as some programs do."""
    times = path.stat()
    text = path.read_text()
    path.write_text(text.replace("0.5", "0.7").replace("1.5", "2.5"))
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert path.read_text() != text
    assert path.stat().st_size == times.st_size


def replaced(path):
    """Put a copy in its place that was changed."""
    beside = path.with_name("beside")
    beside.write_text(path.read_text().replace("0.5", "0.7").replace("1.5", "2.5"))
    beside.replace(path)


CHANGES = {
    "cut short": lambda path: os.truncate(path, 5),
    "of the same size and time": same_size,
    "replaced": replaced,
    "gone": lambda path: path.unlink(),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
    "imported": lambda path: write_mark(path.parent, {"archive": "a.tar"}),
    "its entry gone": lambda path: path.parent.rename(path.parents[3] / path.parent.name),
}


@pytest.mark.usefixtures("looks")
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("name", [RESULT, SCORE_RECORD, "manifest.json", "predictions.npz"])
def test_whatever_changes_in_an_entry_is_seen(store, name, change):
    before = read(store)
    for path in sorted(store.root.rglob(name))[:2]:
        if not (
            change == "of the same size and time" and name in ("manifest.json", "predictions.npz")
        ):
            CHANGES[change](path)
    assert read(store) == read_plainly(store)
    if name in (RESULT, SCORE_RECORD):
        assert read(store) != before


@pytest.mark.parametrize("change", ["cut short", "replaced", "gone", "of other cells", "earlier"])
def test_whatever_changes_in_the_record_of_a_cell_is_seen(store, change):
    before = read(store)
    path = sorted((store.root / "cells").iterdir())[0]
    if change == "of other cells":
        record_cell(store, 0, digest({"seed": 2, "candidate": -1}), [], digest({"scores of": 2}))
    elif change == "earlier":
        record = json.loads(path.read_text())
        del record["scores"]
        path.write_text(json.dumps(record))
    elif change == "replaced":
        path.write_text(path.read_text().replace("toy", "boy"))
    else:
        CHANGES[change](path)
    assert read(store) == read_plainly(store) != before


def test_a_link_in_a_circle_among_the_records_of_cells_is_none(store):
    link = store.root / "cells" / "circle.json"
    link.parent.mkdir(parents=True, exist_ok=True)
    before = len(Records(store).cells())
    link.symlink_to(link)
    assert len(Records(store).cells()) == before
    assert Records(store).cell(link).record is None


def test_a_record_that_goes_away_meanwhile_is_said_to_be_none(store):
    read(store)
    (path, *_) = (store.root / "cells").iterdir()
    path.unlink()
    unread = []
    assert list(finished_cells(store, only=[path], unread=unread)) == []
    assert unread == [f"cells/{path.name} is no record of a cell and is left out."]


def garbage(path):
    path.write_bytes(b"no database" * 1000)


def cut(path):
    os.truncate(path, path.stat().st_size // 2)


def of_other_code(path):
    with closing(sqlite3.connect(path)) as rows, rows:
        rows.execute("PRAGMA user_version = 7")
        for table in ("records", "outcomes", "finals"):
            rows.execute(f"UPDATE {table} SET record = replace(record, 'toy', 'boy')")


def of_other_columns(path):
    with closing(sqlite3.connect(path)) as rows, rows:
        rows.execute("ALTER TABLE records RENAME COLUMN record TO said")


def of_odd_rows(path):
    with closing(sqlite3.connect(path)) as rows, rows:
        rows.execute("UPDATE records SET record = '[1, 2' WHERE kind = 'trials'")
        rows.execute("UPDATE outcomes SET record = '[1, 2' WHERE kind = 'trials'")
        rows.execute("UPDATE outcomes SET record = x'00ff' WHERE kind = 'scores'")
        rows.execute("UPDATE records SET record = x'00ff' WHERE kind = 'scores'")
        rows.execute("UPDATE records SET stamp = NULL WHERE kind = 'cells'")


def of_odd_records(path):
    with closing(sqlite3.connect(path)) as rows, rows:
        for table in ("records", "outcomes"):
            rows.execute(f'UPDATE {table} SET record = \'{{"curves": 5, "more": 1}}\'')


def of_odd_long_fields(path):
    with closing(sqlite3.connect(path)) as rows, rows:
        rows.execute("""UPDATE records SET long = '{"curves": {"a": 1}}' WHERE kind = 'trials'""")
        rows.execute("UPDATE records SET long = NULL WHERE kind = 'scores'")


def of_odd_stamps(path):
    with closing(sqlite3.connect(path)) as rows, rows:
        for table in ("records", "outcomes", "finals"):
            rows.execute(f"UPDATE {table} SET record = replace(record, 'toy', 'boy')")
            for kind, stamp in ODD_STAMPS.items():
                rows.execute(f"UPDATE {table} SET stamp = {stamp} WHERE kind = '{kind}'")


ODD_STAMPS = {
    "trials": "replace(stamp, char(9), ' ')",
    "scores": "replace(stamp, char(9), char(9) || 'x')",
    "cells": "NULL",
    "finals": "replace(stamp, char(10) || char(10), char(10))",
}


def of_odd_finals(path):
    with closing(sqlite3.connect(path)) as rows, rows:
        which = "WHERE kind = 'finals' AND key = (SELECT {}(key) FROM finals WHERE kind = 'finals')"
        rows.execute(f"UPDATE finals SET record = '[1, 2' {which.format('min')}")
        rows.execute(f"UPDATE finals SET record = '[1, 2]' {which.format('max')}")


def of_lost_parts(path):
    with closing(sqlite3.connect(path)) as rows, rows:
        rows.execute("DELETE FROM finals WHERE kind = 'parts'")


def of_odd_parts(path):
    with closing(sqlite3.connect(path)) as rows, rows:
        rows.execute("UPDATE finals SET record = '5' WHERE kind = 'parts'")


def of_empty_lists(path):
    with closing(sqlite3.connect(path)) as rows, rows:
        rows.execute("UPDATE finals SET record = '[]' WHERE kind = 'parts'")


def of_empty_records(path):
    with closing(sqlite3.connect(path)) as rows, rows:
        rows.execute("DELETE FROM finals")
        for table in ("records", "outcomes"):
            rows.execute(f"UPDATE {table} SET record = '{{}}'")


def without_finals(path):
    with closing(sqlite3.connect(path)) as rows, rows:
        rows.execute("DROP TABLE finals")


def of_records_that_lack_a_field(path):
    with closing(sqlite3.connect(path)) as rows, rows:
        rows.execute("UPDATE records SET record = replace(record, '\"message\"', '\"told\"')")


def a_folder(path):
    path.unlink()
    path.mkdir()


def a_pipe(path):
    path.unlink()
    os.mkfifo(path)


def a_link_to_nothing(path):
    path.unlink()
    path.symlink_to("nowhere/at/all")


DAMAGES = [
    garbage,
    cut,
    of_other_code,
    of_other_columns,
    of_odd_rows,
    of_odd_records,
    of_odd_long_fields,
    of_odd_stamps,
    of_odd_finals,
    of_lost_parts,
    of_odd_parts,
    of_empty_lists,
    of_empty_records,
    without_finals,
    of_records_that_lack_a_field,
    a_folder,
    a_pipe,
    a_link_to_nothing,
]


@pytest.mark.parametrize("damage", DAMAGES)
def test_an_index_that_is_none_is_left_aside_and_made_anew(store, damage, monkeypatch):
    plainly = read(store)
    damage(store.root / INDEX)
    assert read(store) == plainly
    assert read(store) == plainly
    if damage not in (a_folder, a_pipe, a_link_to_nothing):
        monkeypatch.setattr(reading, "read_trial", None)
        with Records(store) as records:
            assert records.trial(digest({"seed": 0, "candidate": -1})) is not None
        monkeypatch.setattr(Records, "trial", None)
        assert len(read_finals(store)[0]) == 3


def test_a_record_has_its_fields_in_their_order_whatever_that_of_its_values(store):
    (cell, *_) = finished_cells(store)
    values = dict(reversed(vars(cell.final).items()))
    assert list(vars(record_of(TrialResult, values))) == list(TrialResult.__dataclass_fields__)
    assert list(values) == list(TrialResult.__dataclass_fields__)[::-1]


def test_a_record_of_checked_values_is_the_one_that_looks_at_every_field(store):
    (cell, *_) = finished_cells(store)
    copy = record_of(TrialResult, dict(vars(cell.final)))
    assert repr(vars(copy)) == repr(vars(TrialResult(**vars(cell.final))))
    with pytest.raises(TypeError, match="not the fields of a TrialScores"):
        record_of(TrialScores, {"status": "ok"})


def test_an_index_that_is_cut_while_it_is_read_ends_no_process(store):
    assert len(read_finals(store)[0]) == 3
    done = subprocess.run(
        [sys.executable, "-c", CUTS, str(store.root)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "3\n", "")
    assert len(read_finals(store)[0]) == 3


CUTS = """
import os, sys
from pathlib import Path
from spared_bench.store.entries import Store
from spared_bench.store.index import INDEX
from spared_bench.store.records import Records
from spared_bench.trials.cells import finals_in

store = Store(Path(sys.argv[1]))
with Records(store, genes=False) as records:
    records.cells()
    os.truncate(store.root / INDEX, 0)
    print(len(list(finals_in(records))))
"""


def changed(kind, key, long):
    """Change a value and its check sum, as a disk does not and a person may."""
    return index._summed(kind, key, "", long[:-9].replace("0.5", "0.9"))


@pytest.mark.usefixtures("looks")
@pytest.mark.parametrize("table", ["records", "outcomes", "finals"])
def test_a_digit_that_a_disk_has_turned_in_the_index_is_not_believed(store, table):
    plainly = read(store)
    with closing(sqlite3.connect(store.root / INDEX)) as rows, rows:
        for column in ("record", "long"):
            for digit, other in ("0.5", "0.9"), ("0.1", "0.7"), ("toy", "boy"):
                turned = f"replace({column}, '{digit}', '{other}')"
                rows.execute(f"UPDATE {table} SET {column} = {turned}")
    assert read(store) == plainly


@pytest.mark.usefixtures("looks")
def test_a_row_that_stands_in_the_place_of_another_is_not_believed(store):
    plainly = read(store)
    with closing(sqlite3.connect(store.root / INDEX)) as rows, rows:
        for table in ("records", "outcomes", "finals"):
            (other,) = rows.execute(f"SELECT record FROM {table} ORDER BY key LIMIT 1").fetchone()
            rows.execute(f"UPDATE {table} SET record = ? WHERE kind != 'parts'", [other])
    assert read(store) == plainly


def test_verifying_a_store_forgets_what_somebody_wrote_into_its_index(store):
    plainly = read(store)
    with closing(sqlite3.connect(store.root / INDEX)) as rows, rows:
        rows.create_function("changed", 3, changed)
        rows.execute("UPDATE records SET long = changed(kind, key, long)")
    assert read(store) != plainly  # stamps are those of the files
    assert verify(store).damaged == {}
    assert read(store) == plainly


def test_another_process_that_writes_the_index_stops_nobody(store, monkeypatch):
    monkeypatch.setattr(index, "_WAIT", 0.0)
    plainly = read(store)
    trial(store, 1)
    with closing(sqlite3.connect(store.root / INDEX, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        assert read(store) == plainly
        other.execute("ROLLBACK")
    assert read(store) == plainly


def test_a_store_that_is_not_there_gets_no_index(tmp_path):
    store = Store(tmp_path / "none" / "store")
    assert list(finished_cells(store)) == []
    assert not store.root.parent.exists()


def test_records_that_were_read_leave_no_file_open(store):
    def opened():
        return [file.path for file in psutil.Process().open_files()], psutil.Process().num_fds()

    list(finished_cells(store))  # with which the index is made
    before = opened()
    with Records(store, genes=False) as records:
        assert len(list(finals_in(records))) == 3
    assert opened() == before
    assert records.trial(next(iter(store.keys(TRIALS)))) is not None  # asked afterwards
