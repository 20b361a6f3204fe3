"""Many windows of one image, in one pass over it: read, mirrored at the border, resized, written.

Windows of several sizes are cut together, in the order in which the file is decoded, so that it is
decoded once whatever is cut.
"""

from __future__ import annotations

import errno
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, NamedTuple, TypeVar

import numpy as np

from spared_bench.processing.bilinear import bilinear
from spared_bench.processing.blocks import BlockImage, mirrored_runs
from spared_bench.processing.halving import HalvedImage, halvings_of
from spared_bench.processing.reducing import resized, resized_part
from spared_bench.threads import usable_cores

#: What a file system says that reserves no room.
_CANNOT_RESERVE = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)
_AT_ONCE = 16  # windows that a thread cuts in turn

Place = TypeVar("Place", int, np.ndarray)


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
        Whether a reduction that averages does so as ``halving`` says, and not by Pillow.
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
        for file in files:
            file.reserve()
        _in_file_order(image, wanted, lambda which, number, it: files[which].write(number, it))
        for file in files:
            file.complete()


def read_windows(image: BlockImage, wanted: WindowsToCut) -> np.ndarray:
    """Cut windows into memory, (n_windows, size, size, 3), uint8; ``out`` is not written."""
    found = np.empty((len(wanted.corners), wanted.size, wanted.size, 3), dtype=np.uint8)
    _in_file_order(image, [wanted], lambda _, number, pixels: found.__setitem__(number, pixels))
    return found


class _ArrayFile:
    """An array that threads write window by window: pages of a memory map would stay resident."""

    def __init__(self, wanted: WindowsToCut) -> None:
        self._out = wanted.out
        self._partial = wanted.out.with_name(f".{wanted.out.name}.{os.getpid()}.partial")
        self._shape = (len(wanted.corners), wanted.size, wanted.size, 3)
        self._file: IO[bytes] | None = None

    def __enter__(self) -> _ArrayFile:
        self._file = self._partial.open("wb", buffering=0)
        header = {"descr": "|u1", "fortran_order": False, "shape": self._shape}
        np.lib.format.write_array_header_1_0(self._file, header)
        self._begin, self._each = self._file.tell(), int(np.prod(self._shape[1:]))
        return self

    def reserve(self) -> None:
        """Take the room for it, where the system can, so that a full disk is told at once."""
        assert self._file is not None
        take = getattr(os, "posix_fallocate", None)
        try:
            if take is not None:
                take(self._file.fileno(), 0, self._begin + int(np.prod(self._shape)))
        except OSError as error:
            if error.errno not in _CANNOT_RESERVE:
                raise

    def write(self, number: int, pixels: np.ndarray) -> None:
        assert self._file is not None
        rest = np.ascontiguousarray(pixels).reshape(-1)
        place = self._begin + number * self._each
        while len(rest):
            written = os.pwrite(self._file.fileno(), rest.data, place)
            rest, place = rest[written:], place + written

    def complete(self) -> None:
        assert self._file is not None
        self._file.close()
        self._partial.replace(self._out)

    def __exit__(self, *_: object) -> None:
        assert self._file is not None
        self._file.close()
        self._partial.unlink(missing_ok=True)


def _in_file_order(
    image: BlockImage, wanted: Sequence[WindowsToCut], take: Callable[[int, int, np.ndarray], None]
) -> None:
    """Hand over set, number and pixels of every window, in the order in which the file is decoded.

    Decoding, resizing and writing release Python's lock, so threads do them on all cores; each
    hands over what it has made, while it is in that core's cache. A window does not depend on the
    order, nor on the number of threads.
    """
    work = _work(image, wanted)
    points = np.concatenate([each.points for each in work])
    order = image.file_order(points, max(each.side for each in work))
    lengths = [len(each.points) for each in work]
    whose = np.repeat(np.arange(len(work)), lengths)[order].tolist()
    numbers = np.concatenate([np.arange(length) for length in lengths])[order].tolist()
    workers = usable_cores()

    def do(start: int) -> None:
        for at in range(start, min(start + _AT_ONCE, len(order))):
            its, number = work[whose[at]], numbers[at]
            pixels = its.do(number)
            if pixels is not None:
                take(its.which, number, pixels)

    with ThreadPoolExecutor(workers) as threads:
        waiting: deque[Future[None]] = deque()
        for start in range(0, len(order), _AT_ONCE):
            waiting.append(threads.submit(do, start))
            if len(waiting) > 2 * workers:  # so that what failed ends it soon
                waiting.popleft().result()
        while waiting:
            waiting.popleft().result()


