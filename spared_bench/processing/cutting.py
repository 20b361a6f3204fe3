"""Many windows of one image, in one pass over it: read, mirrored at the border, resized, written.

Windows of several sizes are cut together, in the order in which the file is decoded, so that it is
decoded once whatever is cut.
"""

from __future__ import annotations

import os
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np

from spared_bench.processing.bilinear import bilinear
from spared_bench.processing.blocks import BlockImage, mirrored_runs
from spared_bench.processing.reducing import HalvedImage, halvings_of, resized
from spared_bench.threads import usable_cores


@dataclass(frozen=True)
class WindowsToCut:
    """Square windows of one image that become one array.

    Parameters
    ----------
    corners : ndarray of int, of shape (n_windows, 2)
        Upper left corners (x, y) in pixels of the image; they may lie outside.
    side : int
        Of each window, in pixels of the image.
    size : int
        Of what is made of it.
    antialias : bool
        Whether a reduction averages over the source pixels (Pillow's bilinear) or only
        interpolates (OpenCV's).
    out : Path
        The ``.npy`` file: (n_windows, size, size, 3), uint8. It appears only when complete.
    quick : bool
        Whether a reduction that averages does so as ``reducing`` says, and not by Pillow.
    """

    corners: np.ndarray
    side: int
    size: int
    antialias: bool
    out: Path
    quick: bool = False

    @property
    def exact(self) -> bool:
        """Whether each window is resized as by Pillow."""
        return not (self.quick and self.antialias)


def cut_windows(image: BlockImage, wanted: Sequence[WindowsToCut]) -> None:
    """Cut windows and write each set of them as one array.

    Raises
    ------
    ImageError
        If a part of the image cannot be decoded; nothing is left behind then.
    """
    with ExitStack() as opened:
        files = [opened.enter_context(_ArrayFile(each)) for each in wanted]
        for which, number, pixels in _in_file_order(image, wanted):
            files[which].write(number, pixels)
        for file in files:
            file.complete()


def read_windows(image: BlockImage, wanted: WindowsToCut) -> np.ndarray:
    """Cut windows into memory, (n_windows, size, size, 3), uint8; ``out`` is not written."""
    found = np.empty((len(wanted.corners), wanted.size, wanted.size, 3), dtype=np.uint8)
    for _, number, pixels in _in_file_order(image, [wanted]):
        found[number] = pixels
    return found


class _ArrayFile:
    """An array that is written window by window: pages of a memory map would stay resident."""

    def __init__(self, wanted: WindowsToCut) -> None:
        self._out = wanted.out
        self._partial = wanted.out.with_name(f".{wanted.out.name}.{os.getpid()}.partial")
        self._shape = (len(wanted.corners), wanted.size, wanted.size, 3)
        self._file: IO[bytes] | None = None

    def __enter__(self) -> _ArrayFile:
        self._file = self._partial.open("wb")
        header = {"descr": "|u1", "fortran_order": False, "shape": self._shape}
        np.lib.format.write_array_header_1_0(self._file, header)
        self._begin, self._each = self._file.tell(), int(np.prod(self._shape[1:]))
        return self

    def write(self, number: int, pixels: np.ndarray) -> None:
        assert self._file is not None
        self._file.seek(self._begin + number * self._each)
        self._file.write(np.ascontiguousarray(pixels).data)

    def complete(self) -> None:
        assert self._file is not None
        self._file.close()
        self._partial.replace(self._out)

    def __exit__(self, *_: object) -> None:
        assert self._file is not None
        self._file.close()
        self._partial.unlink(missing_ok=True)


def _in_file_order(
    image: BlockImage, wanted: Sequence[WindowsToCut]
) -> Iterator[tuple[int, int, np.ndarray]]:
    """Yield set, number and pixels of every window, in the order in which the file is decoded.

    Decoding and resizing release Python's lock, so threads do both on all cores. A window does not
    depend on the order, nor on the number of threads.
    """
    tasks = _tasks(image, wanted)
    points = np.array([task.point for task in tasks], dtype=np.int64).reshape(-1, 2)
    order = image.file_order(points, max((task.side for task in tasks), default=1)).tolist()
    workers = usable_cores()
    with ThreadPoolExecutor(workers) as threads:
        waiting: deque[tuple[_Task, Future[np.ndarray | None]]] = deque()

        def done() -> Iterator[tuple[int, int, np.ndarray]]:
            task, future = waiting.popleft()
            pixels = future.result()
            if pixels is not None:
                yield task.which, task.number, pixels

        for at in order:
            waiting.append((tasks[at], threads.submit(tasks[at].do)))
            if len(waiting) > 4 * workers:  # so that neither windows nor blocks pile up
                yield from done()
        while waiting:
            yield from done()


