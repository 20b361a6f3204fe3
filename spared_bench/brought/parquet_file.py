"""Parquet as pandas writes it: the index is a column, whose name the file tells."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from spared_bench.brought.collecting import Block, Named
from spared_bench.errors import SubmissionError
from spared_bench.ordinary import json_of

_ROWS_AT_ONCE = 4_096
_MOST_COLUMNS = 200_000


def read_parquet(path: Path, layer: str = "") -> tuple[Named, None]:
    """Open a table as ``DataFrame.to_parquet`` writes it, with names as its index.

    Where the file tells of no index, its first column of text is taken for it.

    Raises
    ------
    SubmissionError
        If it is damaged, or no column holds names.
    """
    from pyarrow import ArrowException
    from pyarrow.parquet import ParquetFile

    try:
        file = ParquetFile(path)
        schema = file.schema_arrow
    except (ArrowException, OSError, ValueError) as error:
        raise _refused(path, f"it is no Parquet file: {str(error)[:200]}") from error
    if len(schema.names) > _MOST_COLUMNS or len(set(schema.names)) < len(schema.names):
        raise _refused(
            path, f"it has {len(schema.names)} columns, or two of the same name. Keep one of each"
        )
    if not file.metadata.num_rows:
        raise _refused(path, "it has no rows; expected one for each spot")
    index = _index_of(schema, path)
    columns = [name for name in schema.names if name not in _index_columns(schema) | {index}]
    return Named(path.name, columns, _blocks(file, path, index, columns)), None


def _index_columns(schema: Any) -> set[str]:
    """Return the columns that pandas kept an index in."""
    try:
        told = json_of((schema.metadata or {}).get(b"pandas", b"{}"))
        return {name for name in told.get("index_columns", []) if isinstance(name, str)}
    except (ValueError, AttributeError, TypeError):
        return set()


def _index_of(schema: Any, path: Path) -> str:
    texts = [field.name for field in schema if _holds_text(field.type)]
    told = [name for name in texts if name in _index_columns(schema)]
    if len(told) > 1 or not texts:
        raise _refused(
            path,
            f"{len(told)} of its columns hold names of rows; expected one, as"
            " `frame.to_parquet(path)` writes with spots as the index",
        )
    return str((told or texts)[0])


def _holds_text(kind: Any) -> bool:
    """Whether a column holds names; pandas writes categories as a dictionary of them."""
    from pyarrow import types

    if types.is_dictionary(kind):
        return _holds_text(kind.value_type)
    known = (types.is_string, types.is_large_string, getattr(types, "is_string_view", None))
    return any(is_text(kind) for is_text in known if is_text is not None)


def _blocks(file: Any, path: Path, index: str, columns: list[str]) -> Iterator[Block]:
    """Read names and values side by side, the same batches of rows of both."""
    from pyarrow import ArrowException

    values: list[Iterator[Any]] = []
    done = [0]

    def read(rows: np.ndarray, wanted: np.ndarray, number: int, n_rows: int) -> np.ndarray:
        names = [columns[column] for column in wanted]
        if not values:
            values.append(file.iter_batches(_ROWS_AT_ONCE, columns=names))
        try:
            while done[0] <= number:
                part = next(values[0])
                done[0] += 1
            if part.num_rows != n_rows:
                raise _refused(path, "its columns are of different length")
        except (ArrowException, StopIteration) as error:
            raise _refused(path, f"it is damaged: {str(error)[:200]}") from error
        return np.stack([_numbers(path, part, name)[rows] for name in names], axis=1)

    try:
        for number, part in enumerate(file.iter_batches(_ROWS_AT_ONCE, columns=[index])):
            names = [str(name) for name in part.column(0).to_pylist()]
            yield names, partial(read, number=number, n_rows=len(names))
    except ArrowException as error:
        raise _refused(path, f"it is damaged: {str(error)[:200]}") from error


def _numbers(path: Path, part: Any, name: str) -> np.ndarray:
    from pyarrow import ArrowException

    column = part.column(name)
    try:
        if not _may_be_numbers(column.type):  # which NumPy would cast: times to nanoseconds
            raise TypeError(f"it holds {column.type}")
        if _holds_text(column.type) and any("_" in (text or "") for text in column.to_pylist()):
            raise ValueError("1_5 is 15 in Python, and nowhere else")
        return np.asarray(column, dtype=np.float64)
    except (ArrowException, ValueError, TypeError) as error:
        raise _refused(
            path,
            f"column {name!r} holds what is no number ({str(error)[:200]}). Predict numbers there,"
            " or leave the column out, where it counts as missing",
        ) from error


def _may_be_numbers(kind: Any) -> bool:
    """Whether a column holds numbers, or texts, which may be of numbers as in other tables."""
    from pyarrow import types

    known = types.is_integer, types.is_floating, types.is_decimal, types.is_boolean, types.is_null
    kind = kind.value_type if types.is_dictionary(kind) else kind
    return _holds_text(kind) or any(is_kind(kind) for is_kind in known)


def _refused(path: Path, reason: str) -> SubmissionError:
    return SubmissionError(f"{path.name} cannot be read as predictions: {reason}.")
