"""Whether an encoder gives each patch features that are its own, whatever is beside it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from spared_bench.data import Patches
from spared_bench.errors import PluginError

#: Patches that are encoded a second time, by themselves, and how far their features may then be
#: from the first time: in parts of the spread of all. Half precision differs by 0.1.
_TWICE, _APART = 4, 0.25


def check_features(features: np.ndarray, n: int, width: int | None, name: str) -> None:
    """Refuse what is no row of numbers for each patch.

    Parameters
    ----------
    features : ndarray
        Of ``n`` patches.
    n : int
    width : int or None
        Of the features of earlier patches, which these must have; ``None``: any.
    name : str
        Of the encoder, for the error.

    Raises
    ------
    PluginError
    """
    expected = f"({n}, {'width' if width is None else width})"
    if features.ndim != 2 or len(features) != n or width not in (None, features.shape[1]):
        raise PluginError(
            f"Encoder {name!r} gave an array of shape {features.shape} for {n} patches; expected"
            f" {expected}: a row for each patch, as wide for all of them."
        )
    if not np.isfinite(features).all():
        rows = np.flatnonzero(~np.isfinite(features).all(axis=1))
        raise PluginError(
            f"Encoder {name!r} gave nan or infinite features for {len(rows)} of {n} patches, first"
            f" for number {rows[0]}; expected finite numbers."
        )


def check_repeats(
    features: np.ndarray,
    encode: Callable[..., np.ndarray],
    patches: Patches,
    um_per_px: np.ndarray,
    name: str,
) -> None:
    """Refuse an encoder that gives a patch other features beside others, or the second time.

    Parameters
    ----------
    features : ndarray of float32, of shape (n, width)
    encode : callable
        What gave them: ``(patches, um_per_px)``.
    patches : Patches
        (n, size, size, 3), of which some are encoded again.
    um_per_px : ndarray of shape (n,)
    name : str
        Of the encoder, for the error.

    Raises
    ------
    PluginError
    """
    some = np.linspace(0, len(patches) - 1, min(_TWICE, len(patches))).astype(int)[::-1]
    again = np.asarray(encode(patches.subset(some), um_per_px[some]), np.float32)
    check_features(again, len(some), features.shape[1], name)
    apart = float(np.abs(again - features[some]).max(initial=0))
    if apart > _APART * max(float(features.std()), 1e-6):
        raise PluginError(
            f"Encoder {name!r} gave {len(some)} patches other features when they were encoded"
            f" again by themselves, in reverse order: they differ by {apart:.3g}, where all of them"
            f" spread by {features.std():.3g}. A patch's features are shared by all methods and"
            " must not depend on the patches beside it, on their order or on chance: call `eval()`"
            " on the network, and return rows in the order of the patches."
        )
