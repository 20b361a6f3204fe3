"""Figures are drawn alike for everybody, whatever their settings of matplotlib say."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def in_own_style() -> Iterator[None]:
    """Draw with matplotlib's own settings, and leave those of whoever calls as they are.

    A ``matplotlibrc`` of somebody's papers (in the home folder, or in the folder where a command is
    given) may ask for LaTeX, which is not there, turn images upside down, or cut figures; and the
    store keeps figures under keys that know nothing of it.
    """
    import matplotlib

    own = matplotlib.rcParamsDefault.items()
    with matplotlib.rc_context({name: value for name, value in own if "backend" not in name}):
        yield
