"""Whether this Python can work for us at all."""

from __future__ import annotations

import sys

from spared_bench.errors import UsageError


def require_docstrings() -> None:
    """Refuse to go on without docstrings, which libraries read while they are imported.

    Raises
    ------
    UsageError
        Under ``python -OO`` or ``PYTHONOPTIMIZE=2``.
    """
    if sys.flags.optimize > 1:
        raise UsageError(
            "This Python was begun without docstrings (`-OO`, or PYTHONOPTIMIZE=2 in the"
            " environment). anndata and MLflow read theirs when they are imported, so no slide"
            " could be read and no run be logged. Begin it without, or with `-O` alone."
        )
