"""The predictions of a trial, opened to be read; of a damaged file the error says so."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from spared_bench.errors import CorruptEntryError, SparedBenchError
from spared_bench.store.trials import PREDICTIONS

#: What libraries say of files that are damaged, cut short, of other shapes, or not to be read.
UNREADABLE = (
    *(OSError, EOFError, ValueError, LookupError, TypeError, AttributeError, RuntimeError),
    *(zipfile.BadZipFile, zlib.error, MemoryError),
)


@contextmanager
def opened_predictions(folder: Path) -> Iterator[Any]:
    """Open the predictions in the folder of a trial's entry, as ``numpy.load`` does.

    Raises
    ------
    CorruptEntryError
        If they cannot be read, or lack what is asked of them.
    """
    try:
        with np.load(folder / PREDICTIONS, allow_pickle=False) as file:
            yield file
    except SparedBenchError:
        raise
    except UNREADABLE as error:
        raise CorruptEntryError(
            f"The predictions {folder / PREDICTIONS} cannot be read: {reason_of(error)}."
            " `spared-bench store verify --repair` takes damaged entries away; the same run then"
            " makes them again."
        ) from error


def reason_of(error: BaseException) -> str:
    """Return what a library says of a file that it cannot read, on one line."""
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    if "pickle" in reason:  # NumPy would advise to run what is in the file
        return "it is no archive of arrays"
    return reason.rstrip(".")
