"""Predictions that cannot be read: nobody is advised to run what is in the file."""

from __future__ import annotations

import numpy as np
import pytest

from spared_bench.errors import CorruptEntryError
from spared_bench.leaderboard.maps import _unread
from spared_bench.store.predictions import UNREADABLE, opened_predictions
from spared_bench.store.trials import PREDICTIONS
from spared_bench.studies.maps import _readable


def refusals(folder):
    """Return what is said of the predictions of a folder wherever they are read."""
    try:
        with np.load(folder / PREDICTIONS, allow_pickle=False) as file:
            dict(file)
    except UNREADABLE as error:
        yield _unread("What was predicted", error)
    with (
        pytest.raises(CorruptEntryError) as told,
        _readable("What was predicted"),
        np.load(folder / PREDICTIONS, allow_pickle=False) as file,
    ):
        dict(file)
    yield str(told.value)
    with pytest.raises(CorruptEntryError) as told, opened_predictions(folder) as file:
        dict(file)
    yield str(told.value)


@pytest.mark.parametrize(
    "content", [bytes(100), b"no array", b"", b"PK\x03\x04", b"\x80\x04K\x01."]
)
def test_what_is_no_archive_of_arrays_is_said_to_be_that_and_not_to_be_run(tmp_path, content):
    (tmp_path / PREDICTIONS).write_bytes(content)
    told = list(refusals(tmp_path))
    assert len(told) == 3
    assert not any("pickle" in each for each in told)
    assert all("store verify --repair`" in each and ".." not in each for each in told)
