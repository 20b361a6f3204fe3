"""The table in the terminal counts what the page counts."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest

from spared_bench.api import load_protocol
from spared_bench.cli.run_report import _print_report
from spared_bench.registry import discover
from tests.board_samples import trial


@pytest.mark.parametrize("others", [[], ["her2st.patient-a"]])
def test_folds_of_another_scheme_than_the_protocols_enter_no_mean(others, capsys):
    registry = discover([], data_dir=None)
    results = [
        replace(
            trial("ridge", dataset=name, mse=5.0, pcc=0.5 if "loso" in name else 0.9),
            protocol="jiang@1",
            facts={"fold_of": "her2st", "evaluation_split": "test"},
        )
        for name in ("her2st.loso-a1", *others)
    ]
    bench = SimpleNamespace(registry=registry, protocol=load_protocol("jiang", registry))
    report = SimpleNamespace(
        **{"plan": SimpleNamespace(bench=bench), "results": results, "failed": []},
        **{"new": 1, "cached": 0, "failed_trials": 0, "held_back": {}, "undone": 0},
        **{"seconds": {"wall": 1.0}, "page": None},
    )
    _print_report(report, [])
    row = capsys.readouterr().out.splitlines()[1].split()
    assert row == ["1", "ridge", "none", "1.000", "0.500", "0.500", *(["0.900"] * len(others))]