class _Work(NamedTuple):
    """A set of windows, or blocks of an averaged image that windows are going to need.

    ``points`` and ``side`` say where each reads the image itself, (n, 2) and at most so many
    pixels, or after what of it each comes; ``which`` says whose windows they are. ``do`` is given
    the number of one; a block gives none.
    """

    points: np.ndarray
    side: int
    do: Callable[[int], np.ndarray | None]
    which: int = -1


def _work(image: BlockImage, wanted: Sequence[WindowsToCut]) -> list[_Work]:
    levels, work, ahead = list[HalvedImage](), list[_Work](), 0
    for which, one in enumerate(wanted):
        halvings = 0 if one.exact else halvings_of(one.side, one.size)
        if not halvings:
            work.append(_Work(one.corners, one.side, partial(_whole, image, one), which))
            ahead = max(ahead, one.side)
            continue
        while len(levels) < halvings:
            levels.append(HalvedImage(levels[-1] if levels else image))
        source = levels[halvings - 1]
        blocks = source.blocks_of(*_place_in(source, one.corners, one.side))
        source.expect(blocks)
        points = source.ends_of(blocks)
        if source.is_whole:  # where windows can wait for others, most of whose pixels are theirs
            points[:, 1] = -(-points[:, 1] // one.side) * one.side
        work.append(_Work(points, 1, partial(_small, source, blocks, one), which))
    return [*_averaging(levels, ahead), *work]


def _averaging(levels: Sequence[HalvedImage], ahead: int) -> Iterator[_Work]:
    """Yield the averaging of the blocks that are needed, and of those that they are made of.

    It comes so many pixels ahead of the windows of the image itself, so that what it reads has
    just been decoded, and no thread waits long for another.
    """
    for level in reversed(levels[1:]):
        level.expect_source()
    for start, first in enumerate(levels):
        if first.follows:
            continue
        later = (at for at in range(start + 1, len(levels)) if not levels[at].follows)
        together = levels[start : next(later, len(levels))]
        places = np.argwhere(np.any([level.needed for level in together], axis=0))
        if not len(places):  # of a slide without spots
            continue
        rows, columns = places.T
        do = partial(_average, together, places)
        ends = first.ends_of(np.stack([rows, rows + 1, columns, columns + 1], axis=1))
        if start:
            yield _Work(ends, 1, do)
        else:
            begins = 2 * np.stack([first.columns[columns], first.rows[rows]], axis=1) - ahead
            yield _Work(begins, int((ends - begins)[:, 1].max()), do)


def _average(together: Sequence[HalvedImage], places: np.ndarray, number: int) -> None:
    """Average a block, and at once what is made of it."""
    row, column = places[number].tolist()
    pixels = None
    for level in together:
        pixels = level.made(row, column, pixels)
    together[0].release_source(row, column)


def _whole(image: BlockImage, one: WindowsToCut, number: int) -> np.ndarray:
    """Return a window, resized from all its pixels."""
    left, top = one.corners[number].tolist()
    window = padded_window(image, left, top, one.side)
    if one.exact or one.side == one.size:
        return resize(window, one.size, one.antialias)
    return resized(window, 0, 0, one.side, one.size)


def _place_in(source: HalvedImage, corner: Place, side: int) -> tuple[Place, int]:
    """Return corner and side of the pixels of a halved image that hold a window."""
    return corner // source.factor, -(-side // source.factor) + 1


def _small(source: HalvedImage, blocks: np.ndarray, one: WindowsToCut, number: int) -> np.ndarray:
    """Return a window, resized from a halved image, of which each shows these blocks."""
    left, top = one.corners[number].tolist()
    (x, side), (y, _) = (_place_in(source, each, one.side) for each in (left, top))
    factor = source.factor
    place = left / factor - x, top / factor - y, one.side / factor, one.size
    if (whole := source.whole_with(*blocks[number].tolist())) is not None:
        return resized_part(whole, (y, x, side, side), *place)
    small = resized(padded_window(source, x, y, side), *place)
    source.release(*blocks[number].tolist())
    return small


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
