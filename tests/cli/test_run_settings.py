"""What `--set` is given twice."""

from __future__ import annotations

import pytest

from spared_bench.cli.commands.run import parse_settings
from spared_bench.errors import UsageError


def test_one_parameter_has_one_value():
    same = parse_settings(["st-net.lr=1", "st-net.lr=1.0", "egn.lr=2"])
    assert same == {"st-net": {"lr": 1}, "egn": {"lr": 2}}
    with pytest.raises(UsageError, match=r"st-net\.lr two values"):
        parse_settings(["st-net.lr=1", "egn.lr=1", "st-net.lr=2"])
