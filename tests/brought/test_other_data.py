"""What is brought is of the data that its dataset has now, and so those count."""

from __future__ import annotations

import json

from spared_bench.brought.scoring import bring
from spared_bench.store.records import Records
from spared_bench.trials.outdated import outdated_cells


def test_what_is_brought_counts_although_a_clock_was_ahead_for_other_data(bench, frame):
    bring(bench, frame, "toy", method="earlier")
    (path,) = (bench.workspace.store.root / "cells").glob("*.json")
    record = json.loads(path.read_text())
    record["written"] += 365 * 86_400 * 10**9
    path.write_text(json.dumps(record | {"data": "0" * 64}))

    bring(bench, frame + 0.1, "toy", method="later")
    with Records(bench.workspace.store) as records:
        outdated = outdated_cells(records, {})
    assert [cell[3] for cell in outdated] == ["earlier"]
