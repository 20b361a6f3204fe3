from __future__ import annotations

import json
import math
from enum import IntEnum, StrEnum

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spared_bench.leaderboard.indented import indented

SINGLE = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)
ANY = st.recursive(
    SINGLE, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20
)


@given(ANY)
def test_it_is_what_pythons_encoder_writes(value):
    assert indented(value) == json.dumps(value, indent=1, sort_keys=True)


class Level(IntEnum):
    ONE = 1


class Name(StrEnum):
    ONE = "one"


def test_what_is_like_a_number_or_a_text_is_written_as_that():
    value = {"a": (np.float64(0.1), Level.ONE, Name.ONE, np.str_("x")), "b": [[], {}, ()]}
    assert indented(value) == json.dumps(value, indent=1, sort_keys=True)


def test_numbers_that_are_not_finite_are_null_and_keys_are_texts():
    value = {2: math.nan, 10: [math.inf, np.float64("nan")]}
    assert json.loads(indented(value)) == {"10": [None, None], "2": None}


@pytest.mark.parametrize("value", [object(), {"a": {1, 2}}, [np.arange(2)]])
def test_what_is_no_json_is_an_error(value):
    with pytest.raises(TypeError, match="JSON"):
        indented(value)
