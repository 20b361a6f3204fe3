"""What a stranger's metric answers, in the order of what it was asked about."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np
import pandas as pd

from spared_bench.errors import PluginError


def in_order(name: str, metric: Callable[..., Any]) -> Callable[..., Any]:
    """Return a metric whose answers stand in the order of its columns (rows, classes).

    A Series of pandas that numbers them, in whatever order, is taken by these numbers.

    Parameters
    ----------
    name : str
    metric : callable

    Raises
    ------
    PluginError
        By the metric that is returned: for a Series with other labels, whose order nobody knows,
        and for text.
    """

    @wraps(metric, updated=())
    def ordered(*arrays: Any) -> Any:
        answer = metric(*arrays)
        if isinstance(answer, pd.Series) and len(answer) > 1:
            numbers = list(range(len(answer)))
            if sorted(answer.index, key=str) != sorted(numbers, key=str):
                raise PluginError(
                    f"Metric {name!r} returned a Series that is labelled {answer.index[0]!r} and so"
                    " on, so that its order could be another. Return an array in the order of what"
                    " it was called with, or a Series that is numbered 0, 1, ..."
                )
            answer = answer.loc[numbers]
        values = np.asarray(answer)
        texts = (each for each in values.flat if isinstance(each, str | bytes))
        if values.dtype.kind in "USO" and (text := next(texts, None)) is not None:
            # NumPy would take "1_5" for 15.
            raise PluginError(
                f"Metric {name!r} must return numbers, nan where undefined; found the text"
                f" {str(text)!r:.50}. Correct the metric."
            )
        return answer

    return ordered