class _Task(NamedTuple):
    """One window, or one block of an averaged image that windows are going to need.

    ``point`` and ``side`` say where it reads the image itself, ``which`` and ``number`` whose
    window it is.
    """

    point: tuple[int, int]
    side: int
    do: Callable[[], np.ndarray | None]
    which: int = -1
    number: int = -1


def _tasks(image: BlockImage, wanted: Sequence[WindowsToCut]) -> list[_Task]:
    levels, needed = [image], defaultdict[int, set[tuple[int, int]]](set)
    tasks: list[_Task] = []
    for which, one in enumerate(wanted):
        level = 0 if one.exact else halvings_of(one.side, one.size)
        while len(levels) <= level:
            levels.append(HalvedImage(levels[-1]))
        for number, (left, top) in enumerate(one.corners.tolist()):
            if not level:
                do = partial(_whole, image, left, top, one)
                tasks.append(_Task((left, top), one.side, do, which, number))
                continue
            source = levels[level]
            assert isinstance(source, HalvedImage)
            needed[level] |= source.blocks_of(*_place_in(source, left, top, one.side))
            # By then all blocks that it needs are there.
            point = left, min(top + one.side, image.height)
            tasks.append(_Task(point, 1, partial(_small, source, left, top, one), which, number))
    for level, blocks in needed.items():
        source = levels[level]
        assert isinstance(source, HalvedImage)
        for row, column in sorted(blocks):
            x, y = source.columns[column] * source.factor, source.rows[row] * source.factor
            height = int(source.rows[row + 1] - source.rows[row]) * source.factor
            tasks.append(_Task((int(x), int(y)), height, partial(source.hold, row, column)))
    return tasks


def _whole(image: BlockImage, left: int, top: int, one: WindowsToCut) -> np.ndarray:
    """Return a window, resized from all its pixels."""
    window = padded_window(image, left, top, one.side)
    if one.exact or one.side == one.size:
        return resize(window, one.size, one.antialias)
    return resized(window, 0, 0, one.side, one.size)


def _place_in(source: HalvedImage, left: int, top: int, side: int) -> tuple[int, int, int]:
    """Return corner and side of the pixels of a halved image that hold a window."""
    return left // source.factor, top // source.factor, -(-side // source.factor) + 1


def _small(source: HalvedImage, left: int, top: int, one: WindowsToCut) -> np.ndarray:
    """Return a window, resized from a halved image."""
    x, y, side = _place_in(source, left, top, one.side)
    window, factor = padded_window(source, x, y, side), source.factor
    return resized(window, left / factor - x, top / factor - y, one.side / factor, one.size)


def padded_window(image: BlockImage, left: int, top: int, side: int) -> np.ndarray:
    """Read a square window, mirrored where it leaves the image: (side, side, 3), uint8."""
    if min(left, top) >= 0 and left + side <= image.width and top + side <= image.height:
        return image.window(left, top, side, side)
    across, down = (
        list(mirrored_runs(start, side, length))
        for start, length in ((left, image.width), (top, image.height))
    )
    left, right = min(run.low for run in across), max(run.high for run in across)
    top, bottom = min(run.low for run in down), max(run.high for run in down)
    shown = image.window(left, top, right - left, bottom - top)
    window = np.empty((side, side, 3), dtype=np.uint8)
    for row in down:
        for column in across:  # slices: an index of each pixel takes a hundred times as long
            part = shown[row.low - top : row.high - top, column.low - left : column.high - left]
            window[row.to, column.to] = part[:: row.step, :: column.step]
    return window


def resize(window: np.ndarray, size: int, antialias: bool) -> np.ndarray:
    """Resize a square window bilinearly: (side, side, 3) to (size, size, 3), uint8."""
    from PIL import Image as Pillow

    side = len(window)
    if side == size:
        return window
    if antialias:
        return bilinear(window, size)
    picture, whole = Pillow.fromarray(np.ascontiguousarray(window)), (0, 0, side, side)
    how = Pillow.Resampling.BILINEAR
    return np.asarray(picture.transform((size, size), Pillow.Transform.EXTENT, whole, how))
