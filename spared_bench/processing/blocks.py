"""Images that are decoded block by block: each block once, while the windows come in file order.

A block is a tile, or some full rows. Blocks stay in a cache of bounded size, so memory does not
depend on the size of the image; threads that ask for the same block at once share it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from threading import Lock
from typing import NamedTuple

import numpy as np

from spared_bench.errors import ImageError
from spared_bench.processing.colours import Colours

CACHE_BYTES = 192 * 2**20


class BlockCache:
    """The blocks that were used last."""

    def __init__(self, limit: int) -> None:
        self._limit, self._held = limit, 0
        self._blocks: OrderedDict[tuple[int, int], Future[np.ndarray]] = OrderedDict()
        self._lock = Lock()

    def obtain(self, key: tuple[int, int], decode: Callable[[], np.ndarray]) -> np.ndarray:
        """Return a block, decoded by the first thread that asks for it."""
        with self._lock:
            block = self._blocks.get(key)
            if block is not None:
                self._blocks.move_to_end(key)
            else:
                mine = self._blocks[key] = Future()
        if block is not None:
            return block.result()
        try:
            decoded = decode()
        except BaseException as error:
            with self._lock:
                self._blocks.pop(key, None)
            mine.set_exception(error)
            raise
        mine.set_result(decoded)
        self._make_room(decoded.nbytes)
        return decoded

    def put(self, key: tuple[int, int], block: np.ndarray) -> None:
        """Hold a block that somebody has decoded, unless it is there or a thread is at it."""
        mine: Future[np.ndarray] = Future()
        mine.set_result(block)
        with self._lock:
            if key in self._blocks:
                return
            self._blocks[key] = mine
        self._make_room(block.nbytes)

    def drop(self, key: tuple[int, int]) -> None:
        """Hold a block no longer, if it is there."""
        with self._lock:
            block = self._blocks.get(key)
            if block is not None and block.done():
                self._held -= self._blocks.pop(key).result().nbytes

    def _make_room(self, needed: int) -> None:
        with self._lock:
            self._held += needed
            while self._held > self._limit:
                # A block that is being decoded has no size yet; the last one stays, however large.
                oldest = next((key for key in self._blocks if self._blocks[key].done()), None)
                if oldest is None or len(self._blocks) == 1:
                    return
                self._held -= self._blocks.pop(oldest).result().nbytes


class BlockImage(ABC):
    """An image on a grid of blocks.

    Parameters
    ----------
    path : Path
        For messages.
    rows, columns : ndarray of int
        Where the blocks begin, and where the last one ends.
    bands : int
        Of a block.
    dtype : dtype
        uint8 or uint16.
    colours : Colours
        What the bands mean.
    """

    def __init__(
        self,
        path: Path,
        rows: np.ndarray,
        columns: np.ndarray,
        bands: int,
        dtype: np.dtype,
        colours: Colours,
    ) -> None:
        self.path, self.rows, self.columns, self.colours = path, rows, columns, colours
        self.width, self.height = int(columns[-1]), int(rows[-1])
        self._bands, self._dtype = bands, np.dtype(dtype)
        self._cache, self._plausible, self._checking = BlockCache(CACHE_BYTES), set[str](), Lock()

    @property
    def notes(self) -> tuple[str, ...]:
        """What was done that a user should know of, in sentences."""
        return self.colours.notes

    @abstractmethod
    def decode(self, row: int, column: int) -> np.ndarray:
        """Decode one block: (height, width, bands). Called by several threads at once."""

    def block(self, row: int, column: int) -> np.ndarray:
        """Return one block, decoded by the first thread that asks for it."""
        return self._cache.obtain((row, column), partial(self.decode, row, column))

    def every_block(self) -> Iterator[np.ndarray]:
        """Decode all blocks, one after the other, past the cache."""
        for row in range(len(self.rows) - 1):
            for column in range(len(self.columns) - 1):
                yield self.decode(row, column)

    def window(self, left: int, top: int, width: int, height: int) -> np.ndarray:
        """Read a window that lies in the image: (height, width, 3), uint8.

        Raises
        ------
        ImageError
            If a part of it cannot be decoded, or the whole image can be no picture: all of it
            transparent, or in the lowest part of the range.
        """
        pixels = np.empty((height, width, self._bands), dtype=self._dtype)
        for down, across, part in self.parts(left, top, width, height):
            pixels[down, across] = part
        self._check(pixels)
        return self.colours.to_rgb(pixels)

    def parts(
        self, left: int, top: int, width: int, height: int
    ) -> Iterator[tuple[slice, slice, np.ndarray]]:
        """Yield rows and columns of a window, and what a block holds of them: bands as stored."""
        for row, inner_y, outer_y in _overlaps(self.rows, top, height):
            for column, inner_x, outer_x in _overlaps(self.columns, left, width):
                yield outer_y, outer_x, self.block(row, column)[inner_y, inner_x]

    @property
    def plain(self) -> bool:
        """Whether blocks hold red, green and blue of 8 bits, whatever they show."""
        return self._bands == 3 and self._dtype == np.uint8 and self.colours.plain

    def file_order(self, corners: np.ndarray, side: int) -> np.ndarray:
        """Return an order of windows in which every block is decoded once.

        Parameters
        ----------
        corners : ndarray of int, of shape (n_windows, 2)
            Upper left corners (x, y); those of windows at the border may lie outside.
        side : int
            Of all windows, in pixels.
        """
        block = int(np.diff(self.rows).max())
        per_column = (side + 2 * block) * self._bands * self._dtype.itemsize
        # Half of the cache, as threads are ahead of one another.
        stripe = max(side, CACHE_BYTES // 2 // per_column)
        x, y = corners.T
        return np.lexsort((x, y // block, x // stripe if self.width > stripe else 0 * x))

    def _check(self, pixels: np.ndarray) -> None:
        """Look at the whole image only where the window is as in an image that is none."""
        if self.colours.exceeded(pixels):
            raise ImageError(
                f"The image {self.path} holds the value {pixels.max()}, but says that its largest"
                f" is {self.colours.top}. Correct its MaxSampleValue (tag 281) or SignificantBits."
            )
        with self._checking:
            if self._all("dark", self.colours.dark, pixels):
                bits = 16 if self.colours.reduced else self.colours.top.bit_length()
                raise ImageError(
                    f"The image {self.path} uses the lowest quarter of its {bits} bits only, so it"
                    " was measured in fewer, and does not say in how many. Write its largest"
                    " possible value into the TIFF tag MaxSampleValue (281; 1023 for 10 bits), or"
                    " convert the image to 8 bits."
                )
            if self._all("transparent", self.colours.transparent, pixels):
                raise ImageError(
                    f"The image {self.path} is transparent everywhere: the opacity in its last"
                    " band is nowhere above a sixteenth of its range. Save it without that band."
                )

    def _all(self, name: str, like: Callable[[np.ndarray], bool], pixels: np.ndarray) -> bool:
        if name in self._plausible or not like(pixels):
            return False
        if all(map(like, self.every_block())):
            return True
        self._plausible.add(name)
        return False


def _overlaps(edges: np.ndarray, start: int, length: int) -> Iterator[tuple[int, slice, slice]]:
    """Yield each block that a range meets, and the shared part: in the block, and in the range."""
    first = int(np.searchsorted(edges, start, side="right")) - 1
    for block in range(first, len(edges) - 1):
        low, high = int(edges[block]), int(edges[block + 1])
        if low >= start + length:
            break
        begin, end = max(low, start), min(high, start + length)
        yield block, slice(begin - low, end - low), slice(begin - start, end - start)


class Run(NamedTuple):
    """Pixels that a part of a range shows: of a line, from ``low`` up to ``high``.

    ``to`` is the part; ``step`` is -1 where it shows them from the last to the first.
    """

    to: slice
    low: int
    high: int
    step: int


def mirrored_runs(start: int, side: int, length: int) -> Iterator[Run]:
    """Yield what ``side`` places from ``start`` on show of a line, mirrored as often as it takes.

    The line of ``length`` pixels is followed by itself turned round, so that the last one stands
    twice.
    """
    for turn in range(start // length, (start + side - 1) // length + 1):
        begin, end = max(start, turn * length), min(start + side, (turn + 1) * length)
        low, high, step = begin - turn * length, end - turn * length, 1
        if turn % 2:
            low, high, step = length - high, length - low, -1
        yield Run(slice(begin - start, end - start), low, high, step)


def even_edges(length: int, step: int) -> np.ndarray:
    """Return where blocks of ``step`` pixels begin, and the end of the last one."""
    return np.append(np.arange(0, length, step), length)
