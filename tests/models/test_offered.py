"""What a method's author offers is told from what somebody sets."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import pytest

from spared_bench.models.offered import is_offered


@dataclass
class Method:
    configurations: ClassVar[dict[str, dict[str, Any]]] = {
        "small": {"width": 8, "depth": 1, "rate": 0.5},
        "deep": {"depth": 9},
    }

    width: int = 64
    depth: int = 2
    rate: float = 0.1
    options: dict[str, Any] = field(default_factory=dict)


@pytest.mark.parametrize(
    ("values", "offered"),
    [
        ({}, True),
        ({"width": 8, "depth": 1}, True),
        ({"width": 64, "depth": 9}, True),
        ({"width": 8}, False),  # of one configuration, and the depth of the defaults
        ({"width": 8, "depth": 9}, False),
        ({"options": {"bias": False}}, False),
        ({"rate": 7.0}, True),  # not asked about
    ],
)
def test_parameters_are_offered_where_they_are_together_of_one_configuration(values, offered):
    assert is_offered(Method(**values), "width", "depth", "options") is offered
