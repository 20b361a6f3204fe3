"""A change of colours applied to many patches: each colour is computed once, and then looked up.

A slide has some hundred thousand colours and its patches hundreds of millions of pixels, so a table
of 2^24 entries is quicker than any arithmetic, and exact.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from spared_bench.processing.stains import Recolour

_COLOURS = 1 << 24
_AT_ONCE = 1 << 22  # pixels: what lies between stays small
_COMPUTED = 1 << 18  # colours that are changed at a time


def sample(patches: np.ndarray, most: int = 1 << 19) -> np.ndarray:
    """Return pixels of patches, evenly spread over all of them, (at most about ``most``, 3)."""
    pixels_each = int(np.prod(patches.shape[1:-1]))
    step = max(1, len(patches) * pixels_each // most)
    if step < pixels_each:
        parts = [
            np.asarray(each).reshape(-1, 3)[(at % step) :: step] for at, each in enumerate(patches)
        ]
        return np.concatenate(parts)
    few = np.asarray(patches[:: step // pixels_each]).reshape(-1, 3)
    return few[::pixels_each]


def recoloured(patches: np.ndarray, recolour: Recolour) -> Iterator[np.ndarray]:
    """Yield changed patches, some at a time, in their order; (n, ..., 3), uint8.

    Parameters
    ----------
    patches : ndarray of uint8, of shape (n_patches, ..., 3)
        May be memory-mapped: it is read twice.
    recolour : callable
    """
    table = _table(patches, recolour)
    for part in _parts(patches):
        changed = table[_codes(part)]
        yield np.ascontiguousarray(changed.view(np.uint8).reshape(*part.shape[:-1], 4)[..., :3])


def changed(patches: np.ndarray, recolour: Recolour) -> np.ndarray:
    """Return some patches changed, (n, ..., 3), uint8; their own colours alone are computed."""
    codes, of = np.unique(_codes(np.asarray(patches)), return_inverse=True)
    colours = np.stack([codes & 255, codes >> 8 & 255, codes >> 16], axis=1).astype(np.uint8)
    return recolour(colours)[of.reshape(-1)].reshape(patches.shape)


def _table(patches: np.ndarray, recolour: Recolour) -> np.ndarray:
    """Return the changed colour of every colour that there is, packed, (2^24,), uint32."""
    seen = np.zeros(_COLOURS, dtype=bool)
    for part in _parts(patches):
        seen[_codes(part)] = True
    codes = np.flatnonzero(seen)
    table = np.zeros(_COLOURS, dtype=np.uint32)
    for some in _chunks(codes):
        colours = np.stack([some & 255, some >> 8 & 255, some >> 16], axis=1).astype(np.uint8)
        changed = recolour(colours).astype(np.uint32)
        table[some] = changed[:, 0] | changed[:, 1] << 8 | changed[:, 2] << 16
    return table


def _codes(patches: np.ndarray) -> np.ndarray:
    """Return each pixel's colour as one number, (n_pixels,), uint32: red in the lowest byte."""
    pixels = np.empty((*patches.shape[:-1], 4), dtype=np.uint8)
    pixels[..., :3] = patches
    pixels[..., 3] = 0
    return pixels.view("<u4").reshape(-1)


def _parts(patches: np.ndarray) -> Iterator[np.ndarray]:
    each = max(1, int(np.prod(patches.shape[1:-1])))
    step = max(1, _AT_ONCE // each)
    for start in range(0, len(patches), step):
        yield np.asarray(patches[start : start + step])


def _chunks(codes: np.ndarray) -> Iterable[np.ndarray]:
    return (codes[at : at + _COMPUTED] for at in range(0, len(codes), _COMPUTED))
