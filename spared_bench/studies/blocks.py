"""What a report is built of: box plots, tables, pictures and sentences, without their looks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from spared_bench.leaderboard.text import NONE, score

_WIDTH = 1000.0  # of a drawing, in units of its own; it is stretched to the page


@dataclass(frozen=True)
class Box:
    """One row of a box plot, in units of the drawing (0 to 1,000), nan where there is nothing."""

    label: str
    n: int
    low: float = math.nan
    first: float = math.nan
    middle: float = math.nan
    third: float = math.nan
    high: float = math.nan
    marks: tuple[float, ...] = ()
    is_base: bool = False
    note: str = ""
    text: str = ""

    @property
    def drawn(self) -> bool:
        """Whether there is a box."""
        return math.isfinite(self.middle)


@dataclass(frozen=True)
class Boxes:
    """Box plots on one axis.

    Parameters
    ----------
    title, caption : str
    rows : tuple of Box
    ticks : tuple of (place, text)
        Places in units of the drawing.
    zero : float
        Where 0 is; nan where it is not on the axis.
    """

    title: str
    caption: str
    rows: tuple[Box, ...]
    ticks: tuple[tuple[float, str], ...]
    zero: float = math.nan
    kind: str = "boxes"


@dataclass(frozen=True)
class Table:
    """A table: titles, and rows of texts; those of ``numbers`` are set to the right."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str = ""
    numbers: tuple[int, ...] = ()
    kind: str = "table"


@dataclass(frozen=True)
class Picture:
    """A picture as a ``data:`` URI, and what it shows."""

    source: str
    caption: str
    wide: bool = False
    begins_row: bool = False


@dataclass(frozen=True)
class Pictures:
    """Pictures side by side, as many as there is room for."""

    title: str
    pictures: tuple[Picture, ...]
    caption: str = ""
    columns: int = 0
    kind: str = "pictures"


@dataclass(frozen=True)
class Sentences:
    """Sentences, as a list or as a notice."""

    title: str
    lines: tuple[str, ...]
    notice: bool = False
    kind: str = "sentences"


@dataclass(frozen=True)
class Section:
    """A heading and what stands below it."""

    title: str
    parts: tuple[Any, ...] = ()
    intro: str = ""


@dataclass(frozen=True)
class Values:
    """What one row of a box plot is made from."""

    label: str
    values: Sequence[float]
    marks: Sequence[float] = ()
    is_base: bool = False
    note: str = ""


@dataclass
class _Axis:
    low: float
    high: float
    ticks: list[float] = field(default_factory=list)

    def place(self, value: float) -> float:
        return round(_WIDTH * (value - self.low) / (self.high - self.low), 2)


def boxes(title: str, caption: str, rows: Sequence[Values]) -> Boxes:
    """Return box plots of some rows of values on one axis.

    The box is the middle half, the line in it the median, the whiskers reach to the last value
    within one and a half of its widths.
    """
    reached = [v for row in rows for v in (*_five(row.values), *row.marks) if math.isfinite(v)]
    axis = _axis(reached)
    zero = axis.place(0.0) if axis.low <= 0 <= axis.high else math.nan
    return Boxes(
        title,
        caption,
        tuple(_box(row, axis) for row in rows),
        tuple((axis.place(tick), _tick(tick, axis)) for tick in axis.ticks),
        zero,
    )


@dataclass(frozen=True)
class Spread:
    """What one row of a plot of differences is made from.

    Parameters
    ----------
    label : str
    middle : float
    inner, outer : (float, float)
        Ends of the box and of the line through it; nan where there are none.
    marks : sequence of float
    n : int
    text : str
    """

    label: str
    middle: float
    inner: tuple[float, float]
    outer: tuple[float, float]
    marks: Sequence[float]
    n: int
    text: str


def spreads(title: str, caption: str, rows: Sequence[Spread]) -> Boxes:
    """Return differences with their intervals on one axis, on which 0 is."""
    reached = [
        value
        for row in rows
        for value in (row.middle, *row.inner, *row.outer, *row.marks)
        if math.isfinite(value)
    ]
    axis = _axis([*reached, 0.0])
    drawn = []
    for row in rows:
        marks = tuple(axis.place(value) for value in row.marks if math.isfinite(value))
        if not math.isfinite(row.middle):
            drawn.append(Box(row.label, row.n, marks=marks, text=row.text))
            continue
        middle = axis.place(row.middle)
        ends = [axis.place(v) if math.isfinite(v) else middle for v in (*row.inner, *row.outer)]
        low, high = min(ends[2], ends[0]), max(ends[3], ends[1])
        drawn.append(
            Box(row.label, row.n, low, ends[0], middle, ends[1], high, marks, text=row.text)
        )
    ticks = tuple((axis.place(tick), _tick(tick, axis)) for tick in axis.ticks)
    return Boxes(title, caption, tuple(drawn), ticks, axis.place(0.0))


def _five(values: Sequence[float]) -> tuple[float, ...]:
    """Return whisker, quartile, median, quartile and whisker; nothing of no values."""
    known = np.array([value for value in values if math.isfinite(value)])
    if not len(known):
        return ()
    first, middle, third = np.percentile(known, [25, 50, 75])
    reach = 1.5 * (third - first)
    low, high = known[known >= first - reach].min(), known[known <= third + reach].max()
    return tuple(map(float, (low, first, middle, third, high)))


def _box(row: Values, axis: _Axis) -> Box:
    n = sum(map(math.isfinite, row.values))
    marks = tuple(axis.place(value) for value in row.marks if math.isfinite(value))
    if not n:
        return Box(row.label, 0, marks=marks, is_base=row.is_base, note=row.note, text=NONE)
    five = _five(row.values)
    middle = five[2]
    low, first, at, third, high = (axis.place(each) for each in five)
    told = score(float(middle))
    return Box(row.label, n, low, first, at, third, high, marks, row.is_base, row.note, told)


def _axis(values: Sequence[float]) -> _Axis:
    """Return an axis over all values with round ticks; of 0 to 1 where there are none."""
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    if high - low < 1e-9:
        low, high = low - 0.5, high + 0.5
    step = _step(high - low)
    first, last = math.floor(low / step), math.ceil(high / step)
    ticks = [each * step for each in range(first, last + 1)]
    return _Axis(first * step, last * step, ticks)


def _step(width: float) -> float:
    power = 10 ** math.floor(math.log10(width / 4))
    return next(power * each for each in (1, 2, 5, 10) if width / (power * each) <= 5)


def _tick(value: float, axis: _Axis) -> str:
    step = (axis.ticks[1] - axis.ticks[0]) if len(axis.ticks) > 1 else 1.0
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    return f"{value:z.{digits}f}" if abs(value) < 1e5 else f"{value:.2g}"
