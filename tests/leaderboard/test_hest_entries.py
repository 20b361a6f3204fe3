"""The committed entries of HEST's published table are those of the script, and add up."""

import csv
import importlib.util
from pathlib import Path

import pytest

from spared_bench.leaderboard.entries import read_entry
from spared_bench.leaderboard.merging import entry_trials
from spared_bench.registry import discover

ROOT = Path(__file__).parents[2]
_SPEC = importlib.util.spec_from_file_location("hest_entries", ROOT / "tools/hest_entries.py")
_SCRIPT = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(_SCRIPT)
ENTRIES = _SCRIPT.hest_entries()


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.method)
def test_committed_entries_are_what_the_script_writes(entry):
    found = read_entry(ROOT / "leaderboards" / "hest@1" / entry.folder_name / "entry.json")
    assert found == entry


def test_the_averages_of_the_table_are_the_means_of_its_cells():
    with _SCRIPT.TABLE.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 26
    for row in rows:
        cells = [float(value) for name, value in row.items() if name not in ("encoder", "average")]
        assert len(cells) == 9
        assert sum(cells) / 9 == pytest.approx(float(row["average"]), abs=1e-4)


def test_rows_of_the_table_say_the_licence_of_their_encoder():
    discover()
    trials = list(entry_trials(ENTRIES))
    licences = {t.facts["encoder"]["name"]: t.facts["encoder"].get("licence") for t in trials}
    assert licences["uni2-h"] == "CC-BY-NC-ND-4.0"
    assert licences["musk"] is None
    assert sum(value is not None for value in licences.values()) >= 20
