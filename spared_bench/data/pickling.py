"""How slides and patches go to other processes: workers of a ``DataLoader`` begun anew, joblib.

On macOS and Windows, and on Linux from Python 3.14 on, a process takes over only what is pickled.
What was cut goes by the place of its file, not by its pixels. The reductions stand beside the
classes, whose own text is in the keys of all results. A copy in one process stays as lazy as its
original.
"""

from __future__ import annotations

import copyreg
import mmap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from spared_bench.data.patches import DeferredPatches, Patches
from spared_bench.data.slides import Slides
from spared_bench.data.viewed import SpotView


class _Later:
    """What is found when it is asked for, and found when it is pickled."""

    def __init__(self, find: Callable[[], Any]) -> None:
        self._find = find

    def __call__(self) -> Any:
        return self._find()

    def __deepcopy__(self, memo: dict[int, Any]) -> _Later:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return _Found, (self._find(),)


class _Found:
    """What was found already."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def __call__(self) -> Any:
        return self._value


class _StaysHere:
    """What remembers the features of a dataset: it holds the store, and is not pickled."""

    def __init__(self, features_of: Any) -> None:
        self.features_of = features_of

    def __deepcopy__(self, memo: dict[int, Any]) -> _StaysHere:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return _StaysHere, (None,)  # ``Slides.features`` computes them then


def _slides(adata: Any, patches: Patches, kept: _StaysHere, *rest: Any) -> Slides:
    return Slides(adata, patches, kept.features_of, *rest)


def _of_slides(slides: Slides) -> tuple[Any, ...]:
    # AnnData pickles, and deeply copies, all that a view is of.
    adata = slides.adata.copy() if slides.adata.is_view else slides.adata
    kept = _StaysHere(slides.features_of)
    return _slides, (adata, slides.patches, kept, dict(slides.views), slides.known)


def _of_view(seen: SpotView) -> tuple[Any, ...]:
    return SpotView, (seen.view, _Later(seen.find), seen.rows)


def _of_deferred(patches: DeferredPatches) -> tuple[Any, ...]:
    return DeferredPatches, (_Later(patches._find), patches._rows)


class _File:
    """An array that is read from its file where it goes."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array

    def __deepcopy__(self, memo: dict[int, Any]) -> _File:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        if isinstance(self.array, np.memmap) and isinstance(self.array.base, mmap.mmap):
            return _opened, (Path(str(self.array.filename)),)
        return _File, (np.asarray(self.array),)


def _opened(path: Path) -> _File:
    return _File(np.load(path, mmap_mode="r"))


def _patches(files: list[_File], rows: np.ndarray) -> Patches:
    return Patches([file.array for file in files], rows)


def _of_patches(patches: Patches) -> tuple[Any, ...]:
    return _patches, (list(map(_File, patches._arrays)), patches._rows)


copyreg.pickle(Slides, _of_slides)
copyreg.pickle(SpotView, _of_view)
copyreg.pickle(DeferredPatches, _of_deferred)
copyreg.pickle(Patches, _of_patches)
