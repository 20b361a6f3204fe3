"""Many windows of one image, in one pass over it: read, mirrored at the border, resized, written.

Windows of several sizes are cut together, in the order in which the file is decoded, so that it is
decoded once whatever is cut.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from spared_bench.processing.blocks import BlockImage
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
    """

    corners: np.ndarray
    side: int
    size: int
    antialias: bool
    out: Path


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
    which = np.repeat(np.arange(len(wanted)), [len(each.corners) for each in wanted])
    number = np.concatenate([np.arange(len(each.corners)) for each in wanted])
    corners = np.concatenate([each.corners for each in wanted])

    def pixels_of(at: int) -> np.ndarray:
        one, (left, top) = wanted[which[at]], corners[at]
        window = padded_window(image, int(left), int(top), one.side)
        return resize(window, one.size, one.antialias)

    order = image.file_order(corners, max(each.side for each in wanted)).tolist()
    workers = usable_cores()
    with ThreadPoolExecutor(workers) as threads:
        waiting: deque[tuple[int, Future[np.ndarray]]] = deque()

        def next_done() -> tuple[int, int, np.ndarray]:
            at, pixels = waiting.popleft()
            return int(which[at]), int(number[at]), pixels.result()

        for at in order:
            waiting.append((at, threads.submit(pixels_of, at)))
            if len(waiting) > 4 * workers:  # so that neither windows nor blocks pile up
                yield next_done()
        while waiting:
            yield next_done()


def padded_window(image: BlockImage, left: int, top: int, side: int) -> np.ndarray:
    """Read a square window, mirrored where it leaves the image: (side, side, 3), uint8."""
    if min(left, top) >= 0 and left + side <= image.width and top + side <= image.height:
        return image.window(left, top, side, side)
    columns = _mirrored(left, side, image.width)
    rows = _mirrored(top, side, image.height)
    left, top = int(columns.min()), int(rows.min())
    window = image.window(left, top, int(np.ptp(columns)) + 1, int(np.ptp(rows)) + 1)
    return window[np.ix_(rows - top, columns - left)]


def _mirrored(start: int, side: int, length: int) -> np.ndarray:
    """Return the pixels that ``side`` places from ``start`` on show, as often as it takes."""
    places = np.arange(start, start + side) % (2 * length)
    return np.minimum(places, 2 * length - 1 - places)


def resize(window: np.ndarray, size: int, antialias: bool) -> np.ndarray:
    """Resize a square window bilinearly: (side, side, 3) to (size, size, 3), uint8."""
    from PIL import Image as Pillow

    side = len(window)
    if side == size:
        return window
    picture = Pillow.fromarray(np.ascontiguousarray(window))
    if antialias:
        return np.asarray(picture.resize((size, size), Pillow.Resampling.BILINEAR))
    whole = (0, 0, side, side)
    method, bilinear = Pillow.Transform.EXTENT, Pillow.Resampling.BILINEAR
    return np.asarray(picture.transform((size, size), method, whole, bilinear))
